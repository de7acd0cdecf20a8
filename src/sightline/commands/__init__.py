"""The commands of the command line, one per file; heavy libraries are imported when a command runs."""
