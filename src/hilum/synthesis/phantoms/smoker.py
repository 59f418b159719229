"""Airway walls of a smoker: thicker everywhere in the lungs, most in the upper lobes."""

from __future__ import annotations

from dataclasses import replace

from hilum.synthesis.phantoms.anatomy import Lobe
from hilum.synthesis.phantoms.trees import Branch, Tree

__all__ = ["thicken_walls"]

#: Part by which walls are thicker at severity 1, and in upper lobes. The lumen stays as it is. By eye, not an
#: atlas.
WALL, UPPER_WALL = 0.5, 0.75
#: Coarse trees know no lobes: what begins above this height is taken for upper lobe, mm.
UPPER_MM = 20.0


def thicken_walls(airways: Tree, severity: float) -> Tree:
    """Return airways with thicker walls.

    Args:
        airways: The tree; trachea and main bronchi stay as they are.
        severity: 0 for the same walls, 1 for the thickest.
    """
    return tuple(b if b.side == 0 else replace(b, wall=b.wall * _factor(b, severity)) for b in airways)


def _factor(branch: Branch, severity: float) -> float:
    upper = branch.lobe in (Lobe.RIGHT_UPPER, Lobe.LEFT_UPPER)
    upper |= branch.lobe == 0 and branch.start[2] > UPPER_MM
    return 1 + severity * (UPPER_WALL if upper else WALL)
