"""The model card: what a trained model takes, what it gives, and what it was made of.

A card lies beside its weights and may come from anybody. A threshold of -5 or a window of HU that falls would
give masks that look like masks, so each value that decides a mask is checked here, once, when it is read. One
schema serves networks of slices and networks of volumes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from hilum.core.errors import ModelError
from hilum.core.planes import Plane
from hilum.io.schema import Count, Length, Name, Positive, Real, Record, Sha256, Share, Text, check
from hilum.io.text import read_json, shown

__all__ = [
    "SCHEMA",
    "Calibration",
    "DataCard",
    "DiceFigures",
    "Figures",
    "HalfPrecision",
    "Licence",
    "ModelCard",
    "Parity",
    "Parts",
    "SliceInput",
    "TrainingCard",
    "VolumeInput",
    "read_card",
]

#: Of every card that this version reads and writes.
SCHEMA: Literal["hilum.model/2"] = "hilum.model/2"
#: Bytes of a card; one that hilum writes has 4 kB.
_MOST_BYTES = 2**20
#: Values of a CT are int16, and a window narrower than this tells nothing apart, HU.
_LOWEST_HU, _HIGHEST_HU, _NARROWEST_HU = -32768.0, 32767.0, 1.0
#: Signs of a bad result that :mod:`hilum.tasks.lungs.confidence` knows, and the one of slices alone.
_SIGNS = frozenset({"soft", "mirror", "left_out", "outside", "dense"})
_SLICE_SIGNS = _SIGNS | {"apart"}

_Hu = Annotated[float, Field(strict=True, ge=_LOWEST_HU, le=_HIGHEST_HU)]
#: Height or width of a network's input in pixels: as ``hilum train`` allows them.
_Side = Annotated[int, Field(strict=True, ge=32, le=4096, multiple_of=32)]
#: A label map is uint8, and 0 is the background.
_Label = Annotated[int, Field(strict=True, ge=1, le=255)]


class _Part(Record):
    """A part of a card: unlike in other files, a key that is not known is refused."""

    model_config = ConfigDict(extra="forbid")


class _Input(_Part):
    """What the inputs of both kinds of networks have in common.

    Attributes:
        hu_window: HU that become -1 and 1; what lies outside is clipped.
    """

    hu_window: tuple[_Hu, _Hu]

    @field_validator("hu_window")
    @classmethod
    def _rises(cls, window: tuple[float, float]) -> tuple[float, float]:
        if window[1] - window[0] < _NARROWEST_HU:
            raise ValueError("should be two rising numbers in HU")
        return window


class SliceInput(_Input):
    """Slices: float32 (n, 1, height, width), any n, to probabilities (n, 1, height, width).

    Attributes:
        size: Height and width in pixels.
        plane: How the slices cut the patient.
        aspect: What has the same scale along rows and columns: ``mm``, where the training knew the size of a
            pixel, else ``pixels``.
    """

    kind: Literal["slices"] = "slices"
    size: tuple[_Side, _Side]
    plane: Plane
    aspect: Literal["mm", "pixels"] = "pixels"


class VolumeInput(_Input):
    """Volumes: float32 (1, 1, x, y, z) in RAS order to probabilities (1, 1 + labels, x, y, z).

    Attributes:
        step_mm: Side of a cubic voxel: finer takes too much memory, coarser shows no lung of a child.
        multiple: Sides of a volume are multiples of this many voxels.
    """

    kind: Literal["volume"] = "volume"
    step_mm: float = Field(strict=True, ge=0.5, le=20)
    multiple: int = Field(strict=True, ge=1, le=256)


class Licence(_Part):
    """Under which terms code and weights may be handed on."""

    code: Text
    weights: Text


class Parts(_Part):
    """How many of something each part of a split holds."""

    train: Count
    validation: Count
    test: Count


class DataCard(_Part):
    """What a model was trained on; nothing in it names a subject or a folder.

    Attributes:
        sha256: Of the index of the data set, or of the list of cases.
        spacing: How the data set was prepared: ``keep``, ``square``, or distances of rows and columns in mm.
        subjects: Subjects by part.
        slices: Slices by part.
        cases: Cases by their origin, for networks of volumes.
        sources: Data sets, with their licences.
    """

    sha256: Sha256 | None = None
    spacing: Name | tuple[Length, Length] | None = None
    subjects: Parts | None = None
    slices: Parts | None = None
    cases: dict[Name, Count] = Field(default_factory=dict)
    sources: tuple[Text, ...] = ()


class TrainingCard(_Part):
    """How a model was trained.

    Attributes:
        steps: Steps of the optimiser.
        minutes: Minutes of training.
        processes: Processes that trained side by side.
        seed: Of the split, the first weights and the augmentation.
        fold: ``k/n`` where the k-th of n folds validated.
        versions: Versions of the packages that trained.
        settings: Other choices, as plain data.
    """

    steps: Count | None = None
    minutes: Real | None = None
    processes: Positive | None = None
    seed: Count | None = None
    fold: Name | None = None
    versions: dict[Name, Name] = Field(default_factory=dict)
    settings: dict[Name, JsonValue] = Field(default_factory=dict)


class DiceFigures(_Part):
    """Dice of cases (slices, or volumes).

    Attributes:
        mean: Mean of all cases.
        median: Median of all cases.
        worst: Least of all cases.
        cases: How many there were.
        grid: The grid on which it was computed.
    """

    mean: Share
    median: Share | None = None
    worst: Share
    cases: Count | None = None
    grid: Name | None = None


class Parity(_Part):
    """How torch and the exported model agree.

    Attributes:
        engine: What ran the exported model.
        max_probability_difference: Largest difference of a probability.
        dice: Dice of the two masks over all inputs together.
        cases: How many inputs were compared.
    """

    engine: Name | None = None
    max_probability_difference: Share
    dice: Share | None = None
    cases: Count | None = None


class HalfPrecision(_Part):
    """What changed when the weights were rounded to 16 bits."""

    max_probability_difference: Share
    dice: DiceFigures


class Figures(_Part):
    """Results of the training.

    Attributes:
        validation_dice: On the validation part, which chose the weights and so flatters.
        best_step: Step of the weights that were kept.
        inputs_per_s: Slices or patches that the training took in a second.
        loader_overhead: Share of the training's loop that was not the network's step.
        parity: The exported network beside the trained one.
        half_precision: The weights in 16 bits beside those in 32.
    """

    validation_dice: DiceFigures | None = None
    best_step: Count | None = None
    inputs_per_s: Real | None = None
    loader_overhead: Real | None = None
    parity: Parity | None = None
    half_precision: HalfPrecision | None = None


class Calibration(_Part):
    """Logistic model of the chance of a bad result; see :mod:`hilum.tasks.lungs.confidence`.

    Attributes:
        bias: Its constant term.
        weights: Its coefficients, by sign.
        cases: Cases that it was fitted on.
        failures: Those among them whose Dice was too low.
        beside: SHA-256 of the weights of the other model that took part, where the result is of two; None
            where the model stood alone.
    """

    bias: Real
    weights: dict[Name, Real]
    cases: Count | None = None
    failures: Count | None = None
    beside: Sha256 | None = None


class ModelCard(_Part):
    """What a trained model is.

    Attributes:
        schema_: ``hilum.model/2``.
        name: What the model is called.
        version: Of this model, not of hilum.
        task: What it segments, such as ``lungs``.
        kind: Architecture: ``unet``, ``resnet``, ``fcnn`` or ``volume``.
        hilum: Version of hilum that wrote the card.
        input: What the network takes.
        labels: Value of each label by its name; the values are 1, 2, 3 and so on. Value k is channel k of a
            network of volumes, whose channel 0 is the background, and channel k - 1 of a network of slices.
        threshold: Probability from which a pixel is lung; None for networks of volumes.
        onnx_sha256: SHA-256 of the weights, an ONNX file.
        onnx_bytes: Its size.
        onnx_opset: Its version of the ONNX operators.
        parameters: Number of weights.
        licence: Terms of code and weights.
        data: What it was trained on.
        training: How it was trained.
        figures: What the training gave.
        confidence: How sure a result is; None where that was not calibrated.
        limits: Where the model must not be trusted.
    """

    schema_: Literal["hilum.model/2"] = Field(SCHEMA, alias="schema")
    name: Name
    version: Name
    task: Name
    kind: Name
    hilum: Name
    input: Annotated[SliceInput | VolumeInput, Field(discriminator="kind")]
    labels: dict[Name, _Label]
    threshold: Annotated[float, Field(strict=True, gt=0, lt=1)] | None = Field(None, validate_default=True)
    onnx_sha256: Sha256
    onnx_bytes: Positive | None = None
    onnx_opset: Positive | None = None
    parameters: Count
    licence: Licence
    data: DataCard = Field(default_factory=DataCard)
    training: TrainingCard = Field(default_factory=TrainingCard)
    figures: Figures = Field(default_factory=Figures)
    confidence: Calibration | None = None
    limits: tuple[Text, ...] = ()

    @field_validator("labels")
    @classmethod
    def _numbered(cls, labels: dict[str, int], info: ValidationInfo) -> dict[str, int]:
        if not labels or sorted(labels.values()) != list(range(1, len(labels) + 1)):
            raise ValueError("should hold the values 1, 2, 3 and so on, each once")
        if _takes_slices(info) and len(labels) != 1:
            raise ValueError("should hold one label in a network of slices")
        return labels

    @field_validator("threshold")
    @classmethod
    def _of_slices(cls, threshold: float | None, info: ValidationInfo) -> float | None:
        if threshold is None and _takes_slices(info):
            raise PydanticCustomError("missing", "a network of slices needs a threshold")
        if threshold is not None and isinstance(info.data.get("input"), VolumeInput):
            raise ValueError("should be null in a network of volumes")
        return threshold

    @field_validator("confidence")
    @classmethod
    def _known_features(cls, found: Calibration | None, info: ValidationInfo) -> Calibration | None:
        known = _SLICE_SIGNS if _takes_slices(info) else _SIGNS
        if found is not None and not known.issuperset(found.weights):
            raise ValueError(f"should hold weights of {', '.join(sorted(known))} only")
        return found

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the labels in the order of the network's channels, without the background."""
        return tuple(sorted(self.labels, key=self.labels.__getitem__))

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return self.model_dump(mode="json", by_alias=True)


def _takes_slices(info: ValidationInfo) -> bool:
    return isinstance(info.data.get("input"), SliceInput)


def read_card(path: Path, model: str) -> ModelCard:
    """Read a model card and check all that decides a mask or is shown.

    Args:
        path: The JSON file.
        model: What the model is called in a message.

    Raises:
        ModelError: It is missing or damaged, of another version, or a value is not allowed; the message names
            the field.
    """
    name = f"The card of the model {shown(model)}"
    hint = "Copy the card and the .onnx file together from the run again."
    card = read_json(path, most=_MOST_BYTES, name=name, hint=hint, error=ModelError)
    if not isinstance(card, Mapping):
        raise ModelError(f"{name} is damaged: it holds no table of names and values.", hint)
    if card.get("schema") != SCHEMA:
        raise ModelError(
            f"The model {shown(model)} is of another version of hilum: its card's schema is "
            f"{shown(card.get('schema'))}, not {SCHEMA}.",
            "Train or export it again.",
        )
    return check(ModelCard, card, name=name, hint=hint, error=ModelError)
