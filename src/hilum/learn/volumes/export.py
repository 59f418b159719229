"""From the 3-D network to ONNX: ``image`` (1, 1, x, y, z) to ``lungs`` (1, 3, x, y, z), probabilities."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from hilum.io import atomic_file
from hilum.learn.export import OPSET
from hilum.learn.volumes.networks import LungNet3d

__all__ = ["export_volumes"]


class _Probabilities(nn.Module):
    def __init__(self, network: LungNet3d) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return torch.softmax(self.network(image), 1)


def export_volumes(network: LungNet3d, path: Path) -> Path:
    """Write the network with its softmax. Sides of the volume must be multiples of ``network.multiple``."""
    model = _Probabilities(network).cpu().eval()
    with atomic_file(path) as part:
        torch.onnx.export(
            model,
            (torch.zeros((1, 1, 64, 48, 32)),),
            str(part),
            input_names=["image"],
            output_names=["lungs"],
            dynamic_axes={"image": {2: "x", 3: "y", 4: "z"}, "lungs": {2: "x", 3: "y", 4: "z"}},
            opset_version=OPSET,
            dynamo=False,
        )
    return path
