"""The vessels' section of the report: a table by side, and pictures coloured by calibre."""

from __future__ import annotations

import nibabel as nib

from hilum.core.labels import VESSELS
from hilum.core.volume import Volume
from hilum.drawing.generations import View
from hilum.drawing.numbers import format_number
from hilum.drawing.svg import hex_colour
from hilum.measures import Measures
from hilum.tasks.lungs.report.section import Figure
from hilum.tasks.lungs.report.tables import Cell, Notes, Row, Table, lookup
from hilum.tasks.spec import Section, TaskResult
from hilum.tasks.vessels.definitions import VESSEL_MEASURES, VESSEL_REGIONS
from hilum.tasks.vessels.measures import MeasuredVessels
from hilum.tasks.vessels.report.picture import CLASS_COLOURS, vessel_picture
from hilum.tasks.vessels.segment import KNOWN_AIRWAYS

__all__ = ["vessels_section"]

_DASH = "\N{EM DASH}"
#: Rows, with the decimals that are shown.
_ROWS = {
    "blood_volume": 0, "bv5": 0, "bv5_10": 0, "bv10_plus": 0, "bv5_share": 0, "vessel_density": 1,
    "mask_volume": 0, "bv5_edt": 0, "bv5_10_edt": 0, "bv10_plus_edt": 0,
    "vessel_length": 0, "lung_mass": 0, "lung_mass_without_vessels": 0, "blood_hu": 0,
}  # fmt: skip
_CLASS_NAMES = {"bv5": "below 5 mm\N{SUPERSCRIPT TWO}", "bv5_10": "5 to 10", "bv10_plus": "from 10 on"}


def vessels_section(volume: Volume, found: TaskResult) -> Section:
    """Put together what the report shows of the vessels.

    Args:
        volume: The scan.
        found: What the task ``vessels`` gave for it; its details are the measured vessels.

    Returns:
        The section. The same result gives the same one.
    """
    shown = found.measures["vessels"]["bv5"].value is not None
    values = {
        "columns": [title for title, _ in VESSEL_REGIONS.values()],
        "table": _table(found.measures),
        "pictures": _pictures(volume, found),
        "kinds": [(_CLASS_NAMES[id_], hex_colour(colour)) for id_, colour in CLASS_COLOURS.items()],
        "coloured": shown,
        "contract_version": VESSELS.version,
        "definition": VESSELS.definition,
        "known_airways": bool(found.segmentation.facts.get(KNOWN_AIRWAYS)),
        "formulae": list(VESSEL_MEASURES.values()),
    }
    return Section("hilum.tasks.vessels.report", "vessels.html.j2", "vessels_method.html.j2", values)


def _table(measures: Measures) -> Table:
    notes = Notes()
    rows = []
    for id_, digits in _ROWS.items():
        cells = []
        for region in VESSEL_REGIONS:
            value, reason = lookup(measures, region, id_)
            cells.append(
                Cell(_DASH, notes.mark(reason)) if value is None else Cell(format_number(value, digits))
            )
        info = VESSEL_MEASURES[id_]
        rows.append(Row(info.title, info.unit, tuple(cells)))
    return Table(tuple(rows), notes)


def _pictures(volume: Volume, found: TaskResult) -> list[Figure]:
    """The vessels from the front and from the right; none where there are no vessels."""
    details = found.details
    if not isinstance(details, MeasuredVessels) or not len(details.pieces.length_mm):
        return []
    canonical = volume.canonical()
    vessels = nib.apply_orientation(found.segmentation.labels.data, nib.io_orientation(volume.affine)) > 0
    out = []
    for view, name in {View.FRONT: "From the front", View.RIGHT: "From the right"}.items():
        title = f"Vessels in the lungs by calibre, {name.lower()}"
        picture = vessel_picture(canonical, vessels, details.pieces, view, title)
        out.append(Figure(picture.svg, name, picture.width_mm / picture.height_mm))
    return out
