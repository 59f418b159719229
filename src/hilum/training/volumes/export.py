"""The 3-D network as ONNX: ``image`` (1, 1, x, y, z) to probabilities ``lungs`` (1, classes, x, y, z)."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from hilum.io import atomic_file
from hilum.training.cards import OPSET
from hilum.training.volumes.networks import LungNet3d

__all__ = ["export_volumes", "round_file_to_float16", "round_to_float16"]


#: Smaller tensors stay float32.
_LEAST = 256


class _Probabilities(nn.Module):
    def __init__(self, network: LungNet3d) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return torch.softmax(self.network(image), 1)


def round_to_float16(network: LungNet3d) -> LungNet3d:
    """Return a copy whose weights are rounded to 16 bits, so that a float16 file stores them exactly."""
    network = copy.deepcopy(network)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(weight.half().float())
    return network


def round_file_to_float16(path: Path) -> None:
    """Round the weights in an ONNX file to 16 bits, in place, so that it takes half the space.

    Other weights change by up to one part in 2000: measure the model again.
    """
    _pack(path, exactly=False)


def _pack(path: Path, exactly: bool = True) -> None:
    """Store weights as float16 (if ``exactly``, only those it holds exactly); the engine casts them back."""
    model = onnx.load(path)
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        small = values.astype(np.float16)
        if values.size < _LEAST or (exactly and not np.array_equal(small.astype(np.float32), values)):
            continue
        if not np.isfinite(small).all():
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(small, f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    for cast in reversed(casts):
        graph.node.insert(0, cast)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def export_volumes(network: LungNet3d, path: Path) -> Path:
    """Write the network with its softmax. Sides of the volume must be multiples of ``network.multiple``.

    Weights that 16 bits hold exactly, as those of :func:`round_to_float16`, take half the space.
    """
    model = _Probabilities(network).cpu().eval()
    with atomic_file(path) as part, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice of the exporter to its own developers
        torch.onnx.export(
            model,
            (torch.zeros((1, 1, 64, 48, 32)),),
            str(part),
            input_names=["image"],
            output_names=["lungs"],
            dynamic_axes={"image": {2: "x", 3: "y", 4: "z"}, "lungs": {2: "x", 3: "y", 4: "z"}},
            opset_version=OPSET,
            # The newer exporter, which networks of slices use, gives the same outputs, but it merges
            # equal weights and forgets their names, by which load_exported finds them.
            dynamo=False,
        )
        _pack(part)
    return path
