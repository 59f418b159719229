"""What a segmentation model takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hilum.core.flags import Flag
from hilum.core.label_volume import LabelVolume
from hilum.core.units import TrueMl
from hilum.core.volume import Volume

__all__ = ["Confidence", "Landmarks", "ModelInfo", "Progress", "Segmentation", "Segmenter"]

#: Called with the fraction done (0 to 1) and a short sentence.
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class ModelInfo:
    """Which model made a segmentation. ``sha256`` is of the weights, empty where there are none."""

    name: str
    version: str
    sha256: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return plain data for JSON."""
        return {"name": self.name, "version": self.version, "sha256": self.sha256}


@dataclass(frozen=True)
class Landmarks:
    """Measurements made during segmentation, used by the quality gate; None where there are none.

    Attributes:
        outside_air_hu: Median HU of the air around the body.
        tracheal_air_hu: Median HU deep in the trachea, away from its wall.
        trachea_ml: Volume of the trachea and main bronchi that were removed, in mL of the patient.
    """

    outside_air_hu: float | None = None
    tracheal_air_hu: float | None = None
    trachea_ml: TrueMl | None = None


@dataclass(frozen=True, eq=False)
class Confidence:
    """Estimated quality of a segmentation, from features of the model's output.

    Attributes:
        failure: Probability that the Dice against an expert reader is below 0.95, 0 to 1.
        signs: The features that it was estimated from, by name.
        where: uint8 map on the grid of the volume, 0 (certain) to 100 (undecided); None if there is no map.
    """

    failure: float
    signs: dict[str, float]
    where: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A label map on the grid of the volume it was made from.

    Attributes:
        labels: The label map, on the volume's grid.
        model: The model that made it.
        landmarks: Measurements made on the way.
        confidence: Its estimated quality; None if the model does not estimate it.
        flags: Findings about how the labels were made.
        beside: Label maps of other tasks that the same pass gave, by the name of their label set.
        facts: Numbers that were found on the way, by name; the measures of the task use them.
        prepared: What the task estimated of the scan on the way and measures with, small enough to be kept;
            None if nothing.
    """

    labels: LabelVolume
    model: ModelInfo
    landmarks: Landmarks = field(default_factory=Landmarks)
    confidence: Confidence | None = None
    flags: tuple[Flag, ...] = ()
    beside: Mapping[str, LabelVolume] = field(default_factory=dict)
    facts: Mapping[str, float] = field(default_factory=dict)
    prepared: Any = None

    def __repr__(self) -> str:
        made = f"{self.model.name} {self.model.version}".strip()
        doubt = "" if self.confidence is None else f", probability of failure {self.confidence.failure:.2f}"
        return f"<Segmentation by {made}: {self.labels!r}{doubt}>"


class Segmenter(Protocol):
    """A model that segments the lungs; learned models and ``classic`` have the same interface."""

    @property
    def info(self) -> ModelInfo:
        """Name, version and hash of the model."""
        ...

    def __call__(self, volume: Volume, progress: Progress | None = None) -> Segmentation:
        """Find the lungs.

        Raises:
            NotAChestError: Nothing in the scan looks like a lung.
        """
        ...
