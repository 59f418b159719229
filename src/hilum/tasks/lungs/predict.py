"""The 3-D network on isotropic voxels: probabilities of each lung, pleural fluid and free pleural gas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.imaging.morphology import Mask
from hilum.imaging.overlap import dice
from hilum.models.registry import Model
from hilum.models.volumes import VolumeModel

__all__ = ["LUNG_LABELS", "PLEURA_LABELS", "Probabilities", "network_of", "predict"]

Float = npt.NDArray[np.float32]
#: Labels that a network must have, and those that it may have.
LUNG_LABELS = ("right_lung", "left_lung")
PLEURA_LABELS = ("pleural_fluid", "pleural_gas")
#: The same structures in a mirror image.
_MIRRORED = [1, 0, 2, 3]
#: Longer scans are predicted in pieces of so many voxels, each overlapping the next by half.
_LONGEST = 160
#: Denser than this is body, arm or table; so many voxels of the room round it are shown to the network.
_SOLID_HU, _MARGIN = -500.0, 2


@dataclass(frozen=True, eq=False)
class Probabilities:
    """What the network gives for each isotropic voxel: float32 arrays (x, y, z) of 0 to 1.

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
        """Voxels that are lung."""
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


def network_of(model: Model) -> VolumeModel:
    """Return the network that finds lungs, and fluid and gas where it has learned them.

    Raises:
        ModelError: It takes slices, or has no right and left lung among its labels.
    """
    return VolumeModel(model, LUNG_LABELS, PLEURA_LABELS)


def predict(network: VolumeModel, hu: Float, mirror: bool = True) -> Probabilities:
    """Run the network on a scan.

    Args:
        network: From :func:`network_of`.
        hu: Voxels of ``network.input.step_mm`` in RAS order, on the scale of true HU.
        mirror: Test-time augmentation: average with the prediction of the mirror image.

    Raises:
        ModelError: The network's output has another shape, or holds no probabilities.
    """
    body = _body(hu)
    near = network.scaled(hu[body])
    images = [near, near[::-1]] if mirror else [near]
    answers = _in_pieces(network, images)
    p = answers[0]
    disagreement, agreement = None, None
    if mirror:
        q = answers[1][::-1, :, :, _MIRRORED]
        a, b = p[..., 0] + p[..., 1], q[..., 0] + q[..., 1]
        disagreement = _placed(np.abs(a - b), hu.shape, body)
        agreement = dice(a >= 0.5, b >= 0.5)
        p = 0.5 * (p + q)
    right, left, fluid, gas = (_placed(p[..., channel], hu.shape, body) for channel in range(4))
    return Probabilities(right, left, fluid, gas, disagreement, agreement)


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


def _in_pieces(network: VolumeModel, images: list[Float]) -> list[Float]:
    """Return the probabilities, (x, y, z, 4), of images of one shape."""
    length = images[0].shape[2]
    span = min(length, _LONGEST)
    starts = [*range(0, length - span, max(1, span // 2)), length - span]
    bell = np.minimum(np.arange(1, span + 1), np.arange(span, 0, -1)).astype(np.float32)
    out = [np.zeros((*x.shape, 4), np.float32) for x in images]
    weight = np.zeros(length, np.float32)
    for start in starts:
        part = slice(start, start + span)
        found = network.probabilities([x[:, :, part] for x in images])
        for total, answer in zip(out, found, strict=True):
            total[:, :, part] += bell[:, None] * answer
        weight[part] += bell
    return [total / weight[:, None] for total in out]
