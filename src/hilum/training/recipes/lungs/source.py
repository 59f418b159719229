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
from hilum.datasets.volumes import LABELS, load_volumes
from hilum.synthesis.lesions import add_diaphragm, random_injury, random_pleura
from hilum.synthesis.phantoms import make_phantom
from hilum.training.recipes.lungs.bowel import add_bowel
from hilum.training.recipes.lungs.extrude import PIXEL_MM, block_means, extrude
from hilum.training.volumes.pleura import label_pleura, labels_of_pleura
from hilum.training.volumes.sources import VolumeCase, case_of

__all__ = ["KEPT_FACTOR", "SHARES", "SLICES_HU", "RecipeSource"]

#: How often each group of cases is drawn. Injury teaches dense lung, ``pleura`` fluid and free gas, of which
#: thin layers are missed the most; with fewer negatives bowel gas is taken for lung.
SHARES: Mapping[str, float] = {
    "real": 0.09,
    "injured": 0.24,
    "pleura": 0.28,
    "emphysema": 0.04,
    "extruded": 0.08,
    "extruded_hu": 0.08,
    "dome": 0.06,
    "base": 0.03,
    "negative": 0.08,
    "phantom": 0.02,
}
#: A scan whose lungs are denser than -300 HU in more than this part of them gets no injury on top.
_MOST_DENSE = 0.15
_DENSE_HU = -300.0
#: Probability that an injured scan, and that a negative, gets loops of bowel.
_BOWEL_INJURED, _BOWEL_NEGATIVE = 0.35, 0.7
#: Slices are kept as means of 2 x 2 pixels; maps for extrusion are means of 2 x 2 of those.
KEPT_FACTOR = 2
_MAP_FACTOR = 2
#: File of the slices in true HU, with their labels and pixel sizes.
SLICES_HU = "slices_hu.npz"
#: Probability that a scan with disease of the pleural space has injury of its lungs first.
_INJURED_FIRST = 0.3
#: Emphysema throughout: lung darker than the first becomes as dark as the second, with noise of the third.
_AERATED_HU, _EMPTY_HU, _EMPTY_NOISE_HU = -600.0, (-990.0, -930.0), (5.0, 40.0)
#: Seed of the cases that validate, so that they are the same in every training.
_VALIDATION_SEED = 41
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

    def validation_cases(self, count: int) -> list[VolumeCase]:
        """Return cases with disease of the pleural space and of the lungs, the same in every training.

        Args:
            count: How many. The subjects of this source must be those that validate.
        """
        if not self.aerated:
            return []
        rngs = [np.random.default_rng([_VALIDATION_SEED, k]) for k in range(count)]
        return [
            case_of(*self.of_group("injured" if k % 4 == 3 else "pleura", rng)) for k, rng in enumerate(rngs)
        ]

    def of_group(self, group: str, rng: np.random.Generator) -> _Scan:
        """Return HU and labels of a case of a group of :data:`SHARES`."""
        if group == "real":
            return self.scans[int(rng.integers(len(self.scans)))]
        if group == "injured":
            return self._injured(rng)
        if group == "pleura":
            return self._pleura(rng)
        if group == "emphysema":
            return self._emphysema(rng)
        if group == "extruded_hu":
            return self._extruded_hu(rng)
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
        if group == "extruded_hu":
            return bool(self.slices_hu)
        if group == "negative":
            return bool(self.negatives)
        return group not in ("injured", "pleura", "emphysema", "base") or bool(self.aerated)

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
    def slices_hu(self) -> list[tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8], float]]:
        """HU, labels and pixel size in mm of single slices in true HU, (x, y)."""
        if not (self.data / SLICES_HU).is_file():
            return []
        with np.load(self.data / SLICES_HU) as kept:
            count = len(kept.files) // 3
            return [(kept[f"hu{k}"], kept[f"labels{k}"], float(kept[f"pixel_mm{k}"])) for k in range(count)]

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

    def _pleura(self, rng: np.random.Generator) -> _Scan:
        hu, labels = self.aerated[int(rng.integers(len(self.aerated)))]
        if rng.random() < _INJURED_FIRST:
            made = random_injury(hu, labels, (STEP_MM,) * 3, rng)
            if np.array_equal(made.mask, labels):  # no fluid or gas yet
                hu = made.hu
        case = random_pleura(hu, labels, (STEP_MM,) * 3, rng)
        return case.hu, labels_of_pleura(case)

    def _emphysema(self, rng: np.random.Generator) -> _Scan:
        """Empty the lungs of a scan to the HU of air, vessels spared."""
        hu, labels = self.aerated[int(rng.integers(len(self.aerated)))]
        empty = rng.uniform(*_EMPTY_HU) + rng.uniform(*_EMPTY_NOISE_HU) * rng.standard_normal(hu.shape)
        return np.where((labels > 0) & (hu < _AERATED_HU), empty, hu).astype(np.float32), labels

    def _extruded_hu(self, rng: np.random.Generator) -> _Scan:
        """Extrude a slice in true HU, whose labels may hold fluid and gas, or none."""
        hu, labels, pixel = self.slices_hu[int(rng.integers(len(self.slices_hu)))]
        kinds = [(labels == value).astype(np.float32) for value in LABELS.values()]
        maps = [block_means(a, _MAP_FACTOR) for a in (np.asarray(hu, np.float32), *kinds)]
        return extrude(maps, pixel * _MAP_FACTOR, rng)

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
