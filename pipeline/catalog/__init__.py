"""What there is to do: listing, feed, plan, and the quarantine's ledger."""

from pipeline.catalog.batches import Batch, PlannedImage, batch_id

__all__ = ["Batch", "PlannedImage", "batch_id"]
