"""What is to be made of a subject, and what became of it: plain data that goes to a process and back."""

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

IMAGES, MASKS = "images", "masks"


@dataclass(frozen=True)
class Job:
    """One subject to make, and how.

    Attributes:
        id: Number of the subject.
        name: Its long name; serves to keep it out of what is written.
        pairs: Image and mask, or several pictures of single slices.
        root: The data set.
        plane: How to cut.
        spacing: Pixel size.
        sides: Whether masks keep right (1) and left (2) apart.
        labels: Meaning of the values in the masks, None where they tell it themselves.
        resample_masks: Whether masks on other grids are resampled.
        step_mm: Side of the voxels in mm where volumes are made; None for slices.
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
    """What became of a subject.

    Attributes:
        id: Its number.
        slices: How many slices, or volumes, it has; 0 where it was refused.
        kept: Whether it was there already.
        notes: (code, sentence) pairs of what was done to it that a person should know.
        error: Why it was refused, with file names, for the person at the terminal.
    """

    id: int
    slices: int
    kept: bool = False
    notes: tuple[tuple[str, str], ...] = ()
    error: HilumError | None = None


@contextmanager
def on_full_disk(root: Path) -> Iterator[None]:
    """Say that the disk is full, and what stays; other errors of writing as everywhere.

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
                f"The disk of {root} is full; subjects that were finished are kept.",
                "Free some space and run the same command again: it goes on.",
            ) from cause
        raise
