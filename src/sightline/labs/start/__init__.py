"""From a folder of images to entries of params.yaml that fit the data, the machine and the time."""
