"""How sure the model is of its lungs, and where it is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.anatomy.airways import CentralAirways
from hilum.anatomy.body import BodyAir
from hilum.imaging.blocks import Reduced, native_planes
from hilum.models.card import Calibration
from hilum.tasks.lungs.network import Opinion

__all__ = ["UNCERTAIN", "chance_of_failure", "doubt_map", "signs_of"]

Float = npt.NDArray[np.floating[Any]]
#: From this chance of failure a result is flagged.
UNCERTAIN = 0.5
#: HU of what may be aerated lung: neither tissue nor free gas.
_AERATED = (-955.0, -550.0)
_DENSE = -300.0


def signs_of(
    opinion: Opinion,
    lungs: npt.NDArray[np.uint8],
    hu: Float,
    found: BodyAir,
    airways: CentralAirways | None,
) -> dict[str, float]:
    """Signs of a bad result, each 0 for none.

    Args:
        opinion: The network's answer.
        lungs: The lungs that came of it, same grid.
        hu: Block means on the scale of true HU.
        found: Air in the body.
        airways: Trachea and bronchi, where they were found.

    Returns:
        ``soft``: 1 - Dice of the probabilities with the mask, the Dice that the network itself expects
        missing; ``mirror``: 1 - Dice of scan and mirror image; ``left_out``: aerated tissue in the body
        outside of the lungs, as a share of them; ``outside``: share of the lungs outside of the body;
        ``dense``: share of them that is as dense as tissue, where only the network tells lung from the rest.
    """
    p = np.clip(opinion.right + opinion.left, 0, 1)
    mask = lungs > 0
    size = max(float(mask.sum()), 1.0)
    soft = 1 - 2 * float(p[mask].sum()) / max(float(p.sum()) + size, 1.0)
    air = found.inner & (hu > _AERATED[0]) & (hu < _AERATED[1]) & ~mask
    if airways is not None:
        air &= ~airways.lumen
    core = air[1:-1, 1:-1] & air[:-2, 1:-1] & air[2:, 1:-1] & air[1:-1, :-2] & air[1:-1, 2:]
    return {
        "soft": soft,
        "mirror": 0.0 if opinion.agreement is None else 1 - opinion.agreement,
        "left_out": float(core.sum()) / size,
        "outside": float((mask & ~found.filled).sum()) / size,
        "dense": float((hu[mask] > _DENSE).sum()) / size,
    }


def chance_of_failure(signs: Mapping[str, float], calibration: Calibration) -> float:
    """Logistic model of the logarithms of the signs, fitted on cases whose truth is known.

    Args:
        signs: From :func:`signs_of`.
        calibration: Of the model, from its card.
    """
    total = calibration.bias
    for name, weight in calibration.weights.items():
        total += weight * float(np.log10(max(signs[name], 0.0) + 1e-3))
    return float(1 / (1 + np.exp(-np.clip(total, -30, 30))))


def doubt_map(opinion: Opinion, reduced: Reduced) -> npt.NDArray[np.uint8]:
    """Doubt of each native voxel, 0 to 100: nearness of the probability to one half, or the mirror's say."""
    p = np.clip(opinion.right + opinion.left, 0, 1)
    doubt = 100 * (1 - np.abs(2 * p - 1))
    if opinion.doubt is not None:
        doubt = np.maximum(doubt, 100 * np.clip(opinion.doubt, 0, 1))
    out = np.empty(reduced.full_shape, np.uint8)
    for z, plane in enumerate(native_planes(doubt.astype(np.float32), reduced)):
        out[:, :, z] = np.rint(plane)
    return out
