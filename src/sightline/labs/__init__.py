"""Studies besides the factory: style transfer and dreams, tuning on this machine, what transfers from which layer."""
