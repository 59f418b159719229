"""The task ``lobes``: the lungs divided by their fissures, with a shape prior where these are not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hilum.core.flags import Flag
from hilum.core.labels import LOBES, LUNGS
from hilum.core.segmentation import Progress, Segmentation
from hilum.core.volume import Volume
from hilum.measures import LabelVoxels, Measures, collect
from hilum.tasks.lobes.checks import check_lobes
from hilum.tasks.lobes.find import LobeSegmentation, find_lobes
from hilum.tasks.lobes.measures import measure_lobes
from hilum.tasks.spec import Find, Section, Task, TaskResult

__all__ = ["LOBES_TASK"]


def _load(model: str, device: str) -> Find:
    """Return what divides the lungs; the prior is opened with the first scan."""
    return _find


def _find(volume: Volume, found: Mapping[str, Segmentation], progress: Progress | None) -> Segmentation:
    return find_lobes(volume, found[LUNGS.name].labels, progress)


def _collect(volume: Volume, segmentation: Segmentation) -> LabelVoxels:
    return collect(volume, segmentation.labels)


def _measure(
    volume: Volume, segmentation: Segmentation, flags: Sequence[Flag], voxels: LabelVoxels | None
) -> Measures:
    assert isinstance(segmentation, LobeSegmentation)
    return measure_lobes(volume, segmentation, flags, voxels)


def _check(volume: Volume, segmentation: Segmentation) -> tuple[Flag, ...]:
    assert isinstance(segmentation, LobeSegmentation)
    return tuple(check_lobes(segmentation))


def _section(volume: Volume, found: TaskResult) -> Section:
    # The report is imported where one is made: it brings templates and figures.
    from hilum.tasks.lobes.report.section import lobes_section

    return lobes_section(volume, found)


def _summary(measures: Measures) -> tuple[str, ...]:
    """Volume of each lobe."""
    parts = []
    for name, region in zip(("LUL", "LLL", "RUL", "RML", "RLL"), LOBES.regions, strict=True):
        value = measures[region.name]["volume"].value
        parts.append(f"{name} unknown" if value is None else f"{name} {value:.0f} mL")
    return tuple(parts)


LOBES_TASK = Task(
    name=LOBES.name,
    title="Lobes",
    label_set=LOBES,
    models=(),
    load=_load,
    collect=_collect,
    measure=_measure,
    check=_check,
    section=_section,
    summary=_summary,
    headline=("volume", "air_volume", "tissue_mass", "mean_hu"),
    needs=(LUNGS.name,),
)
