from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from hilum.core.errors import OutputError
from hilum.core.volume import Volume
from hilum.report.figures import save_overview_png


def test_overview_is_a_wide_picture_and_the_same_every_time(chest, tmp_path):
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    save_overview_png(chest, first)
    save_overview_png(chest, str(second))
    assert first.read_bytes() == second.read_bytes()
    with Image.open(first) as image:
        width, height = image.size
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert width > 2 * height
    for colour in ((64, 140, 224), (240, 150, 56)):
        columns = np.flatnonzero((np.abs(pixels - colour).max(axis=2) < 12).any(axis=0))
        assert columns.size > 50
    blue = np.flatnonzero((np.abs(pixels - (64, 140, 224)).max(axis=2) < 12).any(axis=0))
    orange = np.flatnonzero((np.abs(pixels - (240, 150, 56)).max(axis=2) < 12).any(axis=0))
    assert blue.min() < orange.min(), "the right lung is on the left of the first panel"


def test_single_slice_has_one_panel(boxes, make_result, tmp_path):
    volume = Volume(boxes.volume.hu[:, :, 10:11], boxes.volume.affine)
    save_overview_png(
        make_result(volume, boxes.segmentations["lungs"].labels.data[:, :, 10:11]), tmp_path / "a.png"
    )
    with Image.open(tmp_path / "a.png") as image:
        assert image.width < 2 * image.height


def test_unwritable_place(boxes, tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        save_overview_png(boxes, tmp_path / "absent" / "a.png")


def test_pyplot_is_left_alone():
    code = "import sys, hilum.report, hilum.report.figures; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
