"""The airways' section of the report: the tree by generation, tables, and the slices where it ends."""

from __future__ import annotations

from collections.abc import Sequence

from hilum.core.labels import AIRWAYS, LOBES
from hilum.core.volume import Volume
from hilum.drawing.generations import TreeLine, View, generation_key, tree_view, view_shape
from hilum.drawing.numbers import format_number
from hilum.drawing.slices import LEVEL, WINDOW
from hilum.measures import Measures
from hilum.tasks.airways.calibre import MeasuredAirways
from hilum.tasks.airways.definitions import (
    AIRWAY_MEASURES,
    GENERATIONS,
    LOBE_REGIONS,
    generation_region,
)
from hilum.tasks.airways.report.ends import end_figures
from hilum.tasks.airways.tree import BRANCH_RULE, LOBE_RULE, AirwayTree
from hilum.tasks.lungs.report.section import Figure
from hilum.tasks.lungs.report.tables import Cell, Notes, Row, Table, lookup
from hilum.tasks.spec import Section, TaskResult

__all__ = ["airways_section"]

_DASH = "\N{EM DASH}"
_WHOLE = (("airways", "Both"), ("right_airways", "Right"), ("left_airways", "Left"))
_WHOLE_ROWS = (
    "tree_length", "branch_count", "lumen_volume", "airway_lung_ratio", "wall_area_percent",
    "wall_area_percent_half", "pi10.sqrt_wa", "pi10.thickness", "airway_artery_ratio",
    "airway_artery_branches", "taper.intra", "taper.inter",
)  # fmt: skip
_CENTRAL = (
    ("trachea", "Trachea"),
    ("right_main_bronchus", "Right main bronchus"),
    ("left_main_bronchus", "Left main bronchus"),
)
_CENTRAL_COLUMNS = (
    "tree_length",
    "lumen_diameter",
    "lumen_area",
    "lumen_diameter_half",
    "wall_thickness",
    "wall_area_percent",
)
_GENERATION_COLUMNS = (
    "lumen_diameter",
    "lumen_diameter_half",
    "wall_thickness",
    "wall_area_percent",
    "wall_area_percent_half",
    "airway_artery_ratio",
)
#: Decimals of each measure, no finer than the fit is right on phantoms.
_DIGITS = {
    "branch_count": 0, "tree_length": 0, "lumen_volume": 1, "airway_lung_ratio": 2,
    "lumen_diameter": 1, "lumen_area": 1, "lumen_diameter_half": 1, "wall_thickness": 2,
    "wall_area_percent": 0, "wall_area_percent_half": 0, "taper.intra": 1, "taper.inter": 0,
    "pi10.sqrt_wa": 2, "pi10.thickness": 2, "airway_artery_ratio": 2, "airway_artery_branches": 0,
}  # fmt: skip


def airways_section(volume: Volume, found: TaskResult) -> Section:
    """Put together what the report shows of the airways.

    Args:
        volume: The scan.
        found: What the task ``airways`` gave for it: its details are the measured tree, or None.

    Returns:
        The section. The same result gives the same one.
    """
    measures = found.measures
    airways = found.details if isinstance(found.details, MeasuredAirways) else None
    values = {
        "columns": [title for _, title in _WHOLE],
        "whole": _whole_table(measures),
        "central_columns": [("Length", "mm"), *(_headed(id_) for id_ in _CENTRAL_COLUMNS[1:])],
        "central": _rows_of(measures, _CENTRAL, _CENTRAL_COLUMNS),
        "generation_columns": [_headed(id_) for id_ in _GENERATION_COLUMNS],
        "generations": _generation_table(measures),
        "lobes": _lobe_table(measures),
        "tree": [] if airways is None else _views(airways.tree, volume.meta.orientation_known),
        "key": "" if airways is None else generation_key(max(b.generation for b in airways.tree.branches)),
        "ends": [] if airways is None else end_figures(volume, found, airways.tree),
        "blur": None if airways is None else airways.blur,
        "number": format_number,
        "window": WINDOW,
        "level": format_number(LEVEL),
        "contract_version": AIRWAYS.version,
        "definition": AIRWAYS.definition,
        "branch_rule": BRANCH_RULE,
        "lobe_rule": LOBE_RULE,
        "formulae": list(AIRWAY_MEASURES.values()),
    }
    return Section("hilum.tasks.airways.report", "airways.html.j2", "airways_method.html.j2", values)


def _headed(id_: str) -> tuple[str, str]:
    """Return title and unit of a measure for a heading."""
    info = AIRWAY_MEASURES[id_]
    return info.title, info.unit.replace("mm2", "mm²")


def _cell(measures: Measures, region: str, id_: str, notes: Notes) -> Cell:
    value, reason = lookup(measures, region, id_)
    if value is None:
        return Cell(_DASH, notes.mark(reason))
    return Cell(format_number(value, _DIGITS[id_]))


def _whole_table(measures: Measures) -> Table:
    notes = Notes()
    rows = [
        Row(*_headed(id_), tuple(_cell(measures, region, id_, notes) for region, _ in _WHOLE))
        for id_ in _WHOLE_ROWS
    ]
    return Table(tuple(rows), notes)


def _rows_of(measures: Measures, regions: Sequence[tuple[str, str]], ids: Sequence[str]) -> Table:
    notes = Notes()
    rows = [
        Row(title, "", tuple(_cell(measures, region, id_, notes) for id_ in ids)) for region, title in regions
    ]
    return Table(tuple(rows), notes)


def _generation_table(measures: Measures) -> Table:
    """Counts by side, length and medians of each generation that was found."""
    notes = Notes()
    rows = []
    for generation in GENERATIONS:
        both = generation_region(generation)
        if not lookup(measures, both, "branch_count")[0]:
            continue
        counts = [generation_region(generation, side) for side in ("right", "left")]
        cells = [_cell(measures, region, "branch_count", notes) for region in counts]
        cells.append(_cell(measures, both, "tree_length", notes))
        cells += [_cell(measures, both, id_, notes) for id_ in _GENERATION_COLUMNS]
        rows.append(Row(str(generation), "", tuple(cells)))
    return Table(tuple(rows), notes)


def _lobe_table(measures: Measures) -> Table:
    """Count, length and medians of each lobe; no rows where the lobes are not known."""
    ids = ("branch_count", "tree_length", *_GENERATION_COLUMNS)
    regions = [
        (region, LOBES.region(lobe).title)
        for region, (_, _, lobe) in LOBE_REGIONS.items()
        if region in measures
    ]
    return _rows_of(measures, regions, ids)


def _views(tree: AirwayTree, letters: bool) -> list[Figure]:
    """The tree from the front and from the right."""
    lines = [TreeLine(b.points, float(2 * b.radii.mean()), b.generation) for b in tree.branches]
    names = {View.FRONT: "From the front", View.RIGHT: "From the right"}
    out = []
    for view, name in names.items():
        drawn = tree_view(lines, view, f"Tree of the airways by generation, {name.lower()}", letters)
        out.append(Figure(drawn, name, view_shape(lines, view)))
    return out
