"""Detection of single lesions: which of the reference are found, which are missed, which are false.

A lesion is a connected component of a class (26 neighbours). A lesion of the reference is found where a
lesion of the prediction has an intersection over union with it above :data:`LEAST_IOU`; a lesion of the
prediction that has so with none is false.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.imaging.morphology import components

__all__ = ["LARGE_MM", "LEAST_IOU", "Lesions", "find_lesions"]

_Mask = npt.NDArray[np.bool_]
#: A lesion is found above this intersection over union.
LEAST_IOU = 0.1
#: Lesions are counted again from the volume of a ball of this diameter on: smaller ones are mostly specks.
LARGE_MM = 6.0


@dataclass(frozen=True)
class Lesions:
    """Lesions of a class in a case.

    Attributes:
        reference: Lesions of the reference.
        found: Those that the prediction has.
        false: Lesions of the prediction that the reference has not.
    """

    reference: int
    found: int
    false: int

    @property
    def missed(self) -> int:
        """Lesions of the reference that the prediction has not."""
        return self.reference - self.found

    @property
    def sensitivity(self) -> float | None:
        """Share of the lesions of the reference that are found; None where there are none."""
        return self.found / self.reference if self.reference else None


def find_lesions(
    prediction: _Mask, reference: _Mask, voxel_mm3: float | None
) -> tuple[Lesions, Lesions | None]:
    """Compare the lesions of two masks.

    Args:
        prediction: Boolean array (i, j, k).
        reference: Boolean array of the same shape.
        voxel_mm3: Volume of a voxel in mm3; None if unknown.

    Returns:
        All lesions, and those from :data:`LARGE_MM` on; None for these where the volume is unknown. Whether a
        large lesion is found or false, lesions of any size on the other side decide.
    """
    found, found_sizes = components(prediction, 26)
    drawn, drawn_sizes = components(reference, 26)
    both = found.astype(np.int64) * len(drawn_sizes) + drawn
    pairs, common = np.unique(both[prediction & reference], return_counts=True)
    p, r = pairs // len(drawn_sizes), pairs % len(drawn_sizes)
    hit = common > LEAST_IOU * (found_sizes[p] + drawn_sizes[r] - common)
    is_true, is_found = np.zeros(len(found_sizes), bool), np.zeros(len(drawn_sizes), bool)
    is_true[p[hit]] = is_found[r[hit]] = True

    def count(least: float) -> Lesions:
        wanted, shown = drawn_sizes >= least, found_sizes >= least
        wanted[0] = shown[0] = False
        return Lesions(int(wanted.sum()), int((wanted & is_found).sum()), int((shown & ~is_true).sum()))

    large = None if voxel_mm3 is None else count(math.pi / 6 * LARGE_MM**3 / voxel_mm3)
    return count(1), large
