"""The columns of the tables of many scans, from the objects that write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hilum.anatomy.pleura import FLUID, SIDES
from hilum.core.labels import AIRWAYS, INJURY, LOBES, LUNGS, PLEURA, VESSELS, LabelRegion
from hilum.measures import MeasureDef
from hilum.measures.registry import REGISTRY
from hilum.tables.columns import (
    AFTER,
    BEFORE,
    RESULTS,
    SCAN,
    Column,
    confidence_column,
    measure_column,
    model_columns,
)
from hilum.tasks.airways.definitions import AIRWAY_MEASURES, AIRWAY_REGIONS, LOBE_REGIONS, measures_of
from hilum.tasks.injury.definitions import CLASS_MEASURES, PLACE_MEASURES
from hilum.tasks.injury.measures import region_of
from hilum.tasks.injury.places import Place
from hilum.tasks.lobes.frames import Fissure
from hilum.tasks.lobes.measures import FISSURE_SEEN
from hilum.tasks.pleura.measures import DEFINITIONS
from hilum.tasks.vessels.definitions import VESSEL_MEASURES, VESSEL_REGIONS

__all__ = ["tables_page"]

_INTRO = """# Columns of the tables

This page is made from the program itself. `scans.csv`, `scans.parquet`, the sheet `scans` of `scans.xlsx` and the page
`index.html` have the same columns in this order; columns of covariates follow them. A column of a measure is called
after region, measure and unit. An empty field is a value that is unknown, with its reason in `measures_long.csv`, or
one that was not asked for.

A measure stands in the table for the whole structures by side. Those of the thirds of the lungs and of the
generations of the airways are in `measures_long.csv`. [Measures](../concepts/measures.md) has every formula.
"""


def tables_page() -> str:
    """Return the page as Markdown."""
    lungs = (LUNGS.name, LUNGS.regions, tuple(REGISTRY.values()))
    pleura = (PLEURA.name, SIDES.regions, DEFINITIONS)
    parts = [_INTRO, _table("Scan", [SCAN, RESULTS]), _table("Acquisition and flags", BEFORE)]
    parts.append(_table("Confidence", [confidence_column(LUNGS.name)]))
    parts += [_table(title, _measured(*what)) for title, what in (("Lungs", lungs), ("Pleura", pleura))]
    parts.append(_table("Airways", _airways()))
    parts.append(_table("Vessels", _vessels()))
    parts.append(
        _table("Lobes", [*_measured(LOBES.name, LOBES.regions, tuple(REGISTRY.values())), *_fissures()])
    )
    parts.append(_table("Injured lung", _injury()))
    tasks = (LUNGS.name, PLEURA.name, AIRWAYS.name, VESSELS.name, LOBES.name, INJURY.name)
    parts.append(_table("Models", [column for task in tasks for column in model_columns(task)]))
    parts.append(_table("Run", AFTER))
    return "\n".join(parts)


def _measured(task: str, regions: Sequence[LabelRegion], measures: Sequence[MeasureDef]) -> Iterable[Column]:
    for measure in measures:
        for region in regions:
            if region.name.endswith(PLEURA[FLUID].name) or task != PLEURA.name or measure.id == "volume":
                about = {"title": measure.title, "unit": measure.unit, "formula": ""}
                yield measure_column(task, region.name, region.title, measure.id, about)


def _airways() -> Iterable[Column]:
    titles = {region.name: region.title for region in AIRWAYS.regions}
    titles |= {name: title for name, (title, _) in AIRWAY_REGIONS.items()}
    titles |= {name: title for name, (title, _, _) in LOBE_REGIONS.items()}
    for measure in AIRWAY_MEASURES.values():
        about = {"title": measure.title, "unit": measure.unit, "formula": ""}
        for region, title in titles.items():
            if measure.id in measures_of(region):
                yield measure_column(AIRWAYS.name, region, title, measure.id, about)


def _vessels() -> Iterable[Column]:
    for measure in VESSEL_MEASURES.values():
        about = {"title": measure.title, "unit": measure.unit, "formula": ""}
        for region, (title, _) in VESSEL_REGIONS.items():
            yield measure_column(VESSELS.name, region, title, measure.id, about)


def _injury() -> Iterable[Column]:
    places = [place for place in Place.all(lobes=True) if place.third is None]
    for place in places:
        measured = [(region_of(place), place.title, entry) for entry in PLACE_MEASURES if entry.where(place)]
        measured += [
            (region_of(place, kind.name), f"{kind.title}, {place.title.lower()}", entry)
            for kind in INJURY.labels
            for entry in CLASS_MEASURES
        ]
        for region, title, entry in measured:
            about = {"title": entry.title, "unit": entry.unit, "formula": ""}
            yield measure_column(INJURY.name, region, title, entry.id, about)


def _fissures() -> Iterable[Column]:
    about = {"title": FISSURE_SEEN.title, "unit": FISSURE_SEEN.unit, "formula": ""}
    for fissure in Fissure:
        yield measure_column(LOBES.name, fissure.region, fissure.words.capitalize(), FISSURE_SEEN.id, about)


def _table(title: str, columns: Iterable[Column]) -> str:
    rows = []
    for column in columns:
        meaning = f"{column.title}: {column.meaning}" if column.meaning else column.title
        rows.append(f"| `{column.name}` | {column.kind.value} | {column.unit} | {meaning} |")
    head = [f"## {title}", "", "| column | kind | unit | meaning |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, ""])
