"""How long networks take, measured side by side on this machine."""

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

#: Slices of the volume that times are given for, where the data set has no volumes.
VOLUME_SLICES = 300
_SINGLE, _ROUNDS = 3, 3


@dataclass(frozen=True)
class Speed:
    """How long a network takes.

    Attributes:
        ms_slice: Milliseconds for one picture by itself, median.
        s_volume: Seconds for ``slices`` pictures in batches, from ``measured`` pictures.
        slices: Pictures of the volume.
        measured: Pictures that were timed.
        size: Rows and columns of the pictures.
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
    pictures: npt.NDArray[Any],
    slices: int = VOLUME_SLICES,
    spacing: tuple[float, float] | None = None,
) -> list[Speed]:
    """Time networks on the same pictures, in turns, so that a busy machine is unfair to none.

    What is timed goes from HU on the picture's grid to the mask on the picture's grid: scaling, network,
    scaling back. Loading the network and reading files are not in it.

    Args:
        runs: The networks.
        pictures: HU, shape (n, rows, columns).
        slices: Pictures of a volume to give the time for.
        spacing: Distance of rows and of columns in mm, None where it is not known.
    """
    for run in runs:
        run.masks(pictures[:1], spacing)  # loads the network and compiles it
        run.masks(pictures[:BATCH], spacing)
    single: list[list[float]] = [[] for _ in runs]
    whole: list[list[float]] = [[] for _ in runs]
    for turn in range(_ROUNDS):
        for place, run in enumerate(runs):
            for n in range(_SINGLE):
                one = (turn * _SINGLE + n) % len(pictures)
                single[place].append(_seconds(run, pictures[one : one + 1], spacing))
            whole[place].append(_seconds(run, pictures, spacing))
    rows, cols = pictures.shape[1:]
    return [
        Speed(
            ms_slice=1000 * median(ones),
            s_volume=median(alls) * slices / len(pictures),
            slices=slices,
            measured=len(pictures),
            size=(rows, cols),
        )
        for ones, alls in zip(single, whole, strict=True)
    ]


def synthetic_slices(count: int = 2 * BATCH, size: int = 512) -> npt.NDArray[np.int16]:
    """Return pictures of a plain body, for timing where no data set is given."""
    y, x = np.indices((size, size)) / size - 0.5
    picture = np.full((size, size), -1000, np.int16)
    picture[(x / 0.45) ** 2 + (y / 0.33) ** 2 < 1] = 40
    for side in (-1, 1):
        picture[((x - side * 0.2) / 0.15) ** 2 + (y / 0.24) ** 2 < 1] = -850
    return np.repeat(picture[np.newaxis], count, axis=0)


def machine() -> str:
    """Describe the machine in a few words, without its name."""
    processor = platform.processor() or platform.machine()
    return f"{platform.system()} {processor}, {os.cpu_count()} cores"


def _seconds(run: Run, pictures: npt.NDArray[Any], spacing: tuple[float, float] | None) -> float:
    begin = time.perf_counter()
    run.masks(pictures, spacing)
    return time.perf_counter() - begin
