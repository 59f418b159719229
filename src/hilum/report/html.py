"""The report of one scan as a self-contained HTML file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

from hilum.core.flags import Flag, Severity
from hilum.core.segmentation import ModelInfo
from hilum.drawing.numbers import format_number
from hilum.report.page import render_page, render_part
from hilum.tasks.registry import TASKS
from hilum.tasks.spec import Section

if TYPE_CHECKING:
    from hilum.result import Result

__all__ = ["render_report"]

_SEVERITY = {
    Severity.ERROR: ("Withheld", "values that depend on it are not shown"),
    Severity.WARNING: ("Check", "values are shown, but should be reviewed"),
    Severity.INFO: ("Note", "for information"),
}


class RenderedSection(NamedTuple):
    """The section of a task: its body, and its text under "How it was measured"."""

    body: Markup
    method: Markup


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
        An HTML document without scripts and without external resources. The same result gives the
        same bytes.
    """
    done = [(TASKS[name], outcome) for name, outcome in result.outcomes.items() if outcome.asked]
    shown = [task.section(result.volume, outcome) for task, outcome in done]
    sets = (TASKS[name].label_set for name in result.outcomes)
    regions = {region.name: region.title for one in sets for region in one.regions}
    return render_page(
        "template.html.j2",
        run=result.run,
        meta=result.volume.meta,
        models=[(task.title, outcome.segmentation.model) for task, outcome in done],
        flags=shown_flags(result.flags, regions),
        flag_summary=flag_summary(result.flags),
        sections=[_rendered(section) for section in shown],
        provenance=provenance(result),
        hilum_version=result.run.hilum,
    )


def _rendered(section: Section) -> RenderedSection:
    """Render the templates of a section."""
    method = render_part(section.method, section.package, section.values) if section.method else Markup()
    return RenderedSection(render_part(section.body, section.package, section.values), method)


def shown_flags(flags: tuple[Flag, ...], regions: Mapping[str, str]) -> list[ShownFlag]:
    """Format the flags, most severe first, otherwise in the order given; ``regions`` maps names to titles."""
    order = list(_SEVERITY)
    return [
        ShownFlag(
            flag.severity.value,
            *_SEVERITY[flag.severity],
            flag.message,
            flag.code,
            ", ".join(regions.get(region, region).lower() for region in flag.regions),
        )
        for flag in sorted(flags, key=lambda flag: order.index(flag.severity))
    ]


def flag_summary(flags: tuple[Flag, ...]) -> str:
    """Count the flags by severity: ``1 × Withheld, 2 × Check``."""
    counts = [
        (word, sum(flag.severity is severity for flag in flags)) for severity, (word, _) in _SEVERITY.items()
    ]
    return ", ".join(f"{count} × {word}" for word, count in counts if count)


def provenance(result: Result) -> list[tuple[str, str]]:
    """Return (name, value) pairs on the origin of the values."""
    meta, run, volume = result.volume.meta, result.run, result.volume
    spacing = " × ".join(format_number(step, 3) for step in volume.spacing)
    unknown = "not in the file"
    pairs = [
        ("Format", meta.source_format or unknown),
        ("Shape", " × ".join(str(n) for n in meta.stored_shape)),
        ("Spacing", f"{spacing} mm" if meta.spacing_known else "not in the file"),
        ("Axis directions", " ".join(volume.axcodes) if meta.orientation_known else "not in the file"),
        ("Slice thickness", _mm(meta.slice_thickness) or unknown),
        ("Kernel", meta.kernel or unknown),
        ("Tube voltage", f"{format_number(meta.kvp)} kV" if meta.kvp is not None else unknown),
        ("Contrast agent", {True: "yes", False: "no", None: unknown}[meta.contrast]),
        ("Patient position", meta.patient_position or unknown),
        ("Scanner", meta.manufacturer or unknown),
        ("Body part", meta.body_part or unknown),
        *((_model_title(result, name), _model(found.model)) for name, found in result.segmentations.items()),
        ("hilum", run.hilum),
        ("Arguments", _pairs(run.arguments)),
        ("Software", _pairs(run.platform)),
    ]
    return [(name, value) for name, value in pairs if value]


def _mm(value: float | None) -> str:
    return "" if value is None else f"{format_number(value, 2)} mm"


def _model_title(result: Result, task: str) -> str:
    return "Model" if len(result.outcomes) == 1 else f"Model of {TASKS[task].title.lower()}"


def _model(info: ModelInfo) -> str:
    """Name, version and hash of a model."""
    return f"{info.name} {info.version}".strip() + (f", SHA-256 {info.sha256}" if info.sha256 else "")


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in values.items() if value is not None)
