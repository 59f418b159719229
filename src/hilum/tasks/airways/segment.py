"""Lumen and wall of the airways in a scan with its lungs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.anatomy.airway_trunk import grow_trunk
from hilum.core.flag_limits import LIMITS
from hilum.core.flags import Flag
from hilum.core.label_volume import LabelVolume
from hilum.core.segmentation import ModelInfo, Progress, Segmentation
from hilum.core.volume import Volume
from hilum.imaging.morphology import Mask
from hilum.tasks.airways.classifier import likelihood, load_classifier, weights_sha256
from hilum.tasks.airways.domain import where_airways_are
from hilum.tasks.airways.flags import leak_flags, thickness_flags, trunk_flags, volume_flags
from hilum.tasks.airways.grow import grow_tree
from hilum.tasks.airways.prepare import AirwayScan, lungs_mask, prepare
from hilum.tasks.airways.prune import Pruned, prune_leaks
from hilum.tasks.airways.wall import wall_of

__all__ = ["AirwayMasks", "model_info", "segment_airways"]


def model_info() -> ModelInfo:
    """What makes the masks: the rules of this version, and the weights of the classifier."""
    return ModelInfo("airways", "2", weights_sha256())


@dataclass(frozen=True, eq=False)
class AirwayMasks:
    """The airways of a scan.

    Attributes:
        lumen: Bool array on the grid of the scan: the air of the tree, one piece.
        wall: Bool array of the same shape: the voxels round the lumen that wall takes.
        flags: What a person should know of how they were found.
        facts: Numbers of how they were found: ``noise_hu``, ``trunk_threshold_hu`` (absent where the trachea
            did not grow), ``trunk_ml``, ``pruned_ml``, ``branches``, ``length_mm``, ``walled_share``.
    """

    lumen: Mask
    wall: Mask
    flags: tuple[Flag, ...] = ()
    facts: Mapping[str, float] = field(default_factory=dict)


def segment_airways(
    volume: Volume, lungs: Segmentation | LabelVolume | npt.NDArray[Any], progress: Progress | None = None
) -> AirwayMasks:
    """Find lumen and wall of the airways.

    The trunk grows from the trachea by threshold; a voxel classifier finds what is likely lumen beyond it;
    what hangs on the trunk is joined to it, across gaps of up to about 4 mm; branches that have no wall or
    grow wide are removed. On slices more than 3.5 mm apart the trunk alone is kept.

    Args:
        volume: The scan.
        lungs: Its lungs: a segmentation, a label map, or an array on its grid whose voxels above 0 are lung.
            One lung is enough.
        progress: Called with the fraction done and a short sentence.

    Raises:
        InputError: No trachea is in view, or the scan is a single slice or has no voxel size.
        UsageError: The lungs have another shape, or there are none.
        GeometryError: The lungs lie elsewhere.
    """
    report = progress or (lambda fraction, what: None)
    report(0.0, "finding the trachea")
    scan = prepare(volume, lungs_mask(volume, lungs))
    report(0.2, "growing the trunk")
    trunk = grow_trunk(scan.smooth, scan.seed, scan.spacing)
    report(0.3, "finding small airways")
    likely = _likelihood(scan, trunk.lumen)
    report(0.8, "joining branches")
    pruned = prune_leaks(grow_tree(likely, trunk.lumen, scan.spacing), trunk.lumen, likely, scan)
    wall = wall_of(pruned.lumen, scan.smooth, scan.spacing)
    facts = {
        "noise_hu": scan.noise_hu,
        "trunk_ml": float(np.count_nonzero(trunk.lumen)) * scan.voxel_ml,
        "pruned_ml": float(np.count_nonzero(pruned.removed)) * scan.voxel_ml,
        "branches": float(pruned.branches),
        "length_mm": pruned.length_mm,
        "walled_share": pruned.walled,
    }
    if trunk.threshold_hu is not None:
        facts["trunk_threshold_hu"] = trunk.threshold_hu
    report(1.0, "done")
    return AirwayMasks(scan.restore(pruned.lumen), scan.restore(wall), _flags(scan, pruned), facts)


def _likelihood(scan: AirwayScan, trunk: Mask) -> npt.NDArray[np.float32]:
    if max(scan.spacing) > LIMITS.airways_segmental_mm:
        return trunk.astype(np.float32)
    where = where_airways_are(scan, trunk)
    return likelihood(scan.smooth, scan.spacing, where, trunk, load_classifier())


def _flags(scan: AirwayScan, pruned: Pruned) -> tuple[Flag, ...]:
    return (
        *thickness_flags(scan),
        *leak_flags(scan, pruned.removed),
        *trunk_flags(scan, pruned.lumen),
        *volume_flags(scan, pruned.lumen),
    )
