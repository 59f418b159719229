"""What the recipe of the lung model makes of scans and slices."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from hilum.synthesis.lesions import Injured
from hilum.synthesis.phantoms import make_phantom
from hilum.training.volumes.cases import STEP_MM

FOLDER = Path(__file__).parents[2] / "recipes" / "lungs"


@pytest.fixture(scope="module", autouse=True)
def recipe_on_path():
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


def test_bowel_lies_below_and_off_the_lungs():
    from bowel import add_bowel

    phantom = make_phantom(seed=1, spacing=(5.0, 5.0, 5.0), orientation="RAS")
    hu, labels = phantom.volume.hu.astype(np.float32), phantom.labels
    out = add_bowel(hu, labels, 5.0, np.random.default_rng(0))
    changed = np.abs(out - hu) > 1
    assert changed.sum() > 50
    assert not changed[labels > 0].any()
    assert not changed[hu < -500].any()  # no gas in the room
    again = add_bowel(hu, labels, 5.0, np.random.default_rng(0))
    assert np.array_equal(out, again)


def test_no_room_for_bowel_leaves_the_scan_alone():
    from bowel import add_bowel

    hu = np.full((12, 12, 12), -1000, np.float32)
    assert add_bowel(hu, np.zeros(hu.shape, np.uint8), 5.0, np.random.default_rng(0)) is hu


def test_slab_has_right_on_the_right(tmp_path, monkeypatch):
    import slabs
    from slabs import make_slab, slices_of

    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    y, x = np.mgrid[:512, :512]
    body = ((x - 256) / 220) ** 2 + ((y - 256) / 160) ** 2 < 1
    lungs = [((x - cx) / 70) ** 2 + ((y - 256) / 110) ** 2 < 1 for cx in (150, 362)]
    picture = np.where(body, 30, -1000)
    picture[lungs[0] | lungs[1]] = -850
    for k in range(10):
        tifffile.imwrite(tmp_path / "images" / f"{k}_0.tiff", picture.astype(np.int16))
        Image.fromarray((lungs[0] | lungs[1]).astype(np.uint8)).save(tmp_path / "masks" / f"{k}_0.png")
    files = slices_of(tmp_path, "train")
    assert 0 < len(files) < 10  # the others validate and test
    hu, labels = make_slab(files[0], np.random.default_rng(3))
    assert hu.shape == labels.shape
    assert 16 <= hu.shape[2] < 56
    # Rows and columns of a picture show the patient's right on the left, RAS has it at large x.
    right, left = (np.nonzero(labels == side)[0].mean() for side in (1, 2))
    assert right > hu.shape[0] / 2 > left
    assert 250 < hu.shape[0] * STEP_MM < 520
    # The same slice at the level of a dome has less lung. Slices in the middle of a slab have their own size.
    monkeypatch.setattr(slabs, "random_injury", lambda hu, mask, *_: Injured(hu, mask, 0.0, {}))
    whole, less = (make_slab(files[0], np.random.default_rng(5), dome=d)[1] for d in (False, True))
    middle = [(mask[:, :, mask.shape[2] // 2] > 0).mean() for mask in (less, whole)]
    assert 0 < middle[0] < 0.98 * middle[1]


def test_confidence_never_counts_a_sign_in_favour():
    from calibration import fit_logistic

    rng = np.random.default_rng(0)
    failed = list(rng.random(400) < 0.3)
    signs = [
        {"good": float(0.01 + 0.2 * f * rng.random()), "wrong": float(0.2 - 0.19 * f), "none": 0.0}
        for f in failed
    ]
    fit = fit_logistic(signs, failed)
    assert fit["weights"]["good"] > 0
    assert fit["weights"]["wrong"] == 0
    assert fit["failures"] == sum(failed)
