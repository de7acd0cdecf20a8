"""Benchmarks: interleaved pairs on one machine, told as median ratios."""
