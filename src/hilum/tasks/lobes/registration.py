"""Affine registration of a patient's lungs to the mean lungs of the prior."""

from __future__ import annotations

from dataclasses import dataclass

import edt
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.core.labels import Lung
from hilum.tasks.lobes.prior import MeanLungs

__all__ = ["REACH_MM", "ToTemplate", "register", "signed_distances"]

Floats = npt.NDArray[np.float64]

#: Voxels on which shapes are compared, mm: lungs are smooth on this scale.
_GRID_MM = 6.0
#: Distances count up to this, mm; farther from a surface both shapes say the same.
REACH_MM = 20.0
#: Unit of lengths in the solved equations, mm: about half a lung, so that all unknowns are of one size.
_UNIT_MM = 100.0
_ROUNDS = 40
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
        out: Floats = np.linalg.solve(self.matrix, (points - self.offset).T).T
        return out

    def normals(self, normals: Floats) -> Floats:
        """Map unit normals of surfaces of the patient, (n, 3)."""
        out: Floats = normals @ np.linalg.inv(self.matrix)
        out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
        return out


def signed_distances(
    labels: npt.NDArray[np.uint8], affine: Floats, grid_mm: float = _GRID_MM
) -> tuple[npt.NDArray[np.float32], Floats]:
    """Signed distances to each lung on a coarse grid, negative inside.

    Args:
        labels: The lungs, (i, j, k).
        affine: From the index to RAS mm.
        grid_mm: Wanted voxels of the coarse grid.

    Returns:
        Distances (2, i, j, k) to right and left lung, mm, clipped to :data:`REACH_MM`; and the affine of
        their grid. A lung that is not there has :data:`REACH_MM` everywhere.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    every = np.maximum(1, np.rint(grid_mm / spacing)).astype(int)
    start = every // 2
    coarse = labels[start[0] :: every[0], start[1] :: every[1], start[2] :: every[2]]
    margin = np.ceil(REACH_MM / (spacing * every)).astype(int)
    coarse = np.pad(coarse, [(int(m), int(m)) for m in margin])
    step = tuple(float(s) for s in spacing * every)
    out = np.empty((2, *coarse.shape), np.float32)
    for index, side in enumerate((Lung.RIGHT, Lung.LEFT)):
        mask = np.asfortranarray(coarse == side.value)
        if mask.any():
            out[index] = edt.edt(~mask, anisotropy=step) - edt.edt(mask, anisotropy=step)
        else:
            out[index] = REACH_MM
    placed = affine.copy()
    placed[:3, :3] = affine[:3, :3] * every
    placed[:3, 3] = affine[:3, :3] @ (start - margin * every) + affine[:3, 3]
    return np.clip(out, -REACH_MM, REACH_MM), placed


def register(labels: npt.NDArray[np.uint8], affine: Floats, lungs: MeanLungs) -> ToTemplate:
    """Find the affine map that lays a patient's lungs on the mean lungs.

    Begins with the centres and extents along the axes of the body, then least squares of the difference of
    the signed distances within :data:`REACH_MM` of the patient's surfaces (Gauss-Newton, 12 unknowns). Where
    one lung is missing the other decides alone.

    Args:
        labels: The patient's lungs, (i, j, k).
        affine: From the index to RAS mm.
        lungs: The mean lungs.
    """
    distances, grid = signed_distances(labels, affine)
    sides = [side for side in range(2) if (distances[side] < 0).any()]
    near = (np.abs(distances[sides]) < REACH_MM).any(axis=0)
    points = _points(near, grid)
    wanted = distances[sides][:, near]
    template = np.clip(lungs.distances[sides].astype(np.float32), -REACH_MM, REACH_MM)
    slopes = _slopes(template, lungs.affine)
    inside = (distances[sides] < 0).any(axis=0)
    matrix, offset = _start(_points(inside, grid), _points((template < 0).any(axis=0), lungs.affine))
    to_index = np.linalg.inv(lungs.affine)
    centre = points.mean(axis=0)
    about = (points - centre) / _UNIT_MM
    terms = np.concatenate([about, np.ones((len(about), 1))], axis=1)
    residual = np.inf
    for _ in range(_ROUNDS):
        index = _apply(to_index, points @ matrix.T + offset).T
        square, cross, total = np.zeros((12, 12)), np.zeros(12), 0.0
        for side in range(len(sides)):
            value = ndimage.map_coordinates(template[side], index, order=1, mode="nearest")
            slope = np.stack(
                [ndimage.map_coordinates(part, index, order=1, mode="nearest") for part in slopes[side]],
                axis=1,
            )
            off = wanted[side] - value
            rows = (slope[:, :, None] * terms[:, None, :]).reshape(len(points), 12)
            square += rows.T @ rows
            cross += rows.T @ off
            total += float(off @ off)
        residual = float(np.sqrt(total / (len(sides) * len(points))))
        step = np.linalg.solve(square + 1e-6 * np.trace(square) * np.eye(12), cross).reshape(3, 4)
        matrix = matrix + step[:, :3] / _UNIT_MM
        offset = offset + step[:, 3] - step[:, :3] @ centre / _UNIT_MM
        if np.abs(step).sum(axis=1).max() < _STILL_MM:
            break
    return ToTemplate(matrix, offset, residual)


def _points(mask: npt.NDArray[np.bool_], affine: Floats) -> Floats:
    return _apply(affine, np.argwhere(mask).astype(float))


def _apply(affine: Floats, points: Floats) -> Floats:
    out: Floats = points @ affine[:3, :3].T + affine[:3, 3]
    return out


def _start(points: Floats, template: Floats) -> tuple[Floats, Floats]:
    """Match centres and standard deviations along the axes of the body."""
    scale = template.std(axis=0) / np.maximum(points.std(axis=0), 1.0)
    matrix = np.diag(scale)
    return matrix, template.mean(axis=0) - matrix @ points.mean(axis=0)


def _slopes(values: npt.NDArray[np.float32], affine: Floats) -> list[list[npt.NDArray[np.float32]]]:
    """Derivatives along x, y, z of RAS for each side; the axes of the template are those of the body."""
    steps = np.diag(affine)[:3]
    return [
        [np.asarray(part / step, np.float32) for part, step in zip(np.gradient(one), steps, strict=True)]
        for one in values
    ]
