"""Varying whole chests while training: another patient, posture, field of view, scanner, slice thickness.

Every draw comes from one generator, so that a training example is a function of its seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hilum.core.constants import CT_WINDOW_HU

__all__ = ["Variation", "vary"]

AIR = CT_WINDOW_HU[0]


@dataclass(frozen=True)
class Variation:
    """How much is varied. A share is the chance that an example gets it; lengths in mm, intensities in HU.

    ``elastic_mm`` is the bend along x, y and z: along z the diaphragm rises and sinks the most.
    ``raised_mm`` is how far one half of the diaphragm is drawn up or down at most.
    ``side_cut`` is the largest part of the width or depth that a narrow field of view cuts off.
    """

    zoom: float = 0.25
    stretch: float = 0.10
    rotation_deg: float = 12.0
    elastic: float = 0.5
    elastic_mm: tuple[float, float, float] = (9.0, 9.0, 18.0)
    raised: float = 0.25
    raised_mm: float = 50.0
    mirror: float = 0.5
    off_centre: float = 0.35
    crop: float = 0.3
    side_cut: float = 0.35
    thick: float = 0.35
    blur: float = 0.25
    noise: float = 0.5
    noise_hu: float = 45.0
    shift_hu: float = 12.0
    scale: float = 0.03
    squeezed: float = 0.15
    contrast: float = 0.25


class _Draw:
    """Numbers from a generator, one at a time."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def __call__(self, low: float = 0.0, high: float = 1.0) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def hit(self, share: float) -> bool:
        return self() < share

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator)


def vary(
    hu: Tensor,
    labels: Tensor,
    size: Sequence[int],
    spacing: float,
    choices: Variation,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Cut an example out of a scan, varied.

    Args:
        hu: HU of a whole scan in RAS order, int16 (x, y, z), isotropic.
        labels: Lung labels 0, 1, 2, uint8, same shape.
        size: Voxels of the example.
        spacing: Voxel size in mm.
        choices: How much to vary.
        generator: Source of all draws.

    Returns:
        HU, float32 (1, x, y, z); and the share of background, right and left lung, float32 (3, x, y, z).
    """
    draw = _Draw(generator)
    grid = _grid(labels, size, spacing, choices, draw)
    # grid_sample pads with zeros: air and background must be zero.
    source = torch.stack([hu.float() - AIR, (labels == 1).float(), (labels == 2).float()])[None]
    out = functional.grid_sample(source, grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]
    image, right, left = out[0] + AIR, out[1], out[2]
    if draw.hit(choices.mirror):
        image, right, left = image.flip(0), left.flip(0), right.flip(0)
    image, lung = _crop(image, torch.stack([right, left]), choices, draw)
    image = _scanner(image, lung.sum(0), choices, draw)
    return image[None], torch.cat([1 - lung.sum(0, keepdim=True), lung])


def _grid(labels: Tensor, size: Sequence[int], spacing: float, choices: Variation, draw: _Draw) -> Tensor:
    """Where each voxel of the example lies in the scan, in the units of grid_sample."""
    shape = labels.shape
    middle = _middle(labels, size, choices, draw)
    common = math.exp(draw(-choices.zoom, choices.zoom))
    zooms = [common * math.exp(draw(-choices.stretch, choices.stretch)) for _ in range(3)]
    matrix = _rotation([math.radians(choices.rotation_deg) * draw(-1, 1) for _ in range(3)])
    axes = [(torch.arange(n) - (n - 1) / 2) / zoom for n, zoom in zip(size, zooms, strict=True)]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1) @ matrix.T + torch.tensor(middle)
    if draw.hit(choices.elastic):
        bend = torch.tensor(choices.elastic_mm).reshape(1, 3, 1, 1, 1) / spacing
        coarse = draw.normal(1, 3, 5, 5, 5) * (bend * draw(0.2, 1.0))
        field = functional.interpolate(coarse, list(size), mode="trilinear", align_corners=True)
        points = points + field[0].permute(1, 2, 3, 0)
    if draw.hit(choices.raised):
        points = _raise_diaphragm(points, labels, draw(-0.5, 1.0) * choices.raised_mm / spacing, draw)
    scaled = (2 * points + 1) / torch.tensor(shape, dtype=torch.float32) - 1
    return scaled.flip(-1)[None]  # grid_sample wants the last axis first


def _raise_diaphragm(points: Tensor, labels: Tensor, height: float, draw: _Draw) -> Tensor:
    """Draw what lies below one lung, and its base, up by ``height`` voxels; the apex stays where it is."""
    side = labels == (1 if draw.hit(0.5) else 2)
    planes, columns = (torch.nonzero(side.any(1).any(axis))[:, 0] for axis in (0, 1))
    if len(planes) < 8:
        return points
    low, high = float(planes[0]), float(planes[-1])
    left, right = float(columns[0]), float(columns[-1])
    x, z = points[..., 0], points[..., 2]
    height = min(height, 0.45 * (high - low))
    down = ((high - z) / (high - low - height)).clamp(0, 1)  # of the drawn-up lung
    beside = torch.sigmoid(4 - 16 * ((x - (left + right) / 2).abs() / (right - left) - 0.5).clamp(min=0))
    moved = points.clone()
    moved[..., 2] = z - height * down * beside
    return moved


def _middle(labels: Tensor, size: Sequence[int], choices: Variation, draw: _Draw) -> list[float]:
    """The scan's voxel that the example is centred on: near the lungs' middle, now and then anywhere."""
    shape = labels.shape
    if draw.hit(choices.off_centre):
        return [draw(0.2, 0.8) * n for n in shape[:2]] + [draw(0.0, 1.0) * shape[2]]
    out = []
    for axis in range(3):
        hit = torch.nonzero(labels.amax(dim=[a for a in range(3) if a != axis]))[:, 0]
        low, high = (int(hit[0]), int(hit[-1])) if len(hit) else (0, shape[axis])
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
    keep = torch.ones(image.shape, dtype=torch.bool)
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
        x, y = (torch.arange(n) - (n - 1) / 2 for n in image.shape[:2])
        keep &= ((x[:, None] ** 2 + y[None, :] ** 2) < radius**2)[:, :, None]
    return torch.where(keep, image, AIR), lung * keep


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
    bell = torch.exp(-0.5 * (torch.arange(-2, 3) / sigma) ** 2)
    bell = bell / bell.sum()
    out = image[None, None]
    for axis in axes:
        kernel = bell.reshape([1, 1] + [5 if a == axis else 1 for a in range(3)])
        pad = [0] * 6
        pad[2 * (2 - axis)] = pad[2 * (2 - axis) + 1] = 2
        out = functional.conv3d(functional.pad(out, pad, mode="replicate"), kernel)
    return out[0, 0]


def _thick(image: Tensor, draw: _Draw) -> Tensor:
    """Slices of two to four voxels, drawn out again by linear interpolation."""
    factor = draw(1.6, 4.0)
    planes = max(4, round(image.shape[2] / factor))
    thin = functional.interpolate(image[None, None], [*image.shape[:2], planes], mode="area")
    return functional.interpolate(thin, list(image.shape), mode="trilinear", align_corners=False)[0, 0]
