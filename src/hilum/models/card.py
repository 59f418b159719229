"""The model card: input, output, training data and training of a model.

A card is stored beside its weights and is untrusted input. A threshold of -5 or a descending HU window would
give plausible but wrong masks, so each value that affects a mask is validated here, once, on reading. One
schema serves slice networks and volume networks.
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

#: Schema of every card that this version reads and writes.
SCHEMA: Literal["hilum.model/2"] = "hilum.model/2"
#: Largest card in bytes; one written by hilum has 4 kB.
_MOST_BYTES = 2**20
#: CT values are int16, and a window narrower than this (HU) has no contrast.
_LOWEST_HU, _HIGHEST_HU, _NARROWEST_HU = -32768.0, 32767.0, 1.0
#: Features of the confidence model, see :mod:`hilum.tasks.lungs.confidence`: those of slices and of volumes.
_COMMON_SIGNS = frozenset({"soft", "mirror", "left_out", "outside", "dense"})
_SLICE_SIGNS = _COMMON_SIGNS | {"apart"}
_SIGNS = _COMMON_SIGNS | {"unsure_deep", "unsure_dense", "stray", "fluid_or_lung"}

_Hu = Annotated[float, Field(strict=True, ge=_LOWEST_HU, le=_HIGHEST_HU)]
#: Allowed height or width of a network's input in pixels, as in ``hilum train``.
_Side = Annotated[int, Field(strict=True, ge=32, le=4096, multiple_of=32)]
#: A label map is uint8, and 0 is the background.
_Label = Annotated[int, Field(strict=True, ge=1, le=255)]


class _Part(Record):
    """A part of a card; unlike in other files, an unknown key is refused."""

    model_config = ConfigDict(extra="forbid")


class _Input(_Part):
    """Input parameters of slice networks and volume networks.

    Attributes:
        hu_window: HU mapped to -1 and 1; values outside are clipped.
    """

    hu_window: tuple[_Hu, _Hu]

    @field_validator("hu_window")
    @classmethod
    def _rises(cls, window: tuple[float, float]) -> tuple[float, float]:
        if window[1] - window[0] < _NARROWEST_HU:
            raise ValueError("should be two ascending numbers in HU")
        return window


class SliceInput(_Input):
    """Slices: float32 (n, 1, height, width), any n, to probabilities (n, 1, height, width).

    Attributes:
        size: Height and width in pixels.
        plane: Plane of the slices.
        aspect: Unit with the same scale along rows and columns: ``mm`` if the training knew the pixel
            size, else ``pixels``.
    """

    kind: Literal["slices"] = "slices"
    size: tuple[_Side, _Side]
    plane: Plane
    aspect: Literal["mm", "pixels"] = "pixels"


class VolumeInput(_Input):
    """Volumes: float32 (1, 1, x, y, z) in RAS order to probabilities (1, 1 + labels, x, y, z).

    Attributes:
        step_mm: Isotropic voxel size: finer takes too much memory, coarser does not resolve a child's lung.
        multiple: The input size along each axis is a multiple of this number of voxels.
    """

    kind: Literal["volume"] = "volume"
    step_mm: float = Field(strict=True, ge=0.5, le=20)
    multiple: int = Field(strict=True, ge=1, le=256)


class Licence(_Part):
    """Licences of code and weights."""

    code: Text
    weights: Text


class Parts(_Part):
    """Counts by part of a split."""

    train: Count
    validation: Count
    test: Count


class DataCard(_Part):
    """Training data; no field names a subject or a folder.

    Attributes:
        sha256: SHA-256 of the index of the dataset, or of the list of cases.
        spacing: Spacing of the prepared dataset: ``keep``, ``square``, or row and column spacing in mm.
        subjects: Subjects by part.
        slices: Slices by part.
        cases: Cases by origin, for volume networks.
        sources: Datasets, with their licences.
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
        steps: Optimiser steps.
        minutes: Training time in minutes.
        processes: Number of parallel training processes.
        seed: Seed of the split, the initial weights and the augmentation.
        fold: ``k/n`` if the k-th of n folds was the validation part.
        versions: Versions of the packages used for training.
        settings: Other hyperparameters, as plain data.
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
        mean: Mean over all cases.
        median: Median over all cases.
        worst: Lowest value of all cases.
        cases: Number of cases.
        grid: Grid on which Dice was computed.
    """

    mean: Share
    median: Share | None = None
    worst: Share
    cases: Count | None = None
    grid: Name | None = None


class Parity(_Part):
    """Agreement of torch and the exported model.

    Attributes:
        engine: Engine that ran the exported model.
        max_probability_difference: Largest absolute difference of a probability.
        dice: Dice of the two masks, pooled over all inputs.
        cases: Number of compared inputs.
    """

    engine: Name | None = None
    max_probability_difference: Share
    dice: Share | None = None
    cases: Count | None = None


class HalfPrecision(_Part):
    """Effect of rounding the weights to 16 bits."""

    max_probability_difference: Share
    dice: DiceFigures


class Figures(_Part):
    """Results of the training.

    Attributes:
        validation_dice: Dice on the validation part, which selected the weights and is thus optimistic.
        best_step: Optimiser step of the selected weights.
        inputs_per_s: Training throughput in slices or patches per second.
        loader_overhead: Share of the training loop spent outside the optimisation step.
        parity: The exported network against the trained one.
        half_precision: The weights in 16 bits against those in 32.
    """

    validation_dice: DiceFigures | None = None
    best_step: Count | None = None
    inputs_per_s: Real | None = None
    loader_overhead: Real | None = None
    parity: Parity | None = None
    half_precision: HalfPrecision | None = None


class Calibration(_Part):
    """Logistic model of the probability of a failure; see :mod:`hilum.tasks.lungs.confidence`.

    Attributes:
        bias: Intercept.
        weights: Coefficients by feature.
        cases: Number of cases that it was fitted on.
        failures: Number of these cases whose Dice was too low.
        beside: SHA-256 of the weights of the second model if the result is an ensemble of two; None
            for a single model.
    """

    bias: Real
    weights: dict[Name, Real]
    cases: Count | None = None
    failures: Count | None = None
    beside: Sha256 | None = None


class ModelCard(_Part):
    """The card of a trained model.

    Attributes:
        schema_: ``hilum.model/2``.
        name: Name of the model.
        version: Version of the model, not of hilum.
        task: Segmentation task, such as ``lungs``.
        kind: Architecture: ``unet``, ``resnet``, ``fcnn`` or ``volume``.
        hilum: Version of hilum that wrote the card.
        input: Input of the network.
        labels: Value of each label by its name; the values are 1, 2, 3 and so on. Value k is channel k of a
            volume network, whose channel 0 is the background, and channel k - 1 of a slice network.
        threshold: Probability at and above which a pixel is lung; None for volume networks.
        onnx_sha256: SHA-256 of the weights, an ONNX file.
        onnx_bytes: Size of the ONNX file in bytes.
        onnx_opset: ONNX opset version.
        parameters: Number of parameters.
        licence: Licences of code and weights.
        data: Training data.
        training: Training procedure.
        figures: Results of the training.
        confidence: Calibrated confidence model; None if not calibrated.
        limits: Known limitations.
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
            raise ValueError("should hold one label in a slice network")
        return labels

    @field_validator("threshold")
    @classmethod
    def _of_slices(cls, threshold: float | None, info: ValidationInfo) -> float | None:
        if threshold is None and _takes_slices(info):
            raise PydanticCustomError("missing", "a slice network needs a threshold")
        if threshold is not None and isinstance(info.data.get("input"), VolumeInput):
            raise ValueError("should be null in a volume network")
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
        """Names of the labels in the order of the network's output channels, without the background."""
        return tuple(sorted(self.labels, key=self.labels.__getitem__))

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return self.model_dump(mode="json", by_alias=True)


def _takes_slices(info: ValidationInfo) -> bool:
    return isinstance(info.data.get("input"), SliceInput)


def read_card(path: Path, model: str) -> ModelCard:
    """Read a model card and validate every value that affects a mask or is shown.

    Args:
        path: The JSON file.
        model: Name of the model in error messages.

    Raises:
        ModelError: It is missing or corrupted, of another version, or a value is not allowed; the message
            names the field.
    """
    name = f"The card of the model {shown(model)}"
    hint = "Copy the card and the .onnx file from the run again."
    card = read_json(path, most=_MOST_BYTES, name=name, hint=hint, error=ModelError)
    if not isinstance(card, Mapping):
        raise ModelError(f"{name} is corrupted: it does not hold a JSON object.", hint)
    if card.get("schema") != SCHEMA:
        raise ModelError(
            f"The model {shown(model)} was made by another version of hilum: its card's schema is "
            f"{shown(card.get('schema'))}, not {SCHEMA}.",
            "Train or export it again.",
        )
    return check(ModelCard, card, name=name, hint=hint, error=ModelError)
