"""Precision and layout: which of the allowed pairs takes the shortest step."""

from __future__ import annotations

import functools

from sightline.labs.tuning.findings import Finding
from sightline.labs.tuning.speed import Burst, least_times, settled
from sightline.labs.tuning.subject import Subject
from sightline.training.hardware import Numerics, Precision

Pair = tuple[Precision, bool]  # precision, and whether channels-last


def tune_numerics(subject: Subject, size: int, seconds: float) -> tuple[Numerics, list[Finding]]:
    """Time a training step under each allowed pair; what is written, or the rule's choice, goes unless 10 % are gained.

    Args:
        subject: the model.
        size: of the batch.
        seconds: for the timing.

    Returns:
        what to use, and the reasons for both settings.
    """
    now, rule = (_pair(numerics) for numerics in (subject.now, subject.rule))
    pairs = allowed_pairs(subject.device.type, subject.has_convolutions)
    # Precision is a matter of the step alone, so that a copy for each layout does.
    trials = {channels_last: subject.trial(channels_last) for channels_last in (False, True)}
    batches = [subject.batch(size)]
    runs = {
        (precision, last): Burst(functools.partial(trials[last].step, batches, precision), subject.device)
        for precision, last in dict.fromkeys([rule, now, *pairs])
    }
    times = least_times(runs, seconds)
    chosen = settled(times, now, rule)
    order = sorted(times, key=lambda pair: times[pair])
    told = f"ms per step: {', '.join(f'{_name(pair)} {1000 * times[pair]:.3g}' for pair in order)}"
    trainer = subject.config.trainer
    precision = trainer.precision if chosen[0] == now[0] else chosen[0]
    layout = trainer.layout if chosen[1] == now[1] else _layout(chosen[1])
    findings = [
        Finding("trainer.precision", trainer.precision, precision, told),
        Finding("trainer.layout", trainer.layout, layout, f"measured together with precision; auto is {_name(rule)}"),
    ]
    return Numerics(chosen[0], chosen[1], subject.now.threads), findings


def allowed_pairs(device: str, convolutions: bool) -> list[Pair]:
    """Return precisions that a device computes in, each with the layouts that make a difference."""
    precisions: list[Precision] = ["32", "bf16"] if device == "cpu" else ["32", "bf16", "16"]
    layouts = (False, True) if convolutions else (False,)
    return [(precision, channels_last) for precision in precisions for channels_last in layouts]


def _pair(numerics: Numerics) -> Pair:
    return numerics.precision, numerics.channels_last


def _layout(channels_last: bool) -> str:
    return "channels_last" if channels_last else "contiguous"


def _name(pair: Pair) -> str:
    return f"{pair[0]} {_layout(pair[1])}"
