"""Metal in the lungs: leads, clips, valves and markers, which are not tissue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.flag_limits import LIMITS
from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.labels import LUNGS, LabelSet
from hilum.core.volume import Volume

__all__ = ["count_metal", "metal_flags"]


def count_metal(volume: Volume, labels: npt.NDArray[np.integer[Any]]) -> dict[int, int]:
    """Count the metal voxels of each lung; labels have the shape of the volume."""
    counts = dict.fromkeys(LUNGS, 0)
    if volume.hu.max() > LIMITS.metal_hu:
        found = labels[volume.hu > LIMITS.metal_hu]
        counts = {side: int(np.count_nonzero(found == side)) for side in LUNGS}
    return counts


def metal_flags(counts: Mapping[int, int], volume: Volume, label_set: LabelSet = LUNGS) -> Iterator[Flag]:
    """Yield ``metal`` for each label whose mask holds metal.

    Args:
        counts: Voxels of metal by label value, such as from :func:`count_metal`.
        volume: The scan.
        label_set: Meaning of the label values.
    """
    for side, voxels in counts.items():
        if not voxels:
            continue
        size = f"{voxels} voxel{'s' if voxels > 1 else ''}"
        if volume.meta.spacing_known:
            size = f"{voxels * volume.voxel_volume_ml:.2g} mL ({size})"
        message = (
            f"{size} of the {label_set[side].title.lower()} lie above {LIMITS.metal_hu} HU, as only metal "
            "does: excluded from weight, densities and percentages, included in the volume. Check whether "
            f"its streaks reach the {label_set.noun}."
        )
        regions = tuple(region.name for region in label_set.regions if side in region.values)
        yield Flag(FlagCode.METAL, Severity.WARNING, message, regions)
