"""The voxel classifier of the airways: three small networks, each fed with what the one before leaves over.

The first sees curvature and HU and drops what cannot be a lumen; the second sees the rays from a voxel; the
third sees also how the likelihood of the second goes on along an axis. They were trained by
``hilum.training.recipes.airways`` and are evaluated by NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hilum.imaging.morphology import Mask
from hilum.tasks.airways.features import candidates, line_features, voxel_features

__all__ = ["LEAST_RAYS", "Classifier", "Network", "likelihood", "load_classifier", "weights_sha256"]

_Floats = npt.NDArray[np.float32]
Spacing = tuple[float, float, float]
_FILE = "classifier.npz"
_STAGES = ("dips", "rays", "lines")
_BLOCK = 2**14
#: Least likelihood of the second network that the third looks at.
LEAST_RAYS = 0.03


@dataclass(frozen=True, eq=False)
class Network:
    """A network of dense layers with ReLU between them and one output.

    Attributes:
        mean: Mean of each feature in the training.
        scale: Standard deviation of each feature there.
        layers: (weights (in, out), bias (out,)) of each layer.
    """

    mean: _Floats
    scale: _Floats
    layers: tuple[tuple[_Floats, _Floats], ...]

    def __call__(self, features: _Floats) -> _Floats:
        """Return the likelihood of each row, 0 to 1, shape (n,)."""
        out = np.zeros(len(features), np.float32)
        for start in range(0, len(features), _BLOCK):
            values = (features[start : start + _BLOCK] - self.mean) / self.scale
            for number, (weights, bias) in enumerate(self.layers):
                values = values @ weights + bias
                if number + 1 < len(self.layers):
                    np.maximum(values, 0, out=values)
            out[start : start + _BLOCK] = 1 / (1 + np.exp(-np.clip(values[:, 0], -30, 30)))
        return out


@dataclass(frozen=True, eq=False)
class Classifier:
    """The three networks, and the least likelihood that the first lets through.

    Attributes:
        dips: Sees :func:`hilum.tasks.airways.features.candidates`.
        rays: Sees :func:`hilum.tasks.airways.features.voxel_features`.
        lines: Sees both, and :func:`hilum.tasks.airways.features.line_features`.
        least: Least likelihood of the first network.
    """

    dips: Network
    rays: Network
    lines: Network
    least: float


@lru_cache(1)
def weights_sha256() -> str:
    """SHA-256 of the file of the classifier."""
    return sha256((files("hilum.tasks.airways") / _FILE).read_bytes()).hexdigest()


@lru_cache(1)
def load_classifier(path: Path | None = None) -> Classifier:
    """Load a classifier.

    Args:
        path: The file; None for the one that comes with hilum.
    """
    if path is None:
        with as_file(files("hilum.tasks.airways") / _FILE) as shipped:
            return _read(shipped)
    return _read(path)


def _read(path: Path) -> Classifier:
    with np.load(path, allow_pickle=False) as stored:
        dips, rays, lines = (read_network(stored, stage) for stage in _STAGES)
        return Classifier(dips, rays, lines, float(stored["least"]))


def read_network(stored: object, stage: str) -> Network:
    """Read one network from an open npz file."""
    values: dict[str, _Floats] = stored  # type: ignore[assignment]
    layers: list[tuple[_Floats, _Floats]] = []
    while f"{stage}_weights{len(layers)}" in values:
        number = len(layers)
        layers.append((values[f"{stage}_weights{number}"], values[f"{stage}_bias{number}"]))
    return Network(values[f"{stage}_mean"], values[f"{stage}_scale"], tuple(layers))


def likelihood(hu: _Floats, spacing: Spacing, where: Mask, trunk: Mask, classifier: Classifier) -> _Floats:
    """Compute how likely each voxel lies in the lumen of an airway.

    Args:
        hu: Smoothed HU, shape (x, y, z).
        spacing: Distance between voxels in mm.
        where: Where to look.
        trunk: Lumen that is known; its likelihood is 1.
        classifier: From :func:`load_classifier`.

    Returns:
        float32 array of the shape of ``hu``.
    """
    index, curved = candidates(hu, spacing, where & ~trunk)
    kept = classifier.dips(curved) >= classifier.least
    index, curved = index[kept], curved[kept]
    out = trunk.astype(np.float32)
    if not len(index):
        return out
    near = voxel_features(hu, spacing, index, curved)
    first = classifier.rays(near)
    out.ravel()[index] = first
    likely = first >= LEAST_RAYS
    out.ravel()[index[~likely]] = 0
    index, near = index[likely], near[likely]
    if not len(index):
        return out
    seen = np.concatenate([near, line_features(out, spacing, index)], axis=1)
    out.ravel()[index] = classifier.lines(seen)
    return out
