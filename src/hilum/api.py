"""The verbs. Each is one function here and one command of the program, with the same arguments.

None of them writes a file or prints; they return objects and raise :class:`hilum.errors.HilumError`.
"""

from __future__ import annotations

import platform as _platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from importlib import metadata
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import hilum
from hilum.errors import NotAChestError, UsageError
from hilum.quality.flags import Flag, Severity
from hilum.result import Result, RunInfo
from hilum.segmentation.base import Landmarks, ModelInfo, Progress, Segmentation
from hilum.segmentation.models import DEFAULT_MODEL, load_model, parse_tasks
from hilum.volume import Volume

if TYPE_CHECKING:
    from hilum.io.inspect import SeriesInfo
    from hilum.phantoms import Phantom

__all__ = ["check", "inspect", "measure", "phantom", "segment"]

Source = str | PathLike[str] | Volume


class _Clock:
    """Seconds a stage, and progress for who wants it."""

    def __init__(self, progress: Progress | None) -> None:
        self.timings: dict[str, float] = {}
        self.started = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._progress = progress or (lambda fraction, what: None)

    def run(self, stage: str, at: float, work: Callable[[], Any]) -> Any:
        self._progress(at, stage)
        begin = time.perf_counter()
        out = work()
        self.timings[stage] = round(time.perf_counter() - begin, 3)
        return out

    def part(self, low: float, high: float) -> Progress:
        return lambda fraction, what: self._progress(low + (high - low) * fraction, what)


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
        source: A file, a DICOM folder or a zip of one; or a :class:`hilum.Volume`.
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
        UsageError: Another argument is not allowed.
    """
    arguments = _arguments(
        source, task=task, model=model, device=device, series=series, resample=resample, calibrate=calibrate
    )
    parse_tasks(task)
    segmenter = load_model(model, device)
    clock = _Clock(progress)
    volume = clock.run("read", 0.0, lambda: _read(source, series, resample))
    found = clock.run("segment", 0.15, lambda: segmenter(volume, clock.part(0.15, 0.7)))
    return _finish(volume, found, calibrate, arguments, clock)


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

    arguments = _arguments(source, series=series, resample=resample, calibrate=calibrate)
    clock = _Clock(progress)
    volume = clock.run("read", 0.0, lambda: _read(source, series, resample))
    if isinstance(labels, np.ndarray):
        if labels.shape not in (volume.shape, volume.meta.stored_shape):
            raise UsageError(f"labels has shape {labels.shape}, expected {volume.shape}.")
        mask = check_lung_labels(labels.reshape(volume.shape))
    else:
        arguments["labels"] = Path(fspath(labels)).name
        mask = check_lung_labels(read_labels(Path(fspath(labels)), volume))
    return _finish(volume, Segmentation(mask, ModelInfo("given", "")), calibrate, arguments, clock)


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
    from hilum.quality import check_segmentation, check_volume

    clock = _Clock(progress)
    volume = clock.run("read", 0.0, lambda: _read(source, series, resample))
    try:
        found = load_model("classic")(volume, clock.part(0.2, 0.8))
    except NotAChestError as error:
        none = Flag("not_a_chest", Severity.ERROR, str(error), forbids=("all",))
        return _worst_first((none, *check_volume(volume)))
    return _worst_first((*check_volume(volume, found), *check_segmentation(volume, found)))


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


def _read(source: Source, series: str | None, resample: bool) -> Volume:
    if isinstance(source, Volume):
        return source
    from hilum.io import read

    return read(Path(fspath(source)), series=series, resample=resample)


def _finish(
    volume: Volume, found: Segmentation, calibrate: bool, arguments: dict[str, object], clock: _Clock
) -> Result:
    from hilum.measures import collect, compute
    from hilum.quality import calibration, check_segmentation, check_volume, correct_calibration

    def gate() -> tuple[Volume, tuple[Flag, ...]]:
        if not calibrate:
            return volume, check_volume(volume, found)
        corrected, notes = correct_calibration(volume, calibration(volume, found))
        unmoved = replace(found, landmarks=Landmarks(trachea_ml=found.landmarks.trachea_ml))
        return corrected, (*notes, *check_volume(corrected, unmoved))

    with ThreadPoolExecutor(1) as pool:  # the gate and the voxels of the lungs do not need each other
        sorting = None if calibrate else pool.submit(collect, volume, found.labels)
        trusted, flags = clock.run("check", 0.7, gate)
        flags = _worst_first((*flags, *check_segmentation(trusted, found)))
        voxels = sorting.result() if sorting else None
    measures = clock.run("measure", 0.8, lambda: compute(trusted, found.labels, flags, voxels))
    run = RunInfo(
        hilum=hilum.__version__,
        started=clock.started,
        arguments=arguments,
        model={"name": found.model.name, "version": found.model.version, "sha256": found.model.sha256},
        timings_s=clock.timings,
        platform=_versions(),
    )
    return Result(trusted, found, measures, _worst_first(measures.flags), run)


def _worst_first(flags: tuple[Flag, ...]) -> tuple[Flag, ...]:
    order = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}
    return tuple(sorted(dict.fromkeys(flags), key=lambda flag: order[flag.severity]))


def _arguments(source: Source, **values: object) -> dict[str, object]:
    """Return the arguments as plain data; of the source only its name, since folders may name a patient."""
    name = source.meta.name if isinstance(source, Volume) else Path(fspath(source)).name
    return {"source": name, **values}


def _versions() -> dict[str, str]:
    out = {"python": _platform.python_version(), "system": f"{_platform.system()} {_platform.machine()}"}
    for package in ("numpy", "scipy", "nibabel", "SimpleITK", "pydicom"):
        out[package] = metadata.version(package)
    return out
