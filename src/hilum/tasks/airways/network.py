"""The network of the airways: how likely each voxel lies in a lumen, on voxels of 1 mm, tile by tile."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hilum.core.segmentation import ModelInfo
from hilum.imaging.morphology import Mask
from hilum.models.registry import Model, find_model
from hilum.models.volumes import VolumeModel
from hilum.tasks.airways.millimetres import from_millimetres, to_millimetres

__all__ = ["model_info", "network_likelihood", "open_network"]

_Floats = npt.NDArray[np.float32]
Spacing = tuple[float, float, float]
#: Side of what a tile gives, and what it sees beyond on each side, voxels. The sum is a multiple of 8.
_CORE, _BEYOND = 96, 8
#: HU beyond the scan.
_AIR_HU = -1000.0
LABELS = ("airway_lumen", "airway_wall", "vessel")


def _path() -> Path:
    return Path(str(files("hilum.tasks.airways") / "airways.onnx"))


def model_info() -> ModelInfo:
    """What makes the masks: the network, with the rules of its version."""
    card = find_model(_path()).card
    return ModelInfo(card.name, card.version, card.onnx_sha256)


@lru_cache(1)
def open_network() -> VolumeModel:
    """Open the network that comes with hilum.

    Raises:
        ModelError: It is corrupted, or there is no engine that runs it.
    """
    model: Model = find_model(_path()).open()
    return VolumeModel(model, LABELS[:1])


def network_likelihood(
    hu: _Floats, spacing: Spacing, where: Mask, trunk: Mask, network: VolumeModel
) -> _Floats:
    """Compute how likely each voxel lies in the lumen of an airway.

    Args:
        hu: Smoothed HU, shape (x, y, z).
        spacing: Distance between voxels in mm.
        where: Where to look.
        trunk: Lumen that is known; its likelihood is 1.
        network: From :func:`open_network`.

    Returns:
        float32 array of the shape of ``hu``.
    """
    inside = to_millimetres(where.astype(np.float32), spacing) > 0
    fine = np.pad(to_millimetres(hu, spacing), _BEYOND, constant_values=_AIR_HU)
    found = np.zeros(inside.shape, np.float32)
    cores = [
        core for core in product(*(_cores(length) for length in inside.shape)) if inside[core].any()
    ]
    for start in range(0, len(cores), network.model.session.lanes):
        some = cores[start : start + network.model.session.lanes]
        tiles = [network.scaled(_tile(fine, core)) for core in some]
        for core, values in zip(some, network.probabilities(tiles), strict=True):
            shape = found[core].shape
            found[core] = values[_BEYOND:, _BEYOND:, _BEYOND:, 0][: shape[0], : shape[1], : shape[2]]
    network.model.session.release()
    out = from_millimetres(found, hu.shape, spacing)
    out[~where] = 0
    out[trunk] = 1
    return out


def _cores(length: int) -> list[slice]:
    """Cut an axis into parts of one length."""
    count = -(-length // _CORE)
    each = -(-length // count)
    return [slice(start, min(length, start + each)) for start in range(0, length, each)]


def _tile(padded: _Floats, core: tuple[slice, ...]) -> _Floats:
    """Return what a part sees, filled up with air to a multiple of 8."""
    window = tuple(slice(part.start, part.stop + 2 * _BEYOND) for part in core)
    tile = padded[window]
    out: _Floats = np.pad(tile, [(0, -n % 8) for n in tile.shape], constant_values=_AIR_HU)
    return out
