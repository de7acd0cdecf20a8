"""Predictions for image files: paths in, a table, JSON lines, COCO files or pictures out."""

from sightline.operations.prediction_files.run import Finished, predict_files
from sightline.operations.prediction_files.sources import find_images, left_alone
from sightline.operations.prediction_files.writers import Form, open_writer

__all__ = ["Finished", "Form", "find_images", "left_alone", "open_writer", "predict_files"]
