"""The three networks. Input (n, 1, height, width) scaled to -1 to 1; output logits of the same size."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from monai.networks.blocks.dynunet_block import UnetResBlock
from monai.networks.nets.resnet import ResNet
from torch import Tensor, nn
from torch.nn import functional

from hilum.training.config import ModelKind, Networks

__all__ = ["Fcnn", "LungNet", "ResNetFpn", "UNet", "build_network", "count_parameters"]

_AIR = -1.0  # value outside the slice


class LungNet(nn.Module):
    """A network that can be trained on more than its output, such as maps of coarser levels."""

    def supervise(self, x: Tensor, target: Tensor, step: int) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Yield (logits, target, weight) for the loss.

        Args:
            x: Input, (n, 1, height, width).
            target: Share of lung in each pixel, same shape, 0 to 1.
            step: Number of the training step.
        """
        yield self(x), target, 1.0


class Fcnn(LungNet):
    """A fully connected network that predicts each pixel by itself.

    Its input is the patch around the pixel (``patch`` x ``patch`` samples, ``dilation`` pixels apart) and the
    place of the pixel in the slice (row and column, -1 to 1). The first dense layer on all patches at once
    is a convolution with a kernel of the patch's size plus a map that depends on the place alone; the others
    are 1 x 1 convolutions. So a slice takes milliseconds, and the numbers are those of dense layers on
    patches.
    """

    def __init__(self, patch: int = 15, dilation: int = 3, hidden: tuple[int, ...] = (64, 32)) -> None:
        super().__init__()
        self.patch, self.dilation = patch, dilation
        self.look = nn.Conv2d(1, hidden[0], patch, dilation=dilation)
        self.place = nn.Conv2d(2, hidden[0], 1, bias=False)
        widths = [*hidden, 1]
        self.dense = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairwise(widths))

    @property
    def reach(self) -> int:
        """How far the patch goes from its middle, in pixels."""
        return self.dilation * (self.patch // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of every pixel."""
        return self._logits(x, (0, 0), 1)

    def supervise(self, x: Tensor, target: Tensor, step: int) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Yield every fourth row and column, at another offset each step: pixels are independent."""
        start, every = (step * 7 // 4 % 4, step * 3 % 4), 4
        yield self._logits(x, start, every), target[:, :, start[0] :: every, start[1] :: every], 1.0

    def _logits(self, x: Tensor, start: tuple[int, int], every: int) -> Tensor:
        padded = functional.pad(x, [self.reach] * 4, value=_AIR)[:, :, start[0] :, start[1] :]
        seen = functional.conv2d(
            padded, self.look.weight, self.look.bias, stride=every, dilation=self.dilation
        )
        where = _places(x)[:, :, start[0] :: every, start[1] :: every]
        y = seen + self.place(where)
        for layer in self.dense:
            y = layer(functional.relu(y))
        return y


def _places(x: Tensor) -> Tensor:
    """Rows and columns from -1 to 1, shape (1, 2, height, width)."""
    height, width = x.shape[-2:]
    rows = torch.linspace(-1.0, 1.0, height, device=x.device, dtype=x.dtype)
    cols = torch.linspace(-1.0, 1.0, width, device=x.device, dtype=x.dtype)
    grid = torch.stack([rows[:, None].expand(height, width), cols[None, :].expand(height, width)])
    return grid[None]


class UNet(LungNet):
    """A U-Net (Ronneberger 2015) with residual blocks, instance norm and deep supervision (Isensee 2021).

    The slice enters as blocks of 2 x 2 pixels in four channels, so that the widest maps have half its side:
    a quarter of the time, and no input is lost. The last layer reads the full-resolution slice again and
    refines the edge to single pixels.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 128, 160)) -> None:
        super().__init__()
        norm = ("INSTANCE", {"affine": True})
        inputs = [4, *widths[:-1]]
        self.down = nn.ModuleList(
            UnetResBlock(2, a, b, 3, 1 if level == 0 else 2, norm)
            for level, (a, b) in enumerate(zip(inputs, widths, strict=True))
        )
        pairs = list(zip(widths[1:], widths[:-1], strict=True))[::-1]
        self.up = nn.ModuleList(UnetResBlock(2, a + b, b, 3, 1, norm) for a, b in pairs)
        self.finish = _Finish(widths[0])
        # Coarser maps that are supervised too: the two levels above the finest.
        self.aside = nn.ModuleList(nn.Conv2d(b, 1, 1) for _, b in pairs[-3:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of every pixel."""
        return self.finish(self._levels(x)[-1], x)

    def supervise(self, x: Tensor, target: Tensor, step: int) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Yield the output, then the coarser maps against the mean of the target, with less weight."""
        levels = self._levels(x)
        yield self.finish(levels[-1], x), target, 1.0
        weight = 0.5
        for head, level in zip(list(self.aside)[::-1], levels[-2 : -2 - len(self.aside) : -1], strict=True):
            logits = head(level)
            yield logits, functional.adaptive_avg_pool2d(target, logits.shape[-2:]), weight
            weight /= 2

    def _levels(self, x: Tensor) -> list[Tensor]:
        y = functional.pixel_unshuffle(x, 2)
        seen = []
        for block in self.down:
            y = block(y)
            seen.append(y)
        levels = []
        for block, skip in zip(self.up, seen[-2::-1], strict=True):
            y = block(torch.cat([functional.interpolate(y, scale_factor=2.0, mode="nearest"), skip], 1))
            levels.append(y)
        return levels


class ResNetFpn(LungNet):
    """A ResNet-18 or -34 (He 2016) from scratch, and a decoder of convolutions that adds level to level.

    The decoder is that of a feature pyramid (Lin 2017): 1 x 1 convolutions bring all levels to one width,
    which are added from coarse to fine and smoothed. The plain ResNet has 64 to 512 channels; half of that is
    the default here, for training on a CPU.
    """

    def __init__(
        self,
        blocks: tuple[int, int, int, int] = (2, 2, 2, 2),
        widths: tuple[int, int, int, int] = (32, 64, 128, 256),
    ) -> None:
        super().__init__()
        self.encoder = ResNet(
            "basic",
            list(blocks),
            list(widths),
            spatial_dims=2,
            n_input_channels=1,
            conv1_t_size=7,
            conv1_t_stride=2,
            feed_forward=False,
            bias_downsample=False,
        )
        width = widths[0]
        levels = [widths[0], *widths]
        self.lateral = nn.ModuleList(nn.Conv2d(w, width, 1) for w in levels)
        self.smooth = nn.ModuleList(_conv(width, width) for _ in range(len(levels) - 1))
        self.finish = _Finish(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of every pixel."""
        e = self.encoder
        seen = [e.act(e.bn1(e.conv1(x)))]
        y = e.maxpool(seen[0])
        for layer in (e.layer1, e.layer2, e.layer3, e.layer4):
            y = layer(y)
            seen.append(y)
        y = self.lateral[-1](seen[-1])
        for level in range(len(seen) - 2, -1, -1):
            y = functional.interpolate(y, scale_factor=2.0, mode="nearest") + self.lateral[level](seen[level])
            y = self.smooth[level](y)
        return self.finish(y, x)


class _Finish(nn.Module):
    """From maps of half the side to logits of every pixel."""

    def __init__(self, width: int, channels: int = 8) -> None:
        super().__init__()
        self.spread = nn.Conv2d(width, 4 * channels, 1)
        self.edge = nn.Conv2d(channels + 1, channels, 3, padding=1)
        self.out = nn.Conv2d(channels, 1, 1)

    def forward(self, y: Tensor, x: Tensor) -> Tensor:
        fine = functional.pixel_shuffle(self.spread(y), 2)
        out: Tensor = self.out(functional.leaky_relu(self.edge(torch.cat([fine, x], 1)), 0.01))
        return out


def _conv(a: int, b: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU())


def build_network(kind: ModelKind, sizes: Networks) -> LungNet:
    """Build a network with fresh weights from torch's random numbers."""
    if kind is ModelKind.FCNN:
        return Fcnn(sizes.fcnn_patch, sizes.fcnn_dilation, sizes.fcnn_hidden)
    if kind is ModelKind.UNET:
        return UNet(sizes.unet_widths)
    return ResNetFpn(sizes.resnet_blocks, sizes.resnet_widths)


def count_parameters(network: nn.Module) -> int:
    """Return the number of weights."""
    return sum(p.numel() for p in network.parameters())
