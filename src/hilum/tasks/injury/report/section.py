"""The section on injured lung: findings in words, a table, bars, and slices with the classes filled in."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import numpy.typing as npt

from hilum.core.labels import INJURY, LUNGS, InjuryClass
from hilum.core.volume import Volume
from hilum.drawing.numbers import format_number
from hilum.drawing.slices import (
    LEVEL,
    WINDOW,
    PlacedLabels,
    Plane,
    can_show,
)
from hilum.drawing.survey import Box
from hilum.drawing.svg import hex_colour
from hilum.imaging.morphology import bounding_box
from hilum.tasks.injury.definitions import CLASS_MEASURES, PLACE_MEASURES
from hilum.tasks.injury.report.findings import findings
from hilum.tasks.injury.report.tables import class_bars, class_table, place_table
from hilum.tasks.lungs.report.filled import filled_slice
from hilum.tasks.lungs.report.section import Figure
from hilum.tasks.spec import Section, TaskResult

__all__ = ["injury_section"]

#: Classes that are filled in the slices, in the order of drawing.
SHOWN = (InjuryClass.EMPHYSEMA, InjuryClass.GROUND_GLASS, InjuryClass.CONSOLIDATION, InjuryClass.NODULE)
#: Axial slices that are shown, and how far apart they lie at least, as part of the lungs' height.
_AXIAL, _APART = 3, 0.15


def injury_section(volume: Volume, found: TaskResult) -> Section:
    """Put together what the report shows of injured lung.

    Args:
        volume: The scan.
        found: What the task ``injury`` gave for it; the lungs lie beside its label map.

    Returns:
        The section. The same result gives the same one.
    """
    measures = found.measures
    doubts = [flag.message for flag in measures.flags if flag.code == "injury_doubtful"]
    values = {
        "sentences": findings(measures),
        "doubts": doubts,
        "table": class_table(measures),
        "places": place_table(measures),
        "bars": class_bars(measures),
        "slices": _figures(volume, found),
        "window": WINDOW,
        "level": format_number(LEVEL),
        "kinds": [
            (INJURY[kind].title, hex_colour(INJURY[kind].colour), kind is InjuryClass.EMPHYSEMA)
            for kind in SHOWN
        ],
        "contract_version": INJURY.version,
        "definition": INJURY.definition,
        "formulae": [entry.as_dict() for entry in (*CLASS_MEASURES[1:], *PLACE_MEASURES)],
    }
    return Section("hilum.tasks.injury.report", "injury.html.j2", "injury_method.html.j2", values)


def _figures(volume: Volume, found: TaskResult) -> list[Figure]:
    """Axial slices with the most injury, apart from one another, and the coronal one with the most."""
    canonical, orientation = volume.canonical(), nib.io_orientation(volume.affine)
    tissue: npt.NDArray[np.uint8] = nib.apply_orientation(found.segmentation.labels.data, orientation)
    lungs: npt.NDArray[np.uint8] = nib.apply_orientation(
        found.segmentation.beside[LUNGS.name].data, orientation
    )
    shown = np.isin(tissue, SHOWN)
    box = bounding_box(lungs > 0)
    if box is None or not shown.any():
        return []
    placed = PlacedLabels(canonical, lungs, orientation, box)
    out = []
    for plane, count in ((Plane.AXIAL, _AXIAL), (Plane.CORONAL, 1)):
        if can_show(canonical, plane):
            for index in _most(shown, plane, box, count):
                out.append(
                    filled_slice(
                        placed,
                        tissue,
                        plane,
                        index,
                        [INJURY[kind] for kind in SHOWN],
                        described="lungs outlined, classes of injury filled",
                        dashed=(InjuryClass.EMPHYSEMA,),
                    )
                )
    return out


def _most(shown: npt.NDArray[np.bool_], plane: Plane, box: Box, count: int) -> list[int]:
    """Slices with the most marked voxels that lie apart, from head to foot."""
    across = tuple(axis for axis in range(3) if axis != plane.axis)
    profile = np.count_nonzero(shown, axis=across).astype(np.float64)
    apart = max(1, round(_APART * (box[plane.axis].stop - box[plane.axis].start)))
    out: list[int] = []
    while len(out) < count and profile.max() > 0:
        index = int(np.argmax(profile))
        out.append(index)
        profile[max(0, index - apart) : index + apart] = 0
    return sorted(out, reverse=True)
