"""The tables of the report: values as text, rounded; a dash and a footnote where a value is unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from markupsafe import Markup

from hilum.core.labels import LUNGS
from hilum.drawing.numbers import format_number, interval
from hilum.drawing.svg import element, hex_colour, text
from hilum.tasks.lungs.report.compartments import COMPARTMENTS, Compartment

if TYPE_CHECKING:
    from hilum.measures import Measures

__all__ = ["Cell", "Notes", "Row", "Table", "aeration_bar", "aeration_table", "main_table", "region_table"]

#: Right, left and both lungs, in the order of the columns.
_REGIONS = tuple(region.name for region in LUNGS.regions)
DASH = "\N{EM DASH}"


class ReadsMeasures(Protocol):
    """What the tables need of :class:`hilum.measures.Measures`."""

    def __getitem__(self, region: str, /) -> Any: ...


class Cell(NamedTuple):
    """One value of a table.

    Attributes:
        text: The rounded value, or a dash.
        note: Letter of the footnote that states why the value is unknown; empty where it is known.
        shade: Depth of the background, 0 (none) to 1.
    """

    text: str
    note: str = ""
    shade: float = 0.0

    @property
    def style(self) -> str:
        """Background and, where that is deep, a light letter; empty without a shade."""
        if self.shade <= 0.02:
            return ""
        mixed = [round(255 + self.shade * (end - 255)) for end in (30, 84, 99)]
        ink = "#fff" if self.shade > 0.6 else "#111"
        return f"background:{hex_colour((mixed[0], mixed[1], mixed[2]))};color:{ink}"


@dataclass
class Notes:
    """Footnotes of one table; the same reason gets the same letter."""

    reasons: dict[str, str] = field(default_factory=dict)

    def mark(self, reason: str) -> str:
        """Return the letter of ``reason``."""
        if reason not in self.reasons:
            n = len(self.reasons)
            self.reasons[reason] = chr(ord("a") + n) if n < 26 else f"n{n + 1}"
        return self.reasons[reason]


class Row(NamedTuple):
    """Heading, unit and cells of a row. ``hint`` is small print under the heading."""

    title: str
    unit: str
    cells: tuple[Cell, ...]
    hint: str = ""


@dataclass(frozen=True)
class Table:
    """Rows and their footnotes."""

    rows: tuple[Row, ...]
    notes: Notes


class _Spec(NamedTuple):
    """How a measure is shown."""

    id: str
    title: str
    unit: str
    digits: int = 0
    significant: int = 0
    hint: str = ""


_MAIN = (
    _Spec("volume", "Volume", "mL", significant=2),
    _Spec("air_volume", "Air", "mL", significant=2),
    _Spec("tissue_mass", "CT lung weight", "g", significant=2),
    _Spec("tissue_mass_edge", "Weight without wall", "g", significant=2, hint="partial volume removed"),
    _Spec("air_tissue_ratio", "Air / tissue", "mL/g", digits=2),
    _Spec("mean_hu", "Mean density", "HU"),
    _Spec("hu_p15", "15th percentile", "HU"),
    _Spec("laa_950", "LAA-950", "%", digits=1, hint="below −950 HU"),
    _Spec("haa", "HAA", "%", digits=1, hint="−600 to −250 HU"),
)


def lookup(measures: ReadsMeasures, region: str, measure: str) -> tuple[float | None, str]:
    """Return the value of a measure, or None and the reason."""
    try:
        entry = measures[region][measure]
    except KeyError:
        return None, "Not measured."
    if entry.value is None:
        return None, entry.reason or "Unknown."
    return float(entry.value), ""


def _cell(
    measures: ReadsMeasures, region: str, measure: str, notes: Notes, show: Callable[[float], str]
) -> Cell:
    value, reason = lookup(measures, region, measure)
    return Cell(DASH, notes.mark(reason)) if value is None else Cell(show(value))


def main_table(measures: ReadsMeasures) -> Table:
    """Right, left and both lungs side by side; the volume in litres where it is that of a whole lung."""
    notes = Notes()
    rows = []
    for spec in _MAIN:
        unit, digits, factor, significant = spec.unit, spec.digits, 1.0, spec.significant
        if spec.id == "volume":
            largest = max((lookup(measures, region, "volume")[0] or 0.0) for region in _REGIONS)
            if largest >= 1000.0:
                unit, digits, factor, significant = "L", 2, 1e-3, 0

        def show(value: float, f: float = factor, d: int = digits, s: int = significant) -> str:
            return format_number(value * f, d, s)

        cells = tuple(_cell(measures, region, spec.id, notes, show) for region in _REGIONS)
        rows.append(Row(spec.title, unit, cells, spec.hint))
    return Table(tuple(rows), notes)


def aeration_table(measures: ReadsMeasures) -> Table:
    """Aeration compartments of right, left and both lungs, each as % of volume and % of mass."""
    notes = Notes()

    def show(value: float) -> str:
        return format_number(value, 1)

    rows = []
    for band in COMPARTMENTS:
        cells = tuple(
            _cell(measures, region, measure, notes, show)
            for region in _REGIONS
            for measure in (band.id, f"{band.id}_mass")
        )
        rows.append(Row(band.title, interval(band.low, band.high), cells, band.colour))
    cells = tuple(
        _cell(measures, region, measure, notes, show)
        for region in _REGIONS
        for measure in ("aeration_outside", "aeration_outside_mass")
    )
    rows.append(Row("Outside all bands", "counted apart", cells))
    return Table(tuple(rows), notes)


def aeration_bar(measures: ReadsMeasures, region: str, mass: bool = False) -> Markup | None:
    """Draw the compartments of a region as one stacked bar; None where one of them is unknown."""
    width, height = 300.0, 22.0
    parts: list[tuple[Compartment, float]] = []
    for band in COMPARTMENTS:
        value, _ = lookup(measures, region, band.id + ("_mass" if mass else ""))
        if value is None:
            return None
        parts.append((band, value))
    children = []
    left = 0.0
    for n, (band, value) in enumerate(parts):
        wide = value / 100.0 * width
        children.append(element("rect", x=left, y=0.0, width=wide, height=height, fill=band.colour))
        if value >= 9.0:
            children.append(
                text(
                    left + wide / 2,
                    15.5,
                    f"{format_number(value)} %",
                    text_anchor="middle",
                    font_size="12",
                    fill="#fff" if n >= 2 else "#111",
                )
            )
        left += wide
    children.append(element("rect", x=0.0, y=0.0, width=width, height=height, fill="none", stroke="#8a979b"))
    said = ", ".join(f"{band.title.lower()} {format_number(value, 1)} %" for band, value in parts)
    share = "mass" if mass else "volume"
    return element(
        "svg",
        *children,
        viewBox=f"-0.5 -0.5 {width + 1:g} {height + 1:g}",
        role="img",
        aria_label=f"Share of {share}: {said}",
        class_="bar",
    )


_THIRDS: tuple[tuple[str, str], ...] = (
    ("ventral", "Ventral third"),
    ("mid_ap", "Middle third (front to back)"),
    ("dorsal", "Dorsal third"),
    ("apical", "Apical third"),
    ("middle", "Middle third (top to bottom)"),
    ("basal", "Basal third"),
)


def region_table(measures: ReadsMeasures) -> Table:
    """Thirds of each lung: weight, air, mean HU and % non-aerated, the last two shaded.

    The shades have fixed ends, so that two reports compare by eye: mean HU from -900 to -400, non-aerated
    tissue from 0 to 40 % of the volume.
    """
    notes = Notes()
    rows = []
    for suffix, title in _THIRDS:
        cells: list[Cell] = []
        for region in _REGIONS[: len(LUNGS)]:
            name = f"{region}_{suffix}"
            for measure, digits, significant, ends in (
                ("tissue_mass", 0, 2, None),
                ("air_volume", 0, 2, None),
                ("mean_hu", 0, 0, (-900.0, -400.0)),
                ("aeration_non", 1, 0, (0.0, 40.0)),
            ):
                value, reason = lookup(measures, name, measure)
                if value is None:
                    cells.append(Cell(DASH, notes.mark(reason)))
                    continue
                shade = 0.0
                if ends is not None:
                    shade = min(max((value - ends[0]) / (ends[1] - ends[0]), 0.0), 1.0)
                cells.append(Cell(format_number(value, digits, significant), shade=shade))
        rows.append(Row(title, "", tuple(cells)))
    return Table(tuple(rows), notes)


def formulae(measures: Measures) -> list[Mapping[str, Any]]:
    """The formulae of the measures that the report shows, as plain data in the order of the registry."""
    shown = {spec.id for spec in _MAIN} | {"aeration_outside"}
    shown |= {band.id for band in COMPARTMENTS} | {f"{band.id}_mass" for band in COMPARTMENTS}
    return [
        {**entry, "formula": _typeset(str(entry["formula"]))}
        for key, entry in measures.formulae.items()
        if key in shown
    ]


def _typeset(formula: str) -> str:
    """Put the signs of a plain-text formula as a person writes them."""
    return formula.replace("<=", "≤").replace(">=", "≥").replace(" x ", " × ")
