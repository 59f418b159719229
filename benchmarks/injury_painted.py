"""Classes of injured lung on lesions painted into real lungs: known shape, real texture.

    python benchmarks/injury_painted.py DATA               # scans on whose paintings nothing was tuned
    python benchmarks/injury_painted.py DATA --tuning      # the others

A painting has ground glass, consolidation and nodules, or emphysema and nodules. Lesions have smooth random
shapes; a share of each voxel is exchanged, so the lung's own texture goes on in haze. What the rules call
injured before anything is painted is left out, and vessels found there stay vessels in ground glass and in
emphysema. A nodule counts as found where the intersection over union exceeds 0.1.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))
sys.path.insert(0, str(ROOT / "benchmarks"))

import hilum  # noqa: E402
from hilum.core.label_volume import LabelVolume  # noqa: E402
from hilum.core.labels import INJURY, InjuryClass  # noqa: E402
from hilum.core.volume import Volume  # noqa: E402
from hilum.imaging.morphology import bounding_box  # noqa: E402
from hilum.imaging.overlap import dice  # noqa: E402
from hilum.synthesis.lesions.kinds import Change  # noqa: E402
from hilum.synthesis.lesions.lung import LungSpace, noise_level, smooth_step  # noqa: E402
from hilum.synthesis.lesions.make import POSTERIOR, mix_in  # noqa: E402
from hilum.tasks.injury.segment import find_tissue  # noqa: E402
from injury_classes import nodules  # noqa: E402

#: Scans without diffuse disease, all of them free for training.
TUNING = ("lidc-0004", "lidc-0001_low", "lidc-0003_low", "tcga-de-a4ma")
HELD_OUT = ("lidc-0002_low", "covidctmd-normal002_third", "lidc-0063_half", "cptac-c3n-00247_third")
#: Class, length of its random shape in mm, share of the lung, width of the edge, target HU, share of a voxel.
PATCHES = {
    "dense": (
        (InjuryClass.GROUND_GLASS, 30.0, 0.08, 0.25, 30.0, 0.32),
        (InjuryClass.CONSOLIDATION, 50.0, 0.06, 0.1, 30.0, 0.97),
    ),
    "dark": ((InjuryClass.EMPHYSEMA, 15.0, 0.06, 0.15, -990.0, 0.95),),
}
#: Nodules of a lung, their radii in mm, and HU.
NODULES, RADII_MM, NODULE_HU = 3, (3.5, 10.0), 40.0
MARGIN_MM = 6.0
ALREADY_ILL = (
    InjuryClass.EMPHYSEMA,
    InjuryClass.GROUND_GLASS,
    InjuryClass.CONSOLIDATION,
    InjuryClass.NODULE,
)


def paint(volume: Volume, lungs: np.ndarray, kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return HU with lesions, and their classes; 0 where nothing was painted."""
    rng = np.random.default_rng(seed)
    hu = volume.hu.astype(np.float32)
    truth = np.zeros(hu.shape, np.uint8)
    noise = noise_level(hu)
    for side in (1, 2):
        box = bounding_box(lungs == side, MARGIN_MM, volume.spacing)
        if box is None:
            continue
        lung = LungSpace(lungs[box] == side, volume.spacing, POSTERIOR, rng)
        others = (lungs[box] > 0) & ~lung.mask
        for value, length, part, edge, target, strength in PATCHES[kind]:
            place = lung.highest(lung.field(length), part, edge)
            grain = np.float32(1) + np.float32(0.15) * lung.field(6.0)
            change = Change(np.clip(place * np.float32(strength) * grain, 0, 1), target)
            hu[box] = mix_in(hu[box], lung, change, noise, others)
            truth[box][(place > 0.5) & lung.mask] = value
        for radius in rng.uniform(*RADII_MM, NODULES):
            ball = lung.ball(lung.inside_point(), radius)
            share = smooth_step(np.float32(0.5) - ball / np.float32(2.0))
            hu[box] = mix_in(hu[box], lung, Change(share, NODULE_HU), noise, others)
            truth[box][(share > 0.5) & lung.mask] = InjuryClass.NODULE
    return np.rint(hu).astype(np.int16), truth


def judge(volume: Volume, lungs: LabelVolume, kind: str, seed: int) -> dict[str, object]:
    """Paint, classify and compare."""
    before = find_tissue(volume, lungs).labels.data
    hu, truth = paint(volume, lungs.data, kind, seed)
    painted = replace(volume, hu=hu)
    found = find_tissue(painted, LabelVolume.on_grid_of(painted, lungs.data)).labels.data
    see_through = np.isin(truth, (InjuryClass.GROUND_GLASS, InjuryClass.EMPHYSEMA, 0))
    truth = np.where(see_through & (before == InjuryClass.TUBE), np.uint8(InjuryClass.TUBE), truth)
    judged = (lungs.data > 0) & ~np.isin(before, ALREADY_ILL)
    out: dict[str, object] = {"painted": kind}
    for value in ALREADY_ILL:
        mine, real = (found == value) & judged, (truth == value) & judged
        if real.any():
            out[f"{INJURY[value].name}_dice"] = round(dice(mine, real), 3)
            out[f"{INJURY[value].name}_volume"] = round(float(mine.sum() / real.sum()), 3)
        else:
            out[f"{INJURY[value].name}_false"] = round(100 * float(mine.sum() / judged.sum()), 3)
    shown = np.where(judged, found, 0).astype(np.uint8)
    return out | nodules(shown, np.where(judged, truth, 0).astype(np.uint8), volume.voxel_volume_ml)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of real scans")
    parser.add_argument("--tuning", action="store_true", help="the scans that constants may be chosen on")
    parser.add_argument("--only", default="", help="scans whose name holds this")
    given = parser.parse_args()
    for number, name in enumerate(TUNING if given.tuning else HELD_OUT):
        if given.only not in name:
            continue
        result = hilum.segment(given.data / "volumes" / f"{name}.nii.gz", task="lungs")
        lungs = result.segmentations["lungs"].labels
        for kind in PATCHES:
            row = judge(result.volume, lungs, kind, number + (0 if given.tuning else 100))
            print(json.dumps({"scan": name, **row}), flush=True)


if __name__ == "__main__":
    main()
