"""The task ``pleura``: pleural fluid and free gas, from the pass of the network that finds the lungs."""

from __future__ import annotations

from collections.abc import Mapping

from hilum.core.errors import ModelError
from hilum.core.flags import Flag
from hilum.core.labels import LUNGS, PLEURA
from hilum.core.segmentation import Progress, Segmentation
from hilum.core.volume import Volume
from hilum.measures import Measures
from hilum.tasks.pleura.measures import collect_pleura, measure_pleura
from hilum.tasks.spec import Find, Section, Task, TaskResult

__all__ = ["PLEURA_TASK"]


def _load(model: str, device: str) -> Find:
    """Return what takes the pleura from the lungs' segmentation; there is no model of its own to open."""
    return _find


def _find(volume: Volume, found: Mapping[str, Segmentation], progress: Progress | None) -> Segmentation:
    lungs = found[LUNGS.name]
    pleura = lungs.beside.get(PLEURA.name)
    if pleura is None:
        raise ModelError(
            f"The model {lungs.model.name}, which found the lungs in this scan, does not find pleural fluid "
            "and free gas.",
            "Leave the task pleura out, or use the model lungs on a scan of more than a few slices.",
        )
    return Segmentation(pleura, lungs.model, beside={LUNGS.name: lungs.labels})


def _check(volume: Volume, segmentation: Segmentation) -> tuple[Flag, ...]:
    """Return no flag: those of fluid and gas are raised with the lungs, which are always found first."""
    return ()


def _section(volume: Volume, found: TaskResult) -> Section:
    # The report is imported where one is made: it brings templates and figures.
    from hilum.tasks.pleura.report.section import pleura_section

    return pleura_section(volume, found)


def _summary(measures: Measures) -> tuple[str, ...]:
    """Volume of fluid and of free gas."""
    words = {"pleural_fluid": "pleural fluid", "pleural_gas": "free gas"}
    out = []
    for region, name in words.items():
        value = measures[region]["volume"].value
        out.append(f"{name} unknown" if value is None else f"{name} {value:.0f} mL")
    return tuple(out)


PLEURA_TASK = Task(
    name=PLEURA.name,
    title="Pleura",
    label_set=PLEURA,
    models=(),
    load=_load,
    collect=collect_pleura,
    measure=measure_pleura,
    check=_check,
    section=_section,
    summary=_summary,
    headline=("volume",),
    needs=(LUNGS.name,),
)
