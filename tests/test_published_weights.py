"""Published weights on photographs: what they were trained on is worth points."""

from pathlib import Path

import numpy as np
import pytest
from dvc_project import ROOT

from sightline.config.features import Features
from sightline.data.cache import decoded
from sightline.training.features.building import build_features

DATA = ROOT.parent / "shared/data"
# Folders of Caltech-101 and the classes of ImageNet that show the same.
CLASSES = {
    "Leopards": (288, 290),
    "ant": (310,),
    "barrel": (427, 756),
    "binocular": (447,),
    "dragonfly": (319,),
    "elephant": (101, 385, 386),
    "hedgehog": (334,),
    "laptop": (620, 681),
    "llama": (355,),
    "lobster": (122, 123),
    "platypus": (103,),
    "strawberry": (949,),
    "umbrella": (879,),
}


def correct(folder: Path, images: dict[str, list[bytes]], **image: object) -> float:
    """Return the share of images that the network itself, with no further training, calls right."""
    section = {
        "dataset": "caltech",
        "weights": "tf_efficientnet_lite0.safetensors",
        "extractor": {"kind": "network", "architecture": "timm:tf_efficientnet_lite0", "layers": ["classifier"]},
        "input": image,
    }
    features = build_features(Features.model_validate(section), 0, folder)
    own = features.settings.input
    right = 0
    for name, encoded in images.items():
        pixels, _ = decoded(encoded, own.size, own.channels, own.resize, own.interpolation)
        right += np.isin(features(pixels)["classifier"].argmax(1), CLASSES[name]).sum()
    return float(right) / sum(map(len, images.values()))


@pytest.mark.real
@pytest.mark.skipif(not DATA.is_dir(), reason="needs the folder of real data beside the project")
def test_the_mean_of_other_weights_costs_points() -> None:
    images = {
        name: [path.read_bytes() for path in sorted((DATA / "caltech25" / name).glob("*.jpg"))[:20]] for name in CLASSES
    }
    published = correct(DATA / "weights", images)
    imagenet = correct(DATA / "weights", images, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    assert published > 0.68  # 0.72 of 260, many of which are drawings
    assert published > imagenet + 0.03  # 0.65
