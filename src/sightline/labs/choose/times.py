"""How long a candidate trains, and for how many epochs there is time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from sightline.config.models import Model
from sightline.labs.choose.journal import Journal
from sightline.labs.choose.settings import Settings, possible
from sightline.labs.choose.space import Candidate
from sightline.labs.start.chooser import WEIGHTS
from sightline.labs.start.timing import StepTimes, time_steps
from sightline.system.errors import UserError, first_line

_SHARE = 1 / 5  # of the search's time that one training may take, a ladder twice as much: epochs are cut to it
_FEWEST_EPOCHS = 2
_TIMING = 12.0  # seconds that it takes to time steps of a network


class TrainingTimes:
    """Of the candidates of one model; what was timed or settled once is kept for all runs of the search.

    Args:
        settings: the model as it is.
        journal: keeps what was timed.
        prepared: folder of the data set.
        budget: seconds of the whole search.
        sizes: of inputs that may be tried.
        tell: shows a line.
    """

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        prepared: Path,
        budget: float,
        sizes: Sequence[int],
        tell: Callable[[str], None] = print,
    ) -> None:
        self.settings, self.journal, self.prepared = settings, journal, prepared
        self.budget, self.sizes, self.tell = budget, sizes, tell

    def most_epochs(self, candidate: Candidate) -> int | None:
        """Return the epochs that were settled for a candidate, None if none were yet."""
        known = self.journal.noted(_epochs_name(candidate))
        return None if known is None else int(known)

    def chosen(self, candidate: Candidate) -> Settings | None:
        """Return the settings of a candidate with the epochs that were settled for it, None for contradictions.

        They are settled once for all runs of the search: another timing would make another trial.
        """
        return possible(self.settings, candidate, self.most_epochs(candidate))

    def seconds(self, candidate: Candidate, left: float) -> float | None:
        """Return how long the training will take, None if there is no time even to find out.

        Raises:
            UserError: the network cannot be trained.
        """
        settings = self.settings.of(candidate)
        times = self._times(candidate)
        if times is None:
            if left < _TIMING + self._at_least(candidate, settings):
                return None
            times = self._timed(candidate, settings)
        if self.most_epochs(candidate) is None:
            ladder = settings.model.ladder is not None
            share, trainings = (2 * _SHARE, max(1, _trainings(settings.model))) if ladder else (_SHARE, 1)
            most = (share * self.budget - times.opening) / (trainings * times.epoch)
            self.journal.note(_epochs_name(candidate), max(_FEWEST_EPOCHS, int(most)))
        chosen = self.chosen(candidate)
        return None if chosen is None else training_seconds(chosen.model, times)

    def _times(self, candidate: Candidate) -> StepTimes | None:
        known = self.journal.noted(_times_name(candidate))
        return None if known is None else StepTimes(**known)

    def _at_least(self, candidate: Candidate, settings: Settings) -> float:
        """Return seconds that a training surely takes, by the network at another size; 0 where none was timed.

        Half of what pixels alone would say: small inputs have costs that do not shrink.
        """
        for size in self.sizes:
            times = self._times(replace(candidate, size=size))
            if times is not None:
                share = 0.5 * min(1.0, (candidate.size / size) ** 2)
                least = replace(times, step=share * times.step, image=share * times.image)
                most = self.most_epochs(candidate) or _FEWEST_EPOCHS
                return min(settings.model.trainer.max_epochs, most) * least.epoch
        return 0.0

    def _timed(self, candidate: Candidate, settings: Settings) -> StepTimes:
        """Time steps of a network, once for all recipes and rates."""
        model, params = settings.model, settings.params
        self.tell(f"timing steps of {candidate.network} at {candidate.size} px ...")
        augmentation, seed = params.augmentations.get(model.augment), params.seed_of(settings.name)
        try:
            times = time_steps(model, seed, self.prepared, WEIGHTS, augmentation, tested=False)
        except RuntimeError as error:  # PyTorch's word for an input too small, or memory that does not suffice
            raise UserError(f"{candidate.words()}: cannot be trained: {first_line(error)}") from None
        self.journal.note(_times_name(candidate), asdict(times))
        return times


def _times_name(candidate: Candidate) -> str:
    return f"times {candidate.network} {candidate.size}"


def _epochs_name(candidate: Candidate) -> str:
    return f"epochs {candidate.recipe} {candidate.network} {candidate.size}"


def training_seconds(model: Model, times: StepTimes) -> float:
    """Return how long a training takes, with the steps of a ladder, if it has one."""
    epochs = model.trainer.max_epochs * times.epoch
    if model.ladder is None:
        return times.opening + epochs
    forward = (times.train + len(model.ladder.rungs) * times.val) * times.image
    return times.opening + _trainings(model) * epochs + forward


def _trainings(model: Model) -> int:
    """Return how many trainings the steps of a ladder need."""
    assert model.ladder is not None
    rungs = set(model.ladder.rungs)
    tuned = model.ladder.seeds if rungs & {"soup", "distill"} else int("fine_tune" in rungs)
    return tuned + int("distill" in rungs)
