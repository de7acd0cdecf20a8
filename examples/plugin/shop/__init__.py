"""A custom task, format and metric."""
