"""The 3-D network of the lungs: (n, 1, x, y, z) scaled to -1 to 1, to logits of background and each label."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TypeVar

import torch
from monai.networks.blocks.dynunet_block import UnetResBlock
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["LungNet3d", "depth_to_space", "rename_old_keys", "space_to_depth"]

T = TypeVar("T")
#: Names that parts of the network had in weights written before 0.1.0, with a dot after each.
_OLD_NAMES = {"closer.": "soft_tissue_branch.", "detail.": "refinement."}


def rename_old_keys(state: Mapping[str, T]) -> dict[str, T]:
    """Return a state dict with today's names of all parts of the network.

    Args:
        state: State dict of a :class:`LungNet3d`, of today or of before the parts had their present names.
    """
    out = {}
    for key, value in state.items():
        for old, new in _OLD_NAMES.items():
            if key.startswith(old):
                key = new + key.removeprefix(old)
        out[key] = value
    return out


def space_to_depth(x: Tensor) -> Tensor:
    """Move blocks of 2 x 2 x 2 voxels into eight channels: (n, c, x, y, z) to (n, 8 c, x/2, y/2, z/2)."""
    n, c, *size = x.shape
    a, b, d = (s // 2 for s in size)
    y = x.reshape(n, c, a, 2, b, 2, d, 2).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return y.reshape(n, 8 * c, a, b, d)


def depth_to_space(x: Tensor) -> Tensor:
    """Move eight channels back into blocks of 2 x 2 x 2 voxels; the inverse of :func:`space_to_depth`."""
    n, c, a, b, d = x.shape
    y = x.reshape(n, c // 8, 2, 2, 2, a, b, d).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return y.reshape(n, c // 8, 2 * a, 2 * b, 2 * d)


class LungNet3d(nn.Module):
    """A small 3-D U-Net (Cicek 2016) with residual blocks and instance norm (Isensee 2021).

    The volume enters as blocks of 2 x 2 x 2 voxels in eight channels and leaves in the same way, so that the
    widest maps have an eighth of the voxels: whole chests fit, and a chest takes a fraction of a second on
    two cores. Sizes must be multiples of ``multiple``, which is ``2 ** len(widths)``.

    Args:
        widths: Channels of each level.
        classes: Output channels, the background included.
        soft_tissue: Part of the input's range, -1 to 1, that a second branch sees stretched to all of it.
            Pleural fluid and collapsed lung differ by 30 HU, a fiftieth of the whole range. It is
            zero-initialised, so that weights of a network without it give the same output.
        refinement: Full-resolution refinement channels, which read the input voxels and the decoder's output;
            0 for no refinement. Without them ``widths[0]`` channels for the eight voxels of a block outline
            dense lung coarsely. Zero-initialised likewise.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (16, 32, 64, 96),
        classes: int = 3,
        soft_tissue: tuple[float, float] | None = None,
        refinement: int = 0,
    ) -> None:
        super().__init__()
        self.widths, self.classes, self.soft_tissue = widths, classes, soft_tissue
        norm = ("INSTANCE", {"affine": True})
        inputs = [8, *widths[:-1]]
        self.down = nn.ModuleList(
            UnetResBlock(3, a, b, 3, 1 if level == 0 else 2, norm)
            for level, (a, b) in enumerate(zip(inputs, widths, strict=True))
        )
        self.up = nn.ModuleList(
            UnetResBlock(3, a + b, b, 3, 1, norm) for b, a in list(pairwise(widths))[::-1]
        )
        self.head = nn.Conv3d(widths[0], 8 * classes, 1)
        if soft_tissue is not None:
            self.soft_tissue_branch = nn.Sequential(
                nn.Conv3d(8, widths[0], 3, padding=1),
                nn.LeakyReLU(0.01),
                nn.Conv3d(widths[0], widths[0], 3, padding=1),
            )
            nn.init.zeros_(self.soft_tissue_branch[2].weight)
            nn.init.zeros_(self.soft_tissue_branch[2].bias)
        self.refinement = None
        if refinement:
            seen = widths[0] + 8 * (1 if soft_tissue is None else 2)
            self.refinement = nn.Sequential(
                nn.Conv3d(seen, refinement, 3, padding=1),
                nn.LeakyReLU(0.01),
                nn.Conv3d(refinement, 8 * classes, 1),
            )
            nn.init.zeros_(self.refinement[2].weight)
            nn.init.zeros_(self.refinement[2].bias)
        self.multiple = 2 ** len(widths)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (n, classes, x, y, z)."""
        inputs = [space_to_depth(x)]
        if self.soft_tissue is not None:
            low, high = self.soft_tissue
            inputs.append(space_to_depth(((x - low) * (2 / (high - low)) - 1).clamp(-1, 1)))
        if self.training:  # a fifth quicker on a CPU
            inputs = [part.contiguous(memory_format=torch.channels_last_3d) for part in inputs]
        y = inputs[0]
        skips: list[Tensor] = []
        for block in self.down:
            y = block(y)
            if not skips and self.soft_tissue is not None:
                y = y + self.soft_tissue_branch(inputs[1])
            skips.append(y)
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            y = block(torch.cat([functional.interpolate(y, scale_factor=2.0, mode="nearest"), skip], 1))
        logits = self.head(y)
        if self.refinement is not None:
            logits = logits + self.refinement(torch.cat([y, *inputs], 1))
        return depth_to_space(logits)
