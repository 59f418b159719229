from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest

from support.real_data import real_folder

#: Two axes point left and back as in most CT files.
LPS = np.diag([-0.7, -0.8, 1.5, 1.0])


@pytest.fixture
def chest() -> Callable[..., npt.NDArray[np.int16]]:
    """Make an array whose values are those of a chest (air, lung, fat, soft tissue) at random places."""

    def make(shape: tuple[int, ...] = (9, 8, 7), seed: int = 0) -> npt.NDArray[np.int16]:
        values = np.array([-1000, -860, -850, -100, 40, 55], np.int16)
        return np.random.default_rng(seed).choice(values, size=shape)

    return make


@pytest.fixture
def save_nifti(tmp_path: Path) -> Callable[..., Path]:
    """Write an array with nibabel; ``edit`` may change the header before it is written."""

    def save(
        array: npt.NDArray[np.generic],
        affine: npt.NDArray[np.float64] | None = LPS,
        name: str = "scan.nii.gz",
        edit: Callable[[nib.Nifti1Header], None] | None = None,
        kind: type[nib.Nifti1Image] = nib.Nifti1Image,
    ) -> Path:
        image = kind(array, affine, dtype=array.dtype)
        if edit is not None:
            edit(image.header)
        path = tmp_path / name
        nib.save(image, path)
        return path

    return save


@pytest.fixture
def real_data() -> Path:
    """Folder of the real scans; the test is skipped where it is absent."""
    return real_folder()
