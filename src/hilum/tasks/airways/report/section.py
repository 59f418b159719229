"""The airways' section of the report: a table of volumes."""

from __future__ import annotations

from hilum.core.labels import AIRWAYS
from hilum.core.volume import Volume
from hilum.drawing.numbers import format_number
from hilum.tasks.airways.volumes import DEFINITIONS
from hilum.tasks.lungs.report.tables import Cell, Notes, Row, Table, lookup
from hilum.tasks.spec import Section, TaskResult

__all__ = ["airways_section"]

_ROWS = (
    ("airway_lumen", "volume", "Lumen"),
    ("airway_wall", "volume", "Wall"),
    ("airway_lumen", "airway_lung_ratio", "Lumen / lungs"),
)
_DASH = "\N{EM DASH}"


def airways_section(volume: Volume, found: TaskResult) -> Section:
    """Put together what the report shows of the airways.

    Args:
        volume: The scan.
        found: What the task ``airways`` gave for it.
    """
    notes = Notes()
    rows = []
    for region, measure, title in _ROWS:
        value, reason = lookup(found.measures, region, measure)
        cell = Cell(_DASH, notes.mark(reason)) if value is None else Cell(format_number(value))
        rows.append(Row(title, str(found.measures.formulae[measure]["unit"]), (cell,)))
    values = {
        "table": Table(tuple(rows), notes),
        "contract_version": AIRWAYS.version,
        "definition": AIRWAYS.definition,
        "formulae": DEFINITIONS,
    }
    return Section("hilum.tasks.airways.report", "airways.html.j2", "airways_method.html.j2", values)
