"""Fits a network with Lightning: the loop (`fit`), its callbacks, how it is resumed, and the folder that it leaves."""
