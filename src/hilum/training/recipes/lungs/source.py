"""The cases of the recipe: each is a function of its index, whichever process makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.labels import Lung
from hilum.datasets.volume_grid import STEP_MM, to_isotropic
from hilum.datasets.volumes import load_volumes
from hilum.synthesis.lesions import add_diaphragm, random_injury
from hilum.synthesis.phantoms import make_phantom
from hilum.training.recipes.lungs.bowel import add_bowel
from hilum.training.recipes.lungs.extrude import PIXEL_MM, block_means, extrude
from hilum.training.volumes.pleura import label_pleura
from hilum.training.volumes.sources import VolumeCase, case_of

__all__ = ["SHARES", "RecipeSource"]

#: How often each group of cases is drawn. Chosen on a trial of 10,800 steps: more injury teaches dense lung
#: and fluid, fewer negatives let bowel gas be taken for lung.
SHARES: Mapping[str, float] = {
    "real": 0.10,
    "injured": 0.45,
    "extruded": 0.12,
    "dome": 0.10,
    "base": 0.05,
    "negative": 0.13,
    "phantom": 0.05,
}
#: A scan whose lungs are denser than -300 HU in more than this part of them gets no injury on top.
_MOST_DENSE = 0.15
_DENSE_HU = -300.0
#: Probability that an injured scan, and that a negative, gets loops of bowel.
_BOWEL_INJURED, _BOWEL_NEGATIVE = 0.35, 0.7
#: Slices are kept as means of 2 x 2 pixels; maps for extrusion are means of 2 x 2 of those.
KEPT_FACTOR, _MAP_FACTOR = 2, 2
#: Fewer planes than this below or above the lungs are not a negative: 42 mm.
_LEAST_PLANES = 12
#: How far the lowest extruded slice lies below the lungs, in voxels; and the highest, as a share of them.
_BELOW_BASE, _BASE_SHARE = 3, 0.45
#: Seeds of the digital chests begin here; those of tests lie below.
_FIRST_PHANTOM = 100_000

_Scan = tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class RecipeSource:
    """Makes the cases of the recipe from what :mod:`hilum.training.recipes.lungs.prepare` wrote.

    Attributes:
        data: Folder of the prepared data.
        subjects: Subjects of ``scans`` that train.
        seed: Of all draws.
    """

    data: Path
    subjects: tuple[int, ...]
    seed: int

    def __getstate__(self) -> dict[str, Any]:
        return {"data": self.data, "subjects": self.subjects, "seed": self.seed}

    def make(self, index: int) -> VolumeCase:
        """Return a case, which is a function of its index alone."""
        rng = np.random.default_rng([self.seed, 40, index])
        there = {name: share for name, share in SHARES.items() if self._has(name)}
        chances = np.array(list(there.values()))
        group = list(there)[int(rng.choice(len(there), p=chances / chances.sum()))]
        hu, labels = self.of_group(group, rng)
        return case_of(hu, labels)

    def of_group(self, group: str, rng: np.random.Generator) -> _Scan:
        """Return HU and labels of a case of a group of :data:`SHARES`."""
        if group == "real":
            return self.scans[int(rng.integers(len(self.scans)))]
        if group == "injured":
            return self._injured(rng)
        if group == "negative":
            return self._negative(rng)
        if group == "base":
            return self._base(rng)
        if group == "phantom":
            return self._phantom(rng)
        return self._extruded(rng, dome=group == "dome")

    def _has(self, group: str) -> bool:
        if group in ("extruded", "dome"):
            return bool(self.slices)
        if group == "negative":
            return bool(self.negatives)
        return group not in ("injured", "base") or bool(self.aerated)

    @cached_property
    def scans(self) -> list[_Scan]:
        """HU and labels of the training subjects."""
        data = load_volumes(self.data / "scans")
        return [
            (np.array(data.image(r), np.float32), np.array(data.mask(r)))
            for r in data.of_subjects(self.subjects)
        ]

    @cached_property
    def aerated(self) -> list[_Scan]:
        """Scans whose lungs are aerated, to put injury into."""
        out = []
        for hu, labels in self.scans:
            lung = (labels >= Lung.RIGHT) & (labels <= Lung.LEFT)
            if float((hu[lung] > _DENSE_HU).mean()) <= _MOST_DENSE:
                out.append((hu, np.where(lung, labels, 0).astype(np.uint8)))
        return out

    @cached_property
    def slices(self) -> list[tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]]:
        """HU and labels of single slices, (x, y), means of 2 x 2 pixels."""
        with np.load(self.data / "slices.npz") as kept:
            count = len(kept.files) // 2
            return [(kept[f"hu{k}"], kept[f"labels{k}"]) for k in range(count)]

    @cached_property
    def bellies(self) -> list[npt.NDArray[np.float32]]:
        """Abdomen slices, for diaphragm domes."""
        with np.load(self.data / "bellies.npz") as kept:
            return [kept[name].astype(np.float32) for name in kept.files]

    @cached_property
    def negatives(self) -> list[_Scan]:
        """Scans without lung, and the two ends of scans with the tips of the lungs in them."""
        out: list[_Scan] = []
        with np.load(self.data / "negatives.npz") as kept:
            out += [(hu := kept[n].astype(np.float32), np.zeros(hu.shape, np.uint8)) for n in kept.files]
        for hu, labels in self.scans:
            planes = np.flatnonzero(labels.any(axis=(0, 1)))
            low, high = int(planes[0]), int(planes[-1]) + 1
            fifth = (high - low) // 5
            ends = (
                slice(0, low + fifth),
                slice(0, max(0, low - 4)),
                slice(high - fifth // 2, labels.shape[2]),
            )
            out += [(hu[:, :, s], labels[:, :, s]) for s in ends if s.stop - s.start >= _LEAST_PLANES]
        return out

    def _injured(self, rng: np.random.Generator) -> _Scan:
        hu, labels = self.aerated[int(rng.integers(len(self.aerated)))]
        made = random_injury(hu, labels, (STEP_MM,) * 3, rng)
        new = label_pleura(labels, made.mask, made.hu)
        if rng.random() < _BOWEL_INJURED:
            return add_bowel(made.hu, labels, STEP_MM, rng), new
        return made.hu, new

    def _negative(self, rng: np.random.Generator) -> _Scan:
        hu, labels = self.negatives[int(rng.integers(len(self.negatives)))]
        if rng.random() < _BOWEL_NEGATIVE:
            hu = add_bowel(np.ascontiguousarray(hu), np.ascontiguousarray(labels), STEP_MM, rng)
        return hu, labels

    def _base(self, rng: np.random.Generator) -> _Scan:
        """Extrude a slice at the base of a scan, for what the organs below look like in one slice."""
        hu, labels = self.aerated[int(rng.integers(len(self.aerated)))]
        planes = np.flatnonzero(labels.any(axis=(0, 1)))
        low, high = int(planes[0]), int(planes[-1])
        z = int(np.clip(rng.uniform(low - _BELOW_BASE, low + _BASE_SHARE * (high - low)), 0, high))
        maps = [np.asarray(a[:, :, z], np.float32) for a in (hu, labels == Lung.RIGHT, labels == Lung.LEFT)]
        return extrude(maps, STEP_MM, rng)

    def _extruded(self, rng: np.random.Generator, dome: bool) -> _Scan:
        kept, sides = self.slices[int(rng.integers(len(self.slices)))]
        hu = kept.astype(np.float32)
        pixel = float(rng.uniform(*PIXEL_MM)) * KEPT_FACTOR
        if dome:
            made = add_diaphragm(hu[:, :, None], sides[:, :, None], (pixel,) * 3, rng, self.bellies)
            hu, sides = made[0][:, :, 0], made[1][:, :, 0]
        maps = [block_means(a, _MAP_FACTOR) for a in (hu, sides == Lung.RIGHT, sides == Lung.LEFT)]
        return extrude(maps, pixel * _MAP_FACTOR, rng)

    def _phantom(self, rng: np.random.Generator) -> _Scan:
        phantom = make_phantom(
            seed=_FIRST_PHANTOM + int(rng.integers(1_000_000)),
            spacing=(STEP_MM,) * 3,
            orientation="RAS",
            noise_hu=float(rng.uniform(5, 40)),
            size=float(rng.uniform(0.65, 1.15)),
            arms_down=bool(rng.random() < 0.3),
            prone=bool(rng.random() < 0.1),
        )
        hu, labels = to_isotropic(phantom.volume, phantom.labels)
        made = random_injury(hu, labels, (STEP_MM,) * 3, rng)
        return made.hu, label_pleura(labels, made.mask, made.hu)
