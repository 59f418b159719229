"""Inference times of networks, measured alternately on this machine."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.evaluation.runs import BATCH, Run

__all__ = ["VOLUME_SLICES", "Speed", "machine", "measure_speed", "synthetic_slices"]

#: Slices of the volume that times refer to, if the dataset has no volumes.
VOLUME_SLICES = 300
_SINGLE, _ROUNDS = 3, 3


@dataclass(frozen=True)
class Speed:
    """Inference time of a network.

    Attributes:
        ms_slice: Milliseconds for a single slice, median.
        s_volume: Seconds for ``slices`` slices in batches, measured on ``measured`` slices.
        slices: Slices of the volume.
        measured: Number of timed slices.
        size: Rows and columns of the slices.
    """

    ms_slice: float
    s_volume: float
    slices: int
    measured: int
    size: tuple[int, int]

    def as_dict(self) -> dict[str, object]:
        """Return plain data for JSON."""
        return asdict(self)


def measure_speed(
    runs: Sequence[Run],
    images: npt.NDArray[Any],
    slices: int = VOLUME_SLICES,
    spacing: tuple[float, float] | None = None,
) -> list[Speed]:
    """Time networks on the same slices in turns, so that other load affects all alike.

    The time covers HU on the slice's grid to mask on the slice's grid: scaling, network,
    scaling back. Loading the network and reading files are excluded.

    Args:
        runs: The networks.
        images: HU, shape (n, rows, columns).
        slices: Number of slices of the volume that the time is given for.
        spacing: Row and column spacing in mm; None if unknown.
    """
    for run in runs:
        run.masks(images[:1], spacing)  # loads the network and compiles it
        run.masks(images[:BATCH], spacing)
    single: list[list[float]] = [[] for _ in runs]
    whole: list[list[float]] = [[] for _ in runs]
    for turn in range(_ROUNDS):
        for place, run in enumerate(runs):
            for n in range(_SINGLE):
                one = (turn * _SINGLE + n) % len(images)
                single[place].append(_seconds(run, images[one : one + 1], spacing))
            whole[place].append(_seconds(run, images, spacing))
    rows, cols = images.shape[1:]
    return [
        Speed(
            ms_slice=1000 * median(ones),
            s_volume=median(alls) * slices / len(images),
            slices=slices,
            measured=len(images),
            size=(rows, cols),
        )
        for ones, alls in zip(single, whole, strict=True)
    ]


def synthetic_slices(count: int = 2 * BATCH, size: int = 512) -> npt.NDArray[np.int16]:
    """Return synthetic body slices, for timing without a dataset."""
    y, x = np.indices((size, size)) / size - 0.5
    body = np.full((size, size), -1000, np.int16)
    body[(x / 0.45) ** 2 + (y / 0.33) ** 2 < 1] = 40
    for side in (-1, 1):
        body[((x - side * 0.2) / 0.15) ** 2 + (y / 0.24) ** 2 < 1] = -850
    return np.repeat(body[np.newaxis], count, axis=0)


def machine() -> str:
    """Describe the machine in a few words, without its name."""
    processor = platform.processor() or platform.machine()
    return f"{platform.system()} {processor}, {os.cpu_count()} cores"


def _seconds(run: Run, images: npt.NDArray[Any], spacing: tuple[float, float] | None) -> float:
    begin = time.perf_counter()
    run.masks(images, spacing)
    return time.perf_counter() - begin
