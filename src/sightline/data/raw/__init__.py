"""From raw files to prepared data: formats, checks, splits, the store."""
