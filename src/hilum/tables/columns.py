"""The columns of ``scans.csv``: name with unit, title, kind and meaning."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from hilum.measures.regions import FRONT_BACK, HEAD_FOOT

__all__ = [
    "AFTER",
    "BEFORE",
    "RESULTS",
    "SCAN",
    "Column",
    "Kind",
    "confidence_column",
    "is_whole",
    "measure_column",
    "model_columns",
]


class Kind(str, Enum):
    """What a column holds; any value may be missing."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"


@dataclass(frozen=True)
class Column:
    """A column of the table of scans.

    Attributes:
        name: Header in snake_case, with the unit at its end.
        title: Name for people, without the unit.
        kind: What it holds.
        group: What it is about: ``scan``, ``acquisition``, ``quality``, the name of a task, ``model``,
            ``run`` or ``covariates``.
        unit: Unit for people; empty for none.
        meaning: What it holds, in words: the formula of a measure.
        measure: Identifier of the measure; empty for any other column.
        region: Region of the measure; empty for any other column.
    """

    name: str
    title: str
    kind: Kind
    group: str
    unit: str = ""
    meaning: str = ""
    measure: str = ""
    region: str = ""


_TEXT, _INTEGER, _NUMBER = Kind.TEXT, Kind.INTEGER, Kind.NUMBER
#: A third of one or both lungs, and not a lobe that is called like one: ``right_middle_lobe``.
_THIRD = re.compile(rf"lungs?_({'|'.join((*FRONT_BACK, *HEAD_FOOT))})(_|$)")
#: Part of the name of a region that is a generation of a tree.
_GENERATION = "_generation_"
#: Units as they end a header; a header that says its unit already, such as ``mean_hu``, gets none.
_SUFFIXES = {
    "mL": "ml",
    "g": "g",
    "mL/g": "ml_per_g",
    "%": "percent",
    "HU": "hu",
    "mm": "mm",
    "L": "l",
    "%/mm": "percent_per_mm",
    "HU/(10.cm)": "hu_per_10_cm",
}
_AXES = (("x", "first"), ("y", "second"), ("z", "third"))

SCAN = Column("scan", "Scan", _TEXT, "scan", meaning="folder of the scan below the folder of results")
#: Added where several folders of results are put together.
RESULTS = Column("results", "Results", _TEXT, "scan", meaning="name of the folder of results")


def _acquisition() -> Iterable[Column]:
    group = "acquisition"
    yield Column("format", "Format", _TEXT, group, meaning="format of the file that was read")
    for axis, place in _AXES:
        words = f"number of voxels along the {place} axis of the file"
        yield Column(f"size_{axis}_voxels", f"Size {axis}", _INTEGER, group, "voxels", words)
    for axis, place in _AXES:
        words = f"distance of voxel centres along the {place} axis of the file"
        yield Column(f"spacing_{axis}_mm", f"Spacing {axis}", _NUMBER, group, "mm", words)
    yield Column("axes", "Axes", _TEXT, group, meaning="where the axes of the file point, such as LPS")
    yield Column("slice_thickness_mm", "Slice thickness", _NUMBER, group, "mm", "as the file states it")
    yield Column("kernel", "Kernel", _TEXT, group, meaning="reconstruction kernel as the file states it")
    yield Column("tube_voltage_kv", "Tube voltage", _NUMBER, group, "kV", "as the file states it")
    yield Column("contrast", "Contrast agent", _TEXT, group, meaning="yes or no, as the file states it")
    yield Column(
        "patient_position", "Patient position", _TEXT, group, meaning="such as HFS: head first, supine"
    )
    yield Column("manufacturer", "Scanner", _TEXT, group, meaning="maker as the file states it")


def _quality() -> Iterable[Column]:
    for severity, words in (
        ("error", "values are withheld"),
        ("warning", "a person should look"),
        ("info", "for information"),
    ):
        name = f"flags_{severity}"
        yield Column(name, f"Flags, {severity}", _INTEGER, "quality", meaning=f"number of flags: {words}")
    yield Column("flags", "Flags", _TEXT, "quality", meaning="codes of the flags, worst first, parted by ;")


#: Columns before the measures.
BEFORE: tuple[Column, ...] = (*_acquisition(), *_quality())
#: Columns after the measures and models.
AFTER: tuple[Column, ...] = (
    Column("seconds", "Seconds", _NUMBER, "run", "s", "time of reading, segmenting, checking and measuring"),
    Column("hilum_version", "hilum", _TEXT, "run", meaning="version of the program"),
    Column("fingerprint", "Fingerprint", _TEXT, "run", meaning="SHA-256 of the voxels and their place"),
)


def confidence_column(task: str) -> Column:
    """Return the column of the confidence of a task's model."""
    words = "estimated probability that the Dice is below 0.95; empty where the model gives none"
    name = f"{task}_failure_probability"
    return Column(name, f"Failure probability, {task}", _NUMBER, "quality", meaning=words)


def model_columns(task: str) -> tuple[Column, Column]:
    """Return the columns of the name and the version of a task's model."""
    return (
        Column(f"{task}_model", f"Model, {task}", _TEXT, "model", meaning="name of the model"),
        Column(f"{task}_model_version", f"Version, {task}", _TEXT, "model", meaning="version of the model"),
    )


def is_whole(region: str) -> bool:
    """Whether a region is a whole structure, not a third of one or a generation of a tree.

    Examples:
        >>> is_whole("left_lung"), is_whole("left_lung_apical"), is_whole("airways_generation_4")
        (True, False, False)
        >>> is_whole("left_lung_ground_glass"), is_whole("left_lung_apical_ground_glass")
        (True, False)
        >>> is_whole("right_middle_lobe"), is_whole("lungs_middle")
        (True, False)
    """
    return _THIRD.search(region) is None and _GENERATION not in region


def measure_column(
    task: str, region: str, region_title: str, measure: str, about: Mapping[str, str]
) -> Column:
    """Return the column of a measure of a whole region.

    Args:
        task: Name of the task.
        region: Name of the region.
        region_title: The region for people.
        measure: Identifier of the measure.
        about: Its ``title``, ``unit`` and ``formula``, as ``measures.json`` has them.

    Examples:
        >>> measure_column(
        ...     "lungs", "left_lung", "Left lung", "volume", {"title": "Volume", "unit": "mL", "formula": ""}
        ... ).name
        'left_lung_volume_ml'
    """
    unit = about["unit"]
    suffix = _SUFFIXES.get(unit, "".join(c if c.isalnum() else "_" for c in unit.lower()))
    name = f"{region}_{measure}".replace(".", "_")  # a header is a name in R and pandas, too
    if suffix and suffix not in measure.split("_"):
        name = f"{name}_{suffix}"
    title = f"{region_title}: {about['title'][:1].lower()}{about['title'][1:]}"
    if about["title"][:2].isupper():
        title = f"{region_title}: {about['title']}"
    return Column(name, title, _NUMBER, task, unit, about["formula"], measure, region)
