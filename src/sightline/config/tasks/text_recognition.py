"""`task: {kind: text_recognition}`: what is written on a strip, character by character."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from sightline.config.base import PositiveInt, Probability, TaskSection

_MOST_LAYERS = 4


class TextRecognition(TaskSection):
    """The text of a line, by a network of columns: convolutions, a recurrent layer, and CTC (Shi et al. 2015)."""

    default_size: ClassVar[tuple[int, str]] = (32, "the height of a line in the paper")
    default_width: ClassVar[tuple[int, str] | None] = (128, "four times the height: a line of about eight characters")
    default_augment: ClassVar[tuple[str, str]] = ("strip", "moves so small that no character leaves the strip")
    takes_mirrored: ClassVar[bool] = False
    kind: Literal["text_recognition"]
    width: Annotated[int, Field(ge=4, le=256)] = Field(
        32, description="maps of the first convolution; the deepest have four times as many"
    )
    stride: Literal[2, 4, 8] = Field(
        4, description="pixels of the input per column; a text needs a column per character, and one between equal ones"
    )
    sequence: Literal["lstm", "gru", "none"] = Field(
        "lstm", description="what reads along the columns, in both directions; none: each column on its own"
    )
    hidden: PositiveInt | None = Field(None, description="units of lstm and gru in each direction; null: 96")
    layers: Annotated[int, Field(ge=1, le=_MOST_LAYERS)] | None = Field(
        None, description="recurrent layers, one on top of the other; null: 1"
    )
    dropout: Probability = Field(0.0, description="dropout of what enters the last layer")
    decoding: Literal["greedy", "beam"] = Field(
        "greedy", description="greedy: the best path through the columns; beam: the best text, summed over its paths"
    )
    beam_width: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="texts that beam keeps at each column; null: 10"
    )

    @model_validator(mode="before")
    @classmethod
    def _one_view(cls, values: Any) -> Any:
        if isinstance(values, dict) and "views" in values:
            raise ValueError("views: a mirrored text is no text, so there is one view only; leave views out")
        return values

    @model_validator(mode="after")
    def _options_fit(self) -> TextRecognition:
        for name in ("hidden", "layers"):
            if self.sequence == "none" and getattr(self, name) is not None:
                raise ValueError(f"{name} is for sequence: lstm or gru, but sequence is none")
        if self.beam_width is not None and self.decoding != "beam":
            raise ValueError(f"beam_width is for decoding: beam, but decoding is {self.decoding}")
        return self

    def options(self) -> dict[str, Any]:
        """Return the network's options as keyword arguments of `models.read.column_network.column_network`."""
        names = ("width", "stride", "sequence", "dropout")
        return {name: getattr(self, name) for name in names} | {
            "hidden": self.hidden or 96,
            "layers": self.layers or 1,
        }
