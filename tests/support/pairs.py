"""Small pairs of image and mask for the tests of datasets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hilum.core.volume import Volume
from hilum.io import write_map, write_volume


def small_chest(seed: int, shape: tuple[int, int, int] = (24, 18, 12)) -> tuple[Volume, np.ndarray]:
    """A block of tissue with two blocks of lung, in air; voxels of 3 x 2 x 4 mm, axes L P S."""
    rng = np.random.default_rng(seed)
    i, j, _k = shape
    hu = np.full(shape, -1000, np.int16)
    hu[2 : i - 2, 2 : j - 2] = 40
    labels = np.zeros(shape, np.uint8)
    labels[4 : i // 2 - 1, 5 : j - 5, 2:-2] = 1
    labels[i // 2 + 1 : i - 4, 5 : j - 5, 2:-2] = 2
    hu[labels > 0] = -850
    hu += rng.integers(-20, 21, shape).astype(np.int16)
    affine = np.diag([-3.0, -2.0, 4.0, 1.0])
    return Volume(hu, affine), labels


@pytest.fixture
def write_pair():
    """Write a pair NAME_ct.nii.gz and NAME_lungs.nii.gz; return volume and labels."""

    def write(folder: Path, name: str, seed: int = 0, change=None) -> tuple[Volume, np.ndarray]:
        folder.mkdir(parents=True, exist_ok=True)
        volume, labels = small_chest(seed)
        if change is not None:
            volume, labels = change(volume, labels)
        write_volume(folder / f"{name}_ct.nii.gz", volume)
        write_map(folder / f"{name}_lungs.nii.gz", labels, volume, "lungs")  # of any value
        return volume, labels

    return write


@pytest.fixture
def pairs(tmp_path: Path, write_pair) -> Path:
    """Three pairs in one folder."""
    for seed, name in enumerate(("anna-10", "anna-2", "berta")):
        write_pair(tmp_path / "pairs", name, seed)
    return tmp_path / "pairs"


@pytest.fixture
def tree():
    """Return the bytes of all files below a folder, by name."""

    def read(folder: Path) -> dict[str, bytes]:
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    return read
