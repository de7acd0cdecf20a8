"""Style of pictures: layers and losses that tell it, and a network that draws in it."""
