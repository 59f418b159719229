"""The first weights of a training of volumes: those of a run, of a shipped model, of ONNX or of torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor

from hilum.core.errors import ModelError, UsageError
from hilum.core.sentences import Sentence
from hilum.io.text import shown
from hilum.models.registry import SHIPPED, shipped_models
from hilum.training.checkpoint import read_checkpoint
from hilum.training.volumes.net2net import network_of
from hilum.training.volumes.networks import LungNet3d

__all__ = ["load_initial", "state_of_onnx"]

_HINT = Sentence("Give another run, a .pt or .onnx file, or the name of a shipped model{with:initial}.")


def load_initial(source: str | Path, soft_tissue: tuple[float, float] | None) -> LungNet3d:
    """Read the network that a training begins with.

    Args:
        source: A run of ``hilum train --model volume``, finished or not; a ``.pt`` file that holds a state
            dict, of any floating type; an ``.onnx`` file; or the name of a shipped model.
        soft_tissue: Range of the soft-tissue branch, on the network's scale.

    Raises:
        ModelError: There is no such file, or it is damaged.
        UsageError: It holds another network.
    """
    path = Path(source)
    if not path.exists() and str(source) in shipped_models():
        path = SHIPPED / f"{source}.onnx"
    if path.is_dir():
        return network_of(_state_of_run(path), soft_tissue)
    if not path.is_file():
        raise ModelError(f"There are no first weights {shown(path.name or str(path))}.", _HINT)
    if path.suffix == ".onnx":
        return network_of(state_of_onnx(path), soft_tissue)
    return network_of(_state_of_torch(path), soft_tissue)


def state_of_onnx(path: Path) -> dict[str, Tensor]:
    """Return the weights in an ONNX file that :func:`hilum.training.volumes.export.export_volumes` wrote.

    Raises:
        ModelError: It is damaged.
    """
    try:
        graph = onnx.load(path).graph
    except Exception as error:  # protobuf has errors of many kinds
        raise ModelError(f"The first weights {shown(path.name)} are damaged.", _HINT) from error
    found = {t.name.removesuffix(".half"): onnx.numpy_helper.to_array(t) for t in graph.initializer}
    # Weights that are equal are written once, and named again.
    found |= {
        n.output[0]: found[n.input[0]] for n in graph.node if n.op_type == "Identity" and n.input[0] in found
    }
    return {
        name.removeprefix("network."): torch.from_numpy(values.astype(np.float32))
        for name, values in found.items()
        if name.startswith("network.")
    }


def _state_of_run(run: Path) -> dict[str, Any]:
    file = next((f for n in ("best", "last") if (f := run / "checkpoints" / f"{n}.ckpt").is_file()), None)
    if file is None:
        raise ModelError(f"The run {run.name} has no checkpoint to start from.", _HINT)
    state = read_checkpoint(file, run.name, _HINT)["state_dict"]
    return {k.removeprefix("mean."): v for k, v in state.items() if str(k).startswith("mean.")}


def _state_of_torch(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # torch, pickle and zipfile have errors of many kinds
        raise ModelError(f"The first weights {shown(path.name)} are damaged.", _HINT) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UsageError(f"{shown(path.name)} holds no state dict.", _HINT)
    return state
