"""Every real scan is read; nothing about a single patient is stated here."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.core.errors import InputError
from hilum.core.label_volume import LabelVolume
from hilum.io import read, read_labels, write_labels
from hilum.io.names import VOLUME_SUFFIXES

pytestmark = pytest.mark.real


def test_volumes_and_their_masks(real_data, tmp_path):
    files = [p for p in sorted((real_data / "volumes").iterdir()) if p.name.endswith(VOLUME_SUFFIXES)]
    scans = [p for p in files if not any(tail in p.name for tail in ("_lungs", "_lobes"))]
    if not scans:
        pytest.skip("no volumes in the folder of real scans")
    for path in scans:
        vol = read(path)
        assert vol.hu.dtype == np.int16
        assert vol.meta.orientation_known
        assert vol.meta.spacing_known
        for suffix in (".nii.gz", ".mha"):
            mask = path.with_name(path.name.removesuffix(suffix) + "_lungs" + suffix)
            if path.name.endswith(suffix) and mask.exists():
                labels = read_labels(mask, vol)
                assert set(np.unique(labels)) == {0, 1}
                out = write_labels(tmp_path / "lungs.nii.gz", LabelVolume.on_grid_of(vol, labels), vol)
                np.testing.assert_array_equal(read_labels(out, vol), labels)
                with pytest.raises(InputError, match="label map"):
                    read(mask)


def test_slices_are_accepted_with_their_squeezed_values(real_data):
    slices = sorted((real_data / "slices" / "images").glob("*.tif"))
    if not slices:
        pytest.skip("no slices in the folder of real scans")
    for path in slices:
        vol = read(path)
        assert not vol.meta.spacing_known
        assert not vol.meta.orientation_known
        mask = real_data / "slices" / "masks" / f"{path.stem}.png"
        assert set(np.unique(read_labels(mask, vol))) <= {0, 1}
