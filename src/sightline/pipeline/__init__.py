"""What DVC runs: the processes of stages, its store, and reproduction side by side."""
