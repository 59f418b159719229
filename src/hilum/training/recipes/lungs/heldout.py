"""Held-out cases for choosing thresholds: extruded slices of validation patients, and unseen phantoms.

The confidence is calibrated on them as well. Slices of the test patients are not among them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.labels import Lung
from hilum.datasets.volume_grid import STEP_MM, to_isotropic
from hilum.models.registry import SHIPPED
from hilum.synthesis.lesions import add_diaphragm
from hilum.synthesis.phantoms import make_phantom
from hilum.training.recipes.lungs.extrude import PIXEL_MM, block_means, extrude, read_slice, slices_of

__all__ = ["WRONG_REFERENCES", "HeldoutCase", "arguments_of", "heldout_cases"]

#: Slices of the study's validation patients whose reference marks one of two healthy lungs only: no truth.
WRONG_REFERENCES = frozenset({"79_0"})

#: First seed of the phantoms; those of the training are 100,000 and above.
_FIRST_SEED = 3000
#: Diseases of the phantoms, with their severities, in turn.
_INJURIES = (
    "",
    "consolidation:0.7",
    "effusion:0.6",
    "ground_glass:0.8,consolidation:0.4",
    "atelectasis:0.8",
    "pneumothorax:0.5",
    "emphysema:0.8",
    "oedema:0.7,effusion:0.4",
    "consolidation:1.0,atelectasis:0.6",
    "effusion:1.0",
    "nodule:0.8,ground_glass:0.5",
    "atelectasis:1.0,effusion:0.7",
)
#: Slices of the study are extruded on means of 4 x 4 pixels.
_FACTOR = 4


@dataclass(frozen=True, eq=False)
class HeldoutCase:
    """A held-out case with known truth.

    Attributes:
        name: What it is made of, and its numbers.
        hu: HU, (x, y, z) in RAS order, voxels of 3.5 mm.
        lungs: Labels of the lungs, same shape.
    """

    name: str
    hu: npt.NDArray[np.float32]
    lungs: npt.NDArray[np.uint8]

    @property
    def group(self) -> str:
        """What it is made of."""
        return self.name.split("-", 1)[0]


def arguments_of(text: str | None) -> argparse.Namespace:
    """Read the arguments of a command that chooses something on these cases; ``text`` says what it does."""
    parser = argparse.ArgumentParser(description=(text or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="what recipes.lungs.prepare wrote")
    parser.add_argument("--weights", type=Path, default=SHIPPED)
    return parser.parse_args()


def heldout_cases(data: Path, extruded: int = 3, phantoms: int = 48, seed: int = 0) -> Iterator[HeldoutCase]:
    """Yield the held-out cases.

    Args:
        data: What :mod:`hilum.training.recipes.lungs.prepare` wrote.
        extruded: Extruded cases of each slice of a validation patient, and one more with a diaphragm dome.
        phantoms: Number of phantoms.
        seed: Of all draws.
    """
    for index in range(phantoms):
        yield _phantom(index, np.random.default_rng([seed, 1, index]))
    with np.load(data / "bellies.npz") as kept:
        abdomens = [kept[name].astype(np.float32) for name in kept.files]
    for number, file in enumerate(slices_of(data / "slices", "validation")):
        if file.stem in WRONG_REFERENCES:
            continue
        for k in range(extruded):
            rng = np.random.default_rng([seed, 5, number, k])
            yield _extruded(f"extruded-{number:03d}-{k}", file, rng, None)
        yield _extruded(f"dome-{number:03d}", file, np.random.default_rng([seed, 7, number]), abdomens)


def _phantom(index: int, rng: np.random.Generator) -> HeldoutCase:
    phantom = make_phantom(
        seed=_FIRST_SEED + index,
        spacing=(STEP_MM,) * 3,
        orientation="RAS",
        injury=_INJURIES[index % len(_INJURIES)] or None,
        noise_hu=float(rng.uniform(5, 40)),
        size=float(rng.uniform(0.65, 1.15)),
        arms_down=bool(rng.random() < 0.3),
        prone=bool(rng.random() < 0.1),
    )
    return HeldoutCase(f"phantom-{index:02d}", *to_isotropic(phantom.volume, phantom.labels))


def _extruded(
    name: str, file: Path, rng: np.random.Generator, abdomens: Sequence[npt.NDArray[Any]] | None
) -> HeldoutCase:
    hu, sides = read_slice(file)
    pixel = float(rng.uniform(*PIXEL_MM))
    if abdomens is not None:
        made = add_diaphragm(hu[:, :, None], sides[:, :, None], (pixel,) * 3, rng, abdomens)
        hu, sides = made[0][:, :, 0], made[1][:, :, 0]
    maps = [block_means(a, _FACTOR) for a in (hu, sides == Lung.RIGHT, sides == Lung.LEFT)]
    out, labels = extrude(maps, pixel * _FACTOR, rng)
    return HeldoutCase(name, out, np.where(labels <= Lung.LEFT, labels, 0).astype(np.uint8))
