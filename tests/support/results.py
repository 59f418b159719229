from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from hilum.core.flags import Flag
from hilum.core.label_volume import LabelVolume
from hilum.core.segmentation import ModelInfo, Segmentation
from hilum.core.volume import ScanMeta, Volume
from hilum.drawing.survey import Survey, survey
from hilum.measures import compute
from hilum.result import Result, RunInfo
from hilum.synthesis.phantoms import make_phantom
from hilum.tasks.spec import TaskResult

MakeResult = Callable[..., Result]

RUN = RunInfo(
    hilum="9.8.7",
    started="2026-02-03T04:05:06Z",
    arguments={"task": "lungs", "normalize": False},
    timings_s={"read": 0.4, "segment": 3.25},
    platform={"python": "3.12.1", "numpy": "2.0.0"},
)


def _make_result(
    volume: Volume, labels: np.ndarray, flags: tuple[Flag, ...] = (), run: RunInfo = RUN
) -> Result:
    placed = LabelVolume.on_grid_of(volume, labels)
    segmentation = Segmentation(placed, ModelInfo("classic", "3", "ab" * 32))
    outcomes = {"lungs": TaskResult(segmentation, compute(volume, placed, flags))}
    return Result(volume, outcomes, flags, run)


def survey_of(result: Result) -> Survey:
    """Survey the lungs of a result."""
    return survey(result.volume, result.segmentations["lungs"].labels)


@pytest.fixture(scope="session")
def make_result() -> MakeResult:
    """Measure given labels and put everything together."""
    return _make_result


@pytest.fixture(scope="session")
def chest() -> Result:
    """A healthy digital chest with its true mask."""
    return _healthy()


@cache
def _healthy() -> Result:
    """Return the chest, which each folder that imports the fixture would else make anew."""
    phantom = make_phantom(seed=3, spacing=(4.0, 4.0, 5.0))
    return _make_result(phantom.volume, phantom.labels)


@pytest.fixture
def boxes(make_result: MakeResult) -> Result:
    """Two boxes in water on a RAS grid of 2 x 3 x 5 mm: right lung at -800 HU, left lung at -600 HU.

    The right lung takes x 26..35, the left lung x 4..13; both take y 6..25 and z 5..18.
    """
    hu = np.zeros((40, 32, 24), np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    hu[26:36, 6:26, 5:19], labels[26:36, 6:26, 5:19] = -800, 1
    hu[4:14, 6:26, 5:19], labels[4:14, 6:26, 5:19] = -600, 2
    affine = np.diag([2.0, 3.0, 5.0, 1.0])
    return make_result(Volume(hu, affine, ScanMeta(name="boxes", source_format="nifti")), labels)
