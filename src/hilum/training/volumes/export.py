"""From the 3-D network to ONNX: ``image`` (1, 1, x, y, z) to ``lungs`` (1, 3, x, y, z), probabilities."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from hilum.core.errors import UsageError
from hilum.io import atomic_file
from hilum.training.cards import OPSET
from hilum.training.volumes.networks import LungNet3d, rename_old_keys

__all__ = ["export_volumes", "halve", "halve_file", "load_exported"]


#: Smaller tensors are left alone.
_LEAST = 256


class _Probabilities(nn.Module):
    def __init__(self, network: LungNet3d) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return torch.softmax(self.network(image), 1)


def halve(network: LungNet3d) -> LungNet3d:
    """Return a copy whose weights are rounded to 16 bits, so that a file of half the size loses nothing."""
    network = copy.deepcopy(network)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(weight.half().float())
    return network


def halve_file(path: Path) -> None:
    """Round the weights in an ONNX file to 16 bits, in place, so that it takes half the space.

    Other weights change by up to one part in 2000: measure the model again.
    """
    _pack(path, exactly=False)


def _pack(path: Path, exactly: bool = True) -> None:
    """Keep in 16 bits what they hold (exactly); the engine makes 32 of them when it opens the file."""
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

    Weights that 16 bits hold exactly, as those of :func:`halve`, take half the space.
    """
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
        _pack(part)
    return path


def load_exported(network: LungNet3d, path: Path) -> LungNet3d:
    """Fill a network with the weights of a file that :func:`export_volumes` wrote, to go on training from it.

    Args:
        network: Of the shape that the file holds; changed in place.
        path: The ONNX file.

    Returns:
        ``network``.

    Raises:
        UsageError: The file holds a network of another shape.
    """
    graph = onnx.load(path).graph
    found = {t.name.removesuffix(".half"): onnx.numpy_helper.to_array(t) for t in graph.initializer}
    # Weights that are equal are written once, and named again.
    found |= {
        n.output[0]: found[n.input[0]] for n in graph.node if n.op_type == "Identity" and n.input[0] in found
    }
    # The shipped file was written when two parts of the network had other names.
    found = rename_old_keys({n.removeprefix("network."): v for n, v in found.items()})
    state = network.state_dict()
    for name, own in state.items():
        values = found.get(name)
        if values is None or values.shape != tuple(own.shape):
            raise UsageError(f"{path.name} holds a network of another shape: {name} does not fit.")
        state[name] = torch.from_numpy(values.astype(np.float32))
    network.load_state_dict(state)
    return network
