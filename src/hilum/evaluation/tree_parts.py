"""The centreline of a reference tree, what of it was found, and its parts by diameter or generation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

__all__ = ["DETECTED", "Centreline", "TreeBin", "TreePart", "ratio"]

_Floats = npt.NDArray[np.float64]
_Bools = npt.NDArray[np.bool_]
#: A branch counts as detected from this share of its voxels on (ATM'22).
DETECTED = 0.8
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class TreePart:
    """What was found of a part of the reference.

    Attributes:
        voxels: Voxels of the skeleton of the reference.
        voxels_found: Those inside the prediction.
        length_mm: Length of the skeleton in mm.
        length_found_mm: That inside the prediction.
        branches: Branches of the reference.
        branches_found: Those detected.
    """

    voxels: int
    voxels_found: int
    length_mm: float
    length_found_mm: float
    branches: int
    branches_found: int

    @property
    def td(self) -> float | None:
        """Tree length detected, in voxels."""
        return ratio(self.voxels_found, self.voxels)

    @property
    def td_mm(self) -> float | None:
        """Tree length detected, in mm."""
        return ratio(self.length_found_mm, self.length_mm)

    @property
    def bd(self) -> float | None:
        """Branches detected."""
        return ratio(self.branches_found, self.branches)


@dataclass(frozen=True, kw_only=True)
class TreeBin(TreePart):
    """What was found of the part of the reference in one bin of diameter.

    A voxel of the skeleton belongs to the bin of its own diameter, a branch to that of its median diameter.

    Attributes:
        low_mm: Smallest diameter, included.
        high_mm: Largest diameter, excluded.
    """

    low_mm: float
    high_mm: float


@dataclass(frozen=True, eq=False)
class Centreline:
    """The skeleton of the reference, voxel by voxel.

    Attributes:
        voxels: Indices (n, 3) of its voxels.
        length_mm: Length in mm that each stands for, shape (n,).
        diameter_mm: Diameter of the tree at each in mm, shape (n,).
        found: Whether each lies in the prediction, shape (n,).
        branch: Number of the branch of each, from 1, or 0 at junctions and in short pieces, shape (n,).
    """

    voxels: npt.NDArray[np.intp]
    length_mm: _Floats
    diameter_mm: _Floats
    found: _Bools
    branch: npt.NDArray[np.int32]

    def detected(self, branch: npt.NDArray[np.integer]) -> tuple[_Bools, npt.NDArray[np.int64]]:
        """Say which branches are detected.

        Args:
            branch: Number of the branch of each voxel, from 1; 0 for none, shape (n,).

        Returns:
            For each number from 0 on whether the branch is detected, and how many voxels it has.
        """
        sizes = np.bincount(branch, minlength=1)
        hits = np.bincount(branch, self.found, minlength=1)
        return hits >= DETECTED * sizes - _ROUNDING, sizes  # 4 of 5 voxels are 80 % whatever the rounding

    def part(self, here: _Bools, mine: _Bools) -> dict[str, float]:
        """Return the fields of a :class:`TreePart`.

        Args:
            here: Which voxels belong to the part, shape (n,).
            mine: Which branches do, by their numbers from 0 on; that at 0 does not count.
        """
        detected, sizes = self.detected(self.branch)
        counted = mine & (sizes > 0)
        counted[0] = False
        return {
            "voxels": int(here.sum()),
            "voxels_found": int((here & self.found).sum()),
            "length_mm": float(self.length_mm[here].sum()),
            "length_found_mm": float(self.length_mm[here & self.found].sum()),
            "branches": int(counted.sum()),
            "branches_found": int((counted & detected).sum()),
        }

    def by_branch(self, values: _Floats) -> _Floats:
        """Return the median of some values of the voxels of each branch, by its number from 0 on."""
        from scipy import ndimage

        count = int(self.branch.max(initial=0)) + 1
        return np.atleast_1d(np.asarray(ndimage.median(values, self.branch, np.arange(count)), np.float64))

    def bins(self, borders: Sequence[float]) -> tuple[TreeBin, ...]:
        """Return what was found by diameter, thinnest first."""
        diameter = np.clip(self.diameter_mm, borders[0], None)
        median = self.by_branch(diameter) if len(diameter) else np.zeros(1)
        out = []
        for low, high in pairwise(borders):
            here, mine = (diameter >= low) & (diameter < high), (median >= low) & (median < high)
            out.append(TreeBin(low_mm=float(low), high_mm=float(high), **self.part(here, mine)))  # type: ignore[arg-type]
        return tuple(out)


def ratio(part: float, whole: float) -> float | None:
    """Return part / whole; None where there is no whole."""
    return part / whole if whole else None
