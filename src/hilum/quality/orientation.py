"""Does the patient's orientation match the header? Heart, spine and lung apices show right, front and head.

Each axis has a logistic model of features of axial planes, on a grid around the lungs. Its
features change sign when the scan is flipped along that axis, so that it prefers neither
answer, and are invariant to the other two axes, or corrected for them first. Weights and provenance are
in ``orientation.json``; ``recipes/orientation/fit.py`` makes that file.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.flag_limits import LIMITS
from hilum.core.flags import Flag, FlagCode, Severity

__all__ = [
    "HATS",
    "Evidence",
    "Planes",
    "Weights",
    "even_slope",
    "evidence_of",
    "look",
    "odd_across",
    "odd_back",
    "orientation_flags",
    "shipped_weights",
]

Float = npt.NDArray[np.floating[Any]]
#: Cells of the grid from left to right and from back to front, and sample points per cell along each.
_CELLS, _POINTS = (24, 20), 3
#: Size of the grid relative to the bounding box of the lungs: it includes spine, sternum and ribs.
_WIDER = (1.15, 1.3)
#: Planes with less lung than this share of the largest are left out.
_LEAST_AREA = 0.02
#: HU range of the soft-tissue channel, and of the ramp of the bone channel.
_SOFT_HU, _BONE_HU = (-200.0, 100.0), (120.0, 320.0)
#: Share of the lungs' height at which each set of weights for right and left counts fully.
HATS = (0.15, 0.50, 0.85)
#: Evidence against the header that raises a flag. Of 28 scans with a correct header, none gave
#: more than 0 (right-left and front-back; of 27 with two lungs) or 0.3 (head-foot), by weights learned
#: without that patient; benchmarks/orientation.py counts the flags. If another axis is wrong, the model
#: of the lungs fails more often, and if the lungs are cut at an end, heights are off, so the threshold is
#: higher: none of 162 crops of those scans at an end gave more than 1.1.
_RIGHT_LEFT, _RIGHT_LEFT_DOUBTED, _FRONT_BACK, _HEAD_FOOT = 0.6, 1.3, 1.5, 1.5
#: The same for front and back of a single slice or a few; of 271 slices one gave more than 0, 0.1.
_FRONT_BACK_FEW = 3.0
#: Fewer planes do not separate head from foot.
_LEAST_PLANES = 8
_AERATED_HU = -500.0


@dataclass(frozen=True, eq=False)
class Planes:
    """Axial planes on a grid around the lungs.

    Attributes:
        cells: (n, 3, 24, 20): share of lung, soft tissue (-2 to 1) and bone (0 to 1) of each cell; left to
            right and back to front as the header says.
        height: Height of each plane as a share of the lungs' height, foot to head as the header says.
        span: Height of the planes, mm.
    """

    cells: npt.NDArray[np.float32]
    height: npt.NDArray[np.float64]
    span: float


@dataclass(frozen=True, eq=False)
class Weights:
    """Of the three models: (3 heights, features), (features), (features)."""

    right_left: Float
    front_back: Float
    head_foot: Float


@dataclass(frozen=True)
class Evidence:
    """Logits for the header being correct, by axis; values below 0 are evidence against it."""

    right_left: float
    front_back: float
    head_foot: float


def look(hu: npt.NDArray[Any], lungs: npt.NDArray[np.bool_], spacing: tuple[float, ...]) -> Planes | None:
    """Sample the planes that hold lung on the grid.

    Args:
        hu: HU in RAS order, voxels of about 3 mm.
        lungs: Lung mask, same shape.
        spacing: mm.

    Returns:
        The planes; None if there is too little lung for a bounding box.
    """
    area = lungs.sum(axis=(0, 1))
    planes = np.flatnonzero(area > _LEAST_AREA * area.max())
    grids = []
    for axis in (0, 1):
        line = np.flatnonzero(lungs.any(axis=(1 - axis, 2)))
        if line.size < 4:
            return None
        count = _CELLS[axis] * _POINTS
        middle, width = (line[0] + line[-1]) / 2, (line[-1] - line[0] + 1) * _WIDER[axis]
        grids.append(np.rint(middle + width * ((np.arange(count) + 0.5) / count - 0.5)).astype(int))
    known = [(grid >= 0) & (grid < n) for grid, n in zip(grids, hu.shape, strict=False)]
    inside = (known[0][:, None] & known[1][None])[:, :, None]
    index = [np.clip(grid, 0, n - 1) for grid, n in zip(grids, hu.shape, strict=False)]
    values = np.where(inside, hu[np.ix_(*index, planes)].astype(np.float32), 0.0)
    lung = (lungs[np.ix_(*index, planes)] & inside).astype(np.float32)
    soft = np.where(inside, np.clip(values, *_SOFT_HU) / _SOFT_HU[1], 0) * (1 - lung)
    bone = np.clip((values - _BONE_HU[0]) / (_BONE_HU[1] - _BONE_HU[0]), 0, 1)
    (a, b), n = _CELLS, planes.size
    stack = np.stack([lung, soft, bone])
    cells = stack.reshape(3, a, _POINTS, b, _POINTS, n).mean(axis=(2, 4), dtype=np.float32)
    span = float(planes[-1] - planes[0])
    height = (planes - planes[0]) / span if span else np.full(n, 0.5)
    return Planes(np.moveaxis(cells, -1, 0), height, span * spacing[2])


def odd_across(cells: Float, height: Float) -> Float:
    """Return the features that separate right from left, (n, 3 heights, features)."""
    odd = (cells - cells[:, :, ::-1])[:, :, : _CELLS[0] // 2].reshape(len(cells), -1)
    hats = np.stack([np.interp(height, HATS, row) for row in np.eye(len(HATS))], axis=1)
    return np.asarray(odd[:, None] * hats[:, :, None])


def odd_back(cells: Float) -> Float:
    """Return the features that separate back from front, invariant to right and left, (n, features)."""
    even = cells + cells[:, :, ::-1]
    odd = even - even[..., ::-1]
    return np.asarray(odd[:, :, : _CELLS[0] // 2, : _CELLS[1] // 2].reshape(len(cells), -1))


def even_slope(cells: Float, height: Float) -> Float:
    """Return the change from foot to head of features invariant to right and left, (features)."""
    even = cells + cells[:, :, ::-1]
    n, channels, a, b = even.shape
    coarse = even.reshape(n, channels, a // 2, 2, b // 2, 2).mean(axis=(3, 5))[:, :, : a // 4]
    place = 2 * (height - height.mean())
    return np.asarray(2 * (place @ coarse.reshape(n, -1)) / max(float(place @ place), 1e-9))


def evidence_of(planes: Planes, weights: Weights) -> Evidence:
    """Return the evidence; flips of front and head that were found are undone before the next axis."""
    cells, height = planes.cells, planes.height
    back = float((odd_back(cells) @ weights.front_back).mean())
    if back < 0:
        cells = cells[..., ::-1]
    head = float(even_slope(cells, height) @ weights.head_foot)
    if head < 0:
        height = 1 - height
    across = float(np.tensordot(odd_across(cells, height), weights.right_left, 2).mean())
    return Evidence(across, back, head)


@lru_cache(maxsize=1)
def shipped_weights() -> Weights:
    """Return the shipped weights."""
    read = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return Weights(*(np.array(read[name]) for name in ("right_left", "front_back", "head_foot")))


def orientation_flags(
    hu: npt.NDArray[Any],
    labels: npt.NDArray[np.uint8],
    spacing: tuple[float, ...],
    *,
    few: bool,
    cut: Collection[str] = (),
    weights: Weights | None = None,
) -> Iterator[Flag]:
    """Yield ``left_right_suspect``, ``front_back_suspect`` and ``head_foot_suspect``.

    Args:
        hu: HU in RAS order, voxels of about 3 mm.
        labels: Lung labels, same shape.
        spacing: mm.
        few: Whether there are only a few slices, which separate front from back at most.
        cut: Codes of the coverage flags. If a side is cut, the grid around the lungs is shifted, and
            only head and foot can be separated; if an end is cut, right and left are less certain.
        weights: None for the shipped weights.
    """
    sides = [np.count_nonzero((labels == side) & (hu < _AERATED_HU)) for side in (1, 2)]
    planes = look(hu, labels > 0, spacing) if min(sides) else None
    if planes is None:
        return
    found = evidence_of(planes, weights or shipped_weights())
    across = FlagCode.CUT_SIDE not in cut
    tall = not few and len(planes.height) >= _LEAST_PLANES and planes.span >= LIMITS.orientation_mm
    wrong = []
    if tall and across and min(sides) >= LIMITS.orientation_side * max(sides):
        plain = not cut and min(found.front_back, found.head_foot) > 0
        if found.right_left < -(_RIGHT_LEFT if plain else _RIGHT_LEFT_DOUBTED):
            wrong.append(FlagCode.LEFT_RIGHT_SUSPECT)
    if across and found.front_back < -(_FRONT_BACK_FEW if few else _FRONT_BACK):
        wrong.append(FlagCode.FRONT_BACK_SUSPECT)
    if tall and found.head_foot < -_HEAD_FOOT:
        wrong.append(FlagCode.HEAD_FOOT_SUSPECT)
    whole = _MIRRORED if len(wrong) % 2 else _TURNED
    for code in wrong:
        yield Flag(code, Severity.WARNING, f"{_SEEN[code]} {whole if len(wrong) > 1 else _ALONE[code]}")


_SEEN = {
    FlagCode.LEFT_RIGHT_SUSPECT: (
        "Heart and vessels indicate that the patient's right is where the header says left."
    ),
    FlagCode.FRONT_BACK_SUSPECT: (
        "The spine lies where the header says front, so ventral and dorsal are swapped."
    ),
    FlagCode.HEAD_FOOT_SUSPECT: (
        "The lung apices lie where the header says feet, so apical and basal are swapped."
    ),
}
_ALONE = {
    FlagCode.LEFT_RIGHT_SUSPECT: "The scan is mirrored, or the heart is displaced, or the patient has situs "
    "inversus: compare right and left with the original.",
    FlagCode.FRONT_BACK_SUSPECT: (
        "With one axis wrong the scan is a mirror image: compare it with the original."
    ),
    FlagCode.HEAD_FOOT_SUSPECT: (
        "With one axis wrong the scan is a mirror image: compare it with the original."
    ),
}
_MIRRORED = "With three axes wrong the scan is a mirror image: compare it with the original."
_TURNED = "With two axes wrong the patient is rotated, not mirrored: check the orientation in the header."
