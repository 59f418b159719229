"""Initialisation of a network from a narrower, trained one (Net2Net): the output is the same at first."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from hilum.core.errors import UsageError
from hilum.training.volumes.networks import LungNet3d, rename_old_keys

__all__ = ["NEW_CLASS_LOGIT", "init_from_narrower", "network_of"]

#: Parts that a network may lack; they begin with zero.
_ADDED = ("soft_tissue_branch.", "refinement.")
#: First logit of a class that the given network lacks: a probability of 2 % against a background logit of 0.
NEW_CLASS_LOGIT = -4.0
#: Random weights of a new class are scaled by this, so that its first logit stays near the one above.
_NEW_CLASS_SCALE = 0.1


def init_from_narrower(initial: LungNet3d, network: LungNet3d) -> None:
    """Copy the weights of a trained network into one that is as wide or wider (Chen 2016, Net2Net).

    Channels that ``initial`` lacks keep their random weights, but no channel that was there before reads
    them yet: the output is the same, and what is new can be learnt. A soft-tissue branch or a refinement head
    that ``initial`` lacks stays as it is. Classes that ``initial`` lacks begin with a logit of
    :data:`NEW_CLASS_LOGIT`: nearly no voxel is given to them until they are learnt.

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
    first_new = 8 * initial.classes
    own["head.weight"][first_new:] *= _NEW_CLASS_SCALE
    own["head.bias"][first_new:] = NEW_CLASS_LOGIT
    network.load_state_dict(own)


def network_of(state: Mapping[str, Tensor], soft_tissue: tuple[float, float] | None) -> LungNet3d:
    """Build the network that a state dict belongs to and fill it.

    Args:
        state: State dict of a :class:`LungNet3d`, in any floating type; old names of parts are known.
        soft_tissue: Range of the soft-tissue branch, which a state dict does not hold; used where it has one.

    Raises:
        UsageError: It is the state dict of another network.
    """
    known = {key: value.float() for key, value in rename_old_keys(state).items()}
    try:
        levels = sorted({int(key.split(".")[1]) for key in known if key.startswith("down.")})
        widths = tuple(int(known[f"down.{level}.conv1.conv.weight"].shape[0]) for level in levels)
        network = LungNet3d(
            widths,
            int(known["head.bias"].shape[0]) // 8,
            soft_tissue if "soft_tissue_branch.0.weight" in known else None,
            int(known["refinement.0.bias"].shape[0]) if "refinement.0.bias" in known else 0,
        )
        network.load_state_dict(known)
    except (KeyError, ValueError, IndexError, RuntimeError, AttributeError, ZeroDivisionError) as error:
        raise UsageError("The first weights belong to a network of another shape.") from error
    return network


def _inputs(initial: LungNet3d, network: LungNet3d) -> dict[str, list[int]]:
    """Where the old input channels lie in blocks that take two maps side by side: by name of the weights."""
    places = {}
    for number in range(len(initial.widths) - 1):
        below, beside = initial.widths[-1 - number], initial.widths[-2 - number]
        first = network.widths[-1 - number]
        places[number] = [*range(below), *range(first, first + beside)]
    out = {f"up.{n}.conv{k}.conv.weight": where for n, where in places.items() for k in (1, 3)}
    if initial.refinement is not None:
        own, first = initial.widths[0], network.widths[0]
        voxels = initial.refinement[0].in_channels - own
        out["refinement.0.weight"] = [*range(own), *range(first, first + voxels)]
    return out


def _placed(old: Tensor, new: Tensor, inputs: list[int] | None) -> Tensor:
    """Return ``new`` with ``old`` in its first channels, which do not read new channels."""
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
