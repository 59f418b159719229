"""The table of branches that a phantom comes with: exact diameters and generations for the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hilum.core.errors import InputError
from hilum.core.sentences import Sentence
from hilum.io.names import scan_name
from hilum.io.stream import readable
from hilum.io.text import read_rows

__all__ = ["KINDS", "BranchTable", "find_branch_table", "read_branch_table"]

_Floats = npt.NDArray[np.float64]
_TAIL = "_branches.csv"
_PLACES = ("start_x", "start_y", "start_z", "end_x", "end_y", "end_z")
_COLUMNS = ("kind", "generation", "diameter_mm", *_PLACES)
#: Kinds of branches by the task that they belong to.
KINDS: Mapping[str, tuple[str, ...]] = {"airways": ("airway",), "vessels": ("artery", "vein")}
#: Points on the axes of branches are this far apart, in mm.
_STEP_MM = 0.5
#: A voxel of the skeleton fits the table where it lies within the radius of a branch and this many mm of its
#: axis: the table gives the ends of curved branches.
_SLACK_MM = 3.0
#: Least part of the skeleton that has to fit.
_LEAST_FIT = 0.9


@dataclass(frozen=True, eq=False)
class BranchTable:
    """Branches of a tree.

    Attributes:
        start: Start points in RAS mm, shape (n, 3).
        end: End points, shape (n, 3).
        diameter_mm: Diameters, shape (n,).
        generation: Generations, shape (n,).
    """

    start: _Floats
    end: _Floats
    diameter_mm: _Floats
    generation: npt.NDArray[np.int64]

    def owners(self, points: _Floats) -> npt.NDArray[np.int64]:
        """Return the branch whose axis is nearest to each point.

        Args:
            points: Points in RAS mm, shape (n, 3).

        Returns:
            Rows of the table, shape (n,).

        Raises:
            InputError: The points do not lie on the branches, so the table is that of another scan.
        """
        from scipy.spatial import KDTree

        length = np.linalg.norm(self.end - self.start, axis=1)
        counts = np.maximum(2, np.ceil(length / _STEP_MM).astype(np.int64) + 1)
        row = np.repeat(np.arange(len(length)), counts)
        place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        part = (place / (counts - 1)[row])[:, None]
        axes = self.start[row] + part * (self.end - self.start)[row]
        distance, nearest = KDTree(axes).query(points)
        owners = row[nearest]
        fits = distance <= self.diameter_mm[owners] / 2 + _SLACK_MM
        if len(points) and fits.mean() < _LEAST_FIT:
            raise InputError(
                f"Only {100 * fits.mean():.0f} % of the reference lie on the branches of its table.",
                f"Give the reference and the {_TAIL} of one phantom.",
            )
        return np.asarray(owners, np.int64)


def find_branch_table(reference: Path, name: str) -> Path | None:
    """Return the table of branches beside a reference, ``NAME_branches.csv``; None where there is none.

    Args:
        reference: File of the reference.
        name: Name of the case, as files are matched by it.
    """
    with readable(reference):
        files = sorted(reference.parent.glob(f"*{_TAIL}"))
    return next((file for file in files if scan_name(file.name[: -len(_TAIL)]) == name), None)


def read_branch_table(path: Path, task: str) -> BranchTable | None:
    """Read the branches of a task.

    Args:
        path: A table as ``hilum phantom`` writes it.
        task: A key of :data:`KINDS`.

    Returns:
        The branches; None where the file has other columns, or no branch of the task.

    Raises:
        InputError: It cannot be read.
    """
    hint = "Make the phantom again, or move the table away."
    header, *rows = [fields for _, fields in read_rows(path, hint=hint)] or [[]]
    if not set(_COLUMNS) <= set(header):
        return None
    at = {name: header.index(name) for name in _COLUMNS}
    try:
        mine = [row for row in rows if row[at["kind"]] in KINDS[task]]
        numbers = np.array([[float(row[at[name]]) for name in (*_PLACES, "diameter_mm")] for row in mine])
        generation = np.array([int(row[at["generation"]]) for row in mine], np.int64)
        sound = not mine or (
            np.isfinite(numbers).all() and (numbers[:, 6] > 0).all() and (generation >= 0).all()
        )
    except (ValueError, IndexError):
        sound = False
    if not sound:
        raise InputError(Sentence("{file:path} is no table of branches.", path=path.name), hint)
    if not mine:
        return None
    return BranchTable(numbers[:, :3], numbers[:, 3:6], numbers[:, 6], generation)
