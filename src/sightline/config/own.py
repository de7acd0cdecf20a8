"""What other packages derive their tasks, formats and metrics from (docs/plugins.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sightline.config.base import TaskSection
from sightline.config.dataset_section import DatasetSection


class OwnTask(TaskSection):
    """`task: {kind: ...}` of a task that another package brings, as an entry point of `sightline.tasks`.

    Attributes:
        kind: declared as `kind: Literal["NAME"]`, NAME being the entry point's.
        builder: `module:function` that is called as `tasks.build` is, with this section, `input`, the label map, the
            weights and the training split, and returns a `sightline.tasks.base.Task`.
        metrics: names of the metrics of all samples. Each is the mean of the column of its name in the rows of a
            measurement, NaN left out, unless an entry point of `sightline.metrics` says otherwise.
        errors: those of them that are better when they are smaller.
        example: a data set with what the task learns, for `sightline check --contract`: a section of `datasets`.
    """

    builder: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    errors: ClassVar[tuple[str, ...]] = ()
    example: ClassVar[dict[str, object]] = {"format": "scenes", "root": "data/embedded", "count": 40, "size": 64}

    @classmethod
    def code(cls) -> tuple[str, ...]:
        """Return what does the work, each as `module:function`."""
        return (cls.builder,)


class OwnFormat(DatasetSection):
    """A format that another package brings, as an entry point of `sightline.formats`.

    Attributes:
        format: declared as `format: Literal["NAME"]`, NAME being the entry point's.
        opener: `module:function` that is called with this section and returns a
            `sightline.data.raw.formats.source.Source`; `root` may also be that of a batch that was taken in later.
        example: `module:function` that writes a small data set into the folder that it is given, for
            `sightline check --contract`, and returns what this section must say besides `format` and `root`.
        recogniser: `module:function` that is called with a folder and returns a list of such keys, one for each way in
            which this format may read it, for `sightline start`; empty: it is never recognised.
    """

    opener: ClassVar[str]
    example: ClassVar[str]
    recogniser: ClassVar[str] = ""

    @classmethod
    def code(cls) -> tuple[str, ...]:
        """Return what does the work, each as `module:function`."""
        return (cls.opener,)


@dataclass(frozen=True)
class OwnMetric:
    """A metric that another package brings, as an entry point of `sightline.metrics`, whose name is the metric's.

    Attributes:
        kinds: of task that have it.
        function: `module:function`, called with the N rows of a measurement (a data frame as in `predictions.parquet`)
            and the label map; it returns a `sightline.tasks.metrics.resampling.Metric`, e.g. `mean_of(values)`.
        smaller_is_better: whether it is an error.
    """

    kinds: tuple[str, ...]
    function: str
    smaller_is_better: bool = False
