"""Vessels as pieces of centreline, each with the area of its section by conservation of contrast.

A vessel of area A and length l raises the HU of the voxels round it by ``A l (b - p) / V`` in all, b the HU
of blood, p that of the parenchyma and V the volume of a voxel, however much the scan blurs it. So the sum of
``(HU - p) / (b - p)`` over the voxels nearest to a piece is its volume, and divided by its length the area of
its section; no border has to be found. Width at half-maximum, in contrast, is that of the blur for vessels
thinner than the blur.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.core.cores import thread_count
from hilum.core.labels import Lung
from hilum.imaging.graph_cleaning import prune_spurs
from hilum.imaging.morphology import Mask, close_, depth, distance_to
from hilum.imaging.paths import arc_length, path_length, smooth_path
from hilum.imaging.skeleton import skeletonize
from hilum.imaging.skeleton_graph import SkeletonGraph, build_graph
from hilum.tasks.vessels.prepare import Floats, VesselScan, local_mean

__all__ = ["BLOOD_HU", "MARGIN_MM", "PIECE_MM", "VesselPieces", "measure_pieces"]

_Values = npt.NDArray[np.float64]
#: Vessels are cut into pieces of about this length, mm: short beside the way over which a vessel tapers.
PIECE_MM = 5.0
#: Voxels up to this distance from the mask belong to the section: three times the usual blur, less what the
#: mask is wider than a thin vessel.
MARGIN_MM = 1.5
#: HU of blood where no vessel is wide enough to read it: without contrast medium.
BLOOD_HU = 40.0
#: Blood is read this deep in wide vessels, mm, where no parenchyma shines in, in at least so many voxels.
_BLOOD_DEPTH_MM, _BLOOD_VOXELS = 2.5, 100
#: Parenchyma is read at this distance from vessels and from dense tissue, mm.
_AWAY_MM = 2.0
#: HU of parenchyma above which it holds too little air for a vessel in it to be measured.
_DENSE_HU = -400.0
#: Number of centreline points that a voxel is compared with, and of those of wide vessels, which may be
#: farther off than the lines of their branches; radius from which a vessel is wide, mm.
_NEIGHBOURS, _WIDE_NEIGHBOURS, _WIDE_MM = 2, 4, 2.0
#: A point is covered by another whose ball holds it, if its own radius is below this share of the other's; so
#: many of the nearest points of wide vessels are looked at.
_COVERED, _COVERING = 0.8, 12


@dataclass(frozen=True, eq=False)
class VesselPieces:
    """Pieces of the vessels in the lungs, one row each.

    Attributes:
        centre: Position of the middle in RAS mm, shape (n, 3).
        side: 1 right, 2 left, shape (n,).
        length_mm: Length of the smoothed centreline.
        radius_mm: Median radius in the mask: the distance to its outside.
        volume_ml: Volume by conservation of contrast; noise makes that of a thin piece negative at times.
        mask_ml: Volume of the mask.
        points: Position of the points of the centrelines in RAS mm, shape (m, 3).
        piece: The piece of each point, shape (m,).
        blood_hu: HU of blood in this scan.
        blood_read: Whether it was read in this scan; else it is :data:`BLOOD_HU`.
    """

    centre: _Values
    side: npt.NDArray[np.uint8]
    length_mm: _Values
    radius_mm: _Values
    volume_ml: _Values
    mask_ml: _Values
    points: _Values
    piece: npt.NDArray[np.intp]
    blood_hu: float
    blood_read: bool

    @property
    def area_mm2(self) -> _Values:
        """Area of the section by conservation of contrast."""
        return np.asarray(np.maximum(1000 * self.volume_ml / np.maximum(self.length_mm, 1e-6), 0))

    @property
    def mask_area_mm2(self) -> _Values:
        """Area of a circle of the radius in the mask."""
        return np.asarray(np.pi * self.radius_mm**2)


def measure_pieces(scan: VesselScan, vessels: Mask, left_out: Mask) -> VesselPieces:
    """Cut vessels into pieces and measure each.

    Args:
        scan: The scan.
        vessels: Mask of the shape of the crop.
        left_out: Walls of airways and dense tissue, which are no part of a section.
    """
    radius = depth(np.pad(vessels, 1), scan.spacing)[1:-1, 1:-1, 1:-1]
    blood, read = _blood(scan, radius)
    graph = build_graph(
        skeletonize(close_(vessels, min(scan.spacing), scan.spacing)),
        np.diag([*scan.spacing, 1.0]),
        radius_mm=radius,
    )
    points, widths, owner, length = _cut(prune_spurs(graph))
    points, widths, owner, length = _without_covered(points, widths, owner, length)
    away = distance_to(vessels, scan.spacing)
    share = _blood_share(scan, away, blood)
    share[left_out & ~vessels] = 0
    near = (scan.lungs > 0) & (away <= MARGIN_MM)
    volume, mask = _sums(scan, vessels, near, share, points, widths, owner, len(length))
    centre = np.stack([_mean(points[:, axis], owner, len(length)) for axis in range(3)], axis=1)
    return VesselPieces(
        centre=_to_ras(centre, scan),
        side=_sides(scan, np.rint(centre / scan.spacing).astype(np.intp)),
        length_mm=length,
        radius_mm=_mean(widths, owner, len(length)),
        volume_ml=volume * scan.voxel_ml,
        mask_ml=mask * scan.voxel_ml,
        points=_to_ras(points, scan),
        piece=owner,
        blood_hu=blood,
        blood_read=read,
    )


def _to_ras(points: _Values, scan: VesselScan) -> _Values:
    """Bring positions in mm of the crop to RAS mm."""
    start = [part.start for part in scan.box]
    affine = scan.volume.canonical().affine
    out: _Values = (points / scan.spacing + start) @ affine[:3, :3].T + affine[:3, 3]
    return out


def _blood(scan: VesselScan, radius: Floats) -> tuple[float, bool]:
    """HU of blood, and whether it was read in this scan."""
    deep = scan.hu[radius > _BLOOD_DEPTH_MM]
    deep = deep[deep > 0]  # blood is denser than water; what is not is ground glass
    return (float(np.median(deep)), True) if deep.size >= _BLOOD_VOXELS else (BLOOD_HU, False)


def _cut(graph: SkeletonGraph) -> tuple[_Values, _Values, npt.NDArray[np.intp], _Values]:
    """Cut the edges of a graph into pieces.

    Returns:
        Points in mm, radius at each, piece of each, and length of each piece.
    """
    points, widths, owners, lengths = [], [], [], []
    count = 0
    for edge in graph.edges:
        line = smooth_path(edge.points)
        at = arc_length(line)
        pieces = max(1, round(at[-1] / PIECE_MM))
        owner = np.minimum((at / max(at[-1], 1e-6) * pieces).astype(np.intp), pieces - 1)
        points.append(edge.points)
        widths.append(edge.radii)
        owners.append(owner + count)
        lengths.append(np.full(pieces, path_length(line) / pieces))
        count += pieces
    if not count:
        return np.zeros((0, 3)), np.zeros(0), np.zeros(0, np.intp), np.zeros(0)
    return (
        np.concatenate(points),
        np.concatenate(widths),
        np.concatenate(owners),
        np.concatenate(lengths),
    )


def _without_covered(
    points: _Values, widths: _Values, owner: npt.NDArray[np.intp], length: _Values
) -> tuple[_Values, _Values, npt.NDArray[np.intp], _Values]:
    """Leave out points within a much wider vessel, as those of its branches and of spurs are.

    A piece is shortened by the share of its points that are left out.
    """
    from scipy.spatial import KDTree

    wide = np.flatnonzero(widths > _WIDE_MM)
    if not len(wide):
        return points, widths, owner, length
    most = float(widths.max())
    near, number = KDTree(points[wide]).query(
        points, k=min(_COVERING, len(wide)), distance_upper_bound=most, workers=thread_count()
    )
    near, number = near.reshape(len(points), -1), number.reshape(len(points), -1)
    other = np.append(widths[wide], 0.0)[np.where(np.isfinite(near), number, len(wide))]
    covered = ((near < other) & (widths[:, None] < _COVERED * other)).any(axis=1)
    count = len(length)
    left = np.bincount(owner[~covered], minlength=count)
    kept = left > 0
    length = length * left / np.maximum(np.bincount(owner, minlength=count), 1)
    renumbered = np.cumsum(kept) - 1
    return points[~covered], widths[~covered], renumbered[owner[~covered]], length[kept]


def _blood_share(scan: VesselScan, away: Floats, blood: float) -> Floats:
    """Share of blood in each voxel near a vessel; 0 where parenchyma is too dense to tell.

    ``away`` is the distance to the vessels in mm.
    """
    clear = scan.inside & (away > _AWAY_MM)
    clear &= np.abs(scan.hu - scan.parenchyma) < 2.5 * max(scan.noise_hu, 1.0)
    background = local_mean(scan.hu, clear, scan.spacing)
    share = (scan.hu - background) / np.maximum(blood - background, 1.0)
    return np.where(background < min(_DENSE_HU, blood - 100), share, np.float32(0)).astype(np.float32)


def _sums(
    scan: VesselScan,
    vessels: Mask,
    near: Mask,
    share: Floats,
    points: _Values,
    widths: _Values,
    owner: npt.NDArray[np.intp],
    count: int,
) -> tuple[_Values, _Values]:
    """Sum the share of blood, and the voxels of the mask, over the voxels of each piece, all near vessels."""
    if not count:
        return np.zeros(0), np.zeros(0)
    voxels = np.argwhere(near)
    places: _Values = (voxels * scan.spacing).astype(np.float64)
    piece = owner[_nearest(points, widths, places)]
    at = tuple(voxels.T)
    volume = np.bincount(piece, share[at], minlength=count)
    mask = np.bincount(piece, vessels[at], minlength=count)
    return volume.astype(np.float64), mask.astype(np.float64)


def _nearest(points: _Values, widths: _Values, places: _Values) -> npt.NDArray[np.intp]:
    """Index of the point whose ball is nearest to each place, or reaches deepest beyond it."""
    from scipy.spatial import KDTree

    distance, index = KDTree(points).query(places, k=min(_NEIGHBOURS, len(points)), workers=thread_count())
    distance, index = distance.reshape(len(places), -1), index.reshape(len(places), -1)
    gap = distance - widths[index]
    rows = np.arange(len(places))
    best = np.argmin(gap, axis=1)
    gap = gap[rows, best]
    out: npt.NDArray[np.intp] = index[rows, best].astype(np.intp)
    wide = np.flatnonzero(widths > _WIDE_MM)
    if not len(wide):
        return out
    most = float(widths.max()) + MARGIN_MM
    count = min(_WIDE_NEIGHBOURS, len(wide))
    far, number = KDTree(points[wide]).query(
        places, k=count, distance_upper_bound=most, workers=thread_count()
    )
    far, number = far.reshape(len(places), -1), number.reshape(len(places), -1)
    within = np.flatnonzero(np.isfinite(far[:, 0]))
    far, number = far[within], np.minimum(number[within], len(wide) - 1)
    wide_gap = far - widths[wide[number]]
    best = np.argmin(wide_gap, axis=1)
    rows = np.arange(len(within))
    deeper = wide_gap[rows, best] < gap[within]
    out[within[deeper]] = wide[number[rows, best][deeper]]
    return out


def _mean(values: _Values, owner: npt.NDArray[np.intp], count: int) -> _Values:
    total = np.bincount(owner, values, minlength=count)
    return np.asarray(total / np.maximum(np.bincount(owner, minlength=count), 1))


def _sides(scan: VesselScan, voxel: npt.NDArray[np.intp]) -> npt.NDArray[np.uint8]:
    """Lung of each position; beside the lungs, where a centre of a curve may lie, that of its half."""
    last = np.array(scan.lungs.shape) - 1
    inside = scan.lungs[tuple(np.clip(voxel, 0, last).T)]
    # Canonical axes grow towards the right (RAS).
    half = np.where(voxel[:, 0] > last[0] / 2, Lung.RIGHT.value, Lung.LEFT.value)
    return np.where(inside > 0, inside, half).astype(np.uint8)
