"""Affine registration of a patient's lungs to the mean lungs of the prior."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import edt
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.core.labels import Lung
from hilum.tasks.lobes.prior import MeanLungs

__all__ = ["REACH_MM", "Shape", "ToTemplate", "register"]

Floats = npt.NDArray[np.float64]

#: Voxels on which shapes are compared, mm: lungs are smooth on this scale.
_GRID_MM = 6.0
#: Distances count up to this, mm; farther from a surface both shapes say the same.
REACH_MM = 20.0
#: Unit of lengths in the solved equations, mm: about half a lung, so that all unknowns are of one size.
_UNIT_MM = 100.0
_ROUNDS = 40
#: Added to the diagonal of the equations as a share of its sum, against a singular matrix.
_RIDGE = 1e-6
#: A lung smaller than this share of the other says nothing of where the lungs lie: it is collapsed or stray.
_STRAY_SHARE = 0.15
#: A lung that reaches deeper than this beyond a face of the scan is cut by it, mm.
_CUT_MM = 5.0
#: The search ends when no corner of a lung moves by more than this, mm.
_STILL_MM = 0.05


@dataclass(frozen=True, eq=False)
class ToTemplate:
    """Affine map from the patient to the template.

    Attributes:
        matrix: (3, 3).
        offset: (3,), mm.
        residual: Root mean square of the difference of the distances, mm.
    """

    matrix: Floats
    offset: Floats
    residual: float

    def points(self, points: Floats) -> Floats:
        """Map points of the patient, (n, 3) RAS mm."""
        out: Floats = points @ self.matrix.T + self.offset
        return out

    def back(self, points: Floats) -> Floats:
        """Map points of the template to the patient."""
        return np.asarray(np.linalg.solve(self.matrix, (points - self.offset).T).T, np.float64)

    def normals(self, normals: Floats) -> Floats:
        """Map unit normals of surfaces of the patient, (n, 3)."""
        moved = normals @ np.linalg.inv(self.matrix)
        return np.asarray(moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12), np.float64)


@dataclass(frozen=True, eq=False)
class Shape:
    """Lungs as signed distances on a coarse grid.

    Attributes:
        distances: To right and left lung, negative inside, (2, i, j, k) mm, clipped to :data:`REACH_MM`; a
            lung that is not there has :data:`REACH_MM` everywhere.
        affine: From the index to RAS mm.
        scanned: Where the scan is, (i, j, k): beyond its faces nothing is known of the lungs.
    """

    distances: npt.NDArray[np.float32]
    affine: Floats
    scanned: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, labels: npt.NDArray[np.uint8], affine: Floats) -> Shape:
        """Reduce a label map of lungs, (i, j, k); a lung that ends at a face of the scan continues there."""
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        every = np.maximum(1, np.rint(_GRID_MM / spacing)).astype(int)
        start = every // 2
        coarse = labels[start[0] :: every[0], start[1] :: every[1], start[2] :: every[2]]
        margin = np.ceil(REACH_MM / (spacing * every)).astype(int)
        pads = [(int(m), int(m)) for m in margin]
        scanned = np.pad(np.ones(coarse.shape, bool), pads)
        coarse = np.pad(coarse, pads, mode="edge")
        step = tuple(float(s) for s in spacing * every)
        out = np.full((2, *coarse.shape), REACH_MM, np.float32)
        for index, side in enumerate((Lung.RIGHT, Lung.LEFT)):
            mask = np.asfortranarray(coarse == side.value)
            if mask.any():
                out[index] = edt.edt(~mask, anisotropy=step) - edt.edt(mask, anisotropy=step)
        placed = affine.copy()
        placed[:3, :3] = affine[:3, :3] * every
        placed[:3, 3] = affine[:3, :3] @ (start - margin * every) + affine[:3, 3]
        return cls(np.clip(out, -REACH_MM, REACH_MM), placed, scanned)

    @property
    def sides(self) -> list[int]:
        """Which lungs are there: 0 for the right, 1 for the left; not one that is small beside the other."""
        sizes = [int((self.distances[side][self.scanned] < 0).sum()) for side in range(2)]
        return [side for side in range(2) if sizes[side] > _STRAY_SHARE * max(sizes)]

    @property
    def cut(self) -> bool:
        """Whether a lung ends at a face of the scan."""
        return bool((self.distances[:, ~self.scanned] < -_CUT_MM).any())

    def points(self, mask: npt.NDArray[np.bool_]) -> Floats:
        """Places of voxels, (n, 3) RAS mm."""
        return _apply(self.affine, np.argwhere(mask).astype(float))


def register(labels: npt.NDArray[np.uint8], affine: Floats, lungs: MeanLungs) -> ToTemplate:
    """Find the affine map that lays a patient's lungs on the mean lungs.

    Begins with the centres and extents along the axes of the body, then least squares of the difference of
    the signed distances within :data:`REACH_MM` of the patient's surfaces (Gauss-Newton, 12 unknowns). Where
    one lung is missing the other decides alone. What lies beyond the faces of the scan does not count; lungs
    that are cut are tried from three places, and the best fit is taken.

    Args:
        labels: The patient's lungs, (i, j, k).
        affine: From the index to RAS mm.
        lungs: The mean lungs.
    """
    shape = Shape.of(labels, affine)
    sides = shape.sides
    template = np.clip(lungs.distances[sides].astype(np.float32), -REACH_MM, REACH_MM)
    inside = shape.points(((shape.distances[sides] < 0).any(axis=0)) & shape.scanned)
    goal = _apply(lungs.affine, np.argwhere((template < 0).any(axis=0)).astype(float))
    starts = [_start(inside, goal)]
    if shape.cut:
        starts += [_start_at_end(inside, goal, end) for end in (np.max, np.min)]
    found = [_descend(shape, template, lungs.affine, start) for start in starts]
    return min(found, key=lambda one: one.residual)


def _descend(
    shape: Shape, template: npt.NDArray[np.float32], affine: Floats, start: tuple[Floats, Floats]
) -> ToTemplate:
    """Gauss-Newton from a start; ``template`` has the distances of the lungs that are there."""
    sides = shape.sides
    near = (np.abs(shape.distances[sides]) < REACH_MM).any(axis=0) & shape.scanned
    points, wanted = shape.points(near), shape.distances[sides][:, near]
    slopes = _slopes(template, affine)
    to_index: Floats = np.asarray(np.linalg.inv(affine), np.float64)
    centre = points.mean(axis=0)
    terms = np.concatenate([(points - centre) / _UNIT_MM, np.ones((len(points), 1))], axis=1)
    matrix, offset = start
    residual = np.inf
    for _ in range(_ROUNDS):
        index = _apply(to_index, np.asarray(points @ matrix.T + offset)).T
        square, cross, total = np.zeros((12, 12)), np.zeros(12), 0.0
        for side in range(len(sides)):
            value, *slope = (
                ndimage.map_coordinates(part, index, order=1, mode="nearest")
                for part in (template[side], *slopes[side])
            )
            off = wanted[side] - value
            rows = (np.stack(slope, axis=1)[:, :, None] * terms[:, None, :]).reshape(len(points), 12)
            square += rows.T @ rows
            cross += rows.T @ off
            total += float(off @ off)
        residual = float(np.sqrt(total / (len(sides) * len(points))))
        step = np.linalg.solve(square + _RIDGE * np.trace(square) * np.eye(12), cross).reshape(3, 4)
        matrix = matrix + step[:, :3] / _UNIT_MM
        offset = offset + step[:, 3] - step[:, :3] @ centre / _UNIT_MM
        if np.abs(step).sum(axis=1).max() < _STILL_MM:
            break
    return ToTemplate(matrix, offset, residual)


def _apply(affine: Floats, points: Floats) -> Floats:
    out: Floats = points @ affine[:3, :3].T + affine[:3, 3]
    return out


def _start(points: Floats, template: Floats) -> tuple[Floats, Floats]:
    """Match centres and standard deviations along the axes of the body."""
    scale = template.std(axis=0) / np.maximum(points.std(axis=0), 1.0)
    matrix = np.diag(scale)
    return matrix, template.mean(axis=0) - matrix @ points.mean(axis=0)


def _start_at_end(points: Floats, template: Floats, end: Callable[..., Floats]) -> tuple[Floats, Floats]:
    """Match the width, and the upper or lower end of the lungs."""
    scale = float(template[:, 0].std() / max(points[:, 0].std(), 1.0))
    matrix = scale * np.eye(3)
    offset = template.mean(axis=0) - matrix @ points.mean(axis=0)
    offset[2] = end(template[:, 2]) - scale * end(points[:, 2])
    return matrix, offset


def _slopes(values: npt.NDArray[np.float32], affine: Floats) -> list[list[npt.NDArray[np.float32]]]:
    """Derivatives along x, y, z of RAS for each side; the axes of the template are those of the body."""
    steps = np.diag(affine)[:3]
    return [
        [np.asarray(part / step, np.float32) for part, step in zip(np.gradient(one), steps, strict=True)]
        for one in values
    ]
