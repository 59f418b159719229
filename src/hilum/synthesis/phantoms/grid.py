"""The voxel grid of a phantom: any axis order, any spacing, oblique or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.core.errors import UsageError
from hilum.synthesis.phantoms.fields import Lattice

__all__ = ["Grid", "make_grid"]

#: Field of view of a chest of size 1 in mm: left-right, front-back, foot-head.
FIELD_MM = np.array([400.0, 312.0, 344.0])
#: Its centre; the table lies behind a supine patient, so the field is shifted to the back.
CENTRE_MM = np.array([0.0, -12.0, -31.0])
#: Sub-points are about this far apart, in mm; a voxel is the mean over its sub-points.
FINEST_MM = 1.75
#: Larger grids are refused as typing errors.
MOST_VOXELS = 1_500_000_000


@dataclass(frozen=True, eq=False)
class Grid:
    """Shape and affine of a volume, with its slice axis.

    Attributes:
        shape: Voxels along i, j, k.
        affine: Voxel index to RAS millimetres.
        slices: Array axis nearest to foot-head: slices are rendered, blurred and made noisy one by one.
    """

    shape: tuple[int, int, int]
    affine: npt.NDArray[np.float64]
    slices: int

    @property
    def order(self) -> tuple[int, int, int]:
        """Axes with the slice axis first; the others reversed, so that i runs fastest as on a scanner."""
        rest = [axis for axis in (2, 1, 0) if axis != self.slices]
        return self.slices, rest[0], rest[1]

    def factors(self) -> tuple[int, int, int]:
        """Sub-points a voxel along each axis of ``order``."""
        spacing = np.linalg.norm(self.affine[:3, :3], axis=0)[list(self.order)]
        a, b, c = np.maximum(1, np.rint(spacing / FINEST_MM)).astype(int)
        return int(a), int(b), int(c)

    def chunk(self, first: int, last: int, size: float) -> Lattice:
        """Sub-points of slices ``first`` to ``last`` (exclusive) in the frame of a chest of size 1."""
        order = list(self.order)
        factors = np.array(self.factors())
        matrix = self.affine[:3, :3][:, order] / factors
        shape = np.array(self.shape)[order]
        shape[0] = last - first
        origin = self.affine[:3, 3] + self.affine[:3, self.slices] * first
        origin = origin - matrix @ ((factors - 1) / 2)
        # The first sub-point of a voxel lies half a voxel less half a sub-step before its centre.
        a, b, c = (shape * factors).tolist()
        return Lattice(matrix / size, origin / size, (a, b, c))


def make_grid(
    *,
    spacing: tuple[float, float, float],
    orientation: str,
    oblique_deg: tuple[float, float, float],
    shape: tuple[int, int, int] | None,
    coverage: tuple[float, float],
    size: float,
    prone: bool,
) -> Grid:
    """Place a grid over the chest.

    Args:
        spacing: Voxel size along i, j, k in mm.
        orientation: Direction in which each array axis grows, three letters such as ``LPS``.
        oblique_deg: Rotation of the grid about the patient's x, y and z axis in degrees.
        shape: Voxels along i, j, k; None to cover the chest.
        coverage: Part of the foot-head field to keep, (0, 1) is all of it, (0, 0.7) cuts the top.
        size: Scale of the chest.
        prone: Whether the table lies in front of the patient.

    Raises:
        UsageError: An argument has a value that is not allowed; the message names it.
    """
    axes, signs = _directions(orientation)
    step = np.array(_three(spacing, "spacing"))
    if not ((step >= 0.2) & (step <= 50)).all():
        raise UsageError(f"spacing is {tuple(spacing)}; each value must be between 0.2 and 50 mm.")
    angles = np.radians(_three(oblique_deg, "oblique_deg"))
    low, high = float(coverage[0]), float(coverage[1])
    if not 0 <= low < high <= 1:
        raise UsageError(
            f"coverage is {tuple(coverage)}; it must be two fractions with 0 <= low < high <= 1."
        )
    turn = _rotation(angles)
    matrix: npt.NDArray[np.float64] = np.zeros((3, 3))
    for array_axis, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        matrix[axis, array_axis] = sign * step[array_axis]
    matrix = turn @ matrix
    field, centre = FIELD_MM * size, CENTRE_MM * size
    if prone:
        centre = centre * (1, -1, 1)
    centre = centre + turn @ (0, 0, field[2] * ((low + high) / 2 - 0.5))
    field = field * (1, 1, high - low)
    if shape is None:
        counts = [max(1, round(float(field[axis] / s))) for axis, s in zip(axes, step, strict=True)]
    else:
        counts = [int(n) for n in _three(shape, "shape")]
    if min(counts) < 1 or float(np.prod([float(n) for n in counts])) > MOST_VOXELS:
        raise UsageError(f"shape is {tuple(counts)}; each axis needs a voxel and all together at most 1.5e9.")
    affine = np.eye(4)
    affine[:3, :3] = matrix
    affine[:3, 3] = centre - matrix @ ((np.array(counts) - 1) / 2)
    return Grid((counts[0], counts[1], counts[2]), affine, axes.index(2))


def _three(value: tuple[float, ...], name: str) -> tuple[float, float, float]:
    """Check for three finite numbers."""
    try:
        a, b, c = (float(v) for v in value)
    except (TypeError, ValueError):
        raise UsageError(f"{name} is {value!r}; it must be three numbers.") from None
    if not np.isfinite([a, b, c]).all():
        raise UsageError(f"{name} is {value!r}; it must be three finite numbers.")
    return a, b, c


def _directions(orientation: str) -> tuple[list[int], list[int]]:
    """Anatomical axis (0 left-right, 1 front-back, 2 foot-head) and sign of each array axis."""
    letters = str(orientation).upper()
    pairs = ("LR", "PA", "IS")
    found = [
        (axis, 1 if pair[1] == c else -1) for c in letters for axis, pair in enumerate(pairs) if c in pair
    ]
    if len(letters) != 3 or sorted(axis for axis, _ in found) != [0, 1, 2]:
        raise UsageError(
            f"orientation is {orientation!r}; it must name each axis once, such as LPS or RAS.",
            "Use one of L/R, one of A/P and one of S/I in any order.",
        )
    return [axis for axis, _ in found], [sign for _, sign in found]


def _rotation(angles: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rotation about x, then y, then z."""
    result = np.eye(3)
    for axis, angle in enumerate(angles):
        c, s = np.cos(angle), np.sin(angle)
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = c
        turn[i, j], turn[j, i] = -s, s
        result = turn @ result
    return result
