"""Styles in params.yaml: what goes together, and what is told when it does not."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from sightline.config import ConfigError, load_params

ROOT = Path(__file__).parents[2]
LIBRARY = {"architecture": "torchvision:squeezenet1_0", "weights": "squeezenet.pth"}


def read(folder: Path, **changes: Any) -> Any:
    values = YAML(typ="safe").load(ROOT / "examples/style.yaml")
    style = {"content": "a.jpg", "style": "b.jpg", **LIBRARY, **changes}
    values["styles"] = {"one": {name: value for name, value in style.items() if value is not None}}
    YAML(typ="safe").dump(values, folder / "params.yaml")
    return load_params(folder / "params.yaml").style("one")


def test_the_example_is_good() -> None:
    params = load_params(ROOT / "examples/style.yaml")
    assert list(params.styles) == ["china-starry", "china-mixed"]
    with pytest.raises(ConfigError, match="did you mean china-mixed"):
        params.style("china-mixe")


def test_a_model_of_the_file_needs_no_architecture(tmp_path: Path) -> None:
    assert read(tmp_path, architecture=None, weights={"model": "digit-mlp"}).steps > 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"stlye_weight": 1.0}, "styles.one.stlye_weight: unknown key (did you mean style_weight?)"),
        ({"content": None}, "styles.one.content: missing (the picture whose content is kept)"),
        ({"colours": "luminace"}, "'luminace' is not allowed, use one of style, luminance, transfer"),
        ({"mix": {"a.jpg": 0.0, "b.jpg": 0.0}}, "mix: all weights are 0; give one a weight above 0"),
        ({"mix": {"a.jpg": -1.0}}, "-1.0 is not allowed, must be greater than or equal to 0"),
        ({"style_layers": {"features.1": 0.0}}, "style_layers: all weights are 0"),
        ({"content_weight": 0.0, "style_weight": 0.0}, "both 0; set one of them above 0"),
        ({"animation": "gif"}, "animation: gif: needs frames_every greater than 0"),
        ({"architecture": None}, "architecture: missing, but needed with weights: squeezenet.pth"),
        ({"weights": {"model": "cnn"}}, "defined by the model; leave it out"),
        ({"photorealism": -1.0}, "-1.0 is not allowed, must be greater than or equal to 0"),
        ({"regions": {"content": "a.png"}}, "styles.one.regions.style: missing"),
        (
            {"mix": {"a.jpg": 1.0, "b.jpg": 1.0}, "regions": {"content": "a.png", "style": "b.png"}},
            "regions: are those of one style, but mix has several",
        ),
        ({"size": 8}, "8 is not allowed, must be greater than or equal to 16"),
    ],
)
def test_mistakes_are_told_in_a_line(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, **changes)
    assert len(error.value.lines) == 1
    assert told in error.value.lines[0]
