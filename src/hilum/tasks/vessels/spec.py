"""The task ``vessels``: blood vessels in the lungs, their volume by calibre."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from hilum.core.flag_limits import LIMITS
from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.labels import AIRWAYS, LOBES, LUNGS, VESSELS
from hilum.core.segmentation import Progress, Segmentation
from hilum.core.volume import Volume
from hilum.measures import Measures
from hilum.tasks.spec import Find, Section, Task, TaskResult
from hilum.tasks.vessels.measures import collect_vessels, measure_vessels, slice_mm
from hilum.tasks.vessels.segment import MODEL, segment_vessels

__all__ = ["VESSELS_TASK"]


def _load(model: str, device: str) -> Find:
    return _find


def _find(volume: Volume, found: Mapping[str, Segmentation], progress: Progress | None) -> Segmentation:
    airways = found[AIRWAYS.name].labels if AIRWAYS.name in found else None
    return segment_vessels(volume, found[LUNGS.name].labels, progress, airways=airways)


def _check(volume: Volume, segmentation: Segmentation) -> tuple[Flag, ...]:
    """Say that thin vessels are not seen on thick slices."""
    thickness = slice_mm(volume)
    if thickness <= LIMITS.vessels_thin_mm + LIMITS.thick_slack_mm:
        return ()
    message = (
        f"The voxels measure up to {thickness:.3g} mm: thin vessels are not seen, and volumes by calibre are "
        f"withheld. Use a reconstruction of {LIMITS.vessels_thin_mm:g} mm or thinner for the vessels."
    )
    return (Flag(FlagCode.VESSELS_THICK_SLICES, Severity.WARNING, message, (VESSELS.name,)),)


def _section(volume: Volume, found: TaskResult) -> Section:
    # The report is imported where one is made: it brings templates and figures.
    from hilum.tasks.vessels.report.section import vessels_section

    return vessels_section(volume, found)


def _write(volume: Volume, found: TaskResult, place: Callable[[str], Path]) -> None:
    # Meshes bring what the other outputs do without.
    from hilum.tasks.vessels.files import write_vessel_files

    write_vessel_files(volume, found, place)


def _summary(measures: Measures) -> tuple[str, ...]:
    """Volume of the vessels, and the share of the thin ones."""
    total, thin = measures["vessels"]["blood_volume"].value, measures["vessels"]["bv5_share"].value
    if total is None:
        return ("vessels unknown",)
    return (f"vessels {total:.0f} mL" + ("" if thin is None else f", {thin:.0f} % below 5 mm2"),)


VESSELS_TASK = Task(
    name=VESSELS.name,
    title="Vessels",
    label_set=VESSELS,
    compared=(LOBES.name,),
    models=(MODEL.name,),
    load=_load,
    collect=collect_vessels,
    measure=measure_vessels,
    check=_check,
    section=_section,
    summary=_summary,
    headline=("blood_volume", "bv5"),
    needs=(LUNGS.name,),
    after=(AIRWAYS.name,),
    write=_write,
)
