"""Two boxes of lung in soft tissue that are denser towards the back; lesions are painted in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.core.label_volume import LabelVolume
from hilum.core.volume import ScanMeta, Volume

SHAPE = (130, 90, 100)
#: Lung at the middle from front to back, HU.
MIDDLE_HU = -860.0


@dataclass
class Box:
    """A scan of boxes, RAS, 2 mm voxels."""

    hu: npt.NDArray[np.float32]
    lungs: npt.NDArray[np.uint8]

    def ball(self, centre_mm: tuple[float, float, float], radius_mm: float) -> npt.NDArray[np.bool_]:
        """Voxels of a ball in the lungs."""
        lines = [2.0 * np.arange(n) - c for n, c in zip(SHAPE, centre_mm, strict=True)]
        x, y, z = np.ix_(*lines)
        return (x**2 + y**2 + z**2 <= radius_mm**2) & (self.lungs > 0)

    def volume(self, **meta: object) -> Volume:
        """The scan."""
        return Volume(np.rint(self.hu).astype(np.int16), np.diag([2.0, 2.0, 2.0, 1.0]), ScanMeta(**meta))  # type: ignore[arg-type]

    def labels(self) -> LabelVolume:
        """The lungs."""
        return LabelVolume.on_grid_of(self.volume(), self.lungs)


MakeBox = Callable[..., Box]


def lung_boxes(middle: float = MIDDLE_HU, rise: float = 60.0, noise: float = 12.0) -> Box:
    """Lungs of ``middle`` HU that are ``rise`` HU denser at the back than at the middle."""
    lungs = np.zeros(SHAPE, np.uint8)
    lungs[75:120, 15:75, 10:90] = 1
    lungs[10:55, 15:75, 10:90] = 2
    y = np.linspace(1.0, -1.0, 60)[None, :, None]
    hu = np.full(SHAPE, 40.0, np.float32)
    hu[:, 15:75][lungs[:, 15:75] > 0] = np.broadcast_to(middle + rise * y, (130, 60, 100))[
        lungs[:, 15:75] > 0
    ]
    hu += np.random.default_rng(0).normal(0.0, noise, SHAPE).astype(np.float32)
    return Box(hu, lungs)
