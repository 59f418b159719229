"""Injuries of phantoms: kinds, extent and position.

Fluid and air in the pleural space are not part of the lung by the label contract: they displace the lung.
All other injuries change the density of the lung and leave its outline alone. Dependent injuries follow
gravity, so they lie at the back of a supine and at the front of a prone patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.synthesis.pathology import Pathology
from hilum.synthesis.phantoms.anatomy import LUNG_BOX, Anatomy
from hilum.synthesis.phantoms.fields import Array, Coordinates, Lattice, smooth_max
from hilum.synthesis.phantoms.severities import parse_severities
from hilum.synthesis.phantoms.trees import Points, as_coordinates, host_points

__all__ = ["IN_PHANTOMS", "Blobs", "Injuries", "parse_injury"]


#: Pathologies that a phantom can have.
IN_PHANTOMS = (
    Pathology.GROUND_GLASS,
    Pathology.CONSOLIDATION,
    Pathology.ATELECTASIS,
    Pathology.EFFUSION,
    Pathology.EMPHYSEMA,
    Pathology.PNEUMOTHORAX,
    Pathology.NODULE,
    Pathology.OEDEMA,
)

#: Part of the lung that is patchy at severity 1, HU of the patch, width of its edge in mm, radii in mm.
PATCHES: dict[Pathology, tuple[float, float, float, tuple[float, float]]] = {
    Pathology.GROUND_GLASS: (0.45, -590.0, 7.0, (16.0, 36.0)),
    Pathology.CONSOLIDATION: (0.25, 25.0, 3.0, (12.0, 28.0)),
    Pathology.EMPHYSEMA: (0.35, -985.0, 2.0, (7.0, 17.0)),
}


def parse_injury(injury: str | Mapping[str, float] | None) -> dict[Pathology, float]:
    """Read the ``injury`` argument.

    Args:
        injury: None, a mapping from name to severity (0 to 1), or names separated by commas, each with an
            optional severity as in ``"effusion:0.8,oedema"``.

    Raises:
        UsageError: A name is unknown or a severity lies outside 0 to 1.

    Examples:
        >>> parse_injury("effusion:0.8")
        {<Pathology.EFFUSION: 'effusion'>: 0.8}
    """
    found = parse_severities(injury, (pathology.value for pathology in IN_PHANTOMS), "injury")
    return {Pathology(name): severity for name, severity in found.items()}


@dataclass(frozen=True, eq=False)
class Blobs:
    """Blobs with soft edges whose union is a patchy injury.

    Attributes:
        centres: Centres, (n, 3) mm.
        radii: Mean radii, (n,) mm.
        edge: Width of the edge in mm.
        rough: How far the outline leaves a ball, as part of the radius.
    """

    centres: Points
    radii: npt.NDArray[np.float64]
    edge: float
    rough: float = 0.0

    def weight(self, lattice: Lattice) -> Array:
        """Part of each cell that is injured, 0 to 1, shape of the lattice."""
        result = np.zeros(lattice.shape, np.float32)
        # Edges narrower than a cell would alias.
        edge = max(self.edge, lattice.width)
        for centre, radius in zip(self.centres, self.radii, strict=True):
            reach = radius * (1 + self.rough) + edge
            window = lattice.window((centre - reach, centre + reach))
            if window is None:
                continue
            x, y, z = lattice.crop(window).coordinates
            square = (x - np.float32(centre[0])) ** 2 + (y - np.float32(centre[1])) ** 2
            square = square + (z - np.float32(centre[2])) ** 2
            # (r^2 - s^2) / 2 r is the depth below the surface to first order.
            depth = (np.float32(radius) - square * np.float32(1 / radius)) * np.float32(0.5 / edge)
            if self.rough:
                # Waves in space bend the outline; their mean is zero, so the size is kept on the mean.
                bend = np.sin(x * np.float32(0.19) + y * np.float32(0.11)) * np.sin(
                    z * np.float32(0.17) - x * 0.07
                )
                bend = bend + np.sin(y * np.float32(0.27)) * np.sin(
                    x * np.float32(0.23) + z * np.float32(0.31)
                )
                depth += bend * np.float32(0.5 * self.rough * radius / edge)
            part = result[window]
            np.maximum(part, np.clip(depth + np.float32(0.5), 0, 1), out=part)
        return result


class Injuries:
    """The injuries of one phantom, ready to be evaluated on any lattice.

    Args:
        anatomy: The chest.
        seed: Same seed, same places.
        severity: Severity by injury, each above 0 and at most 1.
    """

    def __init__(self, anatomy: Anatomy, seed: int, severity: Mapping[Pathology, float]) -> None:
        self.anatomy = anatomy
        self.severity = dict(severity)
        self._down = 1.0 if anatomy.body.prone else -1.0
        self.air_side = 1 if np.random.default_rng([seed, 3]).random() < 0.5 else -1
        self.compression = {side: self._compression(side) for side in (1, -1)}
        self.patches: dict[Pathology, Blobs] = {}
        self.nodules: Blobs | None = None
        if not self.severity.keys() & {*PATCHES, Pathology.NODULE}:
            return
        rng = np.random.default_rng([seed, 4])
        points = np.concatenate([host_points(anatomy, side, 2000, rng, margin=0.5) for side in (1, -1)])
        for order, (kind, (part, _, edge, radii)) in enumerate(PATCHES.items()):
            if kind in self.severity:
                draw = np.random.default_rng([seed, 5, order])
                self.patches[kind] = self._fill(draw, points, part * self.severity[kind], edge, radii, kind)
        if Pathology.NODULE in self.severity:
            self.nodules = self._nodules(np.random.default_rng([seed, 6]), points)

    def _compression(self, side: int) -> float:
        """Factor by which the lung is denser because fluid or air displaces it.

        A lung that gives way keeps its tissue, so its density rises as its volume falls (to 3 times at most).
        """
        if not self.severity.keys() & {Pathology.EFFUSION, Pathology.PNEUMOTHORAX}:
            return 1.0
        axes = [np.arange(a, b, 5.0) for a, b in zip(*LUNG_BOX, strict=True)]
        points = as_coordinates(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3))
        lung = self.anatomy.lung(points, side)
        left, _ = self.displace(lung, points, side)
        return min(3.0, np.count_nonzero(lung < 0) / max(1, np.count_nonzero(left < 0)))

    def _fill(
        self,
        rng: np.random.Generator,
        points: Points,
        part: float,
        edge: float,
        radii: tuple[float, float],
        kind: Pathology,
    ) -> Blobs:
        """Add balls until ``part`` of the points in the lungs is covered."""
        # Emphysema prefers the upper zones, the others the dependent and lower ones.
        z = (points[:, 2] - points[:, 2].min()) / np.ptp(points[:, 2])
        down = self._down * points[:, 1]
        down = (down - down.min()) / np.ptp(down)
        liking = 0.15 + z**1.5 if kind is Pathology.EMPHYSEMA else 0.15 + down * (1.2 - z)
        order = rng.choice(len(points), 2000, replace=True, p=liking / liking.sum())
        sizes = rng.uniform(*radii, 2000)
        covered = np.zeros(len(points), bool)
        used = 0
        while covered.mean() < part and used < len(order):
            centre = points[order[used]]
            covered |= ((points - centre) ** 2).sum(axis=1) < sizes[used] ** 2
            used += 1
        return Blobs(points[order[:used]], sizes[:used], edge, rough=0.35)

    def _nodules(self, rng: np.random.Generator, points: Points) -> Blobs:
        """Place solid nodules; every second one touches the pleura."""
        severity = self.severity[Pathology.NODULE]
        count = 1 + round(9 * severity)
        p = as_coordinates(points)
        depth = -np.minimum(self.anatomy.lung(p, 1), self.anatomy.lung(p, -1))
        radii = rng.uniform(3.0, 4.0 + 8.0 * severity, count)
        centres = []
        for i, radius in enumerate(radii):
            at_pleura = (depth > 0.4 * radius) & (depth < 0.9 * radius)
            deep = depth > radius + 6
            choice = np.flatnonzero(at_pleura if i % 2 else deep)
            centres.append(points[rng.choice(choice) if len(choice) else rng.integers(len(points))])
        return Blobs(np.array(centres), radii, edge=0.5)

    def down(self, p: Coordinates) -> Array:
        """Height below the middle of the chest along gravity in mm; large is dependent."""
        return np.asarray(np.float32(self._down) * p[1])

    def _level(self, p: Coordinates, thickness: float, rise: float) -> Array:
        """Negative above a fluid level that is ``thickness`` mm deep at the base of the lung."""
        x, _, z = p
        wall = np.float32(88 * self.anatomy.body.depth if self._down < 0 else 72 * self.anatomy.body.depth)
        lateral = (np.abs(x) - np.float32(70)) * np.float32(1 / 60)
        level = wall - np.float32(thickness) - np.float32(9) * lateral * lateral
        level = level + np.float32(rise) * (z + np.float32(80))
        return np.asarray((self.down(p) - level) * np.float32(1 / np.sqrt(1 + rise * rise)))

    def displace(self, lung: Array, p: Coordinates, side: int) -> tuple[Array, Array]:
        """Displace the lung by fluid and air in the pleural space.

        Returns:
            The field of the lung that is left, and the field of the fluid level (negative above it: what
            lies outside the lung there is air, below it fluid).
        """
        left: Array = lung
        fluid: Array | None = None
        # With fluid alone there is no level: the whole pleural space outside the lung is fluid.
        level: Array = np.full((1, 1, 1), 1e3, np.float32)
        if Pathology.EFFUSION in self.severity:
            # The right side holds more than the left.
            thickness = (58.0 if side > 0 else 44.0) * self.severity[Pathology.EFFUSION]
            fluid = self._level(p, thickness, rise=0.10)
            left = smooth_max(left, fluid, 4)
        if Pathology.PNEUMOTHORAX in self.severity and side == self.air_side:
            depth = np.float32(46 * self.severity[Pathology.PNEUMOTHORAX])
            up = np.clip((np.float32(60) - self.down(p)) * np.float32(1 / 130), 0, 1)
            lateral = np.clip((np.abs(p[0]) - np.float32(18)) * np.float32(1 / 55), 0, 1)
            left = np.maximum(left, lung + depth * (up * lateral))
            level = fluid if fluid is not None else np.full((1, 1, 1), -1e3, np.float32)
        return left, level

    def atelectasis(self, p: Coordinates) -> Array | None:
        """Part of the lung that is collapsed at the dependent side, 0 to 1."""
        if Pathology.ATELECTASIS not in self.severity:
            return None
        depth = self._level(p, 40.0 * self.severity[Pathology.ATELECTASIS], rise=0.12)
        return np.asarray(np.clip(np.float32(0.5) + depth * np.float32(1 / 6), 0, 1))

    def oedema(self, p: Coordinates) -> Array | None:
        """Rise of density in HU."""
        if Pathology.OEDEMA not in self.severity:
            return None
        severity = np.float32(self.severity[Pathology.OEDEMA])
        return np.asarray(severity * (130 + np.float32(1.6) * np.maximum(self.down(p) + 30, 0)))
