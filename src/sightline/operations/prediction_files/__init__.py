"""Predictions for image files: paths in, a table, JSON lines, COCO files or pictures out."""
