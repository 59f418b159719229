"""A chest of plain geometry: cheap, and every part can be left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hilum.core.volume import ScanMeta, Volume


@dataclass
class Chest:
    volume: Volume
    lungs: np.ndarray
    trachea: np.ndarray


def build_chest(
    spacing=(3.0, 3.0, 4.0),
    extent=(330.0, 240.0, 300.0),
    noise=8.0,
    touching=False,
    stomach=True,
    table=True,
    vessels=True,
    only_right=False,
    lung_hu=-850.0,
    meta=None,
) -> Chest:
    """Make a chest in RAS; the right lung lies at positive x."""
    n = [round(e / s) for e, s in zip(extent, spacing, strict=True)]
    x, y, z = np.meshgrid(
        *[(np.arange(k) - (k - 1) / 2) * s for k, s in zip(n, spacing, strict=True)], indexing="ij"
    )
    hu = np.full(n, -1000.0, np.float32)
    hu[(x / 150) ** 2 + (y / 95) ** 2 < 1] = 40
    if table:
        hu[(np.abs(y + 112) < 4) & (np.abs(x) < 140)] = -100
    lungs = np.zeros(n, np.uint8)
    shift = 52.0 if touching else 68.0
    ventral, depth = (10.0, 60.0) if touching else (0.0, 68.0)
    for label, side in ((1, 1), (2, -1)):
        if only_right and label == 2:
            continue
        inside = ((x - side * shift) / (56 if not touching else 53)) ** 2 + ((y - ventral) / depth) ** 2 + (
            (z - 10) / 110
        ) ** 2 < 1
        inside &= lungs == 0
        inside &= (side * x > 1.0) if touching else True
        lungs[inside] = label
    hu[lungs > 0] = lung_hu
    if vessels:
        for cx, cz in ((70, 0), (-70, 10), (60, -40), (-60, 50)):
            hu[(np.hypot(x - cx, z - cz) < 4) & (np.abs(y) < 40) & (lungs > 0)] = 40
    trachea = (np.hypot(x, y + 15) < 9) & (z > 30)
    hu[(np.hypot(x, y + 15) < 13) & (z > 30) & (lungs == 0)] = 40
    hu[trachea] = -1000
    lungs[trachea] = 0
    if stomach:
        hu[((x + 60) / 30) ** 2 + ((y - 20) / 30) ** 2 + ((z + 122) / 18) ** 2 < 1] = -1000
    hu += np.random.default_rng(0).normal(0, noise, n).astype(np.float32)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-(k - 1) / 2 * s for k, s in zip(n, spacing, strict=True)]
    volume = Volume(np.round(hu).astype(np.int16), affine, meta or ScanMeta(name="chest"))
    return Chest(volume, lungs, trachea)
