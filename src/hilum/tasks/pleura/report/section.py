"""The pleura's section of the report: a table by side, and two slices with fluid and gas filled in."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import numpy.typing as npt

from hilum.anatomy.pleura import FLUID, GAS, SIDE_RULE
from hilum.core.labels import LUNGS, PLEURA
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
from hilum.tasks.lungs.report.filled import filled_slice
from hilum.tasks.lungs.report.section import Figure
from hilum.tasks.lungs.report.tables import Cell, Notes, Row, Table, lookup
from hilum.tasks.pleura.measures import DEFINITIONS
from hilum.tasks.spec import Section, TaskResult

__all__ = ["pleura_section"]

#: Prefixes of the regions, in the order of the columns.
_COLUMNS = {"right_": "Right", "left_": "Left", "": "Both"}
#: (region, measure, heading, hint of the unit): the rows.
_ROWS = (
    (FLUID, "volume", "Pleural fluid"),
    (FLUID, "fluid_mass", "its mass"),
    (FLUID, "mean_hu", "its mean density"),
    (FLUID, "fluid_thickness", "its largest thickness"),
    (GAS, "volume", "Free gas"),
)
_DASH = "\N{EM DASH}"


def pleura_section(volume: Volume, found: TaskResult) -> Section:
    """Put together what the report shows of the pleura.

    Args:
        volume: The scan.
        found: What the task ``pleura`` gave for it; the lungs lie beside its label map.

    Returns:
        The section. The same result gives the same one.
    """
    values = {
        "columns": list(_COLUMNS.values()),
        "table": _table(found.measures),
        "slices": _figures(volume, found),
        "window": WINDOW,
        "level": format_number(LEVEL),
        "kinds": [(info.title, hex_colour(info.colour), info.value == GAS) for info in PLEURA.values()],
        "contract_version": PLEURA.version,
        "definition": PLEURA.definition,
        "rule": SIDE_RULE,
        "formulae": [entry for entry in DEFINITIONS if entry.id in ("fluid_mass", "fluid_thickness")],
    }
    return Section("hilum.tasks.pleura.report", "pleura.html.j2", "pleura_method.html.j2", values)


def _table(measures: Measures) -> Table:
    notes = Notes()
    rows = []
    for label, measure, title in _ROWS:
        cells = []
        for side in _COLUMNS:
            value, reason = lookup(measures, f"{side}{PLEURA[label].name}", measure)
            cells.append(Cell(_DASH, notes.mark(reason)) if value is None else Cell(format_number(value)))
        unit = str(measures.formulae[measure]["unit"])
        rows.append(Row(title, unit, tuple(cells)))
    return Table(tuple(rows), notes)


def _figures(volume: Volume, found: TaskResult) -> list[Figure]:
    """The coronal and the axial slice with the most fluid and gas; none where there is neither."""
    canonical, orientation = volume.canonical(), nib.io_orientation(volume.affine)
    pleura: npt.NDArray[np.uint8] = nib.apply_orientation(found.segmentation.labels.data, orientation)
    lungs: npt.NDArray[np.uint8] = nib.apply_orientation(
        found.segmentation.beside[LUNGS.name].data, orientation
    )
    if not pleura.any():
        return []
    box = bounding_box((pleura > 0) | (lungs > 0))
    placed = PlacedLabels(canonical, lungs, orientation, box)
    planes = [plane for plane in (Plane.CORONAL, Plane.AXIAL) if can_show(canonical, plane)]
    out = []
    for plane in planes:
        across = tuple(axis for axis in range(3) if axis != plane.axis)
        index = int(np.argmax(np.count_nonzero(pleura, axis=across)))
        described = "lungs outlined, fluid and free gas filled"
        out.append(
            filled_slice(placed, pleura, plane, index, PLEURA.values(), described=described, dashed=(GAS,))
        )
    return out
