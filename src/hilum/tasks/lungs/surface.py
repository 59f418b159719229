"""From probabilities on isotropic voxels to labels on native ones, which draw the surface of aerated lung."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.anatomy.pleura import FLUID, GAS
from hilum.core.cores import thread_count
from hilum.core.labels import Lung
from hilum.imaging.interpolation import Interpolation
from hilum.imaging.morphology import Mask, bounding_box, components, dilate
from hilum.tasks.lungs.iso_scan import TISSUE_HU, IsoScan
from hilum.tasks.lungs.predict import Probabilities

__all__ = ["draw"]

Labels = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]
#: Between these probabilities of lung the native voxels draw the surface where the lung is aerated: about
#: one isotropic voxel either side of the network's own. Lower ends of 0.04 to 0.30 change Dice on digital
#: chests by 0.0003 at most.
BAND = (0.08, 0.92)
#: A dense voxel in aerated lung is a vessel or an airway wall from this probability on. On digital chests
#: 0.5 and 0.6 take in the chest wall (Dice 0.01 and 0.004 lower); 0.9 takes vessels at the pleura away.
VESSEL = 0.75
#: Lung is aerated where this share of the isotropic voxels within 5 mm is below this HU. Elsewhere, in
#: consolidated or collapsed lung, no threshold shows the surface and the network's own is taken. A share of
#: 0.5 costs 0.01.
AERATED_SHARE, AERATED_HU = 0.25, -500.0
#: Fluid and gas are drawn where their probability is at least so much anywhere near.
_LEAST_PLEURA = 0.3
#: A class that is the likeliest of four (lung, fluid, gas, the rest) has at least 0.25; less, for rounding.
_LEAST_CHOSEN = 0.2
#: Pieces with less than this share of all lung are not lung. On seven real scans it removes 2.4 mL in the
#: pelvis of a scan from skull to thigh and 0.5 mL of gas in an oesophagus; no other piece of them is larger
#: than 0.2 mL.
STRAY_SHARE = 0.001
#: Beside what was not scanned a darker voxel was not scanned either: it mixes padding with the body.
_NOT_SCANNED_HU = -1500.0


def draw(scan: IsoScan, p: Probabilities, unseen: Mask) -> tuple[Labels, Labels]:
    """Draw the labels on the native grid.

    Args:
        scan: The scan.
        p: What the network predicts.
        unseen: Isotropic voxels that were not scanned.

    Returns:
        Lung labels, and labels of the pleura (values of :data:`hilum.core.labels.PLEURA`), of the
        shape of ``scan.voxels``.
    """
    labels, pleura = _zeros(scan.voxels), _zeros(scan.voxels)
    wanted = p.mask | (p.fluid + p.gas >= _LEAST_PLEURA)
    box = bounding_box(wanted, 2 * scan.grid.step, scan.spacing)
    if box is None:
        return labels, pleura
    fields = [field[box] for field in _maps(scan, p, unseen)]
    native, ways = _native(box, [scan.along(axis) for axis in range(3)])
    view, out, rest = scan.voxels[native], labels[native], pleura[native]
    tissue = scan.own_hu(TISSUE_HU)

    def shown(field: Float) -> Float:
        return ways[1].rows(ways[0].along(field, 1))

    def plane(z: int) -> None:
        # Rows are those of y: x lies closest in memory.
        flat = [ways[2].one(field, z).T for field in fields]
        lungs, beside = float((flat[0] + flat[1]).max()), float((flat[2] + flat[3]).max())
        if max(lungs, beside) < BAND[0]:
            return
        right, left, fluid, gas, aerated, shut = flat
        pleura = beside >= _LEAST_CHOSEN
        known = _Plane(
            shown(right),
            shown(left),
            shown(aerated),
            (shown(fluid), shown(gas)) if pleura else None,
            shown(shut) if shut.any() else None,
        )
        found = _classes(view[:, :, z].T, known, tissue)
        out[:, :, z] = found[0].T
        if found[1] is not None:
            rest[:, :, z] = found[1].T

    with ThreadPoolExecutor(thread_count()) as pool:
        list(pool.map(plane, range(view.shape[2])))
    return labels, pleura


def _maps(scan: IsoScan, p: Probabilities, unseen: Mask) -> tuple[Float, Float, Float, Float, Float, Float]:
    """Return right, left, fluid, gas, share of air nearby, and share not scanned, on the isotropic grid."""
    aerated = ndimage.uniform_filter((scan.hu < AERATED_HU).astype(np.float32), 3)
    if scan.airways is not None:  # the air of trachea and main bronchi draws no surface of lung
        aerated[dilate(scan.airways.lumen, scan.spacing[0], scan.spacing)] = 0
    # No lung farther off than one voxel.
    near = ndimage.binary_dilation(_without_stray(p.mask), np.ones((3, 3, 3), bool))
    right, left = (np.where(near, side, np.float32(0)) for side in (p.right, p.left))
    return right, left, p.fluid, p.gas, aerated, unseen.astype(np.float32)


def _zeros(voxels: npt.NDArray[Any]) -> Labels:
    """Return zeros in the memory order of a scan, which take memory only where something is written."""
    order = np.argsort([-abs(step) for step in voxels.strides], kind="stable")
    # Not zeros_like, which writes every zero.
    return np.zeros([voxels.shape[axis] for axis in order], np.uint8).transpose(np.argsort(order))


def _without_stray(lungs: Mask) -> Mask:
    """Return a mask without its smallest pieces."""
    labels, counts = components(lungs)
    counts[0] = 0
    return np.asarray((counts >= STRAY_SHARE * counts.sum())[labels] & lungs)


@dataclass(frozen=True, eq=False)
class _Plane:
    """What is known of the voxels of one native plane: arrays of its shape.

    Attributes:
        right: Probability of right lung.
        left: Probability of left lung.
        aerated: Share of air nearby.
        pleura: Probabilities of fluid and of gas; None where neither can be the likeliest class.
        shut: Share not scanned; None where all was scanned.
    """

    right: Float
    left: Float
    aerated: Float
    pleura: tuple[Float, Float] | None
    shut: Float | None


def _classes(hu: npt.NDArray[Any], plane: _Plane, tissue: float) -> tuple[Labels, Labels | None]:
    """Return the labels of the lungs and of the pleura in one native plane; None for a pleura without any.

    Args:
        hu: Native values.
        plane: What is known of each voxel.
        tissue: Half-way between lung and tissue, in the scan's own values.
    """
    lung, air = plane.right + plane.left, hu < tissue
    band = (lung > BAND[0]) & (lung < BAND[1]) & (plane.aerated > AERATED_SHARE)
    mask = np.where(band, air | (lung >= VESSEL), lung >= 0.5)
    seen = np.True_ if plane.shut is None else _seen(hu, plane.shut)
    mask &= seen
    # In 8 bits: numpy would make 64 of the members of an enum.
    sides = np.where(plane.right >= plane.left, np.uint8(Lung.RIGHT), np.uint8(Lung.LEFT)) * mask
    if plane.pleura is None:
        return sides, None
    fluid, gas = plane.pleura
    rest = np.maximum(0.0, 1.0 - lung - fluid - gas)
    water = ~mask & seen & ~air & (fluid > np.maximum(np.maximum(rest, gas), lung))
    bubble = ~mask & seen & air & (gas > np.maximum(np.maximum(rest, fluid), lung))
    return sides, np.where(water, np.uint8(FLUID), np.where(bubble, np.uint8(GAS), np.uint8(0)))


def _seen(hu: npt.NDArray[Any], shut: Float) -> Mask:
    """Return which voxels of a plane were scanned."""
    return np.asarray((shut < 0.5) & ((shut == 0) | (hu > _NOT_SCANNED_HU)))


def _native(
    box: tuple[slice, slice, slice], ways: list[Interpolation]
) -> tuple[tuple[slice, ...], list[Interpolation]]:
    """Return the native voxels within a box of isotropic ones, and the interpolation to them."""
    native, inner = [], []
    for part, way in zip(box, ways, strict=True):
        hit = np.flatnonzero((way.low >= part.start) & (way.high < part.stop))
        own = slice(int(hit[0]), int(hit[-1]) + 1)
        native.append(own)
        inner.append(Interpolation(way.low[own] - part.start, way.high[own] - part.start, way.weight[own]))
    return tuple(native), inner
