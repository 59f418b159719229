"""The coarse chest that all sound images show."""

from __future__ import annotations

import numpy as np

#: (x, y, z) voxels of 12 x 12 x 10 mm.
SHAPE, STEPS = (20, 18, 8), (12.0, 12.0, 10.0)


def chest() -> tuple[np.ndarray, np.ndarray]:
    """HU and lung labels of a coarse chest, (x, y, z)."""
    x, y = np.mgrid[: SHAPE[0], : SHAPE[1]]
    hu = np.full(SHAPE, -1000, np.int16)
    hu[((x - 9.5) / 9) ** 2 + ((y - 8.5) / 7) ** 2 < 1] = 40
    labels = np.zeros(SHAPE, np.uint8)
    for value, middle in ((1, 14.5), (2, 4.5)):
        labels[((x - middle) / 3.5) ** 2 + ((y - 8.5) / 5) ** 2 < 1] = value
    hu[labels > 0] = -850
    hu += np.random.default_rng(0).integers(-20, 21, SHAPE).astype(np.int16)
    return hu, labels
