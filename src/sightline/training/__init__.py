"""Fits a network with Lightning: the loop, its callbacks, and how it is resumed."""

from sightline.training.fit import Fitted, flat_settings, train

__all__ = ["Fitted", "flat_settings", "train"]
