"""Training cases: scans with lung labels on cubes of 3.5 mm, as plain arrays on disk.

A case is a folder of ``<name>.hu.npy`` (int16 HU, RAS order) and ``<name>.labels.npy`` (uint8, 0, 1, 2),
read by memory map, so that any number of them costs no memory.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.anatomy.body import find_levels, normalise
from hilum.anatomy.model import Scan, threshold_lungs
from hilum.core.errors import InputError
from hilum.core.labels import Lung
from hilum.core.volume import Volume
from hilum.imaging.blocks import block_share, reduce_volume
from hilum.imaging.isogrid import IsoGrid
from hilum.io import atomic_file

__all__ = ["STEP_MM", "Case", "find_cases", "on_cubes", "own_labels", "write_case"]

#: Side of the network's voxels in mm.
STEP_MM = 3.5
#: Notches of the lungs' surface up to twice this wide are closed: everywhere, and at the hilum.
_SURFACE_MM, _HILUM_MM = 9.0, 18.0
#: The hilum reaches so far behind, below and above the middle of the main bronchi, mm.
_BEHIND_MM, _BELOW_MM, _ABOVE_MM = 12.0, 70.0, 25.0


@dataclass(frozen=True)
class Case:
    """One scan with labels. ``name`` tells its group before the first ``-``: what it was made of."""

    name: str
    folder: Path

    @property
    def group(self) -> str:
        """Which kind of case it is: real, injured, phantom, negative."""
        return self.name.split("-", 1)[0]

    def load(self) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
        """Return HU and labels."""
        return (
            np.load(self.folder / f"{self.name}.hu.npy", mmap_mode="r"),
            np.load(self.folder / f"{self.name}.labels.npy", mmap_mode="r"),
        )


def find_cases(folder: Path) -> list[Case]:
    """Return the cases of a folder, by name.

    Raises:
        InputError: There is none.
    """
    names = sorted(p.name.removesuffix(".labels.npy") for p in folder.glob("*.labels.npy"))
    if not names:
        raise InputError(f"{folder.name} holds no training cases.", "Make them first; see recipes/lungs.")
    return [Case(name, folder) for name in names]


def write_case(folder: Path, name: str, hu: npt.NDArray[Any], labels: npt.NDArray[Any]) -> str:
    """Write a case whole or not at all; the labels come last, and with them the case is there.

    Returns:
        SHA-256 of its voxels.
    """
    digest = hashlib.sha256()
    for kind, array in (("hu", np.rint(hu).astype(np.int16)), ("labels", labels.astype(np.uint8))):
        with atomic_file(folder / f"{name}.{kind}.npy") as part, part.open("wb") as file:
            np.save(file, array)
        digest.update(array.tobytes())
    return digest.hexdigest()


def on_cubes(
    volume: Volume, labels: npt.NDArray[np.uint8] | None = None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Bring a scan, and its labels, to the network's grid as the model does it.

    Args:
        volume: The scan.
        labels: Lung labels on its grid; None for no lung.

    Returns:
        HU and labels, (x, y, z) in RAS order, cubes of :data:`STEP_MM`.
    """
    canonical = volume.canonical()
    reduced = reduce_volume(canonical.hu, canonical.spacing)
    grid = IsoGrid(reduced.hu.shape, reduced.spacing, STEP_MM)  # type: ignore[arg-type]
    hu: npt.NDArray[Any] = grid.to_iso(normalise(reduced.hu, find_levels(reduced.hu)))
    out = np.zeros(hu.shape, np.uint8)
    if labels is not None:
        own = Volume(labels.astype(np.int16), volume.affine, volume.meta).canonical().hu
        best: npt.NDArray[Any] = np.full(hu.shape, 0.5, np.float32)
        for side in (Lung.RIGHT, Lung.LEFT):
            share = np.asarray(grid.to_iso(block_share(own == side, canonical.spacing)), np.float32)
            out[share > best] = side
            best = np.where(share > best, share, best)
    return hu, out


def own_labels(volume: Volume) -> npt.NDArray[np.uint8]:
    """Label a scan of aerated lungs by ``classic``, with the hilum closed to the line that people draw.

    Large vessels at the hilum are taken in as by hand-made masks: notches up to 36 mm wide are closed where
    the main bronchi enter, not behind them, where the aorta lies against the lung.

    Args:
        volume: A scan whose lungs are aerated; dense disease would be missed.

    Returns:
        Lung labels on its grid. Look at them before you train on them.
    """
    canonical = volume.canonical()
    scan = Scan.of(canonical)
    tight, wide = (scan.refined(*threshold_lungs(scan, mm)) for mm in (_SURFACE_MM, _HILUM_MM))
    return volume.restore(np.where(_hilum(canonical, scan), wide, tight).astype(np.uint8))


def _hilum(canonical: Volume, scan: Scan) -> npt.NDArray[np.bool_]:
    """Where the hila can lie, in canonical order; nowhere if no main bronchi are seen."""
    airways, spacing = scan.airways, scan.blocks.true
    if airways is None or not (airways.lumen & ~airways.trachea).any():
        return np.zeros(canonical.shape, bool)
    bronchi = np.nonzero(airways.lumen & ~airways.trachea)
    y, z = ((float(np.median(bronchi[axis])) + 0.5) * spacing[axis] for axis in (1, 2))
    along_y = (np.arange(canonical.shape[1]) + 0.5) * canonical.spacing[1] > y - _BEHIND_MM
    height = (np.arange(canonical.shape[2]) + 0.5) * canonical.spacing[2] - z
    along_z = (height > -_BELOW_MM) & (height < _ABOVE_MM)
    return np.broadcast_to((along_y[:, None] & along_z)[None], canonical.shape)
