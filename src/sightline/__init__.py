"""Sightline: images in, evaluated, gated and registered vision models out.

The steps of the pipeline as functions, each with an example that runs:

- `prepare(root, to)`: check raw images and divide them.
- `train(prepared, to, task)`: train a model on them.
- `evaluate(model, prepared, to)`: measure it on the test split.
- `load(model)`, `predict(model, images)`: use it.
"""

from typing import TYPE_CHECKING, Any

from sightline.system.version import VERSION

__version__ = VERSION

if TYPE_CHECKING:
    from sightline.operations.api import evaluate, load, predict, prepare, train
else:

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # on demand: a command that prints help needs none of it

        return getattr(import_module("sightline.operations.api"), name)


__all__ = ["evaluate", "load", "predict", "prepare", "train"]
