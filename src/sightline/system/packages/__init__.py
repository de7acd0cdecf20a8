"""The packages that Sightline runs on: which they are, under which licences, and as a list for others to read."""
