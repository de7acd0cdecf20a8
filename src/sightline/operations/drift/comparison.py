"""One decision on two samples of images: many tests, and Holm's correction over all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from sightline.data.structures import FLOAT32
from sightline.operations.drift.seen import Seen
from sightline.operations.drift.two_samples import (
    FLOAT64,
    class_test,
    holm,
    ks_test,
    ks_tests,
    mmd_test,
    principal_components,
)

COMPONENTS = 32  # of the vectors, before they are compared
_NEAREST = 5

Group = Literal["embedding", "image", "prediction"]


@dataclass(frozen=True)
class Finding:
    """One test.

    Attributes:
        name: what is compared.
        group: whether the vectors, statistics of the image, or predictions.
        test: its name.
        p: of this test alone.
        adjusted: corrected for all tests of the comparison; set by `compare`.
        reference, recent: the medians, or the shares of the class that has changed most; None if there is not a number.
        told: what has changed, in a few words.
    """

    name: str
    group: Group
    test: str
    p: float
    reference: float | None
    recent: float | None
    told: str
    adjusted: float = 1.0


@dataclass(frozen=True)
class Comparison:
    """What became of two samples.

    Attributes:
        findings: every test, the clearest first.
        p: the least adjusted p-value.
        alpha: what it is compared with.
        samples: images of the reference, and recent ones.
        points: principal components of the reference's images, N x K, and of the recent ones, M x K.
        strangeness: M numbers: distance of each recent image from its nearest reference images, by the median of
            that distance among reference images themselves; above 1 means stranger than most.
    """

    findings: list[Finding]
    p: float
    alpha: float
    samples: tuple[int, int]
    points: tuple[FLOAT32, FLOAT32]
    strangeness: FLOAT64

    @property
    def drifting(self) -> bool:
        """Whether the samples differ more than chance allows."""
        return self.p < self.alpha

    @property
    def reason(self) -> str:
        """What has changed most, in one line."""
        first = self.findings[0]
        found = [finding.name for finding in self.findings if finding.adjusted < self.alpha]
        if not found:
            return f"no test finds a change (least corrected p {p_text(self.p)})"
        more = f"; also {', '.join(found[1:])}" if len(found) > 1 else ""
        return f"{first.name}: {first.told} (corrected p {p_text(first.adjusted)}){more}"

    def to_json(self) -> dict[str, Any]:
        """Return the decision and every test as plain values."""
        return {
            "drifting": self.drifting,
            "p": self.p,
            "alpha": self.alpha,
            "reason": self.reason,
            "reference_samples": self.samples[0],
            "recent_samples": self.samples[1],
            "tests": [asdict(finding) for finding in self.findings],
        }


def p_text(p: float) -> str:
    """Return a p-value as people write it."""
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.0e}" if p > 1e-99 else "below 1e-99"


def compare(
    reference: Seen, recent: Seen, classes: Sequence[str], alpha: float, permutations: int, seed: int
) -> Comparison:
    """Test whether two samples of images come from one source.

    Args:
        reference: what they should be like.
        recent: what they are like.
        classes: names of the predicted classes, if there are some.
        alpha: chance of a false alarm of the whole comparison.
        permutations: of the kernel test.
        seed: of the permutations.
    """
    points = principal_components(reference.vectors, recent.vectors, COMPONENTS)
    found = [
        *_embedding_findings(points, permutations, seed),
        *_number_findings(reference.statistics, recent.statistics, "image"),
        *_number_findings(reference.answers, recent.answers, "prediction"),
        *_class_findings(reference, recent, classes),
    ]
    adjusted = holm([finding.p for finding in found])
    findings = [replace(finding, adjusted=value) for finding, value in zip(found, adjusted, strict=True)]
    findings.sort(key=lambda finding: (finding.adjusted, finding.p))
    least = findings[0].adjusted
    return Comparison(findings, least, alpha, (len(reference), len(recent)), points, _strangeness(*points))


def _embedding_findings(points: tuple[FLOAT32, FLOAT32], permutations: int, seed: int) -> Iterator[Finding]:
    p, value = mmd_test(*points, permutations, seed)
    yield Finding("embedding", "embedding", "MMD", p, None, None, f"squared distance of the samples {value:.3g}")
    p, least, several = ks_tests(*points)
    told = f"{several} of {points[0].shape[1]} components differ, most number {least + 1}"
    yield Finding("components", "embedding", "KS, Holm", p, None, None, told)


def _number_findings(reference: dict[str, FLOAT64], recent: dict[str, FLOAT64], group: Group) -> Iterator[Finding]:
    for name, own in reference.items():
        other = recent[name]
        p, distance = ks_test(own, other)
        before, after = float(np.median(own)), float(np.median(other))
        # Shares differ although medians agree: say what then has changed.
        told = f"median {before:.3g} is now {after:.3g}"
        if np.ptp(np.concatenate([own, other])) == 0:
            told = f"{before:.3g} in all images"
        elif f"{before:.3g}" == f"{after:.3g}":
            told = f"median stays {before:.3g}, distributions differ by {distance:.2f}"
        yield Finding(name, group, "KS", p, before, after, told)


def _class_findings(reference: Seen, recent: Seen, classes: Sequence[str]) -> Iterator[Finding]:
    if reference.labels is None or recent.labels is None:
        return
    p, changed = class_test(reference.labels, recent.labels, len(classes))
    before, after = (float((own == changed).mean()) for own in (reference.labels, recent.labels))
    told = f"share of {classes[changed]} {before:.0%} is now {after:.0%}"
    yield Finding("predicted classes", "prediction", "chi-square", p, before, after, told)


def _strangeness(reference: FLOAT32, recent: FLOAT32) -> FLOAT64:
    from sklearn.neighbors import NearestNeighbors

    near = min(_NEAREST, len(reference) - 1)
    search = NearestNeighbors(n_neighbors=near).fit(reference)
    among = search.kneighbors()[0].mean(1)  # without the image itself
    found: FLOAT64 = search.kneighbors(recent)[0].mean(1) / max(float(np.median(among)), 1e-9)
    return found
