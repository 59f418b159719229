"""Augmentation of volumes: other patients, postures, fields of view, scanners, slice thicknesses.

Every draw comes from one generator, so that a training example is a function of its seed. Parameters are
drawn on the CPU and applied on the device of the voxels; noise is drawn on that device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from hilum.core.constants import CT_WINDOW_HU
from hilum.core.labels import Lung
from hilum.training.config import Variation
from hilum.training.volumes.sources import VolumeCase

__all__ = ["AIR", "vary"]

#: HU of the room's air, and of what lies beyond a scan.
AIR = CT_WINDOW_HU[0]
#: HU of metal, where scanners end.
_METAL_HU = 3071.0
#: A lung of fewer planes has no diaphragm to raise.
_LEAST_PLANES = 7


class _Draw:
    """Numbers from a generator, one at a time; fields of normal numbers on a device."""

    def __init__(self, generator: torch.Generator, device: torch.device) -> None:
        self.generator, self.device = generator, device

    def __call__(self, low: float = 0.0, high: float = 1.0) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def hit(self, share: float) -> bool:
        return self() < share

    def chosen(self, share: float) -> bool:
        """As ``hit``; a share of 0 draws nothing, so that a choice that is off moves no other draw."""
        return share > 0 and self.hit(share)

    def normal(self, *shape: int) -> Tensor:
        if self.device.type == "cpu":
            return torch.randn(shape, generator=self.generator)
        own = torch.Generator(self.device)
        own.manual_seed(int(torch.randint(2**62, (), generator=self.generator)))
        return torch.randn(shape, generator=own, device=self.device)


def vary(
    case: VolumeCase,
    size: Sequence[int],
    spacing: float,
    choices: Variation,
    generator: torch.Generator,
    classes: int = 3,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor]:
    """Cut an augmented example out of a case.

    Args:
        case: A whole scan with labels.
        size: Voxels of the example.
        spacing: Voxel size in mm.
        choices: Strengths of the augmentation.
        generator: Source of all draws, on the CPU.
        classes: Background and labels, in their order.
        device: Where to compute.

    Returns:
        HU, float32 (1, x, y, z); and the share of each class, float32 (classes, x, y, z).
    """
    where = torch.device(device)
    draw = _Draw(generator, where)
    grid = _grid(case, size, spacing, choices, draw)
    hu, labels = (torch.from_numpy(a).to(where) for a in (case.hu, case.labels))
    # grid_sample pads with zeros: air and background must be zero.
    source = torch.stack([hu.float() - AIR, *((labels == k).float() for k in range(1, classes))])[None]
    out = functional.grid_sample(source, grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]
    image, shares = out[0] + AIR, out[1:]
    if draw.hit(choices.mirror):
        swapped = [Lung.LEFT - 1, Lung.RIGHT - 1, *range(2, classes - 1)]
        image, shares = image.flip(0), shares.flip(1)[swapped]
    if draw.chosen(choices.upside_down):
        # Sides go by the place, as the header says them: mirrored examples have their heart on either side.
        image, shares = image.flip(2), shares.flip(3)
    image, shares = _crop(image, shares, choices, draw)
    if draw.chosen(choices.half):
        image, shares = _halve(image, shares, draw)
    if draw.chosen(choices.metal):
        image = _metal(image, draw)
    image = _scanner(image, shares.sum(0), choices, draw)
    return image[None], torch.cat([1 - shares.sum(0, keepdim=True), shares])


def _grid(case: VolumeCase, size: Sequence[int], spacing: float, choices: Variation, draw: _Draw) -> Tensor:
    """Where each voxel of the example lies in the scan, in the units of grid_sample."""
    shape, device = case.labels.shape, draw.device
    middle = _middle(case, size, choices, draw)
    common = math.exp(draw(-choices.zoom, choices.zoom))
    if draw.chosen(choices.small):
        common = draw(choices.smallest, 1.0)
    zooms = [common * math.exp(draw(-choices.stretch, choices.stretch)) for _ in range(3)]
    matrix = _rotation([math.radians(choices.rotation_deg) * draw(-1, 1) for _ in range(3)])
    axes = [
        (torch.arange(n, device=device) - (n - 1) / 2) / zoom for n, zoom in zip(size, zooms, strict=True)
    ]
    flat = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    points = flat @ matrix.T.to(device) + torch.tensor(middle, device=device, dtype=torch.float32)
    if draw.hit(choices.elastic):
        bend = torch.tensor(choices.elastic_mm, device=device).reshape(1, 3, 1, 1, 1) / spacing
        coarse = draw.normal(1, 3, 5, 5, 5) * (bend * draw(0.2, 1.0))
        field = functional.interpolate(coarse, list(size), mode="trilinear", align_corners=True)
        points = points + field[0].permute(1, 2, 3, 0)
    if draw.hit(choices.raised):
        points = _raise_diaphragm(points, case, draw(-0.5, 1.0) * choices.raised_mm / spacing, draw)
    scaled = (2 * points + 1) / torch.tensor(shape, dtype=torch.float32, device=device) - 1
    return scaled.flip(-1)[None]  # grid_sample wants the last axis first


def _raise_diaphragm(points: Tensor, case: VolumeCase, height: float, draw: _Draw) -> Tensor:
    """Draw what lies below one lung, and its base, up by ``height`` voxels; the apex stays where it is."""
    columns, _, planes = case.extents[Lung.RIGHT if draw.hit(0.5) else Lung.LEFT]
    if columns is None or planes is None or planes[1] - planes[0] < _LEAST_PLANES:
        return points
    (left, right), (low, high) = columns, planes
    x, z = points[..., 0], points[..., 2]
    height = min(height, 0.45 * (high - low))
    down = ((high - z) / (high - low - height)).clamp(0, 1)  # of the drawn-up lung
    width = max(1, right - left)
    beside = torch.sigmoid(4 - 16 * ((x - (left + right) / 2).abs() / width - 0.5).clamp(min=0))
    moved = points.clone()
    moved[..., 2] = z - height * down * beside
    return moved


def _middle(case: VolumeCase, size: Sequence[int], choices: Variation, draw: _Draw) -> list[float]:
    """The scan's voxel that the example is centred on: near the lungs' middle, now and then anywhere."""
    shape = case.labels.shape
    if draw.hit(choices.off_centre):
        return [draw(0.2, 0.8) * n for n in shape[:2]] + [draw(0.0, 1.0) * shape[2]]
    out = []
    for axis in range(3):
        low, high = case.extents[0][axis] or (0, shape[axis])
        out.append((low + high) / 2 + draw(-0.15, 0.15) * size[axis])
    return out


def _rotation(angles: Sequence[float]) -> Tensor:
    matrix = torch.eye(3)
    for axis, angle in enumerate(angles):
        one = torch.eye(3)
        a, b = (axis + 1) % 3, (axis + 2) % 3
        one[a, a] = one[b, b] = math.cos(angle)
        one[a, b], one[b, a] = -math.sin(angle), math.sin(angle)
        matrix = matrix @ one
    return matrix


def _crop(image: Tensor, lung: Tensor, choices: Variation, draw: _Draw) -> tuple[Tensor, Tensor]:
    """A narrow field of view: slices missing above or below, a side cut off, or a circle only."""
    if not draw.hit(choices.crop):
        return image, lung
    keep = torch.ones(image.shape, dtype=torch.bool, device=draw.device)
    kind = draw()
    if kind < 0.5:
        depth = int(draw(0.05, 0.6) * image.shape[2])
        if draw.hit(0.5):
            keep[:, :, :depth] = False
        else:
            keep[:, :, image.shape[2] - depth :] = False
    elif kind < 0.75:
        axis = 0 if draw.hit(0.6) else 1
        depth = int(draw(0.05, choices.side_cut) * image.shape[axis])
        start = 0 if draw.hit(0.5) else image.shape[axis] - depth
        keep.narrow(axis, start, depth).fill_(False)
    else:
        radius = draw(0.32, 0.5) * max(image.shape[:2])
        x, y = (torch.arange(n, device=draw.device) - (n - 1) / 2 for n in image.shape[:2])
        keep &= ((x[:, None] ** 2 + y[None, :] ** 2) < radius**2)[:, :, None]
    return torch.where(keep, image, AIR), lung * keep


def _halve(image: Tensor, lung: Tensor, draw: _Draw) -> tuple[Tensor, Tensor]:
    """A field of view that ends between the lungs, within a tenth of the array from their middle."""
    columns = torch.nonzero((lung[:2].sum(0) > 0.5).any(2).any(1)).flatten()
    if not len(columns):
        return image, lung
    middle = 0.5 * float(columns[0] + columns[-1])
    at = int(middle + draw(-0.1, 0.1) * image.shape[0])
    keep = torch.zeros(image.shape[0], dtype=torch.bool, device=draw.device)
    if draw.hit(0.5):
        keep[: max(at, 1)] = True
    else:
        keep[min(at, image.shape[0] - 1) :] = True
    kept = keep[:, None, None]
    return torch.where(kept, image, AIR), lung * kept


def _metal(image: Tensor, draw: _Draw) -> Tensor:
    """Metal in the body on some planes, with bright and dark streaks away from it."""
    planes = max(1, int(draw(0.03, 0.2) * image.shape[2]))
    first = int(draw() * (image.shape[2] - planes))
    body = torch.nonzero(image[:, :, first + planes // 2] > -300)
    if not len(body):
        return image
    at = body[int(draw() * (len(body) - 1))]
    x, y = (torch.arange(n, device=draw.device) - a for n, a in zip(image.shape[:2], at, strict=True))
    radius = (x[:, None].square() + y[None, :].square()).float().sqrt()
    angle = torch.atan2(y[None, :].float(), x[:, None].float())
    streak = torch.sin(int(draw(2, 9)) * angle + draw(0, 6.28)) + torch.sin(int(draw(5, 25)) * angle)
    change = draw(50, 500) * streak * torch.exp(-radius / draw(6, 30))
    out = image.clone()
    part = slice(first, first + planes)
    out[:, :, part] = (out[:, :, part] + change[:, :, None]).clamp(AIR, _METAL_HU)
    out[:, :, part][radius < draw(0.5, 2.5)] = _METAL_HU
    return out


def _scanner(image: Tensor, lung: Tensor, choices: Variation, draw: _Draw) -> Tensor:
    """Contrast medium, slice thickness, kernel, noise and calibration."""
    if draw.hit(choices.contrast):
        # Consolidated and collapsed lung takes up the medium too, fluid does not (Konietzke 2021).
        rise = ((image - 30) / 40).clamp(0, 1) * (1 - lung * draw())
        image = image + draw(20, 180) * rise
    if draw.hit(choices.noise):
        image = image + draw() ** 2 * choices.noise_hu * _noise(image.shape, draw)
    if draw.hit(choices.blur):
        image = _smooth(image, draw(0.4, 1.0), (0, 1, 2))
    if draw.hit(choices.thick):
        image = _thick(image, draw)
    wide = 0.25 if draw.hit(choices.squeezed) else choices.scale
    image = AIR + (image - AIR) * (1 + draw(-wide, wide)) + choices.shift_hu * draw(-1, 1)
    return image


def _noise(shape: torch.Size, draw: _Draw) -> Tensor:
    """White noise, or noise with grain, of standard deviation 1."""
    noise = draw.normal(*shape)
    if draw.hit(0.5):
        noise = _smooth(noise, draw(0.5, 1.0), (0, 1))
        noise = noise / noise.std()
    return noise


def _smooth(image: Tensor, sigma: float, axes: Sequence[int]) -> Tensor:
    """Gaussian of ``sigma`` voxels along some axes, cut off at two voxels."""
    bell = torch.exp(-0.5 * (torch.arange(-2, 3, device=image.device) / sigma) ** 2)
    bell = bell / bell.sum()
    out = image[None, None]
    for axis in axes:
        kernel = bell.reshape([1, 1] + [5 if a == axis else 1 for a in range(3)])
        pad = [0] * 6
        pad[2 * (2 - axis)] = pad[2 * (2 - axis) + 1] = 2
        out = functional.conv3d(functional.pad(out, pad, mode="replicate"), kernel)
    return out[0, 0]


def _thick(image: Tensor, draw: _Draw) -> Tensor:
    """Slices of two to four voxels, resampled back by linear interpolation."""
    factor = draw(1.6, 4.0)
    planes = max(4, round(image.shape[2] / factor))
    thin = functional.interpolate(image[None, None], [*image.shape[:2], planes], mode="area")
    return functional.interpolate(thin, list(image.shape), mode="trilinear", align_corners=False)[0, 0]
