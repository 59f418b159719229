"""Layers that train faster on a CPU in 32 bits, one example at a time; weights and results are the same.

In bfloat16 PyTorch passes every convolution to oneDNN anyway: padding channels would only cost time.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["use_onednn_layers"]

#: PyTorch passes a single example to oneDNN only where the product of n, channels, x and y exceeds this
#: (``use_mkldnn`` in aten/src/ATen/native/Convolution.cpp); its other convolution takes three times as long.
_SMALL = 20480
#: Inputs with fewer channels are zero-padded to this number.
_FEW = 16


class _Conv3d(nn.Conv3d):
    def forward(self, input: Tensor) -> Tensor:
        n, channels, a, b, _ = input.shape
        is_3x3x3 = self.kernel_size == (3, 3, 3) and self.padding == (1, 1, 1)
        if not input.is_cpu or not is_3x3x3 or n * channels * a * b > _SMALL:
            return super().forward(input)
        weight, padding = self.weight, 1
        if channels < _FEW:
            more = (0, 0, 0, 0, 0, 0, 0, _FEW - channels)
            input, weight = functional.pad(input, more), functional.pad(weight, more)
        if n * input.shape[1] * a * b <= _SMALL:
            input, padding = functional.pad(input, (1,) * 6), 0
        return functional.conv3d(input, weight, self.bias, self.stride, padding)


class _InstanceNorm3d(nn.InstanceNorm3d):
    def forward(self, input: Tensor) -> Tensor:
        if len(input) > 1:
            return super().forward(input)
        # The same for one example, but it leaves channels last in memory instead of copying there and back.
        return functional.batch_norm(input, None, None, self.weight, self.bias, True, 0.0, self.eps)


def use_onednn_layers(network: nn.Module) -> None:
    """Replace a network's convolutions and norms by faster equivalents where there are some, in place."""
    for layer in network.modules():
        if type(layer) is nn.Conv3d:
            layer.__class__ = _Conv3d
        elif type(layer) is nn.InstanceNorm3d:
            layer.__class__ = _InstanceNorm3d
