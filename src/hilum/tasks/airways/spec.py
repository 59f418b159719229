"""The task ``airways``: lumen and wall of the tree, from the scan and its lungs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hilum.core.flags import Flag
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import AIRWAYS, LUNGS
from hilum.core.segmentation import Progress, Segmentation
from hilum.core.volume import Volume
from hilum.measures import Measures
from hilum.tasks.airways.segment import model_info, segment_airways
from hilum.tasks.airways.volumes import measure_volumes
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


def _collect(volume: Volume, segmentation: Segmentation) -> dict[int, int]:
    return segmentation.labels.counts()


def _measure(
    volume: Volume, segmentation: Segmentation, flags: Sequence[Flag], counts: dict[int, int] | None
) -> Measures:
    return measure_volumes(volume, segmentation, flags, counts)


def _check(volume: Volume, segmentation: Segmentation) -> tuple[Flag, ...]:
    return segmentation.flags


def _section(volume: Volume, found: TaskResult) -> Section:
    # The report is imported where one is made: it brings templates and figures.
    from hilum.tasks.airways.report.section import airways_section

    return airways_section(volume, found)


def _summary(measures: Measures) -> tuple[str, ...]:
    """Volume of the lumen."""
    value = measures["airway_lumen"]["volume"].value
    return ("airways unknown" if value is None else f"airways {value:.0f} mL",)


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
)
