"""The task ``airways``: lumen and wall of the tree, from the scan and its lungs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from hilum.core.flags import Flag
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import AIRWAYS, LOBES, LUNGS, VESSELS
from hilum.core.segmentation import Progress, Segmentation
from hilum.core.volume import Volume
from hilum.measures import Measures
from hilum.tasks.airways.calibre import MeasuredAirways
from hilum.tasks.airways.measures import collect_airways, measure_airways
from hilum.tasks.airways.segment import model_info, segment_airways
from hilum.tasks.spec import Find, Section, Task, TaskResult

__all__ = ["AIRWAYS_TASK"]

_LUMEN, _WALL = (info.value for info in AIRWAYS.labels)


def _load(model: str, device: str) -> Find:
    return _find


def _find(volume: Volume, found: Mapping[str, Segmentation], progress: Progress | None) -> Segmentation:
    lungs = found[LUNGS.name]
    masks = segment_airways(volume, lungs, progress)
    labels = np.zeros(volume.shape, np.uint8)
    labels[masks.wall] = _WALL
    labels[masks.lumen] = _LUMEN
    return Segmentation(
        LabelVolume.on_grid_of(volume, labels, AIRWAYS),
        model_info(),
        flags=masks.flags,
        beside={LUNGS.name: lungs.labels},
    )


def _collect(volume: Volume, segmentation: Segmentation) -> MeasuredAirways | None:
    return collect_airways(volume, segmentation)


def _measure(
    volume: Volume, segmentation: Segmentation, flags: Sequence[Flag], airways: MeasuredAirways | None
) -> Measures:
    return measure_airways(volume, segmentation, airways, flags)


def _check(volume: Volume, segmentation: Segmentation) -> tuple[Flag, ...]:
    return segmentation.flags


def _section(volume: Volume, found: TaskResult) -> Section:
    # The report is imported where one is made: it brings templates and figures.
    from hilum.tasks.airways.report.section import airways_section

    return airways_section(volume, found)


def _write(volume: Volume, found: TaskResult, place: Callable[[str], Path]) -> None:
    # Meshes bring what the other outputs do without.
    from hilum.tasks.airways.files import write_airway_files

    write_airway_files(volume, found, place)


def _summary(measures: Measures) -> tuple[str, ...]:
    """Branches and volume of the lumen."""
    count, lumen = measures["airways"]["branch_count"].value, measures["airway_lumen"]["volume"].value
    branches = "airways unknown" if count is None else f"{count:.0f} airway branches"
    return (branches if lumen is None else f"{branches} of {lumen:.0f} mL",)


AIRWAYS_TASK = Task(
    name=AIRWAYS.name,
    title="Airways",
    label_set=AIRWAYS,
    models=("airways",),
    load=_load,
    collect=_collect,
    measure=_measure,
    check=_check,
    section=_section,
    summary=_summary,
    headline=("volume",),
    needs=(LUNGS.name,),
    compared=(LOBES.name, VESSELS.name),
    write=_write,
)
