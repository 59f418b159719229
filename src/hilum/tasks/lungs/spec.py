"""The task ``lungs``: right and left lung, their volumes, weights, air and densities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hilum import quality
from hilum.core.flags import Flag
from hilum.core.labels import LUNGS, Side
from hilum.core.segmentation import Progress, Segmentation
from hilum.core.volume import Volume
from hilum.measures import LabelVoxels, Measures, collect, compute
from hilum.tasks.lungs.models import load_model
from hilum.tasks.spec import Find, Section, Task, TaskResult

__all__ = ["LUNGS_TASK"]


def _load(model: str, device: str) -> Find:
    segmenter = load_model(model, device)

    def find(volume: Volume, found: Mapping[str, Segmentation], progress: Progress | None) -> Segmentation:
        return segmenter(volume, progress)

    return find


def _collect(volume: Volume, segmentation: Segmentation) -> LabelVoxels:
    return collect(volume, segmentation.labels)


def _measure(
    volume: Volume, segmentation: Segmentation, flags: Sequence[Flag], voxels: LabelVoxels | None
) -> Measures:
    return compute(volume, segmentation.labels, flags, voxels)


def _check(volume: Volume, segmentation: Segmentation) -> tuple[Flag, ...]:
    return quality.check_segmentation(volume, segmentation)


def _section(volume: Volume, found: TaskResult) -> Section:
    # The report is imported where one is made: it brings templates and figures.
    from hilum.tasks.lungs.report.section import lungs_section

    return lungs_section(volume, found)


def _summary(measures: Measures) -> tuple[str, ...]:
    """Volume of each lung, weight and air of both."""

    def show(region: Side, measure: str, scale: float, unit: str, digits: int) -> str:
        value = measures[region.value][measure].value
        return "unknown" if value is None else f"{value * scale:.{digits}f} {unit}"

    gram = measures[Side.LUNGS.value]["tissue_mass"].unit
    return (
        f"right {show(Side.RIGHT, 'volume', 1e-3, 'L', 2)}",
        f"left {show(Side.LEFT, 'volume', 1e-3, 'L', 2)}",
        f"weight {show(Side.LUNGS, 'tissue_mass', 1, gram, 0)}",
        f"air {show(Side.LUNGS, 'air_volume', 1e-3, 'L', 2)}",
    )


LUNGS_TASK = Task(
    name=LUNGS.name,
    title="Lungs",
    label_set=LUNGS,
    models=("lungs", "classic"),
    load=_load,
    collect=_collect,
    measure=_measure,
    check=_check,
    section=_section,
    summary=_summary,
    headline=("volume", "air_volume", "tissue_mass", "mean_hu"),
    uncertainty="uncertainty",
)
