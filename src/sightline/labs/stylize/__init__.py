"""Pictures out of what networks have learned: DeepDream, and the style of one picture on the content of another."""
