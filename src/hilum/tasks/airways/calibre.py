"""Lumen and wall along every branch of the airways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.flag_limits import LIMITS
from hilum.core.volume import Volume
from hilum.imaging.morphology import bounding_box
from hilum.tasks.airways.arteries import arteries_of
from hilum.tasks.airways.blur import Blur, estimate_blur
from hilum.tasks.airways.calibre_values import BranchCalibre, Stations
from hilum.tasks.airways.half_maximum import half_maximum
from hilum.tasks.airways.sections import Interpolated, Sections, sections_of
from hilum.tasks.airways.tree import AirwayTree, build_tree
from hilum.tasks.airways.tube_fit import fit_tubes

__all__ = ["ARTERY_SLICE_MM", "CALIBRE_SLICE_MM", "MAIN_SLICE_MM", "MeasuredAirways", "measure_airway_tree"]

_Values = npt.NDArray[np.float64]
#: Part of a branch whose sections count, from its start to its end: bifurcations distort the rest. The start
#: is where it leaves the lumen of its parent, but the latter takes no more than this share of its length.
MIDDLE, _IN_PARENT = (0.2, 0.8), 0.4
#: Voxels coarser than the first, in mm, give no calibre but that of the trachea and the main bronchi, and
#: thicker than the second that of the trachea alone, which runs across them. On digital chests the lumens of
#: 3 to 4 mm are off by 0.1 mm with slices of 2 mm and by 0.2 mm, at worst by over 1 mm, with slices of 3 and
#: 5 mm; on slices of 8 mm two kernels of one patient give main bronchi that differ by 0.7 mm.
CALIBRE_SLICE_MM = 2.5
MAIN_SLICE_MM = 5.0
#: Voxels coarser than this, in mm, give no arteries: thin vessels are not seen on them.
ARTERY_SLICE_MM = LIMITS.vessels_thin_mm + LIMITS.thick_slack_mm
#: HU of air where the trachea is too narrow to measure it.
_AIR_HU = -1000.0
#: Depth in the trachea from which voxels are air alone, in mm.
_DEEP_MM = 3.0
#: Widest radius of the mask in mm, and length of the rays, of the groups that are fitted together.
_GROUPS = ((1.5, 6.0), (2.5, 8.0), (5.0, 12.0), (np.inf, 22.0))
#: Sections with fewer than this many of them in the middle of a branch give no taper.
_TAPER_SECTIONS = 4


@dataclass(frozen=True, eq=False)
class MeasuredAirways:
    """A tree with calibres, and what they were measured with.

    Attributes:
        tree: The tree.
        blur: The blur of the scan that the fit takes off.
        lumen_hu: HU of air in the trachea.
        lobes: Whether the lobes of the branches are known.
        arteries: Whether arteries were looked for.
    """

    tree: AirwayTree
    blur: Blur
    lumen_hu: float
    lobes: bool = False
    arteries: bool = False


def coarsest_mm(volume: Volume) -> float:
    """Return the largest of the thickness of the slices of a scan, their distance and its pixels, in mm."""
    return max(*volume.spacing, volume.meta.slice_thickness or 0.0)


def measure_airway_tree(
    volume: Volume,
    lumen: npt.NDArray[np.bool_],
    lungs: npt.NDArray[np.integer[Any]],
    *,
    lobes: npt.NDArray[np.integer[Any]] | None = None,
    vessels: npt.NDArray[np.bool_] | None = None,
) -> MeasuredAirways:
    """Build the tree of the airways and measure lumen and wall of each branch.

    On slices thicker than :data:`CALIBRE_SLICE_MM` only trachea and main bronchi are measured, beyond
    :data:`MAIN_SLICE_MM` only the trachea; beyond :data:`ARTERY_SLICE_MM` no artery is.

    Args:
        volume: The scan.
        lumen: Bool array on its grid: the lumen from the trachea to the periphery.
        lungs: Labels of the lungs on its grid, 1 right and 2 left.
        lobes: Values of the label set ``lobes`` on its grid; None where they are not known.
        vessels: Bool array on its grid: the vessels, for the artery beside each branch; None where they are
            not known.

    Returns:
        The tree with calibres, and the blur that was taken off.

    Raises:
        UsageError: The arrays differ in shape.
        InputError: The mask is empty or gives no line.
    """
    tree = build_tree(lumen, volume.affine, lungs, lobes=lobes)
    normal, thickness = _slices(volume)
    margin = _GROUPS[1][1]
    box = bounding_box(lumen, pad_mm=margin, spacing=volume.spacing)
    assert box is not None  # build_tree has refused an empty mask
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [part.start for part in box]
    scan = Interpolated.of(volume.hu[box], affine)
    groups = _grouped(tree, scan)
    trachea = [part for part in (_only(group, tree, 0) for group in groups) if len(part.hu)]
    lumen_hu = _air_hu(trachea)
    blur = estimate_blur(trachea[-1] if trachea else None, lumen_hu, normal, thickness)
    calibres: list[BranchCalibre | None] = [None] * len(tree.branches)
    for group in groups:
        _measure(group, tree, blur, lumen_hu, calibres)
    if coarsest_mm(volume) > CALIBRE_SLICE_MM:
        last = 0 if coarsest_mm(volume) > MAIN_SLICE_MM else 1
        central = [branch.generation <= last for branch in tree.branches]
        calibres = [found if near else None for found, near in zip(calibres, central, strict=True)]
    calibres = [
        _beside_parent(found, calibres[branch.parent] if branch.parent >= 0 else None)
        for branch, found in zip(tree.branches, calibres, strict=True)
    ]
    measured = tree.with_calibres(calibres)
    if vessels is not None and coarsest_mm(volume) <= ARTERY_SLICE_MM:
        measured = _with_arteries(
            measured, arteries_of(tree.branches, calibres, vessels[box], scan, volume.hu[box], affine, blur)
        )
    return MeasuredAirways(measured, blur, lumen_hu, lobes is not None, vessels is not None)


def _with_arteries(tree: AirwayTree, diameters: Sequence[float | None]) -> AirwayTree:
    """Give the calibre of each branch the diameter of its artery."""
    pairs = zip(tree.branches, diameters, strict=True)
    return tree.with_calibres([
        None if branch.calibre is None else replace(branch.calibre, artery_mm=artery)
        for branch, artery in pairs
    ])  # fmt: skip


def _grouped(tree: AirwayTree, scan: Interpolated) -> list[Sections]:
    """Cut the sections of branches of about one width together."""
    widths = [float(np.median(branch.mask_radii)) for branch in tree.branches]
    out = []
    low = 0.0
    for high, reach in _GROUPS:
        chosen = [n for n, width in enumerate(widths) if low <= width < high]
        if chosen:
            branches = [tree.branches[n] for n in chosen]
            lines = [branch.points for branch in branches]
            out.append(sections_of(scan, lines, [b.mask_radii for b in branches], chosen, reach))
        low = high
    return out


def _only(sections: Sections, tree: AirwayTree, generation: int) -> Sections:
    """Take the sections of a generation."""
    wanted = [n for n, branch in enumerate(tree.branches) if branch.generation == generation]
    return sections.take(np.isin(sections.branch, wanted))


def _air_hu(trachea: list[Sections]) -> float:
    """Median HU deep in the trachea."""
    values = [
        part.hu[(part.radius_mm[None] < part.mask_radius_mm[:, None] - _DEEP_MM)[:, None].repeat(
            part.hu.shape[1], axis=1
        )]
        for part in trachea
    ]  # fmt: skip
    deep = np.concatenate(values) if values else np.zeros(0)
    return float(np.median(deep)) if len(deep) else _AIR_HU


def _slices(volume: Volume) -> tuple[_Values, float]:
    """Direction across the slices in RAS, and their thickness in mm."""
    axis = volume.meta.slice_axis
    if axis is None:
        axis = int(np.argmax(np.abs(volume.affine[2, :3]) / np.asarray(volume.spacing)))
        axis = int(np.argmax(volume.spacing)) if max(volume.spacing) > 1.2 * min(volume.spacing) else axis
    normal = volume.affine[:3, axis] / volume.spacing[axis]
    return normal, float(max(volume.meta.slice_thickness or 0.0, volume.spacing[axis]))


def _measure(
    sections: Sections,
    tree: AirwayTree,
    blur: Blur,
    lumen_hu: float,
    calibres: list[BranchCalibre | None],
) -> None:
    """Measure the branches of a group of sections."""
    found = fit_tubes(sections, blur, lumen_hu=lumen_hu)
    half_lumen, half_wall = half_maximum(sections)
    half_wall[np.isnan(found.wall_mm)] = np.nan  # a wall without an outer edge has none by any rule
    for index in np.unique(sections.branch).tolist():
        mine = sections.branch == index
        stations = Stations(
            sections.at_mm[mine],
            found.lumen_mm[mine],
            found.wall_mm[mine],
            half_lumen[mine],
            half_wall[mine],
            found.rays[mine],
        )
        calibres[index] = _calibre(stations, *_middle(tree, index))


def _middle(tree: AirwayTree, index: int) -> tuple[float, float]:
    """Return where the middle part of a branch begins and ends, in mm from its start."""
    branch = tree.branches[index]
    start = 0.0
    if branch.parent >= 0:
        width = float(np.median(tree.branches[branch.parent].mask_radii))
        start = min(width, _IN_PARENT * branch.length_mm)
    low, high = (start + share * (branch.length_mm - start) for share in MIDDLE)
    return low, high


def _calibre(stations: Stations, low: float, high: float) -> BranchCalibre:
    """Sum up the sections in the middle of a branch."""
    middle = (stations.at_mm >= low) & (stations.at_mm <= high)
    if not middle.any():  # a branch of one or two sections
        middle = np.abs(stations.at_mm - (low + high) / 2) <= np.abs(stations.at_mm - (low + high) / 2).min()
    return BranchCalibre(
        _median(stations.lumen_mm[middle]),
        _median(stations.wall_mm[middle]),
        _median(stations.half_lumen_mm[middle]),
        _median(stations.half_wall_mm[middle]),
        _taper(stations.at_mm[middle], stations.lumen_mm[middle]),
        stations,
        middle_mm=(low, high),
    )


def _beside_parent(found: BranchCalibre | None, parent: BranchCalibre | None) -> BranchCalibre | None:
    """Compare the lumen of a branch with that of its parent."""
    if found is None or parent is None or found.lumen_mm is None or not parent.lumen_mm:
        return found
    return replace(found, narrowing_percent=100 * (parent.lumen_mm - found.lumen_mm) / parent.lumen_mm)


def _median(values: _Values) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if 2 * len(known) >= len(values) and len(known) else None


def _taper(at: _Values, lumen: _Values) -> float | None:
    """-slope / intercept of a straight line through the diameters, in % a mm."""
    known = np.isfinite(lumen)
    if known.sum() < _TAPER_SECTIONS:
        return None
    slope, start = np.polyfit(at[known], lumen[known], 1)
    return float(-100 * slope / start) if start > 0 else None
