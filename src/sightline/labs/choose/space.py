"""What a search may change of a model: recipe, network, size of the input, learning rate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

from sightline.config.models import Model
from sightline.config.published import published_input

RECIPES = ("fast", "good", "best")
RATES = (1.0, 0.5, 2.0, 0.25, 4.0)  # of what recipe or section say; the first one is the centre
_SHARES = (1.0, 0.75, 0.5, 1.25)  # of the side of the input
_LARGE = 96  # pixels, from which sides are multiples of 32, the coarsest stride of most networks
_FROM_NOTHING = ("timm:test_resnet", "timm:resnet10t")  # tried where weights are random: small, as such data sets are


@dataclass(frozen=True)
class Candidate:
    """Settings to try.

    Attributes:
        recipe: its name; None: the section's, if it has one.
        network: as in `timm:resnet18`.
        size: side of the input, pixels.
        rate: factor on the learning rate.
    """

    recipe: str | None
    network: str
    size: int
    rate: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    def words(self) -> str:
        """Return the settings in a few words."""
        rate = "" if self.rate == 1 else f", lr x {self.rate:g}"
        recipe = "as written" if self.recipe is None else self.recipe
        return f"{recipe}, {self.network.rpartition(':')[2]}, {self.size} px{rate}"


@dataclass(frozen=True)
class Space:
    """The values of each setting, the model's own first.

    Attributes:
        recipes, networks, sizes, rates: see `Candidate`.
        published: size of the input that the model's own weights were made for, if it is one of `sizes`.
    """

    recipes: tuple[str | None, ...]
    networks: tuple[str, ...]
    sizes: tuple[int, ...]
    rates: tuple[float, ...] = RATES
    published: int | None = None

    @property
    def first(self) -> Candidate:
        """The model as it is."""
        return Candidate(self.recipes[0], self.networks[0], self.sizes[0], self.rates[0])

    def plain(self) -> list[Candidate]:
        """Return what is tried first: each other recipe, the published size and each other network, all else alike.

        The ladder of `best` comes last, as it takes as long as several others.
        """
        first = self.first
        recipes = sorted(self.recipes[1:], key=lambda recipe: recipe == "best")
        found = [first, *(replace(first, recipe=recipe) for recipe in recipes)]
        if self.published is not None:
            found += [replace(one, size=self.published) for one in found if one.recipe != "best"]
        found += [replace(first, network=network) for network in self.networks[1:]]
        found.sort(key=lambda one: one != first and one.recipe == "best")
        return list(dict.fromkeys(found))

    def all(self) -> Iterator[Candidate]:
        """Yield every candidate."""
        yield from (Candidate(*values) for values in product(self.recipes, self.networks, self.sizes, self.rates))

    def neighbours(self, candidate: Candidate) -> Iterator[Candidate]:
        """Yield the candidates that differ in one setting; of sizes and rates, by one step."""
        own = asdict(candidate)
        for name, values in (("recipe", self.recipes), ("network", self.networks)):
            yield from (Candidate(**{**own, name: value}) for value in values if value != own[name])
        for name, numbers in (("size", self.sizes), ("rate", self.rates)):
            steps = sorted(numbers)
            place = steps.index(own[name])
            yield from (
                Candidate(**{**own, name: value})
                for value in steps[max(0, place - 1) : place + 2]
                if value != own[name]
            )


def space_of(model: Model, written: Mapping[str, Any], networks: Sequence[str]) -> Space:
    """Return what may be tried of a model.

    Args:
        model: its section, complete.
        written: the same as written: a key that is there is not filled by a recipe.
        networks: whose weights are at hand.
    """
    recipes: tuple[str | None, ...] = RECIPES
    if model.recipe is not None:
        recipes = (model.recipe.name, *(name for name in RECIPES if name != model.recipe.name))
    elif "optimizer" in written or "augment" in written:
        recipes = (None,)  # settings that somebody thought about; a recipe would fill only what is left
    own = model.trunk()
    others: Sequence[str] = ()
    if model.weights == "pretrained" and ":" in own:
        others = networks
    elif model.weights == "random" and ":" in own and model.input.size < _LARGE:
        others = _FROM_NOTHING
    sizes, known = _sizes(model, own), published_input(own) if model.weights == "pretrained" else None
    published = known.size if known is not None and known.size in sizes else None
    return Space(recipes, (own, *(name for name in others if name != own)), sizes, published=published)


def _sizes(model: Model, network: str) -> tuple[int, ...]:
    own = model.input.size
    if model.input.width is not None or model.tiling is not None:
        return (own,)  # lines of text and tiles have their shape from the data
    step = 32 if own >= _LARGE else 4
    published = published_input(network)
    known = [published.size] if model.weights == "pretrained" and published is not None else []
    sides = [max(8, step * round(own * share / step)) for share in _SHARES[1:]]
    return tuple(dict.fromkeys([own, *known, *sides]))
