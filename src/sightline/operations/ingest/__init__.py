"""Brings new files from `data/inbox` into the data sets, checked and as immutable batches, and takes batches out."""

from sightline.operations.ingest.taking import Batch, ingest
from sightline.operations.ingest.withdrawal import withdraw, withdraw_refused

__all__ = ["Batch", "ingest", "withdraw", "withdraw_refused"]
