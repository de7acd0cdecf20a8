"""Networks for whole images."""
