"""The network of the airways: (n, 1, x, y, z) scaled to -1 to 1, to logits of four classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["CLASSES", "WIDTHS", "AirwayNet3d"]

#: Background, lumen, wall, vessel.
CLASSES = 4
#: Channels of each level.
WIDTHS = (16, 32, 32, 48)


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm3d(outputs, momentum=0.02),
        nn.ReLU(inplace=True),
    )


class AirwayNet3d(nn.Module):
    """A 3-D U-Net (Cicek 2016) whose skip connections are added, which costs half of joining them.

    Batch norm keeps what one voxel gives apart from what else lies in its tile. Sizes must be multiples of
    ``multiple``.

    Args:
        widths: Channels of each level; each level halves the resolution.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        inputs = (1, *widths[:-1])
        self.down = nn.ModuleList(
            nn.Sequential(_block(a, b, 1 if level == 0 else 2), _block(b, b))
            for level, (a, b) in enumerate(zip(inputs, widths, strict=True))
        )
        pairs = list(zip(widths[:-1], widths[1:], strict=True))[::-1]
        self.narrow = nn.ModuleList(nn.Conv3d(below, here, 1) for here, below in pairs)
        self.up = nn.ModuleList(_block(here, here) for here, _ in pairs)
        self.head = nn.Conv3d(widths[0], CLASSES, 1)
        self.multiple = 2 ** (len(widths) - 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (n, classes, x, y, z)."""
        skips: list[Tensor] = []
        for block in self.down:
            x = block(x)
            skips.append(x)
        for narrow, block, skip in zip(self.narrow, self.up, skips[-2::-1], strict=True):
            x = block(functional.interpolate(narrow(x), scale_factor=2.0, mode="nearest") + skip)
        out: Tensor = self.head(x)
        return out


def probabilities(network: AirwayNet3d, x: Tensor) -> Tensor:
    """Return probabilities of the classes, for export."""
    return torch.softmax(network(x), 1)
