"""Words in place of weights that mean nothing: `pretraind`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from sightline.config.features import Features
from sightline.config.models import Model
from sightline.config.styles import Style
from sightline.config.tasks import StyleNetwork
from sightline.system.errors import nearest

_WORDS = ("pretrained", "random")


def find_weights_mistakes(
    project: Path, models: Mapping[str, Model], features: Mapping[str, Features], styles: Mapping[str, Style]
) -> list[str]:
    """Return a line for each value of `weights` that is neither a word, nor looks like a file, nor is one.

    Args:
        project: the folder of params.yaml.
        models: by name.
        features: by name.
        styles: by name.
    """
    written = {f"models.{name}.weights": one.weights for name, one in models.items()}
    written |= {
        f"models.{name}.task.loss_network_weights": one.task.loss_network_weights
        for name, one in models.items()
        if isinstance(one.task, StyleNetwork)
    }
    written |= {f"features.{name}.weights": one.weights for name, one in features.items() if one.weights is not None}
    written |= {f"styles.{name}.weights": one.weights for name, one in styles.items()}
    words = {path: weights for path, weights in written.items() if isinstance(weights, str)}
    return list(_lines(words, project / "data/weights"))


def _lines(words: Mapping[str, str], folder: Path) -> Iterator[str]:
    for path, word in words.items():
        file = folder / word
        if word not in _WORDS and "/" not in word and not file.suffix and not file.is_file():
            meant = nearest(word, _WORDS)
            yield f"{path}: {word!r} is neither {', '.join(_WORDS)} nor a file in data/weights{meant}"
