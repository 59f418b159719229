"""How sure the model is of its lungs, and where it is not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.anatomy.airways import CentralAirways
from hilum.anatomy.body import BodyAir
from hilum.core.flag_limits import LIMITS
from hilum.imaging.morphology import Mask
from hilum.models.card import Calibration
from hilum.tasks.lungs.iso_scan import IsoScan
from hilum.tasks.lungs.predict import Probabilities

__all__ = ["UNCERTAIN", "chance_of_failure", "doubt_map", "signs_of", "signs_of_scan"]

#: From this chance of failure a result is flagged.
UNCERTAIN = LIMITS.failure
#: HU of what may be aerated lung: neither tissue nor free gas.
_AERATED = (-955.0, -550.0)
#: HU from which a voxel counts as tissue: only the network tells dense lung from it.
_DENSE = -300.0
#: Voxels that are lung or not lung with at least this probability are undecided. At a surface there are
#: always some, so that only those count that lie among others of their kind.
_UNDECIDED = 0.1


def signs_of(
    chance: npt.NDArray[np.float32],
    agreement: float | None,
    lungs: Mask,
    hu: npt.NDArray[np.float32],
    found: BodyAir,
    airways: CentralAirways | None,
) -> dict[str, float]:
    """Signs of a bad result, each 0 for none.

    Args:
        chance: Probability of lung, (x, y, z).
        agreement: Dice of the lungs in scan and mirror image; None where that is not known.
        lungs: The lungs that came of it, same grid.
        hu: HU on the scale of true HU.
        found: Air in the body.
        airways: Trachea and bronchi, where they were found.

    Returns:
        ``soft``: 1 - Dice of the probabilities with the mask, the Dice that the network itself expects
        missing; ``mirror``: 1 - Dice of scan and mirror image; ``left_out``: aerated tissue in the body
        outside of the lungs, as a share of them; ``outside``: share of the lungs outside of the body;
        ``dense``: share of them that is as dense as tissue, where only the network tells lung from the rest.
    """
    chance, size = np.clip(chance, 0, 1), max(float(lungs.sum()), 1.0)
    soft = 1 - 2 * float(chance[lungs].sum()) / max(float(chance.sum()) + size, 1.0)
    air = found.inner & (hu > _AERATED[0]) & (hu < _AERATED[1]) & ~lungs
    if airways is not None:
        air &= ~airways.lumen
    core = air[1:-1, 1:-1] & air[:-2, 1:-1] & air[2:, 1:-1] & air[1:-1, :-2] & air[1:-1, 2:]
    return {
        "soft": soft,
        "mirror": 0.0 if agreement is None else 1 - agreement,
        "left_out": float(core.sum()) / size,
        "outside": float((lungs & ~found.filled).sum()) / size,
        "dense": float((hu[lungs] > _DENSE).sum()) / size,
    }


def signs_of_scan(p: Probabilities, lungs: Mask, scan: IsoScan) -> dict[str, float]:
    """Return the signs of :func:`signs_of` and those that only volumes have, each 0 for none.

    Args:
        p: What the network gives for the scan.
        lungs: The lungs that came of it, (x, y, z).
        scan: The scan on the same grid.

    Returns:
        Beside those of :func:`signs_of`, as shares of the lungs' volume: ``unsure_deep``: undecided voxels
        whose six neighbours are undecided, too; ``unsure_dense``: volume that the network expects to be
        wrong in tissue; ``stray``: lung outside the two largest pieces; ``fluid_or_lung``: probability that
        lung and pleural fluid share.
    """
    size, chance = max(float(lungs.sum()), 1.0), np.clip(p.lungs, 0, 1)
    wrong = np.minimum(chance, 1 - chance)
    pieces, _ = ndimage.label(lungs)
    largest = np.sort(np.bincount(pieces.ravel())[1:])[-2:]
    return signs_of(p.lungs, p.agreement, lungs, scan.hu, scan.found, scan.airways) | {
        "unsure_deep": float(ndimage.binary_erosion(wrong > _UNDECIDED).sum()) / size,
        "unsure_dense": float(wrong[scan.hu > _DENSE].sum()) / size,
        "stray": 1 - float(largest.sum()) / size if largest.size else 0.0,
        "fluid_or_lung": float(np.minimum(chance, p.fluid).sum()) / size,
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


def doubt_map(p: Probabilities, scan: IsoScan) -> npt.NDArray[np.uint8]:
    """Doubt of each native voxel, 0 to 100: nearness of the probability to one half, or
    the difference from the mirror image."""
    doubt = 100 * (1 - np.abs(2 * np.clip(p.lungs, 0, 1) - 1))
    if p.disagreement is not None:
        doubt = np.maximum(doubt, 100 * np.clip(p.disagreement, 0, 1))
    out = np.empty(scan.voxels.shape, np.uint8)
    along_x, along_y, along_z = (scan.along(axis) for axis in range(3))
    for z in range(out.shape[2]):
        out[:, :, z] = np.rint(along_y.rows(along_x.rows(along_z.one(doubt, z)).T).T)
    return out
