"""The verbs. Each is one function here and one command of the program, with the same arguments.

None of them writes a file or prints; they return objects and raise :class:`hilum.core.errors.HilumError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum import pipeline
from hilum.core.flags import Flag
from hilum.core.label_volume import LabelVolume
from hilum.core.segmentation import Progress
from hilum.core.volume import Volume
from hilum.io.inspect import SeriesInfo
from hilum.io.inspect import inspect as look_into
from hilum.result import Result
from hilum.synthesis.phantoms import Phantom, make_phantom
from hilum.tasks.registry import DEFAULT_MODEL, parse_tasks

__all__ = ["check", "inspect", "measure", "phantom", "segment"]

Source = str | PathLike[str] | Volume
Mask = str | PathLike[str] | npt.NDArray[np.integer[Any]] | LabelVolume


def segment(
    source: Source,
    *,
    task: str = "lungs",
    model: str = DEFAULT_MODEL,
    device: str = "auto",
    series: str | None = None,
    resample: bool = False,
    calibrate: bool = False,
    predicted_weight_g: float | None = None,
    progress: Progress | None = None,
) -> Result:
    """Find the lungs in a chest CT and measure them.

    Args:
        source: A file, a DICOM folder or a zip of one; or a :class:`hilum.Volume`. It holds one scan; for
            many see :func:`hilum.run_batch`.
        task: What to segment, comma-separated; see :data:`hilum.tasks.registry.TASKS`.
        model: Name of the model.
        device: ``auto``, ``cpu`` or ``gpu``.
        series: DICOM series to take: its UID, a unique part of it, or its number.
        resample: Interpolate where slices are missing or the gantry was tilted.
        calibrate: Correct HU linearly before measuring where air and soft tissue are off.
        predicted_weight_g: Predicted weight of both lungs in g; the task injury gives the excess over it.
        progress: Called with the fraction done and a short label.

    Returns:
        Volume, labels, measures, quality flags and provenance.

    Raises:
        InputError: The source cannot be read or is not CT in HU.
        GeometryError: Where its voxels lie cannot be trusted.
        NotAChestError: No lung was found in it.
        ModelError: The model is unknown or cannot run.
        UsageError: Another argument is not allowed, or there are several DICOM studies; the hint lists them.
        ResourceError: There is not enough memory.
    """
    options = pipeline.SegmentOptions(
        tasks=parse_tasks(task),
        model=model,
        device=device,
        series=series,
        resample=resample,
        calibrate=calibrate,
        predicted_weight_g=predicted_weight_g,
    )
    return pipeline.run(source, options, progress=progress)


def measure(
    source: Source,
    mask: Mask,
    *,
    labels: str | Mapping[int, int] | None = None,
    series: str | None = None,
    resample: bool = False,
    calibrate: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Measure the lungs in a given mask.

    Args:
        source: As in :func:`segment`.
        mask: The lungs on the scan's grid: a label map, a DICOM SEG, a folder with one file per structure, an
            array of the volume's shape or a :class:`hilum.LabelVolume`. Without names in the file and
            without ``labels``, 1 is the right and 2 the left lung.
        labels: What the values of the mask mean: ``totalsegmentator``, ``totalsegmentator-v1``, ``lungmask``,
            ``lungmask-lobes``, ``cip``, ``both`` (one label for both lungs), or pairs such as
            ``10=left,12=right``; see :func:`hilum.io.vocabulary.parse_labels`.
        series: As in :func:`segment`.
        resample: As in :func:`segment`.
        calibrate: As in :func:`segment`.
        progress: As in :func:`segment`.

    Returns:
        As :func:`segment`; the segmentation is the one given. Where one label marks both lungs and the sides
        are not sure, right and left are withheld.

    Raises:
        InputError: A file cannot be read, holds no lung, or the meaning of its values is unknown.
        GeometryError: The mask lies on another grid.
        UsageError: ``labels`` cannot be read, or the array has another shape.
    """
    plain = labels if labels is None or isinstance(labels, str) else dict(labels)
    options = pipeline.MeasureOptions(labels=plain, series=series, resample=resample, calibrate=calibrate)
    return pipeline.measure(source, mask, options, progress=progress)


def check(
    source: Source,
    *,
    series: str | None = None,
    resample: bool = False,
    progress: Progress | None = None,
) -> tuple[Flag, ...]:
    """Run the quality gate alone: what can be trusted in this scan, and why not.

    The lungs are segmented on the way: whether the scan cuts them depends on where they are.

    Args:
        source: As in :func:`segment`.
        series: As in :func:`segment`.
        resample: As in :func:`segment`.
        progress: As in :func:`segment`.

    Returns:
        All findings, worst first. A scan without lungs has the flag ``not_a_chest``.

    Raises:
        InputError: The source cannot be read or is not CT in HU.
        GeometryError: Where its voxels lie cannot be trusted.
    """
    return pipeline.check(source, series=series, resample=resample, progress=progress)


def inspect(source: str | PathLike[str], *, series: str | None = None) -> list[SeriesInfo]:
    """List what a file, folder or zip holds, and which series would be read.

    Args:
        source: A file, a DICOM folder of any depth, or a zip.
        series: As in :func:`segment`.

    Returns:
        One entry per series or volume.

    Raises:
        InputError: Nothing there can be read.
    """
    return look_into(Path(fspath(source)), series=series)


def phantom(**arguments: Any) -> Phantom:
    """Make a digital chest with exact truth; see :func:`hilum.synthesis.phantoms.make_phantom`."""
    return make_phantom(**arguments)
