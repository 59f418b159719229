"""Reads the fissure points of the Chest Imaging Platform, in the space of its template lungs."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hilum.tasks.lobes.frames import Fissure

__all__ = ["Subject", "read_subjects"]

Floats = npt.NDArray[np.float64]

#: ITK's LPS to RAS.
_TO_RAS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Subject:
    """The points of one subject, RAS mm of the template, by fissure; (n, 3) each."""

    points: dict[Fissure, Floats]


def read_subjects(folder: Path) -> list[Subject]:
    """Read all subjects of a folder: ``*_regionAndTypePoints.csv`` with ``*_transform.tfm`` beside each.

    A transform leads from the template to the subject, so its inverse is applied to the points. Points
    without a region or a type are left out.
    """
    subjects = []
    for path in sorted(folder.glob("*_regionAndTypePoints.csv")):
        name = path.name.removesuffix("_regionAndTypePoints.csv")
        matrix, offset = _affine(next(folder.glob(f"{name}_TO_*_transform.tfm")))
        found: dict[Fissure, list[list[float]]] = {fissure: [] for fissure in Fissure}
        for fissure, point in _rows(path):
            found[fissure].append(point)
        back = np.linalg.inv(matrix)
        points = {
            fissure: (np.array(rows, float).reshape(-1, 3) - offset) @ back.T * _TO_RAS
            for fissure, rows in found.items()
        }
        subjects.append(Subject(points))
    return subjects


def _rows(path: Path) -> Iterator[tuple[Fissure, list[float]]]:
    with path.open(newline="") as file:
        for region, kind, *point in list(csv.reader(file))[1:]:
            region, kind = region.upper(), kind.upper()
            if "UNDEFINED" in region + kind:
                continue
            if region.startswith("LEFT"):
                fissure = Fissure.LEFT_OBLIQUE
            elif kind == "HORIZONTALFISSURE":
                fissure = Fissure.RIGHT_HORIZONTAL
            else:
                fissure = Fissure.RIGHT_OBLIQUE
            yield fissure, [float(value) for value in point[:3]]


def _affine(path: Path) -> tuple[Floats, Floats]:
    """Read an ITK affine transform as matrix and offset."""
    text = path.read_text()

    def numbers(key: str) -> Floats:
        found = re.search(rf"^{key}: (.*)$", text, re.MULTILINE)
        if found is None:
            raise ValueError(f"{path.name} holds no line {key!r}.")
        return np.array([float(value) for value in found[1].split()])

    values, centre = numbers("Parameters"), numbers("FixedParameters")
    matrix = values[:9].reshape(3, 3)
    return matrix, values[9:] + centre - matrix @ centre
