"""Writes the table of what published weights were trained on, from the installed timm and torchvision.

`python -m bench.published_inputs` brings `src/sightline/config/published_inputs.json` up to date; do so after an
upgrade of either library (a test says when).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from sightline.config.published import TABLE, USUAL

_KEYS = tuple(USUAL)
# Their weights take pixels in -1..1. torchvision makes these of ImageNet's inside the network (`transform_input`) where
# it loads its own weights, which Sightline's networks, the same for weights from a file, do not.
_SIGNED = ("googlenet", "inception_v3")


def found_inputs() -> dict[str, dict[str, Any]]:
    """Return size, mean, std and interpolation by network, as in `timm:resnet18`.

    A variant of timm's (`NAME.TAG`) is there only if it differs from what `NAME` alone stands for.
    """
    return dict([*_of_timm(), *_of_torchvision()])


def table(found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return networks grouped by what they share; what is usual is left out."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for network, one in found.items():
        library, _, name = network.partition(":")
        unusual = {key: one[key] for key in _KEYS if one[key] != USUAL[key]}
        groups[library, json.dumps(unusual)].append(name)
    return [
        {"library": library, **json.loads(unusual), "networks": sorted(names)}
        for (library, unusual), names in sorted(groups.items())
    ]


def text(groups: list[dict[str, Any]]) -> str:
    """Return the table as JSON, a group per line."""
    return "[\n" + ",\n".join(json.dumps(group) for group in groups) + "\n]\n"


def _of_timm() -> Iterator[tuple[str, dict[str, Any]]]:
    import timm

    bare = {name: _timm_input(name) for name in timm.list_models()}
    yield from ((f"timm:{name}", one) for name, one in bare.items())
    for name in timm.list_pretrained():
        one = _timm_input(name)
        if "." in name and one != bare.get(name.partition(".")[0]):
            yield f"timm:{name}", one


def _timm_input(name: str) -> dict[str, Any]:
    import timm

    known = timm.get_pretrained_cfg(name)
    return {
        "size": known.input_size[-1],
        "mean": list(known.mean),
        "std": list(known.std),
        "interpolation": known.interpolation,
    }


def _of_torchvision() -> Iterator[tuple[str, dict[str, Any]]]:
    from torchvision import models

    for name in models.list_models(module=models):
        transform = models.get_model_weights(name).DEFAULT.transforms()
        signed = [0.5, 0.5, 0.5] if name in _SIGNED else None
        yield (
            f"torchvision:{name}",
            {
                "size": transform.crop_size[0],
                "mean": signed or list(transform.mean),
                "std": signed or list(transform.std),
                "interpolation": transform.interpolation.value,
            },
        )


if __name__ == "__main__":
    TABLE.write_text(text(table(found_inputs())), encoding="utf-8")
    print(f"{TABLE}: written")
