"""How fast a model is here, with each engine, by batch and threads: measured, written, drawn."""

from sightline.operations.benchmark.measuring import Row, benchmark_model, engines_of
from sightline.operations.benchmark.picture import draw_pareto
from sightline.operations.benchmark.scores import scores_of
from sightline.operations.benchmark.table import benchmark_table

__all__ = ["Row", "benchmark_model", "benchmark_table", "draw_pareto", "engines_of", "scores_of"]
