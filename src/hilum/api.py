"""The verbs. Each is one function here and one command of the program, with the same arguments.

None of them writes a file or prints; they return objects and raise :class:`hilum.errors.HilumError`.
"""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hilum.errors import NotAChestError, UsageError
from hilum.quality.flags import Flag, Severity
from hilum.result import Result
from hilum.segmentation.base import ModelInfo, Progress, Segmentation
from hilum.segmentation.models import DEFAULT_MODEL, load_model
from hilum.volume import Volume

if TYPE_CHECKING:
    from hilum.io.inspect import SeriesInfo
    from hilum.phantoms import Phantom

__all__ = ["check", "inspect", "measure", "phantom", "segment"]

Source = str | PathLike[str] | Volume


def segment(
    source: Source,
    *,
    task: str = "lungs",
    model: str = DEFAULT_MODEL,
    device: str = "auto",
    series: str | None = None,
    resample: bool = False,
    calibrate: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Find the lungs in a chest CT and measure them.

    Args:
        source: A file, a DICOM folder or a zip of one; or a :class:`hilum.Volume`. It holds one scan; for
            many see ``hilum segment``.
        task: What to segment, comma-separated. Now: ``lungs``.
        model: Name of the model.
        device: ``auto``, ``cpu`` or ``gpu``.
        series: DICOM series to take: its UID, a unique part of it, or its number.
        resample: Go on where slices are missing or the gantry was tilted, by interpolation.
        calibrate: Where air and soft tissue are off, correct HU linearly before measuring.
        progress: Called with the fraction done and a word.

    Returns:
        Volume, labels, measures, quality flags and provenance.

    Raises:
        InputError: The source cannot be read or is no CT in HU.
        GeometryError: Where its voxels lie cannot be trusted.
        NotAChestError: It holds no lungs.
        ModelError: The model is unknown or cannot run.
        UsageError: Another argument is not allowed, or there are several DICOM studies; the hint lists them.
        ResourceError: There is not enough memory.
    """
    from hilum.pipeline import SegmentOptions, run

    options = SegmentOptions(task, model, device, series, resample, calibrate)
    return run(source, options, progress=progress)


def measure(
    source: Source,
    labels: str | PathLike[str] | npt.NDArray[np.integer[Any]],
    *,
    series: str | None = None,
    resample: bool = False,
    calibrate: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Measure lungs whose mask is given.

    Args:
        source: As in :func:`segment`.
        labels: A label map by the contract (1 = right lung, 2 = left lung) on the scan's grid: a file, or
            an array of the volume's shape.
        series: As in :func:`segment`.
        resample: As in :func:`segment`.
        calibrate: As in :func:`segment`.
        progress: As in :func:`segment`.

    Returns:
        As :func:`segment`; the segmentation is the one given.

    Raises:
        InputError: A file cannot be read, or the labels hold values outside the contract.
        GeometryError: The labels lie on another grid.
    """
    from hilum.io import check_lung_labels, read_labels
    from hilum.pipeline import Clock, finish, read_source, source_name

    arguments: dict[str, object] = {
        "source": source_name(source),
        "series": series,
        "resample": resample,
        "calibrate": calibrate,
    }
    clock = Clock(progress)
    volume = clock.run("read", 0.0, lambda: read_source(source, series, resample))
    if isinstance(labels, np.ndarray):
        if labels.shape not in (volume.shape, volume.meta.stored_shape):
            raise UsageError(f"labels has shape {labels.shape}, expected {volume.shape}.")
        mask = check_lung_labels(labels.reshape(volume.shape))
    else:
        arguments["labels"] = Path(fspath(labels)).name
        mask = check_lung_labels(read_labels(Path(fspath(labels)), volume))
    found = Segmentation(mask, ModelInfo("given", ""))
    return finish(volume, found, calibrate, arguments, clock, volume.fingerprint())


def check(
    source: Source,
    *,
    series: str | None = None,
    resample: bool = False,
    progress: Progress | None = None,
) -> tuple[Flag, ...]:
    """Run the quality gate alone: what can be trusted in this scan, and why not.

    The lungs are found on the way, since where they are cut can only be told by finding them.

    Args:
        source: As in :func:`segment`.
        series: As in :func:`segment`.
        resample: As in :func:`segment`.
        progress: As in :func:`segment`.

    Returns:
        All findings, worst first. A scan without lungs has the flag ``not_a_chest``.

    Raises:
        InputError: The source cannot be read or is no CT in HU.
        GeometryError: Where its voxels lie cannot be trusted.
    """
    from hilum.pipeline import Clock, read_source
    from hilum.quality import check_segmentation, check_volume
    from hilum.quality.flags import worst_first

    clock = Clock(progress)
    volume = clock.run("read", 0.0, lambda: read_source(source, series, resample))
    try:
        found = load_model("classic")(volume, clock.part(0.2, 0.8))
    except NotAChestError as error:
        none = Flag("not_a_chest", Severity.ERROR, str(error), forbids=("all",))
        return worst_first((none, *check_volume(volume)))
    return worst_first((*check_volume(volume, found), *check_segmentation(volume, found)))


def inspect(source: str | PathLike[str], *, series: str | None = None) -> list[SeriesInfo]:
    """List what a file, folder or zip holds, and which series would be read.

    Args:
        source: A file, a DICOM folder of any depth, or a zip.
        series: As in :func:`segment`.

    Returns:
        One entry a series or volume.

    Raises:
        InputError: Nothing there can be read.
    """
    from hilum.io.inspect import inspect as look

    return look(Path(fspath(source)), series=series)


def phantom(**arguments: Any) -> Phantom:
    """Make a digital chest with exact truth; see :func:`hilum.phantoms.make_phantom`."""
    from hilum.phantoms import make_phantom

    return make_phantom(**arguments)
