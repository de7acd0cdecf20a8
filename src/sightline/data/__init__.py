"""From raw files to batches: formats, checks, splits, the store, augmentation, loading."""
