"""The best settings of a model that a time allows: recipes, networks, input sizes and learning rates tried in turn."""
