"""Trees as SWC files: a table of points with type, position, radius and parent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.errors import InputError, UsageError
from hilum.core.sentences import Sentence
from hilum.core.version import __version__
from hilum.io.atomic import atomic_file
from hilum.io.text import quoted, read_text

__all__ = ["SwcPoints", "read_swc", "write_swc"]

_COLUMNS = 7
#: SWC keeps whole numbers; larger ones are broken files.
_LARGEST = 2**31


@dataclass(frozen=True, eq=False)
class SwcPoints:
    """The points of one or more trees; a parent stands before its children.

    Attributes:
        types: Type of each point, shape (n,). SWC leaves those from 5 to its users; 0 is undefined.
        points: Position in mm, shape (n, 3); hilum writes RAS.
        radii: Radius in mm, shape (n,).
        parents: Row of the parent point, -1 for a root, shape (n,).

    Raises:
        UsageError: Lengths differ, a parent does not stand before its child, or a number is not finite.
    """

    types: npt.NDArray[np.int64]
    points: npt.NDArray[np.float64]
    radii: npt.NDArray[np.float64]
    parents: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        count = len(self.points)
        if self.points.shape != (count, 3) or {len(self.types), len(self.radii), len(self.parents)} != {
            count
        }:
            raise UsageError("types, points, radii and parents differ in length.")
        if not (np.isfinite(self.points).all() and np.isfinite(self.radii).all()):
            raise UsageError("A position or radius is not a finite number.")
        if ((self.parents >= np.arange(count)) | (self.parents < -1)).any():
            raise UsageError("parents names a point that does not stand before its child.")


def write_swc(path: Path | str, tree: SwcPoints, comments: Sequence[str] = ()) -> None:
    """Write an SWC file, positions and radii in mm to 0.001 mm.

    Args:
        path: The file.
        tree: The points.
        comments: Lines for the head of the file, such as what the types mean. No patient identifiers.

    Raises:
        OutputError: The file cannot be written.
    """
    lines = [f"# hilum {__version__}", "# Coordinates and radii in mm; x right, y front, z up (RAS)"]
    lines += [f"# {' '.join(comment.split())}" for comment in comments]
    lines.append("# id type x y z radius parent")
    columns = zip(
        tree.types.tolist(), tree.points.tolist(), tree.radii.tolist(), tree.parents.tolist(), strict=True
    )
    for row, (kind, (x, y, z), radius, parent) in enumerate(columns, start=1):
        before = parent + 1 if parent >= 0 else -1
        lines.append(f"{row} {kind} {x:.3f} {y:.3f} {z:.3f} {radius:.3f} {before}")
    with atomic_file(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="ascii", errors="replace")


def read_swc(path: Path) -> SwcPoints:
    """Read an SWC file; points may stand in any order, and their ids may have gaps.

    Args:
        path: The file.

    Returns:
        The points, sorted so that a parent stands before its children.

    Raises:
        InputError: It cannot be read, a line is not one of seven numbers, an id stands twice, a parent is
            missing, or parents form a circle.
    """
    ids: list[int] = []
    values: list[list[float]] = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        fields = line.partition("#")[0].split()
        if fields:
            row = _row(fields)
            if row is None:
                message = Sentence(
                    "Line {number} of {file:path} is not a point of seven numbers: {line}.",
                    number=number,
                    path=path,
                    line=quoted(line),
                )
                raise InputError(message, "Give an SWC file: id, type, x, y, z, radius, parent.")
            ids.append(int(row[0]))
            values.append(row)
    if len(set(ids)) != len(ids):
        raise _broken(path, "an id stands twice")
    table = np.array(values, np.float64).reshape(-1, _COLUMNS)
    order, parents = _sorted(path, ids, table[:, 6].astype(np.int64).tolist())
    rows = table[order]
    return SwcPoints(rows[:, 1].astype(np.int64), rows[:, 2:5].copy(), rows[:, 5].copy(), parents)


def _row(fields: list[str]) -> list[float] | None:
    """Return the seven numbers of a line; None where it has others."""
    if len(fields) != _COLUMNS:
        return None
    try:
        row = [float(field) for field in fields]
    except ValueError:
        return None
    whole = [row[0], row[1], row[6]]
    if not np.isfinite(row).all() or any(v != int(v) or abs(v) > _LARGEST for v in whole):
        return None
    return row


def _sorted(path: Path, ids: list[int], parents: list[int]) -> tuple[list[int], npt.NDArray[np.int64]]:
    """Return the rows with parents first, and for each the new row of its parent."""
    known = {number: row for row, number in enumerate(ids)}
    children: dict[int, list[int]] = {}
    roots = []
    for row, parent in enumerate(parents):
        if parent == -1:
            roots.append(row)
        elif parent in known:
            children.setdefault(known[parent], []).append(row)
        else:
            raise _broken(path, f"the parent {parent} is missing")
    order: list[int] = []
    new: list[int] = []
    waiting = [(row, -1) for row in reversed(roots)]
    while waiting:
        row, parent = waiting.pop()
        order.append(row)
        new.append(parent)
        waiting += [(child, len(order) - 1) for child in reversed(children.get(row, []))]
    if len(order) != len(ids):
        raise _broken(path, "parents form a circle")
    return order, np.array(new, np.int64)


def _broken(path: Path, what: Any) -> InputError:
    message = Sentence("{file:path} is not a tree: {what}.", path=path, what=what)
    return InputError(message, "Give the file as it was written.")
