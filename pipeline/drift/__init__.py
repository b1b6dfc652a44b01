"""Drift: how far a run's photos, labels and scores are from those of the runs before it."""
