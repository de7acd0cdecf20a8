"""`features:` numbers that a frozen network or a hand-made extractor finds in the images of a data set."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sightline.config.base import Positive, PositiveInt, Section
from sightline.config.defaults import complete_features
from sightline.config.models import Input
from sightline.config.weights import OwnModel, Weights

_Names = Annotated[list[str], Field(min_length=1)]
_Levels = Annotated[list[Annotated[int, Field(ge=1, le=64)]], Field(min_length=1)]


class _Layers(Section):
    layers: _Names = Field(description="module names, as `sightline summary` lists them; one forward pass for all")
    pooling: Literal["avg", "max", "flatten"] = Field(
        "avg", description="pooling over the positions of a map, or over tokens"
    )
    pyramid: _Levels = Field(
        [1], description="cells along each side of a map that are pooled separately, level by level"
    )

    @model_validator(mode="after")
    def _named_once(self) -> _Layers:
        if len(set(self.layers)) < len(self.layers):
            raise ValueError("layers has a layer twice; remove one")
        return self

    @model_validator(mode="after")
    def _levels_fit(self) -> _Layers:
        if sorted(set(self.pyramid)) != self.pyramid:
            raise ValueError(f"pyramid: {self.pyramid}: list each level once, the coarsest first, e.g. [1, 2, 3]")
        if self.pooling == "flatten" and self.pyramid != [1]:
            raise ValueError(
                "pyramid: pooling: flatten keeps all positions; leave pyramid out, or set pooling to avg or max"
            )
        return self


class ModelExtractor(_Layers):
    """Layers of a model of this file, frozen as it was trained (DeCAF, Donahue et al. 2014)."""

    kind: Literal["model"]


class NetworkExtractor(_Layers):
    """Layers of a network out of a library."""

    kind: Literal["network"]
    architecture: str = Field(
        pattern=r"^(torchvision:[a-z0-9_]+|timm:[A-Za-z0-9_.]+)$", description="torchvision:NAME or timm:NAME"
    )


class PixelsExtractor(Section):
    """The grey or RGB values themselves, in 0..1."""

    kind: Literal["pixels"]


class GaborExtractor(Section):
    """Energy of a bank of Gabor filters, averaged over a grid (Manjunath and Ma 1996)."""

    kind: Literal["gabor"]
    orientations: Annotated[int, Field(ge=1, le=32)] = Field(
        8, description="orientations of the filters over 180 degrees"
    )
    wavelengths: Annotated[list[Annotated[float, Field(ge=2)]], Field(min_length=1)] = Field(
        [4.0, 8.0], description="pixels of the input per period"
    )
    grid: PositiveInt = Field(4, description="cells along each side over which energy is averaged")
    statistics: bool = Field(False, description="also mean and standard deviation of each channel in each cell")


class HogExtractor(Section):
    """Histograms of oriented gradients (Dalal and Triggs 2005)."""

    kind: Literal["hog"]
    cell: PositiveInt = Field(8, description="side of a cell in input pixels")
    block: PositiveInt = Field(2, description="side in cells of a block that is normalised together")
    bins: Annotated[int, Field(ge=2, le=36)] = Field(9, description="orientations over 180 degrees")


class VisualWordsExtractor(Section):
    """Histogram of visual words: SIFT descriptors by their nearest cluster (Csurka et al. 2004)."""

    kind: Literal["visual_words"]
    words: Annotated[int, Field(ge=2)] = Field(200, description="number of clusters, found on the train split")
    sampling: Literal["dense", "keypoints"] = Field(
        "dense", description="where descriptors are computed: on a grid, or at the key points found by SIFT"
    )
    step: PositiveInt = Field(4, description="pixels between dense descriptors")
    patch: PositiveInt = Field(8, description="diameter of a dense key point, pixels")
    weighting: Literal["tf", "tf_idf"] = Field("tf", description="tf_idf: words that occur in many images count less")
    descriptors: Annotated[int, Field(ge=1000)] = Field(
        100_000, description="number of descriptors drawn from train for clustering"
    )


class StructureExtractor(Section):
    """Strokes, ends, crossings, holes, zones and profiles of a character (Trier, Jain and Taxt 1996)."""

    kind: Literal["structure"]
    zones: Annotated[int, Field(ge=1, le=16)] = Field(
        4, description="zones along each side of the square around the ink"
    )
    directions: Annotated[int, Field(ge=2, le=16)] = Field(
        4, description="directions over 180 degrees by which lines and arcs are told apart"
    )
    profiles: Annotated[int, Field(ge=1, le=64)] = Field(
        10, description="places along each side at which the distance to the ink is measured and strokes are counted"
    )


class HmaxExtractor(Section):
    """Gabor filters, maxima, prototypes out of train, maxima (Riesenhuber and Poggio 1999; Serre et al. 2007)."""

    kind: Literal["hmax"]
    sizes: Annotated[list[Annotated[int, Field(ge=3, le=63)]], Field(min_length=2)] = Field(
        [5, 7, 9, 11], description="sides of the filters, odd pixels; the maximum is over each two neighbouring sizes"
    )
    orientations: Annotated[int, Field(ge=2, le=32)] = Field(
        8, description="orientations of the filters over 180 degrees"
    )
    pool: Annotated[int, Field(ge=2, le=64)] = Field(
        4,
        description="side in pixels of the squares of positions over which the maximum is taken; those of each "
        "further two sizes are 2 larger; half of it is the step",
    )
    prototypes: Annotated[int, Field(ge=1, le=10_000)] = Field(
        500, description="prototypes of each side, taken out of train images"
    )
    patches: Annotated[list[Annotated[int, Field(ge=1, le=32)]], Field(min_length=1)] = Field(
        [4, 6], description="sides of the prototypes, in positions of the maxima"
    )
    width: Positive = Field(0.7, description="how far an image may be from a prototype and still match")

    @model_validator(mode="after")
    def _sizes_are_pairs(self) -> HmaxExtractor:
        even = [size for size in self.sizes if size % 2 == 0]
        if even:
            raise ValueError(f"sizes: {even[0]}: a filter needs a pixel in its middle; use {even[0] + 1}")
        if len(self.sizes) % 2:
            raise ValueError(f"sizes: {self.sizes}: each two neighbouring sizes belong together; list an even number")
        if sorted(set(self.sizes)) != self.sizes:
            raise ValueError(f"sizes: {self.sizes}: list each size once, the smallest first")
        return self


Extractor = Annotated[
    ModelExtractor
    | NetworkExtractor
    | PixelsExtractor
    | GaborExtractor
    | HogExtractor
    | VisualWordsExtractor
    | StructureExtractor
    | HmaxExtractor,
    Field(discriminator="kind"),
]


class Copies(Section):
    """Features are averaged over randomly changed copies of an image (CNNaug, Razavian et al. 2014)."""

    policy: Literal["light", "medium", "heavy", "alexnet"] = Field("light", description="a ready-made policy")
    copies: Annotated[int, Field(ge=2, le=100)] = Field(5, description="augmented copies of each image")


Views = Literal["one", "tencrop"] | Copies


class Features(Section):
    """What an extractor finds in every image of a data set."""

    dataset: str = Field(description="a key of datasets")
    extractor: Extractor = Field(description="what computes the features: a model, a network, or a hand-made extractor")
    weights: Weights | None = Field(
        None,
        description="for kind: model, {model: NAME}; for kind: network, random, pretrained or a file in data/weights; "
        "not for the others",
    )
    input: Input | None = Field(None, description="input of the extractor; not for kind: model, which defines it")
    normalize: list[Literal["l2", "signed_sqrt"]] = Field([], description="normalisations of each layer, in this order")
    views: Views = Field("one", description="views of each image; features are averaged over them")

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        return complete_features(values)

    @model_validator(mode="after")
    def _weights_fit(self) -> Features:
        kind, weights = self.extractor.kind, self.weights
        match kind:
            case "model":
                if not isinstance(weights, OwnModel):
                    raise ValueError("weights: extractor.kind: model needs {model: NAME}")
                if self.input is not None:
                    raise ValueError("input: defined by the model; leave it out")
            case "network":
                if weights is None or isinstance(weights, OwnModel):
                    raise ValueError("weights: a network needs pretrained, random, or a file in data/weights")
            case _:
                if weights is not None:
                    raise ValueError(f"weights: {kind} has no weights; leave it out")
        if kind != "model" and self.input is None:
            raise ValueError(f"input: {kind} needs size and channels, e.g. input: {{size: 28, channels: 1}}")
        return self

    @model_validator(mode="after")
    def _cells_fit(self) -> Features:
        hog = self.extractor
        if isinstance(hog, HogExtractor) and self.input is not None:
            size = self.input.size
            if size % hog.cell or size < hog.cell * hog.block:
                raise ValueError(
                    f"extractor.cell: {hog.cell}: must divide input.size ({size}) and leave room for {hog.block} cells"
                )
        return self

    def model(self) -> str | None:
        """Return the name of the model of this file whose layers these are; None: no such model."""
        return self.weights.model if isinstance(self.weights, OwnModel) else None

    def without_places(self) -> str:
        """Return why layers do not have features of single places of an image, "" if they have: key, value, remedy."""
        own = self.extractor
        if self.normalize:
            return "normalize is for one vector per image; leave it out"
        if self.views != "one":
            return "views: places of different views are not the same; leave it out"
        if isinstance(own, GaborExtractor):
            return ""
        if not isinstance(own, ModelExtractor | NetworkExtractor):
            return f"extractor.kind: {own.kind} has none; use network, model or gabor"
        if own.pooling == "flatten" or (len(own.pyramid) == 1 and own.pyramid != [1]):
            return ""
        return "extractor: averages over the whole image; set pooling: flatten, or one level of pyramid, e.g. [28]"

    def layers(self) -> list[str]:
        """Return the names of what is found, one vector each."""
        own = self.extractor
        return list(own.layers) if isinstance(own, ModelExtractor | NetworkExtractor) else [own.kind]
