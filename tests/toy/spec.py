"""A task of one's own: a ball in the middle of the lungs, with a measure, a flag and a report section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hilum.core.flags import Flag, Severity
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LabelInfo, LabelSet
from hilum.core.segmentation import Confidence, ModelInfo, Progress, Segmentation
from hilum.core.volume import Volume
from hilum.measures import Group, MeasureDef, Measures, Sample, Value, formulae
from hilum.tasks.spec import Find, Section, Task, TaskResult

RADIUS_MM = 20.0
BALL = LabelSet(
    name="ball",
    version="0.3",
    definition="What lies within 20 mm of the middle of the lungs.",
    labels=(LabelInfo(7, "ball", "Ball", (200, 30, 30), "256673009"),),
    noun="ball",
)
DIAMETER = MeasureDef(
    id="ball_diameter",
    title="Diameter of the ball",
    unit="mm",
    group=Group.VOLUME,
    formula_id="ball_diameter",
    formula_version="1",
    formula="diameter of the ball of the same volume",
    source="geometry",
    valid_range=(0.0, None),
    invalidated_by=(),
    compute=lambda sample, voxel_ml: 2 * (sample.voxels * voxel_ml * 1000 * 3 / (4 * np.pi)) ** (1 / 3),
)


def load(model: str, device: str) -> Find:
    def find(volume: Volume, found: Mapping[str, Segmentation], progress: Progress | None) -> Segmentation:
        places = np.indices(volume.shape).reshape(3, -1).T * volume.spacing
        middle = places[found["lungs"].labels.mask("lungs").ravel()].mean(axis=0)
        near = (np.linalg.norm(places - middle, axis=1) < RADIUS_MM).reshape(volume.shape)
        where = np.full(volume.shape, 50, np.uint8)
        return Segmentation(
            LabelVolume.on_grid_of(volume, near * np.uint8(7), BALL),
            ModelInfo(model, "0.1"),
            confidence=Confidence(0.25, {"round": 1.0}, where),
        )

    return find


def measure(volume: Volume, found: Segmentation, flags: Sequence[Flag], collected: int) -> Measures:
    sample = Sample(np.zeros(1), np.array([collected]))
    value = DIAMETER.compute(sample, found.labels.voxel_ml)
    return Measures({"ball": {DIAMETER.id: Value(value, DIAMETER.unit)}}, (), formulae([DIAMETER]))


def check(volume: Volume, segmentation: Segmentation) -> tuple[Flag, ...]:
    return (Flag("ball_seen", Severity.INFO, "A ball was put into the lungs.", ("ball",)),)


def section(volume: Volume, found: TaskResult) -> Section:
    value = found.measures["ball"][DIAMETER.id].value
    return Section("toy", "ball.html.j2", values={"diameter": f"{value:.0f}", "escaped": "<b>"})


BALL_TASK = Task(
    name="toy",
    title="Ball",
    label_set=BALL,
    models=("round",),
    load=load,
    collect=lambda volume, found: found.labels.counts()[7],
    measure=measure,
    check=check,
    section=section,
    summary=lambda measures: (f"ball {measures['ball'][DIAMETER.id].value:.0f} mm",),
    headline=(DIAMETER.id,),
    needs=("lungs",),
    stem="ball",
)
