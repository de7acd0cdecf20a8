"""A trained model as files: its folder, and the exported network."""
