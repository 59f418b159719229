"""What the patient's own lung would measure without disease: HU by place, fitted to the lung itself.

A lung is denser where it lies lower, in expiration more so, and denser near the pleura that it rests on.
None of that is disease. A smooth function of place is fitted to the lower part of the HU of many cells of
both lungs together; a cell that stands out above it is not followed, so patches of disease do not raise
what is expected.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.tasks.injury.fields import Fields, Floats

__all__ = ["Expected", "expected_density"]

_Array = npt.NDArray[np.float64]
#: Cells of the fit: how many along back to front and foot to head, and their depths below the pleura, mm.
_CELLS = (12, 8)
_DEPTHS_MM = (0.0, 6.0, 15.0, np.inf)
#: Fewest blocks of a cell.
_LEAST_BLOCKS = 20
#: Percentile of the HU of a cell that stands for it: below the middle, as disease and vessels are above it.
_PERCENTILE = 35.0
#: Denser blocks are left out of a cell, HU: no lung without disease is, in expiration neither.
_DENSEST_HU = -400.0
#: Depth over which the effect of the pleura falls to 37 %, mm.
_PLEURA_MM = 6.0
#: Residuals that count fully, and from which on they count nothing, HU.
_FULL_HU, _NOTHING_HU = 30.0, 120.0
#: The second of these in the first round, from which it falls: wide enough for the slope of expiration, HU.
_FIRST_HU = 180.0
#: Rounds of the robust fit.
_ROUNDS = 12
#: The fit starts from this percentile of the cells.
_START = 30.0
#: Weight that holds the coefficients other than the mean near 0, in cells: a few blocks do not bend the fit.
_RIDGE = 0.5
#: What is expected stays in this range, HU: from severe emphysema to deep expiration.
RANGE_HU = (-990.0, -600.0)


@dataclass(frozen=True, eq=False)
class Expected:
    """What is expected, and how the lung lies.

    Attributes:
        hu: Expected HU of each block, shape of the fields.
        typical: Its median over the lung, HU.
        slope: Rise from front to back at the middle of the lung, HU per 10 cm; above 0 the back is denser.
        spread: Median absolute residual of the cells that the fit follows, HU.
        followed: Share of the cells that the fit follows, 0 to 1.
    """

    hu: Floats
    typical: float
    slope: float
    spread: float
    followed: float


def expected_density(fields: Fields, affine: npt.NDArray[np.float64]) -> Expected:
    """Fit the HU that is expected at each block.

    ``HU = a + b y + c y^2 + d z + e z^2 + (f + g y + h z) exp(-depth / 6 mm)`` with y from back to front
    and z from foot to head, each -1 to 1 over both lungs. The fit does not need to know how the patient lies.

    Args:
        fields: The lungs on blocks.
        affine: From the voxels of the scan to RAS mm.
    """
    lung = fields.lung
    if not lung.any():
        lung = np.ones(lung.shape, bool)
    places = [np.broadcast_to(fields.places(affine, axis), lung.shape) for axis in (1, 2)]
    scaled = [_scaled(place, lung) for place in places]
    basis = _basis(scaled[0][lung], scaled[1][lung], fields.depth[lung])
    values = fields.haze[lung].astype(np.float64)
    rows, heights, counts = _cells(basis, values, scaled, lung, fields.depth)
    if len(heights) < 2 * basis.shape[1]:
        level = float(np.percentile(values, _PERCENTILE))
        flat = np.full(lung.shape, np.clip(level, *RANGE_HU), np.float32)
        return Expected(flat, level, 0.0, 0.0, 0.0)
    solution, weights = _robust(rows, heights, counts)
    out = np.full(lung.shape, np.nan, np.float32)
    out[lung] = np.clip(basis @ solution, *RANGE_HU)
    typical = float(np.median(out[lung]))
    out[~lung] = typical
    residual = np.abs(heights - rows @ solution)
    used = weights > 0.5
    extent = float(np.ptp(places[0][lung])) or 1.0
    return Expected(
        out,
        typical,
        slope=-float(solution[1]) * 200.0 / extent,
        spread=float(np.median(residual[used])) if used.any() else 0.0,
        followed=float(np.mean(used)),
    )


def _scaled(place: Floats, lung: npt.NDArray[np.bool_]) -> Floats:
    low, high = float(place[lung].min()), float(place[lung].max())
    return np.asarray((2 * place - low - high) / max(high - low, 1e-3), np.float32)


def _basis(y: Floats, z: Floats, depth: Floats) -> _Array:
    near = np.exp(-depth / np.float32(_PLEURA_MM))
    columns = (np.ones_like(y), y, y * y, z, z * z, near, near * y, near * z)
    return np.stack(columns, axis=1).astype(np.float64)


def _cells(
    basis: _Array, values: _Array, scaled: list[Floats], lung: npt.NDArray[np.bool_], depth: Floats
) -> tuple[_Array, _Array, _Array]:
    """Mean basis, percentile of HU and number of blocks of each cell that has enough of them."""
    numbers: npt.NDArray[np.intp] = np.zeros(len(values), np.intp)
    for place, count in zip(scaled, _CELLS, strict=True):
        part = np.clip(((place[lung] + 1) / 2 * count).astype(np.intp), 0, count - 1)
        numbers = numbers * count + part
    layer = np.searchsorted(_DEPTHS_MM, depth[lung], side="right") - 1
    numbers = numbers * len(_DEPTHS_MM) + layer
    usable = np.flatnonzero(values < _DENSEST_HU)
    order = usable[np.argsort(numbers[usable], kind="stable")]
    rows, heights, counts = [], [], []
    for members in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
        if len(members) >= _LEAST_BLOCKS:
            rows.append(basis[members].mean(axis=0))
            heights.append(np.percentile(values[members], _PERCENTILE))
            counts.append(len(members))
    return np.array(rows), np.array(heights), np.array(counts, np.float64)


def _robust(rows: _Array, heights: _Array, counts: _Array) -> tuple[_Array, _Array]:
    """Weighted least squares that lets go of what stands out; returns coefficients and weights of the "
    "cells."""
    solution = np.zeros(rows.shape[1])
    solution[0] = np.percentile(heights, _START)
    share = np.sqrt(counts / counts.mean())
    hold = np.full(rows.shape[1], _RIDGE)
    hold[0] = 0.0
    reach = _FIRST_HU
    weights: _Array = np.ones(len(heights))
    for _ in range(_ROUNDS):
        off = np.abs(heights - rows @ solution)
        weights = np.clip((reach - off) / (reach - _FULL_HU), 0.0, 1.0)
        if not weights.any():
            break
        scaled = rows * (weights * share)[:, None]
        solution = np.linalg.solve(scaled.T @ rows + np.diag(hold), scaled.T @ heights)
        reach = max(_NOTHING_HU, 0.85 * reach)
    return solution, weights
