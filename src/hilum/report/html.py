"""The report of one scan as a single HTML file that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from markupsafe import Markup

from hilum.core.flags import Flag, Severity
from hilum.core.labels import LABEL_CONTRACT_VERSION, LUNG_DEFINITION, LUNGS
from hilum.drawing.numbers import format_number
from hilum.drawing.slice_svg import plate
from hilum.drawing.slices import LEVEL, WINDOW, Plane, can_show, choose, obliquity, picture
from hilum.drawing.survey import Survey, survey
from hilum.drawing.svg import hex_colour
from hilum.report import tables
from hilum.report.compartments import COMPARTMENTS, REGIONS
from hilum.report.histogram import histogram, outside_note
from hilum.report.page import render_page
from hilum.report.projection import height_profile, mean_hu, projection_plate, tissue_thickness
from hilum.result import Result

__all__ = ["render_report"]

_SEVERITY = {
    Severity.ERROR: ("Withheld", "values that depend on it are not shown"),
    Severity.WARNING: ("Check", "values are shown, but a person should look"),
    Severity.INFO: ("Note", "worth knowing"),
}
_OBLIQUE_DEG = 1.0


class Figure(NamedTuple):
    """A picture with its caption and its width relative to its neighbours."""

    svg: Markup
    caption: str
    width: float


class ShownFlag(NamedTuple):
    """A quality flag in the words of the report."""

    severity: str
    word: str
    meaning: str
    message: str
    code: str
    regions: str


def render_report(result: Result) -> str:
    """Render the report of one scan.

    Args:
        result: The result of ``hilum.segment`` or ``hilum.measure``.

    Returns:
        A whole HTML document without scripts and without any outside resource. The same result gives the
        same text, byte for byte.
    """
    found = survey(result)
    measures = result.measures
    meta = result.volume.meta
    return render_page(
        "template.html.j2",
        hilum_version=result.run.hilum,
        run=result.run,
        meta=meta,
        model=result.segmentation.model,
        flags=shown_flags(result.flags),
        flag_summary=flag_summary(result.flags),
        regions=REGIONS,
        compartments=COMPARTMENTS,
        main=tables.main_table(measures),
        aeration=tables.aeration_table(measures),
        bars=[(title, tables.aeration_bar(measures, region)) for region, title in REGIONS],
        thirds=tables.region_table(measures),
        histogram=histogram(found),
        outside=outside_note(found),
        axial=_plane_figures(found, Plane.AXIAL),
        long_axis=_plane_figures(found, Plane.CORONAL) + _plane_figures(found, Plane.SAGITTAL),
        projections=_projection_figures(found) if _trusted(result, "mean_hu") else [],
        weight_known=_trusted(result, "tissue_mass"),
        picture_notes=_picture_notes(result),
        window=WINDOW,
        level=format_number(LEVEL),
        lungs=[(info.title, hex_colour(info.colour)) for info in LUNGS.values()],
        contract_version=LABEL_CONTRACT_VERSION,
        definition=LUNG_DEFINITION,
        formulae=tables.formulae(measures),
        provenance=provenance(result),
    )


def shown_flags(flags: tuple[Flag, ...]) -> list[ShownFlag]:
    """Put the flags in words, worst first, otherwise in the order given."""
    order = list(_SEVERITY)
    titles = {key: title.lower() for key, title in REGIONS}
    return [
        ShownFlag(
            flag.severity.value,
            *_SEVERITY[flag.severity],
            flag.message,
            flag.code,
            ", ".join(titles.get(region, region) for region in flag.regions),
        )
        for flag in sorted(flags, key=lambda flag: order.index(flag.severity))
    ]


def flag_summary(flags: tuple[Flag, ...]) -> str:
    """Count the flags by severity: ``1 × Withheld, 2 × Check``."""
    counts = [
        (word, sum(flag.severity is severity for flag in flags)) for severity, (word, _) in _SEVERITY.items()
    ]
    return ", ".join(f"{count} × {word}" for word, count in counts if count)


def _plane_figures(found: Survey, plane: Plane) -> list[Figure]:
    """The chosen slices of one plane; the axial ones are numbered, and marked on the others."""
    chosen = choose(found)
    meta = found.volume.meta
    marks = [(index, str(n)) for n, index in enumerate(chosen.get(Plane.AXIAL, ()), start=1)]
    out = []
    for n, index in enumerate(chosen.get(plane, ()), start=1):
        shown = picture(found, plane, index)
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


def _trusted(result: Result, measure: str) -> bool:
    """Whether a measure of both lungs is known: pictures must not show by colour what the gate withholds."""
    return tables.lookup(result.measures, "lungs", measure)[0] is not None


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


def _picture_notes(result: Result) -> list[str]:
    """Sentences about what the pictures are, and what they are not."""
    volume, meta = result.volume, result.volume.meta
    out = []
    if meta.orientation_known:
        out.append(
            "Seen as in radiology: the patient's right (R) is on the left of axial and coronal pictures; "
            "A front, P back, H head, F feet."
        )
    else:
        out.append(
            "The file does not tell how the patient lies, so no direction letters are drawn and right "
            "and left may be swapped."
        )
    if not meta.spacing_known:
        out.append("The file holds no voxel size, so no scale bar is drawn.")
    angle = obliquity(volume)
    if angle > _OBLIQUE_DEG:
        out.append(
            f"The scan is oblique by {format_number(angle)}°: the pictures lie on its own grid and the "
            "letters name the nearest direction."
        )
    if not all(can_show(volume.canonical(), plane) for plane in Plane):
        out.append("The scan has too few slices for pictures in the other planes and for projections.")
    return out


def provenance(result: Result) -> list[tuple[str, str]]:
    """(Name, value) pairs that tell where the numbers come from."""
    meta, run, volume = result.volume.meta, result.run, result.volume
    spacing = " × ".join(format_number(step, 3) for step in volume.spacing)
    unknown = "not told"
    pairs = [
        ("Format", meta.source_format or unknown),
        ("Shape", " × ".join(str(n) for n in meta.stored_shape)),
        ("Spacing", f"{spacing} mm" if meta.spacing_known else "not in the file"),
        ("Axes grow to", " ".join(volume.axcodes) if meta.orientation_known else "not in the file"),
        ("Slice thickness", _mm(meta.slice_thickness) or unknown),
        ("Kernel", meta.kernel or unknown),
        ("Tube voltage", f"{format_number(meta.kvp)} kV" if meta.kvp is not None else unknown),
        ("Contrast agent", {True: "yes", False: "no", None: unknown}[meta.contrast]),
        ("Patient position", meta.patient_position or unknown),
        ("Scanner", meta.manufacturer or unknown),
        ("Body part", meta.body_part or unknown),
        ("Model", _model(result)),
        ("Started", run.started),
        ("hilum", run.hilum),
        ("Arguments", _pairs(run.arguments)),
        ("Time", _timings(run.timings_s)),
        ("Software", _pairs(run.platform)),
    ]
    return [(name, value) for name, value in pairs if value]


def _mm(value: float | None) -> str:
    return "" if value is None else f"{format_number(value, 2)} mm"


def _model(result: Result) -> str:
    """Name, version and hash of the model; from the run where the segmentation was not made by one."""
    info = result.segmentation.model
    return f"{info.name} {info.version}".strip() + (f", SHA-256 {info.sha256}" if info.sha256 else "")


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in values.items() if value is not None)


def _timings(values: Mapping[str, float]) -> str:
    return ", ".join(f"{stage} {format_number(seconds, 1)} s" for stage, seconds in values.items())
