"""A plain chest of boxes and cylinders: what each check looks at, and nothing more."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from hilum.core.label_volume import LabelVolume
from hilum.core.segmentation import Landmarks, ModelInfo, Segmentation
from hilum.core.volume import ScanMeta, Volume

AXIS = np.array([100, 76, 48])  # voxels along right, front, head
SPACING = (4.0, 4.0, 5.0)


@dataclass(frozen=True, eq=False)
class Chest:
    """HU (RAS), labels and their metadata."""

    hu: np.ndarray
    labels: np.ndarray
    spacing: tuple = SPACING
    meta: ScanMeta = field(default_factory=ScanMeta)
    landmarks: Landmarks = field(default_factory=Landmarks)

    @property
    def volume(self):
        return Volume(self.hu, np.diag([*self.spacing, 1.0]), self.meta)

    @property
    def segmentation(self):
        return Segmentation(
            LabelVolume.on_grid_of(self.volume, self.labels), ModelInfo("given", ""), self.landmarks
        )

    def with_meta(self, **meta):
        return replace(self, meta=replace(self.meta, **meta))

    def crop(self, *box):
        return replace(self, hu=self.hu[box], labels=self.labels[box])

    def changed(self, hu=None, labels=None, **more):
        return replace(
            self,
            hu=self.hu if hu is None else np.asarray(hu).astype(self.hu.dtype),
            labels=self.labels if labels is None else np.asarray(labels, np.uint8),
            **more,
        )


@pytest.fixture(scope="session")
def chest():
    """Room air, a body with two lungs and a heart on its left; no flag is due."""
    rng = np.random.default_rng(3)
    x, y, z = np.ogrid[tuple(slice(0, n) for n in AXIS)]
    hu = np.full(AXIS, -1000.0)
    body = ((x - 49.5) / 42) ** 2 + ((y - 37.5) / 28) ** 2 < 1
    hu[np.broadcast_to(body, AXIS)] = 45
    fat = body & (((x - 49.5) / 39) ** 2 + ((y - 37.5) / 25) ** 2 > 1)
    hu[np.broadcast_to(fat, AXIS)] = -105
    labels = np.zeros(AXIS, np.uint8)
    tall = (z >= 5) & (z < 43)
    for side, middle in ((1, 68), (2, 31)):
        lung = (((x - middle) / 15) ** 2 + ((y - 37.5) / 20) ** 2 < 1) & tall
        labels[lung] = side
    heart = ((x - 43) / 13) ** 2 + ((y - 42) / 12) ** 2 + ((z - 15) / 10) ** 2 < 1
    labels[heart] = 0
    inside = labels > 0
    hu[inside] = -830
    hu += rng.normal(0, 12, AXIS)
    hu[inside] += rng.normal(0, 90, int(inside.sum()))
    return Chest(hu.round().astype(np.int16), labels)
