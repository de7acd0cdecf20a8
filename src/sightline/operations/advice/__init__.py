"""What to do next, from what was measured: more data, a head or a network, a larger test split."""

from sightline.operations.advice.advising import Advice, advise, advise_on
from sightline.operations.advice.candidates import Candidate, candidates
from sightline.operations.advice.evaluations import HeadAgainstNetwork, SmallestDifference
from sightline.operations.advice.more_data import ClassWorth, MoreData

__all__ = [
    "Advice",
    "Candidate",
    "ClassWorth",
    "HeadAgainstNetwork",
    "MoreData",
    "SmallestDifference",
    "advise",
    "advise_on",
    "candidates",
]
