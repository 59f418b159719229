"""Export of weights to ONNX, and the check that the exported model agrees."""

from __future__ import annotations

import copy
import io
import logging
import warnings
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn

from hilum.core.errors import ModelError
from hilum.io import atomic_file
from hilum.models.card import Parity
from hilum.models.engine import open_session
from hilum.training.cards import OPSET

__all__ = ["check_parity", "export_onnx", "without_traces"]

#: A model whose numbers differ more than this from torch's is not released.
MOST_DIFFERENCE, LEAST_DICE = 1e-3, 0.999


class _Probabilities(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return torch.sigmoid(self.network(image))


class _Centred(nn.Module):
    """Instance norm with the mean subtracted first.

    The same function, but more accurate in runtimes that sum single-precision means in one pass: on a slice
    of air, where the spread is a thousandth of the mean, OpenVINO loses three digits without it.
    """

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(x - x.mean((2, 3), keepdim=True))
        return out


def _centred(network: nn.Module) -> nn.Module:
    """A copy of a network whose instance norms are exact on slices that are nearly constant."""
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.InstanceNorm2d):
                setattr(module, name, _Centred(child))
    return network


def export_onnx(network: nn.Module, path: Path, size: tuple[int, int]) -> Path:
    """Write a network with its sigmoid as ONNX: ``image`` (n, 1, height, width) to ``lung``, any n.

    Raises:
        OutputError: It cannot be written.
    """
    model = _Probabilities(_centred(network)).cpu().eval()
    example = torch.zeros((2, 1, *size))
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    with (
        atomic_file(path) as part,
        warnings.catch_warnings(),
        redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")  # advice of the exporter to its own developers
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            program = torch.onnx.export(
                model,
                (example,),
                input_names=["image"],
                output_names=["lung"],
                dynamic_shapes=({0: torch.export.Dim("n", min=1, max=4096)},),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
            part.write_bytes(without_traces(program.model_proto).SerializeToString())
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
    return path


def without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Take out, in place, what the exporter notes of each node: lines of code with the paths of a machine."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    return model


def check_parity(
    network: nn.Module, path: Path, inputs: npt.NDArray[np.float32], threshold: float = 0.5
) -> Parity:
    """Compare torch with the exported model.

    Args:
        network: What was exported.
        path: The ONNX file.
        inputs: Normalised slices, (n, 1, height, width).
        threshold: Probability from which a pixel is lung.

    Raises:
        ModelError: They differ by more than 0.001 in a probability, or their Dice is below 0.999.
    """
    model = _Probabilities(network).cpu().eval()
    session = open_session(path)
    largest, both, total = 0.0, 0, 0
    for start in range(0, len(inputs), 8):
        some = np.ascontiguousarray(inputs[start : start + 8])
        with torch.no_grad():
            ours = model(torch.from_numpy(some)).numpy()
        theirs = session.run(some)
        largest = max(largest, float(np.abs(ours - theirs).max()))
        a, b = ours >= threshold, theirs >= threshold
        both += int((a & b).sum())
        total += int(a.sum()) + int(b.sum())
    dice = 2 * both / total if total else 1.0
    if largest > MOST_DIFFERENCE or dice < LEAST_DICE:
        raise ModelError(
            f"The exported model differs from the trained one: by {largest:.2g} in a probability, Dice "
            f"{dice:.4f}.",
            "Please report it with the versions of torch and OpenVINO; the checkpoints are kept.",
        )
    return Parity(engine=session.engine, max_probability_difference=largest, dice=dice, cases=len(inputs))
