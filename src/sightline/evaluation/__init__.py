"""Measures trained models on the test split: metrics with intervals, slices, parity, pictures."""
