"""Networks that read text, and how their outputs become texts."""
