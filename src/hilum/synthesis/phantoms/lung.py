"""Content of a lung: parenchyma, vessels, airways, injuries; evaluated on a lattice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType

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
)
from hilum.synthesis.phantoms.findings import AirwayFinding
from hilum.synthesis.phantoms.fissures import draw_fissures
from hilum.synthesis.phantoms.full_trees import grow_full_trees
from hilum.synthesis.phantoms.injury import PATCHES, Injuries
from hilum.synthesis.phantoms.smoker import thicken_walls
from hilum.synthesis.phantoms.trees import Detail, Kind, Tree, grow_trees
from hilum.synthesis.phantoms.tubes import FineTubes, Tubes

__all__ = ["BLOOD_HU", "ChestModel", "LungPart", "Tissue", "lung_part", "paint_trees"]

BLOOD_HU = 42.0
WALL_HU = 30.0
FLUID_HU = 10.0
COLLAPSED_HU = -30.0
NODULE_HU = 35.0
MUCUS_HU = 15.0
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
    MUCUS = 11


class ChestModel:
    """Anatomy, trees and injuries of one phantom, in the frame of a chest of size 1.

    Args:
        body: What differs between phantoms.
        seed: Seed of trees and injuries.
        severity: Severity by injury.
        detail: How fine the trees are.
        findings: Severity by finding in the airways; full trees only.
        smoker_walls: How much thicker airway walls are, 0 to 1.
    """

    def __init__(
        self,
        body: Body,
        seed: int,
        severity: dict[Pathology, float],
        detail: Detail = Detail.COARSE,
        findings: Mapping[AirwayFinding, float] = MappingProxyType({}),
        smoker_walls: float = 0.0,
    ) -> None:
        self.body = body
        self.detail = detail
        # Chests without lobes in their truth keep their plain fissures.
        self.anatomy = Anatomy(body, draw_fissures(seed) if detail is Detail.FULL else None)
        full = detail is Detail.FULL
        self.trees: dict[Kind, Tree] = (
            grow_full_trees(self.anatomy, seed, findings) if full else grow_trees(self.anatomy, seed)
        )
        if smoker_walls:
            self.trees[Kind.AIRWAY] = thicken_walls(self.trees[Kind.AIRWAY], smoker_walls)
        self.injuries = Injuries(self.anatomy, seed, severity)
        tubes = FineTubes if full else Tubes
        vessels = self.trees[Kind.ARTERY] + self.trees[Kind.VEIN]
        airways = self.trees[Kind.AIRWAY]
        plugged = [b for b in airways if b.plugged]
        airways = tuple(b for b in airways if not b.plugged)
        #: Branches drawn in each lung, by side; side 0 is outside of the lungs: the first branches only.
        self.vessels = {s: tubes.of([b for b in vessels if b.side == s]) for s in (1, -1)}
        self.airways = {s: tubes.of([b for b in airways if b.side in (s, 0)]) for s in (1, -1)}
        self.plugs = tubes.of(plugged) if plugged else None
        # A full tree has more branches at the hilum, because it begins with those of the lobes.
        last_vessel, last_airway = (4, 5) if full else (2, 3)
        self.vessels[0] = tubes.of([b for b in vessels if b.generation <= last_vessel])
        self.airways[0] = tubes.of([b for b in airways if b.side == 0 or b.generation <= last_airway])
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


def paint_trees(
    hu: Array, lattice: Lattice, vessels: Tubes, airways: Tubes, plugs: Tubes | None = None
) -> dict[Tissue, Array]:
    """Draw vessels, then airways with wall and lumen, into ``hu`` in place; return their parts.

    Args:
        hu: HU of the lattice.
        lattice: Where to draw.
        vessels: Arteries and veins.
        airways: Open airways.
        plugs: Airways filled with mucus.
    """
    vessel = vessels.coverage(lattice)
    lerp_into(hu, vessel, BLOOD_HU)
    outer = airways.coverage(lattice, grow=1.0)
    lumen = np.minimum(airways.coverage(lattice), outer)
    mucus: Array | None = None
    if plugs is not None:
        mucus = np.minimum(plugs.coverage(lattice), 1 - lumen)
        outer = np.maximum(np.maximum(outer, plugs.coverage(lattice, grow=1.0)), lumen + mucus)
    lerp_into(hu, outer, WALL_HU)
    hu += lumen * np.float32(AIR_HU - WALL_HU)
    tissues = {
        Tissue.VESSEL: vessel * (1 - outer),
        Tissue.AIRWAY_WALL: outer - lumen,
        Tissue.AIRWAY_LUMEN: lumen,
    }
    if mucus is not None:
        hu += mucus * np.float32(MUCUS_HU - WALL_HU)
        tissues[Tissue.AIRWAY_WALL] = tissues[Tissue.AIRWAY_WALL] - mucus
        tissues[Tissue.MUCUS] = mucus
    return tissues


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
    tissues = paint_trees(hu, lattice, model.vessels[side], model.airways[side], model.plugs)
    if model.injuries.nodules is not None:
        weight = model.injuries.nodules.weight(lattice)
        lerp_into(hu, weight, NODULE_HU)
        injured[Tissue.NODULE] = weight
    return hu, {**injured, **tissues}
