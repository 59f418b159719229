"""From probabilities on isotropic voxels to labels on native ones, which draw the surface of aerated lung."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
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
    labels = np.zeros_like(scan.voxels, np.uint8)
    pleura = np.zeros_like(scan.voxels, np.uint8)
    wanted = p.mask | (p.fluid + p.gas >= _LEAST_PLEURA)
    box = bounding_box(wanted, 2 * scan.grid.step, scan.spacing)
    if box is None:
        return labels, pleura
    aerated = ndimage.uniform_filter((scan.hu < AERATED_HU).astype(np.float32), 3)
    if scan.airways is not None:  # the air of trachea and main bronchi draws no surface of lung
        aerated[dilate(scan.airways.lumen, scan.spacing[0], scan.spacing)] = 0
    near = ndimage.binary_dilation(
        _without_stray(p.mask), np.ones((3, 3, 3), bool)
    )  # no lung farther off than one voxel
    right, left = (np.where(near, side, np.float32(0)) for side in (p.right, p.left))
    maps = (right, left, p.fluid, p.gas, aerated, unseen.astype(np.float32))
    fields = [field[box] for field in maps]
    native, ways = _native(box, [scan.along(axis) for axis in range(3)])
    view, out, rest = scan.voxels[native], labels[native], pleura[native]
    tissue = scan.own_hu(TISSUE_HU)

    def plane(z: int) -> None:
        flat = [ways[2].one(field, z) for field in fields]
        if max(float((flat[0] + flat[1]).max()), float((flat[2] + flat[3]).max())) < BAND[0]:
            return
        shown = [ways[1].rows(ways[0].rows(field).T).T for field in flat]
        out[:, :, z], rest[:, :, z] = _classes(view[:, :, z], shown, tissue)

    with ThreadPoolExecutor(thread_count()) as pool:
        list(pool.map(plane, range(view.shape[2])))
    return labels, pleura


def _without_stray(lungs: Mask) -> Mask:
    """Return a mask without its smallest pieces."""
    labels, counts = components(lungs)
    counts[0] = 0
    return np.asarray((counts >= STRAY_SHARE * counts.sum())[labels] & lungs)


def _classes(hu: npt.NDArray[Any], shown: list[Float], tissue: float) -> tuple[Labels, Labels]:
    """Return the labels of one native plane.

    Args:
        hu: Native values (x, y).
        shown: Right, left, fluid, gas, share of air nearby, share not scanned, of each voxel.
        tissue: Half-way between lung and tissue, in the scan's own values.
    """
    right, left, fluid, gas, aerated, shut = shown
    lung, air = right + left, hu < tissue
    seen = (shut < 0.5) & ((shut == 0) | (hu > _NOT_SCANNED_HU))
    band = (lung > BAND[0]) & (lung < BAND[1]) & (aerated > AERATED_SHARE)
    mask = np.where(band, air | (lung >= VESSEL), lung >= 0.5) & seen
    rest = np.maximum(0.0, 1.0 - lung - fluid - gas)
    water = ~mask & seen & ~air & (fluid > np.maximum(np.maximum(rest, gas), lung))
    bubble = ~mask & seen & air & (gas > np.maximum(np.maximum(rest, fluid), lung))
    # In 8 bits: numpy would make 64 of the members of an enum.
    sides = np.where(right >= left, np.uint8(Lung.RIGHT), np.uint8(Lung.LEFT)) * mask
    return sides, np.where(water, np.uint8(FLUID), np.where(bubble, np.uint8(GAS), np.uint8(0)))


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
