"""One scan from source to result: read, segment, check, measure. Every front end calls it."""

from __future__ import annotations

import platform as _platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from importlib import metadata
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from hilum.anatomy.given import given_segmentation
from hilum.core.cores import one_blas_thread
from hilum.core.errors import NotAChestError, ResourceError, UsageError
from hilum.core.flags import Flag, FlagCode, Severity, worst_first
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LUNGS
from hilum.core.segmentation import Landmarks, Progress, Segmentation
from hilum.core.version import __version__
from hilum.core.volume import Volume
from hilum.io import read
from hilum.io.masks import array_lungs, read_lungs
from hilum.io.sources import Source
from hilum.io.vocabulary import parse_labels
from hilum.quality import calibration, check_volume, correct_calibration
from hilum.quality.explain import explain_no_lungs
from hilum.result import Result, RunInfo
from hilum.tasks.registry import DEFAULT_MODEL, TASKS, in_order
from hilum.tasks.spec import Find, Task, TaskResult

__all__ = ["AnySource", "Clock", "MeasureOptions", "SegmentOptions", "check", "measure", "read_source", "run"]

AnySource = str | PathLike[str] | Volume | Source
#: A mask that is given: a file or folder, an array, or a label map.
AnyMask = str | PathLike[str] | npt.NDArray[np.integer[Any]] | LabelVolume


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name, wrong = ".".join(str(part) for part in first["loc"]), first["msg"]
            raise UsageError(f"{name} is {first['input']!r}: {wrong[:1].lower()}{wrong[1:]}.") from error


class SegmentOptions(_Options):
    """What is done with a scan, as plain data that can be sent to another process.

    Attributes:
        tasks: Names of the tasks; what they need is done, too.
        model: Name of a model, or the folder of a trained run. It serves the task that has a model of this
            name, else the first one that has models; other tasks take their default.
        device: ``auto``, ``cpu`` or ``gpu``.
        series: DICOM series to take.
        resample: Interpolate across missing slices or a tilted gantry.
        calibrate: Correct HU linearly where air and soft tissue are off.
        predicted_weight_g: Predicted weight of both lungs in g, by whatever equation the user trusts.

    Raises:
        UsageError: An option is unknown or of another type.

    Examples:
        >>> SegmentOptions(tasks=("lungs",), model="classic").device
        'auto'
    """

    tasks: tuple[str, ...] = (LUNGS.name,)
    model: str = DEFAULT_MODEL
    device: str = "auto"
    series: str | None = None
    resample: bool = False
    calibrate: bool = False
    predicted_weight_g: float | None = Field(default=None, gt=0)

    @field_validator("model", mode="before")
    @classmethod
    def _path_as_text(cls, model: object) -> object:
        return fspath(model) if isinstance(model, PathLike) else model

    def named(self) -> dict[str, object]:
        """Return the options by name for the manifest, the tasks as on the command line."""
        return {"task": ",".join(self.tasks), **self.model_dump(exclude={"tasks"})}


class MeasureOptions(_Options):
    """How a scan with a given mask is measured.

    Attributes:
        labels: What the values of the mask mean; see :func:`hilum.io.vocabulary.parse_labels`.
        series: As in :class:`SegmentOptions`.
        resample: As in :class:`SegmentOptions`.
        calibrate: As in :class:`SegmentOptions`.
    """

    labels: str | dict[int, int] | None = None
    series: str | None = None
    resample: bool = False
    calibrate: bool = False


