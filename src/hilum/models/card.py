"""Model cards: what a card must tell before its network is asked anything.

A card lies beside its weights and may come from anybody. A threshold of -5 or a window of HU that falls would
give masks that look like masks, so each value that decides a mask is checked here, once, when it is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from hilum.core.errors import ModelError
from hilum.io.schema import Count, Name, Real, Record, Sha256, check
from hilum.io.text import read_json, shown

__all__ = ["SLICES_SCHEMA", "VOLUMES_SCHEMA", "read_card"]

#: Networks of slices, as ``hilum train`` leaves them.
SLICES_SCHEMA = "hilum.model/1"
#: Networks of volumes.
VOLUMES_SCHEMA = "hilum.weights/1"
#: Bytes of a card; one that hilum writes has 4 kB.
_MOST_BYTES = 2**20
#: Values of a CT are int16, and a window narrower than this tells nothing apart.
_LOWEST_HU, _HIGHEST_HU, _NARROWEST_HU = -32768.0, 32767.0, 1.0

_Hu = Annotated[float, Field(strict=True, ge=_LOWEST_HU, le=_HIGHEST_HU)]
#: Height or width of a network's input in pixels: as ``hilum train`` allows them.
_Side = Annotated[int, Field(strict=True, ge=32, le=4096, multiple_of=32)]
#: Signs of a bad result that :mod:`hilum.tasks.lungs.confidence` knows.
_Sign = Literal["soft", "mirror", "left_out", "outside", "dense"]


class _Input(Record):
    hu_window: tuple[_Hu, _Hu]

    @field_validator("hu_window")
    @classmethod
    def _rises(cls, window: tuple[float, float]) -> tuple[float, float]:
        if window[1] - window[0] < _NARROWEST_HU:
            raise ValueError("should be two rising numbers in HU")
        return window


class _SliceInput(_Input):
    size: tuple[_Side, _Side]
    plane: Literal["axial", "coronal", "sagittal"]


class _VolumeInput(_Input):
    #: Side of a cube in mm: finer takes too much memory, coarser shows no lung of a child.
    step_mm: float = Field(strict=True, ge=0.5, le=20)


class _Output(Record):
    name: Name | None = None
    meaning: Name | None = None


class _Data(Record):
    index_sha256: Sha256 | None = None


class _Dice(Record):
    mean: Real
    worst: Real


class _Figures(Record):
    validation_dice: _Dice | None = None
    loader_overhead: Real | None = None


class _Confidence(Record):
    bias: Real
    weights: dict[_Sign, Real]


class _SliceConfidence(Record):
    bias: Real
    weights: dict[_Sign | Literal["apart"], Real]


class SliceCard(Record):
    """A network of slices."""

    name: Name
    kind: Name
    hilum: Name
    input: _SliceInput
    output: _Output | None = None
    threshold: float = Field(strict=True, gt=0, lt=1)
    onnx_sha256: Sha256
    parameters: Count | None = None
    training_minutes: Real | None = None
    data: _Data | None = None
    figures: _Figures | None = None
    confidence: _SliceConfidence | None = None


class VolumeCard(Record):
    """A network of volumes."""

    name: Name
    version: Name
    input: _VolumeInput
    onnx_sha256: Sha256
    confidence: _Confidence | None = None


_KINDS: dict[str, type[Record]] = {SLICES_SCHEMA: SliceCard, VOLUMES_SCHEMA: VolumeCard}


def read_card(path: Path, schema: str, model: str) -> dict[str, Any]:
    """Read a model card and check all that decides a mask or is shown.

    Args:
        path: The JSON file.
        schema: :data:`SLICES_SCHEMA` or :data:`VOLUMES_SCHEMA`.
        model: What the model is called.

    Returns:
        The card as plain data, keys that are not checked included.

    Raises:
        ModelError: It is missing or damaged, of another version, or a value is not allowed; the message names
            the field.
    """
    name = f"The card of the model {shown(model)}"
    hint = "Copy the card and the .onnx file together from the run again."
    card = read_json(path, most=_MOST_BYTES, name=name, hint=hint, error=ModelError)
    if not isinstance(card, dict):
        raise ModelError(f"{name} is damaged: it holds no table of names and values.", hint)
    if card.get("schema") != schema:
        raise ModelError(
            f"The model {shown(model)} is of another version of hilum: its card's schema is "
            f"{shown(card.get('schema'))}, not {schema}.",
            "Train or export it again.",
        )
    check(_KINDS[schema], card, name=name, hint=hint, error=ModelError)
    return card
