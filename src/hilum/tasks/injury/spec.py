"""The task ``injury``: the tissue of the lungs, classified."""

from __future__ import annotations

from collections.abc import Mapping

from hilum.core.flags import Flag
from hilum.core.labels import INJURY, LUNGS, PLEURA, InjuryClass
from hilum.core.segmentation import ModelInfo, Progress, Segmentation
from hilum.core.version import __version__
from hilum.core.volume import Volume
from hilum.measures import Measures
from hilum.tasks.injury.definitions import INJURED
from hilum.tasks.injury.doubts import injury_flags
from hilum.tasks.injury.measures import LOBES_NAME, collect_injury, measure_injury, region_of
from hilum.tasks.injury.places import Place
from hilum.tasks.spec import Find, Section, Task, TaskResult

__all__ = ["INJURY_TASK"]

#: Tasks whose label maps take the place of tubes found by shape, where both were asked for.
_TUBES = ("vessels", "airways")


def _load(model: str, device: str) -> Find:
    """Return what tells the tissue apart; rules find it, so there is no model to open."""
    return _find


def _find(volume: Volume, found: Mapping[str, Segmentation], progress: Progress | None) -> Segmentation:
    # SciPy's filters are imported where they are needed: listing the tasks does without.
    from hilum.tasks.injury.segment import find_tissue

    lungs = found[LUNGS.name]
    maps = [found[name].labels.data > 0 for name in _TUBES if name in found]
    # Vessels alone would leave the walls of airways unnamed, so shape decides unless both are known.
    tubes = maps[0] | maps[1] if len(maps) == len(_TUBES) else None
    tissue = find_tissue(volume, lungs.labels, tubes)
    beside = {LUNGS.name: lungs.labels}
    if PLEURA.name in lungs.beside:
        beside[PLEURA.name] = lungs.beside[PLEURA.name]
    if LOBES_NAME in found:
        beside[LOBES_NAME] = found[LOBES_NAME].labels
    info = ModelInfo("injury-rules", __version__)
    return Segmentation(tissue.labels, info, beside=beside, facts=tissue.facts)


def _check(volume: Volume, segmentation: Segmentation) -> tuple[Flag, ...]:
    return injury_flags(volume, segmentation.facts)


def _section(volume: Volume, found: TaskResult) -> Section:
    # The report is imported where one is made: it brings templates and figures.
    from hilum.tasks.injury.report.section import injury_section

    return injury_section(volume, found)


def _summary(measures: Measures) -> tuple[str, ...]:
    """Share of the lungs in each class of injury."""
    out = []
    for kind in (*INJURED, InjuryClass.EMPHYSEMA):
        info = INJURY[kind]
        value = measures[region_of(Place.all(False)[2], info.name)]["class_share"].value
        words = info.title.lower()
        out.append(f"{words} unknown" if value is None else f"{words} {value:.1f} %")
    return tuple(out)


INJURY_TASK = Task(
    name=INJURY.name,
    title="Injured lung",
    label_set=INJURY,
    models=(),
    load=_load,
    collect=collect_injury,
    measure=measure_injury,
    check=_check,
    section=_section,
    summary=_summary,
    headline=("volume", "class_mass", "class_share"),
    needs=(LUNGS.name,),
    after=(LOBES_NAME, *_TUBES),
)
