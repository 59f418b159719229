"""Going on from a trained network with a wider one that gives the same answers at first."""

from __future__ import annotations

import torch
from torch import Tensor

from hilum.core.errors import UsageError
from hilum.training.volumes.networks import LungNet3d

__all__ = ["begin_with"]

#: Parts that a network may lack; they begin with zero.
_ADDED = ("closer.", "detail.")


def begin_with(initial: LungNet3d, network: LungNet3d) -> None:
    """Copy the weights of a trained network into one that is as wide or wider (Chen 2016, Net2Net).

    Channels that ``initial`` lacks keep their random weights, but nothing that was there before listens to
    them yet: the answers are the same, and what is new can be learnt. A closer look or a detail that
    ``initial`` lacks stays as it is.

    Args:
        initial: The trained network.
        network: Changed in place.

    Raises:
        UsageError: ``network`` is narrower, or of another depth.
    """
    own, given = network.state_dict(), initial.state_dict()
    missing = {name for name in own if name not in given}
    if not given.keys() <= own.keys() or not all(name.startswith(_ADDED) for name in missing):
        raise UsageError("The first weights belong to a network of another shape.")
    inputs = _inputs(initial, network)
    for name, old in given.items():
        own[name] = _placed(old, own[name], inputs.get(name))
    network.load_state_dict(own)


def _inputs(initial: LungNet3d, network: LungNet3d) -> dict[str, list[int]]:
    """Where the old input channels lie in blocks that take two maps side by side: by name of the weights."""
    places = {}
    for number in range(len(initial.widths) - 1):
        below, beside = initial.widths[-1 - number], initial.widths[-2 - number]
        first = network.widths[-1 - number]
        places[number] = [*range(below), *range(first, first + beside)]
    out = {f"up.{n}.conv{k}.conv.weight": where for n, where in places.items() for k in (1, 3)}
    if initial.detail is not None:
        own, first = initial.widths[0], network.widths[0]
        pictures = initial.detail[0].in_channels - own
        out["detail.0.weight"] = [*range(own), *range(first, first + pictures)]
    return out


def _placed(old: Tensor, new: Tensor, inputs: list[int] | None) -> Tensor:
    """Return ``new`` with ``old`` in its first channels, which hear nothing of channels that are new."""
    if old.ndim != new.ndim or any(a > b for a, b in zip(old.shape, new.shape, strict=True)):
        raise UsageError("The first weights belong to a network that is wider or of another shape.")
    out = new.clone()
    count = old.shape[0]
    if old.ndim == 1:
        out[:count] = old
        return out
    out[:count] = 0
    where = torch.tensor(inputs if inputs is not None else range(old.shape[1]))
    out[:count, where] = old
    return out
