"""The lobes' section of the report: a table by lobe, the fissures, and sagittal slices with the lobes."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import numpy.typing as npt

from hilum.core.labels import LOBES, Lung
from hilum.core.volume import Volume
from hilum.drawing.numbers import format_number
from hilum.drawing.slices import (
    LEVEL,
    WINDOW,
    PlacedLabels,
    Plane,
    can_show,
)
from hilum.drawing.svg import hex_colour
from hilum.imaging.morphology import bounding_box
from hilum.measures import Measures
from hilum.tasks.lobes.frames import Fissure
from hilum.tasks.lobes.measures import FISSURE_SEEN
from hilum.tasks.lungs.report.filled import filled_slice
from hilum.tasks.lungs.report.section import Figure
from hilum.tasks.lungs.report.tables import DASH, Cell, Notes, Row, Table, lookup
from hilum.tasks.spec import Section, TaskResult

__all__ = ["lobes_section"]

#: (measure, heading, digits): the columns.
_COLUMNS = (
    ("volume", "Volume", 0),
    ("air_volume", "Air", 0),
    ("tissue_mass", "CT lung weight", 0),
    ("mean_hu", "Mean density", 0),
    ("hu_p15", "15th percentile", 0),
    ("laa_950", "LAA-950", 1),
    ("haa", "HAA", 1),
)
#: Parts of a lung's width, from the middle of the body outwards, at which sagittal slices are shown.
_PARTS = (0.4, 0.65)


def lobes_section(volume: Volume, found: TaskResult) -> Section:
    """Put together what the report shows of the lobes.

    Args:
        volume: The scan.
        found: What the task ``lobes`` gave for it.

    Returns:
        The section. The same result gives the same one.
    """
    units = found.measures.formulae
    values = {
        "columns": [(title, str(units[measure]["unit"])) for measure, title, _ in _COLUMNS],
        "table": _table(found.measures),
        "fissures": _fissures(found.measures),
        "slices": _figures(volume, found),
        "window": WINDOW,
        "level": format_number(LEVEL),
        "kinds": [(info.title, hex_colour(info.colour)) for info in LOBES.values()],
        "contract_version": LOBES.version,
        "definition": LOBES.definition,
        "formulae": [FISSURE_SEEN],
    }
    return Section("hilum.tasks.lobes.report", "lobes.html.j2", "lobes_method.html.j2", values)


def _table(measures: Measures) -> Table:
    notes = Notes()
    rows = []
    for info in LOBES.values():
        cells = []
        for measure, _, digits in _COLUMNS:
            value, reason = lookup(measures, info.name, measure)
            shown = Cell(DASH, notes.mark(reason)) if value is None else Cell(format_number(value, digits))
            cells.append(shown)
        rows.append(Row(info.title, "", tuple(cells)))
    return Table(tuple(rows), notes)


def _fissures(measures: Measures) -> list[tuple[str, str]]:
    """Each fissure, and how much of it is seen, in words."""
    out = []
    for fissure in Fissure:
        value, reason = lookup(measures, fissure.region, FISSURE_SEEN.id)
        out.append((fissure.words.capitalize(), reason if value is None else f"{format_number(value)} %"))
    return out


def _figures(volume: Volume, found: TaskResult) -> list[Figure]:
    """Sagittal slices through each lung, with its lobes outlined."""
    canonical, orientation = volume.canonical(), nib.io_orientation(volume.affine)
    lobes: npt.NDArray[np.uint8] = nib.apply_orientation(found.segmentation.labels.data, orientation)
    if not lobes.any() or not can_show(canonical, Plane.SAGITTAL):
        return []
    placed = PlacedLabels(canonical, np.zeros_like(lobes), orientation, bounding_box(lobes > 0))
    figures = []
    for lung in (Lung.RIGHT, Lung.LEFT):
        named = lung.name.lower()
        values = [info.value for info in LOBES.values() if info.name.startswith(named)]
        filled = np.flatnonzero(np.isin(lobes, values).any(axis=(1, 2)))
        if not len(filled):
            continue
        inner = -1 if lung is Lung.LEFT else 1
        line = filled[::inner]
        for part in _PARTS:
            index = int(line[int(part * (len(line) - 1))])
            figures.append(
                filled_slice(
                    placed,
                    lobes,
                    Plane.SAGITTAL,
                    index,
                    LOBES.values(),
                    described="lobes filled",
                    where=f"{named} lung",
                )
            )
    return figures
