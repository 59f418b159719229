"""From probabilities on cubes to labels on the native voxels, which draw the surface of aerated lung."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.core.cores import thread_count
from hilum.core.labels import Lung
from hilum.imaging.morphology import Mask, bounding_box
from hilum.tasks.lungs.cubes import TISSUE_HU, CubeScan
from hilum.tasks.lungs.predict import Probabilities

__all__ = ["FLUID", "GAS", "draw"]

Labels = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]
#: Labels of the pleura.
FLUID, GAS = 1, 2
#: Between these probabilities of lung the native voxels draw the surface where the lung is aerated: about
#: one cube either side of the network's own.
BAND = (0.08, 0.92)
#: A dense voxel in aerated lung is a vessel or a wall of an airway from this probability on.
VESSEL = 0.75
#: Lung is aerated where this share of the cubes within 5 mm is below this HU. Elsewhere, in consolidated or
#: collapsed lung, no threshold shows the surface and the network's own is taken.
AERATED_SHARE, AERATED_HU = 0.25, -500.0


def draw(scan: CubeScan, p: Probabilities, lungs: Mask, barred: Mask) -> tuple[Labels, Labels]:
    """Draw the labels on the native grid.

    Args:
        scan: The scan.
        p: What the network predicts.
        lungs: Cubes that may hold lung; with the cubes beside them they bound what is drawn.
        barred: Cubes that were not scanned, or hold the air of the room.

    Returns:
        Lung labels, and labels of the pleura (:data:`FLUID`, :data:`GAS`), of the shape of ``scan.voxels``.
    """
    labels = np.zeros_like(scan.voxels, np.uint8)
    pleura = np.zeros_like(scan.voxels, np.uint8)
    wanted = lungs | (p.fluid + p.gas >= 0.3)
    box = bounding_box(wanted, 2 * scan.grid.step, scan.spacing)
    if box is None:
        return labels, pleura
    aerated = ndimage.uniform_filter((scan.hu < AERATED_HU).astype(np.float32), 3)
    near = ndimage.binary_dilation(lungs, np.ones((3, 3, 3), bool))
    fields = [
        np.where(near, p.right, 0)[box],
        np.where(near, p.left, 0)[box],
        p.fluid[box],
        p.gas[box],
        aerated[box],
        barred[box].astype(np.float32),
    ]
    ways = [scan.along(axis) for axis in range(3)]
    native, ways = _native(box, ways)
    view, out, rest = scan.voxels[native], labels[native], pleura[native]
    tissue = scan.own_hu(TISSUE_HU)

    def plane(z: int) -> None:
        flat = [ways[2].one(field, z) for field in fields]
        if max(float((flat[0] + flat[1]).max()), float((flat[2] + flat[3]).max())) < BAND[0]:
            return
        _draw_plane(view[:, :, z], flat, ways, tissue, out[:, :, z], rest[:, :, z])

    with ThreadPoolExecutor(thread_count()) as pool:
        list(pool.map(plane, range(view.shape[2])))
    return labels, pleura


def _draw_plane(
    hu: npt.NDArray[Any], flat: list[Float], ways: list[Any], tissue: float, out: Labels, rest: Labels
) -> None:
    right, left, fluid, gas, aerated, shut = (ways[1].rows(ways[0].rows(field).T).T for field in flat)
    lung = right + left
    air = hu < tissue
    band = (lung > BAND[0]) & (lung < BAND[1]) & (aerated > AERATED_SHARE)
    mask = np.where(band, air | (lung >= VESSEL), lung >= 0.5)
    mask &= shut < 0.5
    out[...] = np.where(right >= left, np.uint8(Lung.RIGHT), np.uint8(Lung.LEFT)) * mask
    free = ~mask & (shut < 0.5)
    water = free & ~air & (fluid >= 0.5)
    bubble = free & air & (gas >= 0.5)
    rest[...] = np.where(water, np.uint8(FLUID), np.uint8(0)) + np.where(bubble, np.uint8(GAS), np.uint8(0))


def _native(box: tuple[slice, ...], ways: list[Any]) -> tuple[tuple[slice, ...], list[Any]]:
    """Return the native voxels between the centres of the cubes of a box, and the ways to them."""
    from dataclasses import replace

    native, inner = [], []
    for part, way in zip(box, ways, strict=True):
        hit = np.flatnonzero((way.low >= part.start) & (way.high <= part.stop - 1))
        own = slice(int(hit[0]), int(hit[-1]) + 1)
        native.append(own)
        inner.append(
            replace(
                way, low=way.low[own] - part.start, high=way.high[own] - part.start, weight=way.weight[own]
            )
        )
    return tuple(native), inner
