"""Heads that learn what good images look like: a memory of their places, or a Gaussian of each place."""
