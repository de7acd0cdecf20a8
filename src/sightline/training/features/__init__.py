"""What a frozen network or a hand-made extractor sees in images, as vectors per layer."""
