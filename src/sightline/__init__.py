"""Sightline: images in, evaluated, gated and registered vision models out."""

__version__ = "0.1.0"
