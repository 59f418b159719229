"""From a scan and its lungs to a label map of the lungs' tissue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.label_volume import LabelVolume
from hilum.core.labels import INJURY, LUNGS
from hilum.core.volume import Volume
from hilum.tasks.injury.classes import EMPHYSEMA_HU, classify, emphysema_edge
from hilum.tasks.injury.expected import expected_density
from hilum.tasks.injury.fields import CLIP_HU, Fields, lung_fields
from hilum.tasks.injury.hila import hilar_blocks
from hilum.tasks.injury.rim import blurred_rise
from hilum.tasks.injury.voxels import draw_classes

__all__ = ["Tissue", "find_tissue"]

#: Every n-th voxel is looked at for the noise, along the second and third axis.
_NOISE_STEP = 3


@dataclass(frozen=True, eq=False)
class Tissue:
    """What was found.

    Attributes:
        labels: Label map of the label set ``injury``.
        facts: Numbers by name: ``expected_hu``, ``slope_hu`` (front to back, HU per 10 cm), ``noise_hu``,
            ``smoothing_mm``, and
            ``laa_950_smoothed`` (%) of ``lungs`` and of each lung, such as ``right_lung.laa_950_smoothed``.
    """

    labels: LabelVolume
    facts: Mapping[str, float]


def find_tissue(volume: Volume, lungs: LabelVolume, tubes: npt.NDArray[np.bool_] | None = None) -> Tissue:
    """Tell the tissue of the lungs apart.

    Args:
        volume: The scan.
        lungs: Its lungs, on the same grid.
        tubes: Vessels and airways that another task found, bool, shape of the scan; without them bright tubes
            are told by shape.

    Raises:
        UsageError: The labels have another shape.
        GeometryError: Their grids differ.
    """
    lungs.require_grid_of(volume)
    fields = lung_fields(volume.hu, lungs.data, volume.spacing)
    if fields is None:
        empty = np.zeros(volume.shape, np.uint8)
        return Tissue(LabelVolume.on_grid_of(volume, empty, INJURY), {})
    expected = expected_density(fields, volume.affine)
    known = None if tubes is None else fields.share_of(tubes) >= 0.5
    blur = blurred_rise(fields, volume.affine, expected.hu)
    classes = classify(fields, expected, hilar_blocks(fields, volume.affine), blur, known)
    noise = _noise(volume.hu[fields.box], lungs.data[fields.box])
    edge = emphysema_edge(fields, expected)
    drawn = draw_classes(volume.hu, lungs.data, fields, classes, edge, noise, tubes)
    facts = {
        "expected_hu": expected.typical,
        "slope_hu": expected.slope,
        "noise_hu": noise,
        "smoothing_mm": fields.dark_sigma_mm,
        **_low_attenuation(fields),
    }
    return Tissue(LabelVolume.on_grid_of(volume, drawn, INJURY), facts)


def _low_attenuation(fields: Fields) -> dict[str, float]:
    """Share of the lungs below -950 HU after smoothing, %."""
    low = fields.dark < EMPHYSEMA_HU
    shares = dict(zip(fields.sides, fields.share, strict=True))
    out = {}
    for region in LUNGS.regions:
        parts = [shares[side] for side in region.values if side in shares]
        whole = float(sum(part.sum(dtype=np.float64) for part in parts))
        if whole > 0:
            dark = float(sum(part[low].sum(dtype=np.float64) for part in parts))
            out[f"{region.name}.laa_950_smoothed"] = 100.0 * dark / whole
    return out


def _noise(hu: npt.NDArray[Any], lungs: npt.NDArray[np.uint8]) -> float:
    """Standard deviation of what differs between neighbours of aerated lung, HU: noise and fine texture."""
    few = (slice(None), slice(None, None, _NOISE_STEP), slice(None, None, _NOISE_STEP))
    values = np.clip(hu[few].astype(np.float32), *CLIP_HU)
    inside = lungs[few] > 0
    triple = inside[:-2] & inside[1:-1] & inside[2:]
    bend = (values[1:-1] - (values[:-2] + values[2:]) / 2)[triple]
    # 1.4826 makes a median absolute deviation a standard deviation; the bend has 1.5 times the variance.
    return float(1.4826 * np.median(np.abs(bend)) / np.sqrt(1.5)) if bend.size else 0.0
