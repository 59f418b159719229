"""Reading checkpoints that may be corrupted or untrusted: weights only, checked, no code is run."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import Callback, Trainer
from torch import nn

from hilum.core.errors import HilumError, ModelError
from hilum.io.stream import open_regular, readable
from hilum.io.text import shown

__all__ = ["BEGIN_ANEW", "WeightsOnly", "load_weights_into", "read_checkpoint", "steps_done", "taking_up"]

BEGIN_ANEW = "Delete the checkpoints of this run, and the same command begins the training anew."


def read_checkpoint(file: Path, run: str, hint: str = BEGIN_ANEW) -> dict[str, Any]:
    """Read a checkpoint onto the CPU and verify its checksums: torch itself accepts flipped bits.

    Args:
        file: The checkpoint.
        run: What the run is called.
        hint: What to do where it is damaged.

    Raises:
        ModelError: It is not a checkpoint, is corrupted, or holds more than plain data and tensors.
    """
    damaged = ModelError(f"The checkpoint {file.name} of the run {shown(run)} is damaged.", hint)
    try:
        with readable(file), open_regular(file) as stream, zipfile.ZipFile(stream) as parts:
            if parts.testzip() is not None:
                raise damaged
        content = torch.load(file, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except HilumError as error:
        raise error if error is damaged else ModelError(error.message, hint) from error
    except Exception as error:  # torch, pickle and zipfile have errors of many kinds
        raise damaged from error
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise damaged
    return content


def steps_done(checkpoint: Mapping[str, Any], file: Path, run: str) -> int:
    """Return the number of steps after which a checkpoint was written.

    Raises:
        ModelError: The checkpoint does not state it.
    """
    steps = checkpoint.get("global_step")
    if type(steps) is not int or steps < 0:
        raise ModelError(f"The checkpoint {file.name} of the run {shown(run)} is damaged.", BEGIN_ANEW)
    return steps


def load_weights_into(module: nn.Module, state: Mapping[str, Any], run: str, hint: str = BEGIN_ANEW) -> None:
    """Fill a module with the weights of a checkpoint.

    Raises:
        ModelError: They belong to another network.
    """
    try:
        module.load_state_dict(dict(state))
    except (RuntimeError, TypeError, AttributeError, ValueError) as error:
        raise ModelError(f"The weights of the run {shown(run)} do not fit this network.", hint) from error


class WeightsOnly(TorchCheckpointIO):
    """Reads checkpoints with :func:`read_checkpoint`; Lightning would run code from the pickle."""

    def __init__(self, run: str) -> None:
        super().__init__()
        self.run = run

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: Any = None) -> Any:
        """Read a checkpoint; the other arguments have no effect."""
        return read_checkpoint(Path(path), self.run)


class _Begun(Callback):
    """Whether the training has begun; errors after that do not come from the checkpoint."""

    yet = False

    def on_train_start(self, *_: Any) -> None:
        self.yet = True


@contextmanager
def taking_up(trainer: Trainer, file: Path, run: str) -> Iterator[None]:
    """Turn errors of a trainer that resumes from a checkpoint, before its first step, into one sentence.

    Raises:
        ModelError: The checkpoint can be read, but does not hold what this training needs.
    """
    begun = _Begun()
    trainer.callbacks.append(begun)
    try:
        yield
    except (torch.cuda.OutOfMemoryError, HilumError):
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        if begun.yet or not file.is_file():
            raise
        raise ModelError(
            f"The checkpoint {file.name} of the run {shown(run)} is of another training.",
            BEGIN_ANEW,
        ) from error
