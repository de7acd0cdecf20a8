"""Large images in tiles: batches to learn from, and predictions for the image from what is said of its tiles."""
