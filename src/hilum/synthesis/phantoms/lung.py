"""Content of a lung: parenchyma, vessels, airways, injuries; evaluated on a lattice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from hilum.core.constants import AIR_HU
from hilum.synthesis.pathology import Pathology
from hilum.synthesis.phantoms.anatomy import LUNG_BOX, Anatomy, Body
from hilum.synthesis.phantoms.fields import (
    Array,
    Coordinates,
    Lattice,
    coverage,
    lerp_into,
    segment_distance,
    tube_coverage,
)
from hilum.synthesis.phantoms.injury import PATCHES, Injuries
from hilum.synthesis.phantoms.trees import Branch, Kind, Points, Tree, grow_trees

__all__ = ["BLOOD_HU", "ChestModel", "LungPart", "Tissue", "Tubes", "lung_part", "paint_trees"]

BLOOD_HU = 42.0
WALL_HU = 30.0
FLUID_HU = 10.0
COLLAPSED_HU = -30.0
NODULE_HU = 35.0
FISSURE_HU = 0.0
FISSURE_MM = 0.25


class Tissue(IntEnum):
    """Values of the tissue map of a phantom. Lung and rest of the body are 0."""

    NONE = 0
    AIRWAY_LUMEN = 1
    AIRWAY_WALL = 2
    VESSEL = 3
    GROUND_GLASS = 4
    CONSOLIDATION = 5
    ATELECTASIS = 6
    EMPHYSEMA = 7
    NODULE = 8
    EFFUSION = 9
    PNEUMOTHORAX = 10


class ChestModel:
    """Anatomy, trees and injuries of one phantom, in the frame of a chest of size 1.

    Args:
        body: What differs between phantoms.
        seed: Seed of trees and injuries.
        severity: Severity by injury.
    """

    def __init__(self, body: Body, seed: int, severity: dict[Pathology, float]) -> None:
        self.body = body
        self.anatomy = Anatomy(body)
        self.trees: dict[Kind, Tree] = grow_trees(self.anatomy, seed)
        self.injuries = Injuries(self.anatomy, seed, severity)
        vessels = self.trees[Kind.ARTERY] + self.trees[Kind.VEIN]
        airways = self.trees[Kind.AIRWAY]
        #: Branches drawn in each lung, by side; side 0 is outside of the lungs: the first branches only.
        self.vessels = {s: Tubes.of([b for b in vessels if b.side == s]) for s in (1, -1)}
        self.airways = {s: Tubes.of([b for b in airways if b.side in (s, 0)]) for s in (1, -1)}
        self.vessels[0] = Tubes.of([b for b in vessels if b.generation <= 2])
        self.airways[0] = Tubes.of([b for b in airways if b.side == 0 or b.generation <= 3])
        self._phase = np.random.default_rng([seed, 7]).uniform(0, 2 * np.pi, (4, 3)).astype(np.float32)

    def parenchyma(self, p: Coordinates) -> Array:
        """HU of healthy parenchyma without visible vessels."""
        hu = np.float32(self.body.parenchyma_hu) + np.float32(self.body.gradient) * self.injuries.down(p)
        # A faint mottle of lobules: products of waves, 9 to 31 mm long.
        for phase, length in zip(self._phase, (31.0, 19.0, 13.0, 9.0), strict=True):
            k = np.float32(2 * np.pi / length)
            waves = [
                np.sin(c * k * np.float32(s) + f) for c, s, f in zip(p, (1.0, 0.83, 0.91), phase, strict=True)
            ]
            hu = hu + np.float32(9) * (waves[0] * waves[1]) * waves[2]
        return np.asarray(hu)


@dataclass(frozen=True, eq=False)
class LungPart:
    """One lung on part of a lattice.

    Attributes:
        window: Where in the lattice it lies.
        pleural: Part of each cell inside the pleural space.
        lung: Part of each cell inside the lung.
        fluid: Part inside pleural fluid; the rest of ``pleural - lung`` is air.
        hu: HU of the lung, valid where ``lung`` is above 0.
        tissues: Part of each cell by tissue; those inside the lung are parts of the lung's content.
    """

    window: tuple[slice, slice, slice]
    pleural: Array
    lung: Array
    fluid: Array
    hu: Array
    tissues: dict[Tissue, Array] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Tubes:
    """Branches as arrays, so that the few that meet a lattice are found at once.

    Attributes:
        start: Start points, (n, 3) mm.
        end: End points, (n, 3) mm.
        radius: Radii, (n,) mm.
        wall: Thickness of the walls, (n,) mm.
    """

    start: Points
    end: Points
    radius: npt.NDArray[np.float64]
    wall: npt.NDArray[np.float64]

    @classmethod
    def of(cls, branches: Sequence[Branch]) -> Tubes:
        """Gather branches."""
        return cls(
            np.array([b.start for b in branches]).reshape(-1, 3),
            np.array([b.end for b in branches]).reshape(-1, 3),
            np.array([b.radius for b in branches]),
            np.array([b.wall for b in branches]),
        )

    def coverage(self, lattice: Lattice, grow: float = 0.0) -> Array:
        """Part of each cell inside the tubes; joints are counted once.

        Args:
            lattice: Where to evaluate.
            grow: Multiple of the wall thickness to add to the radius: 0 lumen or vessel, 1 outer wall.
        """
        result = np.zeros(lattice.shape, np.float32)
        radius = self.radius + grow * self.wall
        reach = (radius + lattice.width)[:, None]
        low, high = np.minimum(self.start, self.end) - reach, np.maximum(self.start, self.end) + reach
        for i, window in lattice.windows(low, high):
            distance = segment_distance(lattice.crop(window).coordinates, self.start[i], self.end[i])
            part = result[window]
            np.maximum(part, tube_coverage(distance, float(radius[i]), lattice.width), out=part)
        return result


def paint_trees(hu: Array, lattice: Lattice, vessels: Tubes, airways: Tubes) -> dict[Tissue, Array]:
    """Draw vessels, then airways with wall and lumen, into ``hu`` in place; return their parts."""
    vessel = vessels.coverage(lattice)
    lerp_into(hu, vessel, BLOOD_HU)
    outer = airways.coverage(lattice, grow=1.0)
    lumen = np.minimum(airways.coverage(lattice), outer)
    lerp_into(hu, outer, WALL_HU)
    hu += lumen * np.float32(AIR_HU - WALL_HU)
    return {
        Tissue.VESSEL: vessel * (1 - outer),
        Tissue.AIRWAY_WALL: outer - lumen,
        Tissue.AIRWAY_LUMEN: lumen,
    }


def _side_box(side: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Box of one lung with room for wide and deep chests."""
    low, high = (corner.copy() for corner in LUNG_BOX)
    if side > 0:
        low[0] = -6.0
    else:
        high[0] = 3.0
    return low * 1.08, high * 1.08


