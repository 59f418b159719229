"""Calibration of the model's confidence: cases whose truth is known, many of them broken on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import hilum
from hilum.errors import HilumError
from hilum.learn.volumes.cases import STEP_MM, find_cases
from hilum.segmentation.lungs.model import LearnedLungs

FAILED_BELOW = 0.95
Array = npt.NDArray[Any]


def broken(hu: Array, mask: Array, rng: np.random.Generator) -> Iterator[tuple[str, Array, Array, float]]:
    """Yield a scan as it is and spoilt in ways that happen: (how, HU, mask, voxel size in mm)."""
    yield "as it is", hu, mask, STEP_MM
    kind = int(rng.integers(8))
    noise = rng.standard_normal(hu.shape)
    if kind == 0:
        yield "noise", hu + rng.uniform(100, 400) * noise, mask, STEP_MM
    elif kind == 1:
        yield "calibration", hu * rng.uniform(0.5, 1.5) + rng.uniform(-300, 300), mask, STEP_MM
    elif kind == 2:
        half = hu.shape[2] // 2
        part = slice(0, half) if rng.random() < 0.5 else slice(half, None)
        yield "half", hu[:, :, part], mask[:, :, part], STEP_MM
    elif kind == 3:
        yield "upside down", hu[:, :, ::-1], mask[:, :, ::-1], STEP_MM
    elif kind == 4:
        yield "on its side", np.swapaxes(hu, 0, 1), np.swapaxes(mask, 0, 1), STEP_MM
    elif kind == 5:
        yield "wrong scale", hu, mask, STEP_MM * float(rng.choice([0.5, 0.6, 1.6, 2.0]))
    elif kind == 6:
        yield "coronal as axial", np.swapaxes(hu, 1, 2), np.swapaxes(mask, 1, 2), STEP_MM
    else:
        low = int(rng.uniform(0.1, 0.3) * hu.shape[0])
        yield "cut at the side", hu[low:-low], mask[low:-low], STEP_MM


def judge(model: LearnedLungs, hu: Array, mask: Array, step: float) -> tuple[dict[str, float], float] | None:
    """Return the signs and the Dice; None where the scan is refused, which is no silent failure."""
    affine = np.diag([step, step, step, 1.0])
    # Arrays here are in the order of RAS space: x grows to the right as hilum's canonical order does.
    volume = hilum.Volume(np.clip(hu, -2000, 3000).astype(np.int16), affine)
    try:
        found = model(volume)
    except HilumError:
        return None
    assert found.confidence is not None
    a, b = found.labels > 0, mask > 0
    return found.confidence.signs, 2 * float((a & b).sum()) / max(1.0, float(a.sum() + b.sum()))


def fit_logistic(signs: list[dict[str, float]], failed: list[bool], ridge: float = 0.02) -> dict[str, Any]:
    """Fit the chance of failure by ridge-regularised logistic regression (Newton's method)."""
    names = sorted(signs[0])
    x = np.array([[np.log10(max(s[n], 0) + 1e-3) for n in names] for s in signs])
    mean, sd = x.mean(0), x.std(0) + 1e-6
    design = np.c_[np.ones(len(x)), (x - mean) / sd]
    y, beta = np.array(failed, float), np.zeros(len(names) + 1)
    for _ in range(60):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        penalty = ridge * len(y) * np.r_[0, np.ones(len(names))] / 10
        gradient = design.T @ (p - y) + penalty * beta
        hessian = design.T @ (design * (p * (1 - p))[:, None]) + np.diag(penalty + 1e-6)
        beta -= np.linalg.solve(hessian, gradient)
    weights = beta[1:] / sd
    return {
        "bias": float(beta[0] - (weights * mean).sum()),
        "weights": {n: float(w) for n, w in zip(names, weights, strict=True)},
        "cases": len(y),
        "failures": int(y.sum()),
    }


def calibrate(model: LearnedLungs, cases: Path, every: int = 4, seed: int = 5) -> dict[str, Any]:
    """Fit on training cases and their spoilt versions."""
    model.weights.card.setdefault("confidence", {"bias": 0.0, "weights": {}})
    rng = np.random.default_rng(seed)
    signs, failed = [], []
    for case in find_cases(cases)[::every]:
        hu, labels = case.load()
        for _, spoilt, mask, step in broken(np.asarray(hu), np.asarray(labels), rng):
            result = judge(model, spoilt, mask, step)
            if result is not None:
                signs.append(result[0])
                failed.append(result[1] < FAILED_BELOW)
    return fit_logistic(signs, failed)
