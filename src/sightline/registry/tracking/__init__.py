"""An adapter to MLflow: runs, files, versions and aliases, no rule of when; the only package that imports it."""

from sightline.registry.tracking.connection import Connection, project_root, tracking_uri
from sightline.registry.tracking.live import mark_trained, training_logger
from sightline.registry.tracking.pictures import log_pictures
from sightline.registry.tracking.runs import DataSource, Runs
from sightline.registry.tracking.searches import PARENT, Searches
from sightline.registry.tracking.versions import INT8_FILES, INT8_TAG, VERSION_TAG, Version, Versions

__all__ = [
    "INT8_FILES",
    "INT8_TAG",
    "PARENT",
    "VERSION_TAG",
    "Connection",
    "DataSource",
    "Runs",
    "Searches",
    "Version",
    "Versions",
    "log_pictures",
    "mark_trained",
    "project_root",
    "tracking_uri",
    "training_logger",
]
