"""From the lungs of a scan to its lobes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import nibabel as nib
import numpy as np
import numpy.typing as npt

from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LOBES, Lung
from hilum.core.segmentation import Progress, Segmentation
from hilum.core.volume import Volume
from hilum.quality.geometry import few_slices
from hilum.tasks.lobes.evidence import LungGrid, find_evidence
from hilum.tasks.lobes.frames import Fissure
from hilum.tasks.lobes.labelling import label_lobes
from hilum.tasks.lobes.prior import load_prior
from hilum.tasks.lobes.registration import register
from hilum.tasks.lobes.seen import seen_percent
from hilum.tasks.lobes.surfaces import fit_surfaces

__all__ = ["LobeSegmentation", "find_lobes"]

#: Least extent of the lungs from head to foot, mm: the fissures of a thinner part cannot be placed.
_LEAST_HEIGHT_MM = 80.0


@dataclass(frozen=True, eq=False)
class LobeSegmentation(Segmentation):
    """Lobes, with how much of each fissure the scan shows.

    Attributes:
        seen: Share of the area of each fissure that is seen, %; fissures of a missing lung are left out.
    """

    seen: Mapping[Fissure, float] = field(default_factory=dict)


def find_lobes(volume: Volume, lungs: LabelVolume, progress: Progress | None = None) -> LobeSegmentation:
    """Divide the lungs of a scan into lobes.

    Args:
        volume: The scan.
        lungs: Its lungs, on the same grid.
        progress: Called with the fraction done and a short label.

    Returns:
        The lobes. The label map is empty, and a flag says why, where the scan cannot show them.
    """
    tell = progress or (lambda fraction, what: None)
    prior = load_prior()
    canonical = volume.canonical()
    labels: npt.NDArray[np.uint8] = nib.apply_orientation(lungs.data, nib.io_orientation(volume.affine))
    why_not = _cannot(volume, labels, canonical.affine)
    if why_not:
        empty = LabelVolume.on_grid_of(volume, np.zeros(volume.shape, np.uint8), LOBES)
        flag = Flag(FlagCode.LOBES_NOT_FOUND, Severity.ERROR, why_not, tuple(r.name for r in LOBES.regions))
        return LobeSegmentation(empty, prior.info, flags=(flag,))
    tell(0.0, "register")
    to_template = register(labels, canonical.affine, prior.lungs)
    tell(0.1, "fissures")
    grid = LungGrid.crop(canonical.hu, labels, canonical.affine)
    evidence = find_evidence(grid)
    tell(0.4, "fit")
    fitted = fit_surfaces(evidence, to_template, prior)
    surfaces = {fissure: surface for fissure, (surface, _) in fitted.items()}
    seen = {
        fissure: seen_percent(fissure, surfaces, columns, grid, to_template)
        for fissure, (_, columns) in fitted.items()
    }
    tell(0.8, "lobes")
    lobes = volume.restore(label_lobes(labels, canonical.affine, surfaces, to_template))
    return LobeSegmentation(LabelVolume.on_grid_of(volume, lobes, LOBES), prior.info, seen=seen)


def _cannot(volume: Volume, labels: npt.NDArray[np.uint8], affine: npt.NDArray[np.float64]) -> str:
    """Return why the lobes of a scan cannot be found; empty where they can."""
    if not volume.meta.spacing_known:
        return "The file holds no voxel size, so the lobes are unknown. Give the original DICOM."
    if few_slices(volume):
        return "The scan has too few slices to divide the lungs into lobes. Give the whole series."
    planes = np.flatnonzero(labels.any(axis=(0, 1)))
    height = len(planes) and (planes[-1] - planes[0] + 1) * float(np.linalg.norm(affine[:3, 2]))
    if height < _LEAST_HEIGHT_MM:
        return (
            f"Only {height:.0f} mm of the lungs from head to foot are in the scan, too little to divide them "
            "into lobes. Give the whole chest."
        )
    if not any((labels == side.value).any() for side in (Lung.RIGHT, Lung.LEFT)):
        return "No lung was found, so there are no lobes."
    return ""
