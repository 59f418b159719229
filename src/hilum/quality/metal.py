"""Metal in the lungs: leads, clips, valves and markers, which are no tissue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.flags import Flag, Severity
from hilum.core.labels import LUNGS, LabelSet
from hilum.core.volume import Volume

__all__ = ["METAL_HU", "count_metal", "metal_flags"]

#: Above this HU is metal. In the lung masks of 28 scans without a lead, with contrast medium, calcified nodes
#: and rims of ribs among them, the highest voxel had 2972 HU; 12 bits end at 3071, where metal is clipped.
METAL_HU = 3000


def count_metal(volume: Volume, labels: npt.NDArray[np.integer[Any]]) -> dict[int, int]:
    """Return how many voxels of each lung are metal; labels have the shape of the volume."""
    counts = dict.fromkeys(LUNGS, 0)
    if volume.hu.max() > METAL_HU:
        found = labels[volume.hu > METAL_HU]
        counts = {side: int(np.count_nonzero(found == side)) for side in LUNGS}
    return counts


def metal_flags(counts: Mapping[int, int], volume: Volume, label_set: LabelSet = LUNGS) -> Iterator[Flag]:
    """Give ``metal`` for each label whose mask holds metal.

    Args:
        counts: Voxels of metal by label value, such as from :func:`count_metal`.
        volume: The scan.
        label_set: What the values mean.
    """
    for side, voxels in counts.items():
        if not voxels:
            continue
        size = f"{voxels} voxel{'s' if voxels > 1 else ''}"
        if volume.meta.spacing_known:
            size = f"{voxels * volume.voxel_volume_ml:.2g} mL ({size})"
        message = (
            f"{size} of the {label_set[side].title.lower()} lie above {METAL_HU} HU, as only metal does: "
            "left out of weight, densities and percentages, counted in the volume. Look whether its streaks "
            f"reach the {label_set.noun}."
        )
        regions = tuple(region.name for region in label_set.regions if side in region.values)
        yield Flag("metal", Severity.WARNING, message, regions)
