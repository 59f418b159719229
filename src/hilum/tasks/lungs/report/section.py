"""The lungs' section of the report: tables, histogram, slices, projections and thirds."""

from __future__ import annotations

from typing import NamedTuple

from markupsafe import Markup

from hilum.core.labels import LUNGS, Side
from hilum.core.volume import Volume
from hilum.drawing.numbers import format_number
from hilum.drawing.slice_svg import plate
from hilum.drawing.slices import LEVEL, WINDOW, Plane, can_show, choose, obliquity, slice_image
from hilum.drawing.survey import Survey, survey
from hilum.drawing.svg import hex_colour
from hilum.measures import Measures
from hilum.tasks.lungs.report import tables
from hilum.tasks.lungs.report.histogram import histogram, outside_note
from hilum.tasks.lungs.report.projection import height_profile, mean_hu, projection_plate, tissue_thickness
from hilum.tasks.spec import Section, TaskResult

__all__ = ["lungs_section"]

_OBLIQUE_DEG = 1.0


class Figure(NamedTuple):
    """An image with its caption and its width relative to its neighbours."""

    svg: Markup
    caption: str
    width: float


def lungs_section(volume: Volume, found: TaskResult) -> Section:
    """Put together what the report shows of the lungs.

    Args:
        volume: The scan.
        found: What the task ``lungs`` gave for it.

    Returns:
        The section. The same result gives the same one.
    """
    seen = survey(volume, found.segmentation.labels)
    measures = found.measures
    regions = [(region.name, region.title) for region in LUNGS.regions]
    values = {
        "regions": regions,
        "main": tables.main_table(measures),
        "aeration": tables.aeration_table(measures),
        "bars": [(title, tables.aeration_bar(measures, region)) for region, title in regions],
        "thirds": tables.region_table(measures),
        "histogram": histogram(seen),
        "outside": outside_note(seen),
        "axial": _plane_figures(seen, Plane.AXIAL),
        "long_axis": _plane_figures(seen, Plane.CORONAL) + _plane_figures(seen, Plane.SAGITTAL),
        "projections": _projection_figures(seen) if _trusted(measures, "mean_hu") else [],
        "weight_known": _trusted(measures, "tissue_mass"),
        "slice_notes": _slice_notes(volume),
        "window": WINDOW,
        "level": format_number(LEVEL),
        "lungs": [(info.title, hex_colour(info.colour)) for info in LUNGS.values()],
        "contract_version": LUNGS.version,
        "definition": LUNGS.definition,
        "note": LUNGS.note,
        "formulae": tables.formulae(measures),
    }
    return Section("hilum.tasks.lungs.report", "body.html.j2", "method.html.j2", values)


def _plane_figures(found: Survey, plane: Plane) -> list[Figure]:
    """The chosen slices of one plane; the axial ones are numbered, and marked on the others."""
    chosen = choose(found)
    meta = found.volume.meta
    marks = [(index, str(n)) for n, index in enumerate(chosen.get(Plane.AXIAL, ()), start=1)]
    out = []
    for n, index in enumerate(chosen.get(plane, ()), start=1):
        shown = slice_image(found, plane, index)
        number, count = shown.number
        name = plane.value.capitalize() + (f" {n}" if plane is Plane.AXIAL and len(marks) > 1 else "")
        caption = (
            f"{name}: slice {number} of {count}" if meta.orientation_known else f"Slice {number} of {count}"
        )
        drawn = plate(
            shown,
            title=f"{caption} on axis {shown.file_axis} of the file, lung window, lungs outlined",
            scale=meta.spacing_known,
            letters=meta.orientation_known,
            marks=marks if len(marks) > 1 else (),
        )
        width, height = shown.size_mm
        out.append(Figure(drawn, caption, width / height))
    return out


def _trusted(measures: Measures, measure: str) -> bool:
    """Whether a measure of both lungs is known: images must not show by colour what the gate withholds."""
    return tables.lookup(measures, Side.LUNGS.value, measure)[0] is not None


def _projection_figures(found: Survey) -> list[Figure]:
    letters = found.volume.meta.orientation_known
    out = []
    for shown in (tissue_thickness(found), mean_hu(found)):
        if shown is not None:
            width, height = shown.size_mm
            drawn = projection_plate(shown, letters)
            out.append(Figure(drawn, f"{shown.title} ({shown.unit})", width / height))
    profile = height_profile(found)
    if profile is not None and out:
        out.append(Figure(profile[0], "CT lung weight by height", profile[1]))
    return out


def _slice_notes(volume: Volume) -> list[str]:
    """Sentences on how the slices are shown."""
    meta = volume.meta
    out = []
    if meta.orientation_known:
        out.append(
            "Seen as in radiology: the patient's right (R) is on the left of axial and coronal slices; "
            "A front, P back, H head, F feet."
        )
    else:
        out.append(
            "The file does not state how the patient lies, so no direction letters are drawn and right "
            "and left may be swapped."
        )
    if not meta.spacing_known:
        out.append("The file holds no voxel size, so no scale bar is drawn.")
    angle = obliquity(volume)
    if angle > _OBLIQUE_DEG:
        out.append(
            f"The scan is oblique by {format_number(angle)}°: the slices follow its own grid and the "
            "letters name the nearest direction."
        )
    if not all(can_show(volume.canonical(), plane) for plane in Plane):
        out.append("The scan has too few slices for the other planes and for projections.")
    return out
