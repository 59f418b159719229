"""The 3-D network on cubes: probabilities of each lung, pleural fluid and free pleural gas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.imaging.morphology import Mask
from hilum.models.engine import Session, check_probabilities

__all__ = ["CHANNELS", "Probabilities", "dice", "predict"]

Float = npt.NDArray[np.float32]
#: Channels of the network after the background.
CHANNELS = ("right", "left", "fluid", "gas")
#: The same structures in a mirror image.
_MIRRORED = (1, 0, 2, 3)
#: Longer scans are predicted in pieces of so many cubes, each overlapping the next by half.
_LONGEST = 160
_MULTIPLE = 16
#: Denser than this is body, arm or table; so many cubes of the room round it are shown to the network.
_SOLID_HU, _MARGIN = -500.0, 2


@dataclass(frozen=True, eq=False)
class Probabilities:
    """What the network gives for each cube: float32 arrays (x, y, z) of 0 to 1.

    Attributes:
        right: Probability of right lung.
        left: Probability of left lung.
        fluid: Probability of pleural fluid.
        gas: Probability of free pleural gas.
        disagreement: Difference of the lungs' probability between the scan and its mirror image; None where
            test-time augmentation is off.
        agreement: Dice of the lungs of scan and mirror image; None likewise.
    """

    right: Float
    left: Float
    fluid: Float
    gas: Float
    disagreement: Float | None = None
    agreement: float | None = None

    @property
    def lungs(self) -> Float:
        """Probability of either lung."""
        return self.right + self.left

    @property
    def mask(self) -> Mask:
        """Cubes that are lung."""
        return np.asarray(self.lungs >= 0.5)

    @property
    def doubt(self) -> float:
        """Dice that the network itself expects to miss: 1 - soft Dice of the lungs with their mask."""
        lungs, mask = self.lungs, self.mask
        return 1.0 - 2.0 * float(lungs[mask].sum()) / max(float(lungs.sum()) + float(mask.sum()), 1.0)

    def upside_down(self) -> Probabilities:
        """Return the probabilities with the axis from feet to head reversed."""
        right, left, fluid, gas = (m[:, :, ::-1] for m in (self.right, self.left, self.fluid, self.gas))
        other = None if self.disagreement is None else self.disagreement[:, :, ::-1]
        return Probabilities(right, left, fluid, gas, other, self.agreement)


def predict(session: Session, hu: Float, window: tuple[float, float], mirror: bool = True) -> Probabilities:
    """Run the network on a scan.

    Args:
        session: Takes (1, 1, x, y, z) scaled to -1 to 1, gives probabilities (1, 5, x, y, z).
        hu: Cubes in RAS order, on the scale of true HU.
        window: HU that become -1 and 1.
        mirror: Test-time augmentation: average with the prediction of the mirror image.

    Raises:
        ModelError: The network's output has another shape, or holds no probabilities.
    """
    low, high = window
    body = _body(hu)
    near = (np.clip(hu[body], low, high) - low) * np.float32(2.0 / (high - low)) - np.float32(1.0)
    images = [near, near[::-1]] if mirror else [near]
    answers = _in_pieces(session, images)
    p = answers[0]
    disagreement, agreement = None, None
    if mirror:
        q = answers[1][_MIRRORED, ::-1]
        a, b = p[0] + p[1], q[0] + q[1]
        disagreement = _placed(np.abs(a - b), hu.shape, body)
        agreement = dice(a >= 0.5, b >= 0.5)
        p = 0.5 * (p + q)
    right, left, fluid, gas = (_placed(channel, hu.shape, body) for channel in p)
    return Probabilities(right, left, fluid, gas, disagreement, agreement)


def dice(a: Mask, b: Mask) -> float:
    """Return the Dice coefficient of two masks; 1 where both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2.0 * int((a & b).sum()) / total if total else 1.0


def _placed(values: Float, shape: tuple[int, ...], body: tuple[slice, slice, slice]) -> Float:
    whole = np.zeros(shape, np.float32)
    whole[body] = values
    return whole


def _body(hu: Float) -> tuple[slice, slice, slice]:
    """Box round all that is denser than air and cushions: the room beside it need not be predicted."""
    solid = hu > _SOLID_HU
    box = [slice(0, n) for n in hu.shape]
    for axis in (0, 1):
        hit = np.flatnonzero(solid.any(axis=(1 - axis, 2)))
        if hit.size:
            box[axis] = slice(max(0, int(hit[0]) - _MARGIN), int(hit[-1]) + 1 + _MARGIN)
    return box[0], box[1], box[2]


def _in_pieces(session: Session, images: list[Float]) -> list[Float]:
    """Return the probabilities, (4, x, y, z), of images of one shape."""
    length = images[0].shape[2]
    span = min(length, _LONGEST)
    starts = [*range(0, length - span, max(1, span // 2)), length - span]
    bell = np.minimum(np.arange(1, span + 1), np.arange(span, 0, -1)).astype(np.float32)
    out = [np.zeros((len(CHANNELS), *x.shape), np.float32) for x in images]
    weight = np.zeros(length, np.float32)
    for start in starts:
        part = slice(start, start + span)
        inputs = [_filled(x[:, :, part]) for x in images]
        for total, answer, x in zip(out, session.run_many(inputs), images, strict=True):
            check_probabilities(answer, (1, 1 + len(CHANNELS), *inputs[0].shape[2:]), "lungs")
            total[:, :, :, part] += bell * answer[0, 1:, : x.shape[0], : x.shape[1], :span]
        weight[part] += bell
    return [total / weight for total in out]


def _filled(x: npt.NDArray[Any]) -> Float:
    """Fill up with air to sizes that the network takes: (1, 1, x, y, z)."""
    pads = [(0, -n % _MULTIPLE) for n in x.shape]
    full = np.pad(x, pads, constant_values=-1.0)[None, None]
    return np.ascontiguousarray(full, np.float32)
