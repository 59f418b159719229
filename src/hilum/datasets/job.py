"""The job and the outcome of one subject: plain data that is passed to a worker process and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hilum.core.disk import DISK_FULL
from hilum.core.errors import HilumError, OutputError
from hilum.core.planes import Plane
from hilum.datasets.pairs import Pair
from hilum.datasets.slices import Spacing
from hilum.io.atomic import writable
from hilum.io.vocabulary import LabelMap

__all__ = ["IMAGES", "MASKS", "Job", "Outcome", "on_full_disk"]

IMAGES = "images"
MASKS = "masks"


@dataclass(frozen=True)
class Job:
    """One subject to prepare, with its parameters.

    Attributes:
        id: Number of the subject.
        name: Its long name; known here so that it can be kept out of the output.
        pairs: Image and mask, or several single slices with their masks.
        root: The dataset.
        plane: Plane of the slices.
        spacing: Pixel size.
        sides: Whether masks label right (1) and left (2) separately.
        labels: Meaning of the mask values; None if the masks state it themselves.
        resample_masks: Whether masks on other grids are resampled.
        step_mm: Voxel size in mm for volumes; None for slices.
        pleura: Value, or name in lower case, of pleural fluid and free gas in the masks, to 3 and 4.
    """

    id: int
    name: str
    pairs: tuple[Pair, ...]
    root: Path
    plane: Plane
    spacing: Spacing
    sides: bool
    labels: LabelMap | None
    resample_masks: bool
    step_mm: float | None = None
    pleura: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Outcome:
    """The outcome of one subject.

    Attributes:
        id: Its number.
        slices: Number of slices or volumes; 0 if it was refused.
        kept: Whether it was complete before this run.
        notes: (code, sentence) pairs on changes that the user should review.
        error: Why it was refused, with file names; for the terminal only.
    """

    id: int
    slices: int
    kept: bool = False
    notes: tuple[tuple[str, str], ...] = ()
    error: HilumError | None = None


@contextmanager
def on_full_disk(root: Path) -> Iterator[None]:
    """Report a full disk and what is kept; other write errors are reported as usual.

    Raises:
        OutputError: Something in ``root`` cannot be written.
    """
    try:
        with writable(root):
            yield
    except OutputError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in DISK_FULL:
            raise OutputError(
                f"The disk of {root} is full; finished subjects are kept.",
                "Free some space and run the same command again: it resumes.",
            ) from cause
        raise
