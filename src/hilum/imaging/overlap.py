"""Overlap of two masks, counted in voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Overlap", "count_overlap", "dice"]


@dataclass(frozen=True)
class Overlap:
    """Voxels of two masks.

    A ratio whose denominator is zero is None: it is undefined, and neither zero nor one would be right.

    Attributes:
        common: Voxels in both masks.
        prediction: Voxels of the prediction.
        reference: Voxels of the reference.

    Examples:
        >>> Overlap(common=2, prediction=4, reference=2).dice
        0.6666666666666666
        >>> Overlap(0, 0, 0).dice is None
        True
    """

    common: int
    prediction: int
    reference: int

    @property
    def dice(self) -> float | None:
        """2 |P and R| / (|P| + |R|)."""
        return _ratio(2 * self.common, self.prediction + self.reference)

    @property
    def iou(self) -> float | None:
        """|P and R| / |P or R|."""
        return _ratio(self.common, self.prediction + self.reference - self.common)

    @property
    def sensitivity(self) -> float | None:
        """|P and R| / |R|."""
        return _ratio(self.common, self.reference)

    @property
    def precision(self) -> float | None:
        """|P and R| / |P|."""
        return _ratio(self.common, self.prediction)


def count_overlap(prediction: npt.NDArray[np.bool_], reference: npt.NDArray[np.bool_]) -> Overlap:
    """Count the voxels of two boolean masks of one shape."""
    return Overlap(
        common=int(np.count_nonzero(prediction & reference)),
        prediction=int(np.count_nonzero(prediction)),
        reference=int(np.count_nonzero(reference)),
    )


def dice(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_], empty: float = 1.0) -> float:
    """Return the Dice coefficient of two boolean masks of one shape; ``empty`` if both are empty."""
    value = count_overlap(one, other).dice
    return empty if value is None else value


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
