"""The line filter on blocks of voxels: for wide scales as good as on the voxels, in an eighth of the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.imaging.shape_filters import Contrast, tubeness
from hilum.tasks.vessels.prepare import Floats

__all__ = ["Coarse"]

Spacing = tuple[float, float, float]
#: Wanted size of a block, mm: below the scales that are computed on it.
_BLOCK_MM = 1.4


@dataclass(frozen=True, eq=False)
class Coarse:
    """Block means of an image.

    Attributes:
        image: The means, shape (i, j, k).
        factors: Voxels of a block along i, j, k.
        spacing: Size of a block in mm.
        shape: Shape of the image.
    """

    image: Floats
    factors: tuple[int, int, int]
    spacing: Spacing
    shape: tuple[int, ...]

    @classmethod
    def of(cls, image: Floats, spacing: Spacing) -> Coarse:
        """Average blocks of voxels; a block at the end of an axis may hold fewer."""
        a, b, c = (max(1, round(_BLOCK_MM / step)) for step in spacing)
        out = image
        for axis, factor in enumerate((a, b, c)):
            if factor > 1:
                starts = np.arange(0, out.shape[axis], factor)
                counts = np.diff(np.append(starts, out.shape[axis])).astype(np.float32)
                out = np.add.reduceat(out, starts, axis=axis)
                out /= counts.reshape([-1 if n == axis else 1 for n in range(3)])
        x, y, z = spacing
        return cls(out, (a, b, c), (x * a, y * b, z * c), image.shape)

    def tubeness(
        self, scales: Sequence[float], mask: npt.NDArray[np.bool_], contrast: Contrast = Contrast.BRIGHT
    ) -> Floats:
        """Response of the line filter, see :func:`hilum.imaging.shape_filters.tubeness`.

        Args:
            scales: Standard deviations in mm.
            mask: Blocks to compute; elsewhere the result is 0.
            contrast: Bright or dark tubes.

        Returns:
            Array of the shape of the image; all voxels of a block have one value.
        """
        out = tubeness(self.image, self.spacing, scales, contrast=contrast, mask=mask)
        for axis, factor in enumerate(self.factors):
            if factor > 1:
                out = np.repeat(out, factor, axis)
        return out[: self.shape[0], : self.shape[1], : self.shape[2]]
