"""The 3-D network of the lungs: (n, 1, x, y, z) scaled to -1 to 1, to logits of each class."""

from __future__ import annotations

from itertools import pairwise

import torch
from monai.networks.blocks.dynunet_block import UnetResBlock
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["CLASSES", "PLEURA_CLASSES", "LungNet3d", "fold", "unfold"]

#: Background, right lung, left lung: the labels of :class:`hilum.core.labels.Lung`.
CLASSES = 3
#: The same, then pleural fluid and free pleural gas.
PLEURA_CLASSES = 5


def fold(x: Tensor) -> Tensor:
    """Put blocks of 2 x 2 x 2 voxels into eight channels: (n, c, x, y, z) to (n, 8 c, x/2, y/2, z/2)."""
    n, c, *size = x.shape
    a, b, d = (s // 2 for s in size)
    y = x.reshape(n, c, a, 2, b, 2, d, 2).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return y.reshape(n, 8 * c, a, b, d)


def unfold(x: Tensor) -> Tensor:
    """Put eight channels back into blocks of 2 x 2 x 2 voxels; the opposite of :func:`fold`."""
    n, c, a, b, d = x.shape
    y = x.reshape(n, c // 8, 2, 2, 2, a, b, d).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return y.reshape(n, c // 8, 2 * a, 2 * b, 2 * d)


class LungNet3d(nn.Module):
    """A small 3-D U-Net (Cicek 2016) with residual blocks and instance norm (Isensee 2021).

    The volume enters as blocks of 2 x 2 x 2 voxels in eight channels and leaves in the same way, so that the
    widest maps have an eighth of the voxels: whole chests fit, and a chest takes a fraction of a second on
    two cores. Sizes must be multiples of ``2 ** len(widths)``.

    Args:
        widths: Channels of each level.
        soft: Part of the input's range, -1 to 1, that is also shown stretched to all of it. Fluid and
            collapsed lung differ by 30 HU, a fiftieth of the whole range. Its way in begins with zero, so
            that weights of a network without it can be gone on from.
        detail: Channels that look at the voxels once more when the answer is given; 0 for none. The border of
            dense lung has to be found to a fraction of a voxel, and ``widths[0]`` channels for the 24 answers
            of a block draw it coarsely. Begins with zero likewise.
        classes: Number of classes with the background: :data:`CLASSES` or :data:`PLEURA_CLASSES`.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (16, 32, 64, 96),
        soft: tuple[float, float] | None = None,
        detail: int = 0,
        classes: int = CLASSES,
    ) -> None:
        super().__init__()
        self.widths = widths
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
        self.soft = soft
        if soft is not None:
            self.closer = nn.Sequential(
                nn.Conv3d(8, widths[0], 3, padding=1),
                nn.LeakyReLU(0.01),
                nn.Conv3d(widths[0], widths[0], 3, padding=1),
            )
            nn.init.zeros_(self.closer[2].weight)
            nn.init.zeros_(self.closer[2].bias)
        self.detail = None
        if detail:
            seen = widths[0] + 8 * (1 if soft is None else 2)
            self.detail = nn.Sequential(
                nn.Conv3d(seen, detail, 3, padding=1),
                nn.LeakyReLU(0.01),
                nn.Conv3d(detail, 8 * classes, 1),
            )
            nn.init.zeros_(self.detail[2].weight)
            nn.init.zeros_(self.detail[2].bias)
        self.multiple = 2 ** len(widths)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (n, classes, x, y, z)."""
        pictures = [fold(x)]
        if self.soft is not None:
            low, high = self.soft
            pictures.append(fold(((x - low) * (2 / (high - low)) - 1).clamp(-1, 1)))
        if self.training:  # a fifth quicker on a CPU
            pictures = [p.contiguous(memory_format=torch.channels_last_3d) for p in pictures]
        y = pictures[0]
        seen: list[Tensor] = []
        for block in self.down:
            y = block(y)
            if not seen and self.soft is not None:
                y = y + self.closer(pictures[1])
            seen.append(y)
        for block, skip in zip(self.up, seen[-2::-1], strict=True):
            y = block(torch.cat([functional.interpolate(y, scale_factor=2.0, mode="nearest"), skip], 1))
        answer = self.head(y)
        if self.detail is not None:
            answer = answer + self.detail(torch.cat([y, *pictures], 1))
        return unfold(answer)
