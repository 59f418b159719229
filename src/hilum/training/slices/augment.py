"""Augmentation of slices, a batch at a time: other scanners, patients and tables.

All draws come from one generator, so that a batch is a function of its seed. Parameters are drawn on the CPU
and applied on the device of the slices.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from hilum.training.config import Augment

__all__ = ["Augmenter", "Injury"]

#: Puts disease into slices: (HU, lung, generator) to (HU, lung), all (n, 1, height, width).
Injury = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]

_KERNEL = 5


class Augmenter:
    """Augments slices and their masks.

    Args:
        choices: How much.
        window: Range of the HU, before and after.
        injury: Puts synthetic disease into slices first; None puts no disease.
    """

    def __init__(self, choices: Augment, window: tuple[float, float], injury: Injury | None = None) -> None:
        self.choices, self.window, self.injury = choices, window, injury

    def __call__(self, hu: Tensor, lung: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Vary a batch.

        Args:
            hu: HU, (n, 1, height, width).
            lung: Share of lung in each pixel, same shape.
            generator: Source of all draws, on the CPU.

        Returns:
            New HU in the window and new shares of lung.
        """
        if self.injury is not None:
            hu, lung = self.injury(hu, lung, generator)
        hu = self._table(hu, lung, generator)
        hu, lung = self._move(hu, lung, generator)
        hu, lung = self._crop(hu, lung, generator)
        hu = self._intensity(hu, generator)
        hu = self._kernel(self._noise(hu, generator), generator)
        return hu.clamp(*self.window), lung

    def _table(self, hu: Tensor, lung: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a bent bar below the patient where there is air."""
        n, _, height, width = hu.shape
        draw, place, bend, thick, bright = _draws(n, 5, generator, hu.device)
        cols = torch.linspace(-1, 1, width, device=hu.device)[None, :]
        rows = torch.arange(height, device=hu.device)[None, :, None] / height
        middle = (0.78 + 0.2 * place)[:, None] - (0.12 * bend)[:, None] * cols**2
        bar = (rows - middle[:, None, :]).abs() < (0.004 + 0.012 * thick)[:, None, None]
        bar &= (draw < self.choices.table)[:, None, None]
        there = bar[:, None] & (hu < -700) & (lung < 0.05)
        return torch.where(there, (-300 + 500 * bright)[:, None, None, None], hu)

    def _move(self, hu: Tensor, lung: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Rotate, scale, stretch, shift and mirror; what comes from outside is air."""
        n, c = len(hu), self.choices
        angle, zoom, aspect, right, down, turn, which, mirror = _draws(n, 8, generator, hu.device)
        degrees = (2 * angle - 1) * c.rotation_deg
        quarter = 90 + 90 * (which > 0.25).float() + 90 * (which > 0.75).float()  # half of them prone: 180
        radians = (degrees + torch.where(turn < c.turned, quarter, torch.zeros_like(turn))) * (math.pi / 180)
        low, high = (math.log(v) for v in c.zoom)
        scale = torch.exp(low + (high - low) * zoom)
        stretch = torch.exp((2 * aspect - 1) * c.aspect)
        flip = torch.where(mirror < c.mirror / 2, -1.0, 1.0)
        cos, sin = torch.cos(radians), torch.sin(radians)
        # Maps output to input, so the zoom divides.
        row = flip / (scale * stretch), stretch / scale
        theta = torch.stack(
            [
                torch.stack([row[0] * cos, -row[0] * sin, (2 * right - 1) * 2 * c.move], 1),
                torch.stack([row[1] * sin, row[1] * cos, (2 * down - 1) * 2 * c.move], 1),
            ],
            1,
        )
        grid = functional.affine_grid(theta, list(hu.shape), align_corners=False)
        both = torch.cat([hu - self.window[0], lung], 1)
        moved = functional.grid_sample(both, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return moved[:, :1] + self.window[0], moved[:, 1:]

    def _crop(self, hu: Tensor, lung: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Cut a strip off one side, as a narrow field of view does."""
        n, _, height, width = hu.shape
        draw, side, deep = _draws(n, 3, generator, hu.device)
        edge = torch.where(draw < self.choices.crop, 0.25 * deep, torch.zeros_like(deep))
        side = (side * 4).long()
        rows = ((torch.arange(height, device=hu.device) + 0.5) / height)[None, :, None]
        cols = ((torch.arange(width, device=hu.device) + 0.5) / width)[None, None, :]
        cut = torch.zeros((n, height, width), dtype=torch.bool, device=hu.device)
        for number, along in enumerate((rows, 1 - rows, cols, 1 - cols)):
            cut |= (along < edge[:, None, None]) & (side == number)[:, None, None]
        outside = cut[:, None]
        return hu.masked_fill(outside, self.window[0]), lung.masked_fill(outside, 0.0)

    def _intensity(self, hu: Tensor, generator: torch.Generator) -> Tensor:
        """Another calibration: scale and shift, now and then far off, as in images with squeezed values."""
        c = self.choices
        far, where, shift = _draws(len(hu), 3, generator, hu.device)
        near = c.scale[0] + (c.scale[1] - c.scale[0]) * where
        wide = c.squeezed_scale[0] + (c.squeezed_scale[1] - c.squeezed_scale[0]) * where
        scale = torch.where(far < c.squeezed, wide, near)
        return hu * scale[:, None, None, None] + ((2 * shift - 1) * c.shift_hu)[:, None, None, None]

    def _noise(self, hu: Tensor, generator: torch.Generator) -> Tensor:
        draw, strength = _draws(len(hu), 2, generator, hu.device)
        sd = torch.where(draw < self.choices.noise, self.choices.noise_hu * strength**2, 0 * strength)
        source = generator
        if hu.device.type != "cpu":  # equivalent, and no slice is copied between devices
            source = torch.Generator(hu.device)
            source.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
        noise = torch.randn(hu.shape, generator=source, device=hu.device)
        return torch.addcmul(hu, noise, sd[:, None, None, None])

    def _kernel(self, hu: Tensor, generator: torch.Generator) -> Tensor:
        """Another reconstruction kernel: softer or sharper by a Gaussian of random width."""
        c = self.choices
        kind, amount, width = _draws(len(hu), 3, generator, hu.device)
        gain = torch.where(kind < c.blur, -0.3 - 0.7 * amount, torch.zeros_like(kind))
        gain = torch.where(kind > 1 - c.sharpen, 0.3 + 1.2 * amount, gain)
        chosen = torch.nonzero(gain)[:, 0]
        if not len(chosen):
            return hu
        axis = torch.arange(_KERNEL, device=hu.device) - _KERNEL // 2
        bell = torch.exp(-0.5 * (axis[None, :] / (0.5 + 0.7 * width[chosen])[:, None]) ** 2)
        bell = bell / bell.sum(1, keepdim=True)
        some = hu[chosen].transpose(0, 1)
        edge = functional.pad(some, [_KERNEL // 2] * 4, mode="replicate")
        soft = functional.conv2d(edge, bell[:, None, :, None], groups=len(chosen))
        soft = functional.conv2d(soft, bell[:, None, None, :], groups=len(chosen))
        out = hu.clone()
        out[chosen] = (some + gain[chosen][None, :, None, None] * (some - soft)).transpose(0, 1)
        return out


def _draws(n: int, many: int, generator: torch.Generator, device: torch.device) -> tuple[Tensor, ...]:
    """Uniform numbers, ``many`` tensors of shape (n,)."""
    rows = torch.rand((many, n), generator=generator).to(device)
    return tuple(rows[i] for i in range(many))
