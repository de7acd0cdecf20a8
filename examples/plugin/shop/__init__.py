"""A task, a format and a metric of one's own."""
