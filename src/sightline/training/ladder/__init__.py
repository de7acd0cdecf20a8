"""A training in steps, of which each is kept only if it is better on validation (docs/recipes.md)."""
