"""Lumen and wall of the airways in a scan with its lungs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.anatomy.airway_trunk import grow_trunk
from hilum.core.flags import Flag
from hilum.core.label_volume import LabelVolume
from hilum.core.segmentation import ModelInfo, Progress, Segmentation
from hilum.core.volume import Volume
from hilum.imaging.morphology import Mask
from hilum.tasks.airways.flags import thickness_flags
from hilum.tasks.airways.prepare import lungs_mask, prepare
from hilum.tasks.airways.wall import wall_of

__all__ = ["MODEL", "AirwayMasks", "segment_airways"]

#: What made the masks.
MODEL = ModelInfo("airways", "1")


@dataclass(frozen=True, eq=False)
class AirwayMasks:
    """The airways of a scan.

    Attributes:
        lumen: Bool array on the grid of the scan: the air of the tree, one piece.
        wall: Bool array of the same shape: the voxels round the lumen that wall takes.
        flags: What a person should know of how they were found.
        facts: Numbers of how they were found, by name: ``noise_hu``, ``trunk_threshold_hu``, ``trunk_ml``.
    """

    lumen: Mask
    wall: Mask
    flags: tuple[Flag, ...] = ()
    facts: Mapping[str, float] = field(default_factory=dict)


def segment_airways(
    volume: Volume, lungs: Segmentation | LabelVolume | npt.NDArray[Any], progress: Progress | None = None
) -> AirwayMasks:
    """Find lumen and wall of the airways.

    Args:
        volume: The scan.
        lungs: Its lungs: a segmentation, a label map, or an array on its grid whose voxels above 0 are lung.
        progress: Called with the fraction done and a short sentence.

    Raises:
        InputError: No trachea is in view, or the scan is a single slice or has no voxel size.
        UsageError: The lungs have another shape, or there are none.
        GeometryError: The lungs lie elsewhere.
    """
    report = progress or (lambda fraction, what: None)
    report(0.0, "finding the trachea")
    scan = prepare(volume, lungs_mask(volume, lungs))
    report(0.2, "growing the airways")
    trunk = grow_trunk(scan.smooth, scan.seed, scan.spacing)
    flags = thickness_flags(scan)
    facts = {
        "noise_hu": scan.noise_hu,
        "trunk_threshold_hu": float("nan") if trunk.threshold_hu is None else trunk.threshold_hu,
        "trunk_ml": float(np.count_nonzero(trunk.lumen)) * scan.voxel_ml,
    }
    wall = wall_of(trunk.lumen, scan.smooth, scan.spacing)
    report(1.0, "done")
    return AirwayMasks(scan.restore(trunk.lumen), scan.restore(wall), flags, facts)
