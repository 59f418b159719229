"""The trunk of the airways: what grows from the trachea by threshold before it leaks into the lung."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.imaging.morphology import Mask, bounding_box, components

__all__ = ["TRUNK", "Trunk", "TrunkRules", "grow_trunk"]

Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class TrunkRules:
    """Rules of the growth.

    Attributes:
        levels_hu: Thresholds, from the air of a trachea to that of an airway a few voxels wide.
        jump, jump_ml: The lumen has leaked where one step of the threshold adds more than this share of it
            and more than this many mL: lung joins it by litres, bronchi by less than a millilitre.
        largest_ml: Larger than any trachea with its bronchi, mL of an adult.
    """

    levels_hu: tuple[float, ...] = tuple(float(level) for level in range(-970, -849, 10))
    jump: float = 0.25
    jump_ml: float = 6.0
    largest_ml: float = 130.0


#: The rules in use.
TRUNK = TrunkRules()


@dataclass(frozen=True, eq=False)
class Trunk:
    """What grew from the trachea.

    Attributes:
        lumen: Bool array (x, y, z).
        threshold_hu: The threshold at which it grew; None where the seed alone is left.
    """

    lumen: Mask
    threshold_hu: float | None


def grow_trunk(
    hu: npt.NDArray[np.floating],  # type: ignore[type-arg]
    seed: Mask,
    spacing: Spacing,
    within: Mask | None = None,
) -> Trunk:
    """Grow the lumen from the trachea, with the highest threshold at which it does not leak.

    The largest threshold whose component stays below :attr:`TrunkRules.largest_ml` is searched for by
    halving; from there the threshold is lowered while the last step was a jump.

    Args:
        hu: HU with little noise, shape (x, y, z).
        seed: Voxels of the lumen of the trachea.
        spacing: Distance between voxels in mm.
        within: Where it may grow; None for everywhere.

    Returns:
        The lumen with the seed.
    """
    ml = float(np.prod(spacing)) / 1000.0
    levels = TRUNK.levels_hu
    known: dict[int, Mask] = {}

    def grown(index: int) -> Mask:
        if index not in known:
            wider = min((i for i in known if i > index), default=None)
            box = (slice(None),) * 3 if wider is None else bounding_box(known[wider])
            assert box is not None
            candidates = hu[box] < levels[index]
            if within is not None:
                candidates &= within[box]
            candidates |= seed[box]
            labels, _ = components(candidates)
            chosen = np.zeros(int(labels.max()) + 1, bool)
            chosen[np.unique(labels[seed[box]])] = True
            chosen[0] = False
            known[index] = np.zeros(hu.shape, bool)
            known[index][box] = chosen[labels]
        return known[index]

    def volume(index: int) -> float:
        return float(np.count_nonzero(grown(index))) * ml

    low, high = -1, len(levels)  # the largest level that is small enough lies in [low, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if volume(middle) <= TRUNK.largest_ml else (low, middle)
    while low > 0 and volume(low) > (1 + TRUNK.jump) * volume(low - 1) + TRUNK.jump_ml:
        low -= 1
    if low < 0:
        return Trunk(seed.copy(), None)
    return Trunk(grown(low), levels[low])
