"""What every adversarial training here shares: averaged weights, augmentation of both sides, the balance monitor."""
