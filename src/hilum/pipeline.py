"""The way of one scan: read, segmented, measured, checked, written. Every front end takes it."""

from __future__ import annotations

import platform as _platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from importlib import metadata
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from hilum.core.errors import NotAChestError, ResourceError
from hilum.core.flags import Flag, worst_first
from hilum.core.segmentation import Landmarks, Progress, Segmentation
from hilum.core.version import __version__
from hilum.core.volume import Volume
from hilum.io.sources import Source
from hilum.result import Result, RunInfo
from hilum.tasks.registry import DEFAULT_MODEL, load_model, parse_tasks

__all__ = ["AnySource", "Clock", "SegmentOptions", "finish", "read_source", "run"]

AnySource = str | PathLike[str] | Volume | Source


@dataclass(frozen=True)
class SegmentOptions:
    """What is done with a scan, as plain data that can be sent to another process.

    Attributes:
        task: What to segment, comma-separated.
        model: Name of the model, or the folder of a trained run.
        device: ``auto``, ``cpu`` or ``gpu``.
        series: DICOM series to take.
        resample: Go on across missing slices or a tilted gantry, by interpolation.
        calibrate: Correct HU linearly where air and soft tissue are off.
    """

    task: str = "lungs"
    model: str = DEFAULT_MODEL
    device: str = "auto"
    series: str | None = None
    resample: bool = False
    calibrate: bool = False

    def as_dict(self) -> dict[str, object]:
        """Return the options by name, for the manifest."""
        return dict(vars(self))


class Clock:
    """Seconds a stage, and progress for who wants it."""

    def __init__(self, progress: Progress | None) -> None:
        self.timings: dict[str, float] = {}
        self.started = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._progress = progress or (lambda fraction, what: None)

    def run(self, stage: str, at: float, work: Callable[[], Any]) -> Any:
        """Do a stage; ``at`` is the fraction of the whole that is done before it."""
        self._progress(at, stage)
        begin = time.perf_counter()
        out = work()
        self.timings[stage] = round(time.perf_counter() - begin, 3)
        return out

    def part(self, low: float, high: float) -> Progress:
        """Give a callback whose fractions run from ``low`` to ``high`` of the whole."""
        return lambda fraction, what: self._progress(low + (high - low) * fraction, what)


def run(
    source: AnySource,
    options: SegmentOptions | None = None,
    *,
    progress: Progress | None = None,
    admit: Callable[[Volume, str], None] | None = None,
) -> Result:
    """Segment and measure one scan.

    Args:
        source: A file, folder or zip that holds one scan; a :class:`hilum.Volume`; or a source of a batch.
        options: What to do; the defaults without it.
        progress: Called with the fraction done and a word.
        admit: Called with the scan and its fingerprint before any work is done on it; what it raises ends
            the run.

    Returns:
        Volume, labels, measures, quality flags and provenance.

    Raises:
        HilumError: As :func:`hilum.segment`.
        ResourceError: There is not enough memory.
    """
    options = options or SegmentOptions()
    parse_tasks(options.task)
    segmenter = load_model(options.model, options.device)
    clock = Clock(progress)
    try:
        volume = clock.run("read", 0.0, lambda: read_source(source, options.series, options.resample))
        fingerprint = volume.fingerprint()
        if admit is not None:
            admit(volume, fingerprint)
        try:
            found = clock.run("segment", 0.15, lambda: segmenter(volume, clock.part(0.15, 0.7)))
        except NotAChestError as error:
            from hilum.quality.explain import explain_no_lungs

            raise explain_no_lungs(error, volume) from error
        arguments = {"source": source_name(source), **options.as_dict()}
        return finish(volume, found, options.calibrate, arguments, clock, fingerprint)
    except MemoryError as error:
        raise ResourceError(
            "The scan needs more memory than is free.", "Close other programs, or use a larger machine."
        ) from error


def read_source(source: AnySource, series: str | None, resample: bool) -> Volume:
    """Read a scan, whatever stands for it."""
    if isinstance(source, Volume):
        return source
    if isinstance(source, Source):
        return source.read(resample=resample)
    from hilum.io import read

    return read(Path(fspath(source)), series=series, resample=resample)


def source_name(source: AnySource) -> str:
    """Return the name of a source and nothing of its folders, since they may name a patient."""
    if isinstance(source, Volume):
        return source.meta.name
    return source.title if isinstance(source, Source) else Path(fspath(source)).name


def finish(
    volume: Volume,
    found: Segmentation,
    calibrate: bool,
    arguments: dict[str, object],
    clock: Clock,
    fingerprint: str,
) -> Result:
    """Check and measure a segmented scan."""
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
        flags = worst_first((*flags, *check_segmentation(trusted, found)))
        voxels = sorting.result() if sorting else None
    measures = clock.run("measure", 0.8, lambda: compute(trusted, found.labels, flags, voxels))
    info = RunInfo(
        hilum=__version__,
        started=clock.started,
        arguments=arguments,
        model={"name": found.model.name, "version": found.model.version, "sha256": found.model.sha256},
        timings_s=clock.timings,
        platform=_versions(),
        fingerprint=fingerprint,
    )
    return Result(trusted, found, measures, worst_first(measures.flags), info)


def _versions() -> dict[str, str]:
    out = {"python": _platform.python_version(), "system": f"{_platform.system()} {_platform.machine()}"}
    for package in ("numpy", "scipy", "nibabel", "pydicom"):
        out[package] = metadata.version(package)
    return out
