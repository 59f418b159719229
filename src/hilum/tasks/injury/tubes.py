"""Bright tubes on blocks: vessels and airway walls, found by shape alone.

This stands in for the label maps of the tasks that find vessels and airways.
"""

from __future__ import annotations

import numpy as np

from hilum.imaging.hessian import Eigenvalues, map_eigenvalues
from hilum.imaging.morphology import Mask, dilate
from hilum.tasks.injury.fields import Floats, Spacing

__all__ = ["tube_blocks"]

#: Scales at which tubes wider than :data:`hilum.tasks.injury.fields.OPENING_MM` are looked for, mm:
#: diameters of 6 to 18 mm.
TUBE_SCALES_MM = (3.0, 4.5, 6.5)
#: Response from which a block is the axis of a tube, HU. On three digital chests 80, 100 and 130 gave a
#: Dice of consolidated lung of 0.890, 0.903 and 0.904, the last with twice as much vessel in it.
TUBE_HU = 100.0
#: What lies within this distance of the axis belongs to the tube, mm; 4.5 mm cost 0.02 to 0.05 of that Dice.
TUBE_REACH_MM = 3.1


def tube_blocks(image: Floats, dense: Mask, spacing: Spacing) -> Mask:
    """Find the blocks of wide bright tubes.

    Args:
        image: HU of the blocks; beyond the lungs what is expected of lung.
        dense: Blocks that may be vessel.
        spacing: Size of a block in mm.

    Returns:
        The blocks of ``dense`` near the axis of a tube.
    """
    axes = map_eigenvalues(image, spacing, TUBE_SCALES_MM, _tube, dense) > TUBE_HU
    return np.asarray(dilate(axes, TUBE_REACH_MM, spacing) & dense)


def _tube(eigenvalues: Eigenvalues) -> Floats:
    """Response to a bright tube: curved across it in two directions, straight along it."""
    first, second, _ = eigenvalues
    response: Floats = np.maximum(-second - 2 * np.abs(first), 0)
    return response
