"""The verbs. Each is one function here and one command of the program, with the same arguments.

None of them writes a file or prints; they return objects and raise :class:`hilum.core.errors.HilumError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hilum.core.errors import NotAChestError, UsageError
from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.segmentation import Progress
from hilum.core.volume import Volume
from hilum.result import Result
from hilum.tasks.registry import DEFAULT_MODEL, load_model

if TYPE_CHECKING:
    from hilum.io.inspect import SeriesInfo
    from hilum.synthesis.phantoms import Phantom

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
    mask: str | PathLike[str] | npt.NDArray[np.integer[Any]],
    *,
    labels: str | Mapping[int, int] | None = None,
    series: str | None = None,
    resample: bool = False,
    calibrate: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Measure lungs whose mask is given.

    Args:
        source: As in :func:`segment`.
        mask: The lungs on the scan's grid: a label map, a DICOM SEG, a folder with one file a structure, or
            an array of the volume's shape. Without names in the file and without ``labels``, 1 is the right
            and 2 the left lung.
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
        InputError: A file cannot be read, holds no lung, or nothing tells what its values mean.
        GeometryError: The mask lies on another grid.
        UsageError: ``labels`` cannot be read, or the array has another shape.
    """
    from hilum.anatomy.given import given_segmentation
    from hilum.io.masks import array_lungs, read_lungs
    from hilum.io.vocabulary import parse_labels
    from hilum.pipeline import Clock, finish, read_source, source_name

    arguments: dict[str, object] = {
        "source": source_name(source),
        "series": series,
        "resample": resample,
        "calibrate": calibrate,
    }
    mapping = parse_labels(labels)
    if mapping is not None:
        arguments["labels"] = mapping.describe()
    clock = Clock(progress)
    volume = clock.run("read", 0.0, lambda: read_source(source, series, resample))
    if isinstance(mask, np.ndarray):
        if mask.shape not in (volume.shape, volume.meta.stored_shape):
            raise UsageError(f"mask has shape {mask.shape}, expected {volume.shape}.")
        lungs = array_lungs(mask.reshape(volume.shape), mapping)
    else:
        arguments["mask"] = Path(fspath(mask)).name
        lungs = read_lungs(Path(fspath(mask)), volume, mapping)
    found = given_segmentation(lungs.labels, volume, told=lungs.told)
    notes = tuple(Flag(code, Severity.INFO, sentence) for code, sentence in lungs.notes)
    found = replace(found, flags=(*notes, *found.flags))
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
    from hilum.core.flags import worst_first
    from hilum.pipeline import Clock, read_source
    from hilum.quality import check_segmentation, check_volume

    clock = Clock(progress)
    volume = clock.run("read", 0.0, lambda: read_source(source, series, resample))
    try:
        found = load_model("classic")(volume, clock.part(0.2, 0.8))
    except NotAChestError as error:
        none = Flag(FlagCode.NOT_A_CHEST, Severity.ERROR, str(error), forbids=("all",))
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
    """Make a digital chest with exact truth; see :func:`hilum.synthesis.phantoms.make_phantom`."""
    from hilum.synthesis.phantoms import make_phantom

    return make_phantom(**arguments)