def lung_part(model: ChestModel, lattice: Lattice, side: int) -> LungPart | None:
    """Evaluate one lung and its pleural space on ``lattice``; None where the lattice does not meet it."""
    window = lattice.window(_side_box(side))
    if window is None:
        return None
    lattice = lattice.crop(window)
    p = lattice.coordinates
    base = model.anatomy.lung(p, side)
    if float(base.min()) > lattice.width:
        return None
    pleural = coverage(base, lattice.width)
    left, level = model.injuries.displace(base, p, side)
    lung = pleural if left is base else np.minimum(coverage(left, lattice.width), pleural)
    fluid = (pleural - lung) * coverage(-level, lattice.width)
    hu, tissues = _content(model, lattice, p, side)
    if lung is not pleural:
        tissues[Tissue.EFFUSION] = fluid
        tissues[Tissue.PNEUMOTHORAX] = pleural - lung - fluid
    return LungPart(window, pleural, lung, fluid, hu, tissues)


def _content(
    model: ChestModel, lattice: Lattice, p: Coordinates, side: int
) -> tuple[Array, dict[Tissue, Array]]:
    """HU of the lung, extrapolated beyond its surface, and the parts of its tissues."""
    hu = np.array(np.broadcast_to(model.parenchyma(p), lattice.shape))
    squeeze = np.float32(model.injuries.compression[side])
    if squeeze > 1:
        hu = np.minimum((hu + 1000) * squeeze - 1000, np.float32(20))
    sheet = model.anatomy.fissures(p, side)
    # A sheet thinner than a cell fills thickness / width of it, so its mass does not depend on the cell.
    cut = np.clip(1 - sheet * np.float32(1 / lattice.width), 0, 1)
    lerp_into(hu, cut * np.float32(min(1.0, FISSURE_MM / lattice.width)), FISSURE_HU)
    injured: dict[Tissue, Array] = {}
    oedema = model.injuries.oedema(p)
    if oedema is not None:
        hu = np.minimum(hu + oedema, np.float32(20))
    for kind in (Pathology.EMPHYSEMA, Pathology.GROUND_GLASS, Pathology.CONSOLIDATION):
        blobs = model.injuries.patches.get(kind)
        if blobs is not None:
            weight = blobs.weight(lattice)
            target = PATCHES[kind][1]
            # Ground glass never reduces the density of a denser part.
            value = np.maximum(hu, np.float32(target)) if kind is Pathology.GROUND_GLASS else target
            lerp_into(hu, weight, value)
            injured[Tissue[kind.name]] = weight
    collapsed = model.injuries.atelectasis(p)
    if collapsed is not None:
        collapsed = np.broadcast_to(collapsed, lattice.shape)
        lerp_into(hu, collapsed, COLLAPSED_HU)
        injured[Tissue.ATELECTASIS] = collapsed
    tissues = paint_trees(hu, lattice, model.vessels[side], model.airways[side])
    if model.injuries.nodules is not None:
        weight = model.injuries.nodules.weight(lattice)
        lerp_into(hu, weight, NODULE_HU)
        injured[Tissue.NODULE] = weight
    return hu, {**injured, **tissues}