class Clock:
    """Seconds per stage, and progress for the caller."""

    def __init__(self, progress: Progress | None) -> None:
        self.timings: dict[str, float] = {}
        self.started = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._progress = progress or (lambda fraction, what: None)

    @contextmanager
    def stage(self, name: str, at: float) -> Iterator[None]:
        """Time the block; ``at`` is the fraction of the whole that is done before it."""
        self._progress(at, name)
        begin = time.perf_counter()
        yield
        self.timings[name] = round(time.perf_counter() - begin, 3)

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
        progress: Called with the fraction done and a short label.
        admit: Called with the scan and its fingerprint before any work is done on it; what it raises ends
            the run.

    Returns:
        Volume, labels, measures, quality flags and provenance.

    Raises:
        HilumError: As :func:`hilum.segment`.
        ResourceError: There is not enough memory.
    """
    options = options or SegmentOptions()
    tasks = in_order(options.tasks)
    finders = _load(tasks, options)
    clock = Clock(progress)
    try:
        with clock.stage("read", 0.0):
            volume = read_source(source, options.series, options.resample)
            if options.predicted_weight_g is not None:
                meta = replace(volume.meta, predicted_weight_g=options.predicted_weight_g)
                volume = replace(volume, meta=meta)
        fingerprint = volume.fingerprint()
        if admit is not None:
            admit(volume, fingerprint)
        with one_blas_thread():
            with clock.stage("segment", 0.15):
                found = _segment(volume, finders, clock.part(0.15, 0.7))
            arguments = {"source": source_name(source), **options.named()}
            given = _Given(volume, found, options.tasks, fingerprint)
            return _finish(given, options.calibrate, arguments, clock)
    except MemoryError as error:
        raise ResourceError(
            "The scan needs more memory than is free.", "Close other programs, or use a larger machine."
        ) from error


def _load(tasks: Sequence[Task], options: SegmentOptions) -> dict[str, Find]:
    """Open the model of each task, by its name."""
    named = [task for task in tasks if options.model in task.models]
    asked = [task for task in map(TASKS.__getitem__, options.tasks) if task.models]
    owner = (*named, *asked, *tasks)[0]

    def model_of(task: Task) -> str:
        return options.model if task is owner else next(iter(task.models), "")

    return {task.name: task.load(model_of(task), options.device) for task in tasks}


def _segment(volume: Volume, finders: Mapping[str, Find], progress: Progress) -> dict[str, Segmentation]:
    """Find the label map of each task, each after what it needs."""
    found: dict[str, Segmentation] = {}
    for index, (name, find) in enumerate(finders.items()):

        def part(fraction: float, what: str, index: int = index) -> None:
            progress((index + fraction) / len(finders), what)

        try:
            found[name] = find(volume, found, part)
        except NotAChestError as error:
            raise explain_no_lungs(error, volume) from error
    return {name: _compared(name, segmentation, found) for name, segmentation in found.items()}


def _compared(name: str, segmentation: Segmentation, found: Mapping[str, Segmentation]) -> Segmentation:
    """Put the label maps that a task is compared with beside its own."""
    others = {other: found[other].labels for other in TASKS[name].compared if other in found}
    return replace(segmentation, beside={**segmentation.beside, **others}) if others else segmentation


def measure(
    source: AnySource,
    mask: AnyMask,
    options: MeasureOptions | None = None,
    *,
    progress: Progress | None = None,
) -> Result:
    """Measure the lungs in a given mask.

    Args:
        source: As in :func:`run`.
        mask: The lungs; see :func:`hilum.measure`.
        options: What to do; the defaults without it.
        progress: As in :func:`run`.

    Returns:
        As :func:`run`.

    Raises:
        HilumError: As :func:`hilum.measure`.
    """
    options = options or MeasureOptions()
    mapping = parse_labels(options.labels)
    arguments: dict[str, object] = {
        "source": source_name(source),
        "series": options.series,
        "resample": options.resample,
        "calibrate": options.calibrate,
    }
    if mapping is not None:
        arguments["labels"] = mapping.describe()
    if isinstance(mask, (str, PathLike)):
        arguments["mask"] = Path(fspath(mask)).name
    clock = Clock(progress)
    with clock.stage("read", 0.0):
        volume = read_source(source, options.series, options.resample)
    lungs = _given_lungs(mask, volume, mapping)
    found = given_segmentation(lungs.labels, volume, mapped=lungs.mapped)
    notes = tuple(Flag(code, Severity.INFO, sentence) for code, sentence in lungs.notes)
    found = replace(found, flags=(*notes, *found.flags))
    given = _Given(volume, {LUNGS.name: found}, (LUNGS.name,), volume.fingerprint())
    return _finish(given, options.calibrate, arguments, clock)


def _given_lungs(mask: AnyMask, volume: Volume, mapping: Any) -> Any:
    """Read a mask onto the grid of the scan."""
    if isinstance(mask, LabelVolume):
        mask.require_grid_of(volume)
        mask = mask.data
    if not isinstance(mask, np.ndarray):
        return read_lungs(Path(fspath(mask)), volume, mapping)
    if mask.shape not in (volume.shape, volume.meta.stored_shape):
        raise UsageError(f"mask has shape {mask.shape}, expected {volume.shape}.")
    return array_lungs(mask.reshape(volume.shape), mapping)


def check(
    source: AnySource,
    *,
    series: str | None = None,
    resample: bool = False,
    progress: Progress | None = None,
) -> tuple[Flag, ...]:
    """Run the quality gate alone; arguments and result are those of :func:`hilum.check`."""
    clock = Clock(progress)
    with clock.stage("read", 0.0):
        volume = read_source(source, series, resample)
    task = TASKS[LUNGS.name]
    try:
        found = task.load("classic", "auto")(volume, {}, clock.part(0.2, 0.8))
    except NotAChestError as error:
        none = Flag(FlagCode.NOT_A_CHEST, Severity.ERROR, str(error), forbids=("all",))
        return worst_first((none, *check_volume(volume)))
    return worst_first((*check_volume(volume, found), *task.check(volume, found)))


def read_source(source: AnySource, series: str | None, resample: bool) -> Volume:
    """Read a scan from any kind of source."""
    if isinstance(source, Volume):
        return source
    if isinstance(source, Source):
        return source.read(resample=resample)
    return read(Path(fspath(source)), series=series, resample=resample)


def source_name(source: AnySource) -> str:
    """Return the name of a source and nothing of its folders, since they may name a patient."""
    if isinstance(source, Volume):
        return source.meta.name
    return source.title if isinstance(source, Source) else Path(fspath(source)).name


@dataclass(frozen=True, eq=False)
class _Given:
    """A segmented scan: the label maps by task in the order of their needs, and the tasks asked for."""

    volume: Volume
    found: Mapping[str, Segmentation]
    asked: tuple[str, ...]
    fingerprint: str


def _finish(given: _Given, calibrate: bool, arguments: dict[str, object], clock: Clock) -> Result:
    """Check and measure a segmented scan."""
    with ThreadPoolExecutor(1) as pool:  # the gate and the voxels of the labels do not need each other
        # A calibration moves HU, so sums collected before it would be wrong.
        sorting = None if calibrate else pool.submit(_collect, given)
        with clock.stage("check", 0.7):
            trusted, flags = _gate(given, calibrate)
        for name, segmentation in given.found.items():
            flags = (*flags, *TASKS[name].check(trusted, segmentation))
        flags = worst_first(flags)
        outcomes: dict[str, TaskResult] = {}
        with clock.stage("measure", 0.8):
            moved = replace(given, volume=trusted)
            collected = _collect(moved) if sorting is None else sorting.result()
            for name, segmentation in given.found.items():
                measures = TASKS[name].measure(trusted, segmentation, flags, collected.get(name))
                details = collected.get(name) if TASKS[name].write is not None else None
                outcomes[name] = TaskResult(segmentation, measures, name in given.asked, details)
    info = RunInfo(
        hilum=__version__,
        started=clock.started,
        arguments=arguments,
        timings_s=clock.timings,
        platform=_versions(),
        fingerprint=given.fingerprint,
    )
    raised = (flag for outcome in outcomes.values() for flag in outcome.measures.flags)
    return Result(trusted, outcomes, worst_first((*flags, *raised)), info)


def _collect(given: _Given) -> dict[str, Any]:
    """Do the first stage of measuring, for the tasks that have one."""
    return {
        name: collect(given.volume, segmentation)
        for name, segmentation in given.found.items()
        if (collect := TASKS[name].collect) is not None
    }


def _gate(given: _Given, calibrate: bool) -> tuple[Volume, tuple[Flag, ...]]:
    """Check the scan, and correct its HU where that is asked for; lungs make the calibration surer."""
    volume, lungs = given.volume, given.found.get(LUNGS.name)
    if not calibrate:
        return volume, check_volume(volume, lungs)
    corrected, notes = correct_calibration(volume, calibration(volume, lungs))
    if lungs is not None:
        lungs = replace(lungs, landmarks=Landmarks(trachea_ml=lungs.landmarks.trachea_ml))
    return corrected, (*notes, *check_volume(corrected, lungs))


def _versions() -> dict[str, str]:
    out = {"python": _platform.python_version(), "system": f"{_platform.system()} {_platform.machine()}"}
    for package in ("numpy", "scipy", "nibabel", "pydicom"):
        out[package] = metadata.version(package)
    return out
