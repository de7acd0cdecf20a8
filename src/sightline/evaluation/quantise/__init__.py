"""A trained network in 8-bit integers: made from training images, judged on validation images against the original."""
