"""Trains the classifier of the airways: on phantoms, then on phantoms and real scans.

The first round knows phantoms alone. Its likelihood labels the real scans (see
:mod:`hilum.training.recipes.airways.voxels`), and the second round learns from both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from hilum.tasks.airways.classifier import LEAST_RAYS, Classifier, Network
from hilum.tasks.airways.features import line_features, voxel_features
from hilum.training.recipes.airways.fit import fit_network
from hilum.training.recipes.airways.voxels import Rows

__all__ = ["train_classifier"]

_Floats = npt.NDArray[np.float32]
#: Negative rows of a scan for the first network, which sees the commonest voxels.
_NEGATIVES = 120_000
#: Share of the lumen that the first network may lose.
_LOST = 0.015
_POSITIVE_WEIGHT = 3.0


def train_classifier(
    scans: Sequence[Rows], *, epochs: float = 6.0, seed: int = 0, say: Callable[[str], None] = print
) -> Classifier:
    """Train the three networks, each on what the one before lets through.

    Args:
        scans: Rows of each scan.
        epochs: Passes over the rows.
        seed: Of weights, samples and order.
        say: Called with what is done.
    """
    dips = _fit_dips(scans, epochs / 2, seed)
    passed = [dips(rows.curved) for rows in scans]
    lumen = np.concatenate([p[r.truth & (r.weight > 0)] for p, r in zip(passed, scans, strict=True)])
    least = float(np.quantile(lumen, _LOST))
    say(f"dips: {len(lumen)} voxels of lumen, least likelihood {least:.3f}")
    kept = [p >= least for p in passed]
    near = [
        voxel_features(r.scan.smooth, r.scan.spacing, r.index[k], r.curved[k])
        for r, k in zip(scans, kept, strict=True)
    ]
    truth = [r.truth[k] for r, k in zip(scans, kept, strict=True)]
    weight = [r.weight[k] for r, k in zip(scans, kept, strict=True)]
    say(f"rays: {sum(map(len, near))} voxels")
    rays = _fit(near, truth, weight, epochs, seed)
    rows, seen = [], []
    for r, k, features in zip(scans, kept, near, strict=True):
        first = rays(features)
        likely = first >= LEAST_RAYS
        image = r.trunk.astype(np.float32)
        image.ravel()[r.index[k][likely]] = first[likely]
        lines = line_features(image, r.scan.spacing, r.index[k][likely])
        rows.append(likely)
        seen.append(np.concatenate([features[likely], lines], axis=1))
    say(f"lines: {sum(map(len, seen))} voxels")
    truth = [t[chosen] for t, chosen in zip(truth, rows, strict=True)]
    weight = [w[chosen] for w, chosen in zip(weight, rows, strict=True)]
    return Classifier(dips, rays, _fit(seen, truth, weight, epochs, seed), least)


def _fit_dips(scans: Sequence[Rows], epochs: float, seed: int) -> Network:
    random = np.random.default_rng(seed)
    features, truth, weight = [], [], []
    for rows in scans:
        counted = rows.weight > 0
        negative = np.flatnonzero(~rows.truth & counted)
        some = random.choice(negative, min(_NEGATIVES, len(negative)), replace=False)
        chosen = np.concatenate([np.flatnonzero(rows.truth & counted), some])
        features.append(rows.curved[chosen])
        truth.append(rows.truth[chosen])
        weight.append(np.where(rows.truth[chosen], _POSITIVE_WEIGHT, 1.0).astype(np.float32))
    joined = (np.concatenate(features), np.concatenate(truth), np.concatenate(weight))
    return fit_network(*joined, hidden=(16, 8), epochs=epochs, seed=seed)


def _fit(
    features: Sequence[_Floats],
    truth: Sequence[npt.NDArray[np.bool_]],
    weight: Sequence[_Floats],
    epochs: float,
    seed: int,
) -> Network:
    values, wanted, counts = np.concatenate(features), np.concatenate(truth), np.concatenate(weight)
    some = counts > 0
    return fit_network(values[some], wanted[some], counts[some], hidden=(48, 24), epochs=epochs, seed=seed)
