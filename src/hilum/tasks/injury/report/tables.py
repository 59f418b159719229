"""Table and bars of the classes of injured lung."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from hilum.core.labels import INJURY, InjuryClass
from hilum.drawing.numbers import format_number
from hilum.drawing.svg import element, hex_colour, text
from hilum.measures import Measures
from hilum.tasks.injury.definitions import PLACE_MEASURES
from hilum.tasks.injury.measures import region_of
from hilum.tasks.injury.places import Place
from hilum.tasks.lungs.report.tables import Cell, Notes, Row, Table, lookup

__all__ = ["class_bars", "class_table", "place_table"]

_DASH = "\N{EM DASH}"
_WIDTH, _HEIGHT = 300.0, 18.0
#: Order of the parts of a bar: from air to none.
_BAR = (
    InjuryClass.EMPHYSEMA,
    InjuryClass.AERATED,
    InjuryClass.TUBE,
    InjuryClass.GROUND_GLASS,
    InjuryClass.CONSOLIDATION,
    InjuryClass.NODULE,
)
#: A part of a bar at least this wide carries its number, %.
_LEAST_TEXT = 9.0
#: Rows on all classes together.
_PLACES = ("injured_mass", "injured_share", "aerated_share", "laa_950_smoothed", "excess_self")


def _whole() -> tuple[Place, ...]:
    return Place.all(False)[:3]


def _cell(
    measures: Measures, region: str, id_: str, notes: Notes, digits: int = 0, significant: int = 0
) -> Cell:
    value, reason = lookup(measures, region, id_)
    if value is None:
        return Cell(_DASH, notes.mark(reason))
    return Cell(format_number(value, digits, significant))


def class_table(measures: Measures) -> Table:
    """mL, g and % of each class, right, left and both."""
    notes, rows = Notes(), []
    for info in INJURY.values():
        cells: list[Cell] = []
        for place in _whole():
            region = region_of(place, info.name)
            cells.append(_cell(measures, region, "volume", notes, significant=2))
            cells.append(_cell(measures, region, "class_mass", notes, significant=2))
            cells.append(_cell(measures, region, "class_share", notes, digits=1))
        rows.append(Row(info.title, hex_colour(info.colour), tuple(cells)))
    return Table(tuple(rows), notes)


def place_table(measures: Measures) -> Table:
    """What is measured of all classes together, right, left and both."""
    notes, rows = Notes(), []
    entries = {entry.id: entry for entry in PLACE_MEASURES}
    for id_ in _PLACES:
        entry = entries[id_]
        digits, significant = (1, 0) if entry.unit == "%" else (0, 2)
        cells = tuple(
            _cell(measures, region_of(place), id_, notes, digits, significant) for place in _whole()
        )
        rows.append(Row(entry.title, entry.unit, cells))
    return Table(tuple(rows), notes)


def class_bars(measures: Measures) -> list[tuple[str, Markup]]:
    """A bar of the classes for each lung, and for each lobe where these are known."""
    lobes = any(place.lobe and region_of(place) in measures for place in Place.all(True))
    places = [place for place in Place.all(lobes) if place.third is None]
    drawn = ((place.title, _bar(measures, place)) for place in places)
    return [(title, bar) for title, bar in drawn if bar is not None]


def _bar(measures: Measures, place: Place) -> Markup | None:
    parts = []
    for kind in _BAR:
        value, _ = lookup(measures, region_of(place, INJURY[kind].name), "class_share")
        if value is None:
            return None
        parts.append((kind, value))
    said = ", ".join(f"{INJURY[kind].title.lower()} {format_number(value, 1)} %" for kind, value in parts)
    return element(
        "svg",
        *_parts(parts),
        element("rect", x=0.0, y=0.0, width=_WIDTH, height=_HEIGHT, fill="none", stroke="#8a979b"),
        viewBox=f"-0.5 -0.5 {_WIDTH + 1:g} {_HEIGHT + 1:g}",
        role="img",
        aria_label=f"Share of volume: {said}",
        class_="bar",
    )


def _parts(parts: Sequence[tuple[InjuryClass, float]]) -> list[Markup]:
    out, left = [], 0.0
    for kind, value in parts:
        wide = value / 100.0 * _WIDTH
        fill = hex_colour(INJURY[kind].colour)
        out.append(element("rect", x=left, y=0.0, width=wide, height=_HEIGHT, fill=fill))
        if value >= _LEAST_TEXT:
            ink = "#fff" if kind in (InjuryClass.EMPHYSEMA, InjuryClass.CONSOLIDATION) else "#111"
            words = f"{format_number(value)} %"
            out.append(text(left + wide / 2, 13.0, words, text_anchor="middle", font_size="11", fill=ink))
        left += wide
    return out
