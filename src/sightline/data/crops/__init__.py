"""What a detector found, cut out of an image: the square, its pixels, and its place in the original."""
