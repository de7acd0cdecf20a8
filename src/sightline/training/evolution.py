"""Optimizers without gradients: weights change at random, and losses alone say what was good.

What is drawn is a function of the seed and the number of the step. All networks that are compared in a step see the
same batch with the same dropout and noise, and statistics of batch normalisation are those of the weights before it.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sightline.config.optimizers import Evolution as EvolutionConfig
from sightline.config.optimizers import NaturalEvolution as NaturalEvolutionConfig
from sightline.config.optimizers import Optimizer
from sightline.data.vary.augmentation import key
from sightline.system.errors import UserError

MOST_PARAMETERS = 200_000  # each step costs many losses, and the directions to try grow with the weights
Loss = Callable[[], Tensor]


def has_no_gradients(config: Optimizer) -> bool:
    """Return whether an optimizer is one of these."""
    return isinstance(config, EvolutionConfig | NaturalEvolutionConfig)


def require_searchable(config: Optimizer, network: nn.Module, processes: int) -> None:
    """Refuse what cannot be trained without gradients.

    Raises:
        UserError: too many weights, or several processes, whose batches differ.
    """
    if not has_no_gradients(config):
        return
    count = sum(parameter.numel() for parameter in network.parameters())
    if count > MOST_PARAMETERS:
        raise UserError(
            f"optimizer.name: {config.name}: the network has {count:,} parameters, more than {MOST_PARAMETERS:,}; "
            "use a smaller one, or an optimizer with gradients such as adamw"
        )
    if processes > 1:
        raise UserError(f"trainer.devices: {processes} processes: {config.name} compares losses in one; use devices: 1")


def build_search(config: EvolutionConfig | NaturalEvolutionConfig, network: nn.Module, seed: int) -> Search:
    """Build one of these from the section `optimizer` of a model."""
    match config:
        case EvolutionConfig(sigma=sigma, tries=tries):
            return Evolution(network, seed, sigma, tries)
        case NaturalEvolutionConfig(lr=lr, sigma=sigma, population=population):
            return NaturalEvolution(network, seed, lr, sigma, population)


class Search(torch.optim.Optimizer):
    """What both have: one vector of all weights, and losses of other vectors.

    The state that a resumed training needs is in `param_groups`, so checkpoints hold it.

    Args:
        network: what learns.
        seed: of what is drawn.
        lr: of schedules; the highest.
        values: further state.
    """

    def __init__(self, network: nn.Module, seed: int, lr: float, **values: Any) -> None:
        super().__init__(list(network.parameters()), {"lr": lr, "steps": 0, **values})
        self.seed = seed
        self._buffers = list(network.buffers())

    @torch.no_grad()
    def step(self, closure: Loss | None = None) -> Tensor:  # type: ignore[override]  # torch allows a loss as a float
        """Change the weights; return the loss of those before.

        Args:
            closure: returns the loss of the batch with the weights as they are; it is called many times, the first time
                before anything has changed.
        """
        assert closure is not None
        [group] = self.param_groups
        parameters: list[Tensor] = group["params"]
        drawn = torch.Generator().manual_seed(key(self.seed, "evolution", group["steps"]) >> 1)
        generators = _generator_states(parameters[0].device)
        first = closure()
        buffers = [buffer.clone() for buffer in self._buffers]

        def loss_at(weights: Tensor) -> float:
            """Return the loss with other weights; not a number counts as the worst."""
            _put(parameters, weights)
            _set_generators(generators)
            found = float(closure())
            for buffer, before in zip(self._buffers, buffers, strict=True):
                buffer.copy_(before)
            return found if math.isfinite(found) else math.inf

        weights = torch.cat([parameter.reshape(-1) for parameter in parameters])

        def noise() -> Tensor:
            return torch.randn(len(weights), generator=drawn).to(weights)

        _put(parameters, self.search(group, weights, float(first), loss_at, noise))
        group["steps"] += 1
        return first

    @abstractmethod
    def search(
        self,
        group: dict[str, Any],
        weights: Tensor,
        loss: float,
        loss_at: Callable[[Tensor], float],
        noise: Callable[[], Tensor],
    ) -> Tensor:
        """Return the new weights, a vector.

        Args:
            group: the state, which may change.
            weights: the present ones, a vector.
            loss: of these.
            loss_at: the loss of others.
            noise: draws a vector of standard normal numbers.
        """


class Evolution(Search):
    """One parent, one child that differs at random, and the better of both lives (Rechenberg 1973, (1+1)).

    The deviation of the differences follows Rechenberg's rule: it is right where one child in five is better. After
    each child it is multiplied by e^(0.8 c) or e^(-0.2 c), which is level at that rate (Kern et al. 2004).
    """

    _RATE = 1 / 3  # c

    def __init__(self, network: nn.Module, seed: int, sigma: float, tries: int) -> None:
        super().__init__(network, seed, sigma, sigma=sigma)
        self.tries = tries

    def search(
        self,
        group: dict[str, Any],
        weights: Tensor,
        loss: float,
        loss_at: Callable[[Tensor], float],
        noise: Callable[[], Tensor],
    ) -> Tensor:
        """Return the last child that was better, or the parent."""
        for _ in range(self.tries):
            child = weights + group["sigma"] * noise()
            found = loss_at(child)
            better = found < loss
            if better:
                weights, loss = child, found
            group["sigma"] *= math.exp(self._RATE * (better - 0.2))
        return weights


class NaturalEvolution(Search):
    """A step along the mean of random differences, weighted by the ranks of their losses (Salimans et al. 2017).

    That is an estimate of the gradient of the expected rank over all differences of this deviation (equation 1), with
    mirrored pairs and ranks in -0.5..0.5 in place of losses (section 2.1).
    """

    def __init__(self, network: nn.Module, seed: int, lr: float, sigma: float, population: int) -> None:
        super().__init__(network, seed, lr)
        self.sigma, self.population = sigma, population

    def search(
        self,
        group: dict[str, Any],
        weights: Tensor,
        loss: float,
        loss_at: Callable[[Tensor], float],
        noise: Callable[[], Tensor],
    ) -> Tensor:
        """Return the weights a step on."""
        differences = [noise() for _ in range(self.population // 2)]
        losses = [loss_at(weights + sign * self.sigma * own) for own in differences for sign in (1, -1)]
        fitness = centred_ranks(losses).view(-1, 2)
        pairs = (fitness[:, 0] - fitness[:, 1]).to(weights)
        direction = pairs @ torch.stack(differences) / (self.population * self.sigma)
        rate: float = group["lr"]
        return weights + rate * direction


def centred_ranks(losses: Sequence[float]) -> Tensor:
    """Return 0.5 for the lowest loss down to -0.5 for the highest, N float32; equal losses share their mean rank."""
    from scipy.stats import rankdata

    ranks = torch.tensor(rankdata(losses) - 1, dtype=torch.float32)
    return 0.5 - ranks / (len(losses) - 1)


def _put(parameters: Sequence[Tensor], weights: Tensor) -> None:
    parts = torch.split(weights, [parameter.numel() for parameter in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.copy_(part.view_as(parameter))


def _generator_states(device: torch.device) -> tuple[Tensor, Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def _set_generators(states: tuple[Tensor, Tensor | None]) -> None:
    torch.set_rng_state(states[0])
    if states[1] is not None:
        torch.cuda.set_rng_state(states[1])
