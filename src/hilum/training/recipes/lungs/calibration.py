"""Calibration of the model's confidence: cases with known truth, many of them corrupted on purpose."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image
from scipy.optimize import minimize
from scipy.special import expit

from hilum.core.errors import HilumError
from hilum.core.segmentation import Segmenter
from hilum.core.volume import ScanMeta, Volume
from hilum.datasets.volume_grid import STEP_MM
from hilum.imaging.overlap import dice
from hilum.io import write_json
from hilum.models.card import Calibration, read_card
from hilum.models.registry import Model, open_model
from hilum.synthesis.lesions import add_diaphragm
from hilum.tasks.lungs.model import LearnedLungs
from hilum.tasks.lungs.thin import ThinLungs
from hilum.training.recipes.lungs.extrude import in_ras, slices_of
from hilum.training.recipes.lungs.heldout import WRONG_REFERENCES, HeldoutCase, heldout_cases
from hilum.training.slices.lesions import change_slice

#: A result below this Dice is a failure.
FAILED_BELOW = 0.95
#: Mean HU of lungs that hold no air, from collapse without to collapse with contrast medium, and their noise.
_AIRLESS_HU, _AIRLESS_NOISE_HU = (10.0, 90.0), 15.0
#: Penalty on the squared weights of the standardised features. Of 0.01 and 0.05 it gave the better log loss
#: in cross-validation by patient and phantom for most sets of features.
_RIDGE = 0.05
#: Share of failures among single slices from apex to base (benchmarks/lone_slices.py: 181 of 491). Those of
#: the study are of the middle of the chest, and fewer fail.
_SLICES_FAIL = 0.37
Array = npt.NDArray[Any]


def corrupt(hu: Array, mask: Array, rng: np.random.Generator) -> Iterator[tuple[str, Array, Array, float]]:
    """Yield a scan as it is and corrupted in ways that happen: (how, HU, mask, voxel size in mm)."""
    yield "as it is", hu, mask, STEP_MM
    kind = int(rng.integers(10))
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
    elif kind == 7:
        x, y = np.ogrid[: hu.shape[0], : hu.shape[1]]
        radius = rng.uniform(0.3, 0.45) * max(hu.shape[:2])
        off = (x - hu.shape[0] / 2) ** 2 + (y - hu.shape[1] / 2) ** 2
        seen = (off < radius**2)[:, :, None]
        yield "circle", np.where(seen, hu, -2000), mask * seen, STEP_MM
    elif kind == 8:
        low = int(rng.uniform(0.1, 0.3) * hu.shape[0])
        yield "cut at the side", hu[low:-low], mask[low:-low], STEP_MM
    else:
        dense = rng.uniform(*_AIRLESS_HU) + _AIRLESS_NOISE_HU * noise
        yield "airless", np.where(mask > 0, dense, hu), mask, STEP_MM


def score_case(
    model: LearnedLungs, hu: Array, mask: Array, step: float
) -> tuple[dict[str, float], float] | None:
    """Return the features and the Dice; None where the scan is refused, which is not a silent failure."""
    affine = np.diag([step, step, step, 1.0])
    # Arrays here are in the order of RAS space: x grows to the right as hilum's canonical order does.
    volume = Volume(np.clip(hu, -2000, 3000).astype(np.int16), affine)
    try:
        found = model(volume)
    except HilumError:
        return None
    assert found.confidence is not None
    return found.confidence.signs, dice(found.labels.data > 0, mask > 0, empty=0.0)


def fit_logistic(
    features: list[dict[str, float]], failed: list[bool], prevalence: float | None = None
) -> dict[str, Any]:
    """Fit the probability of failure by ridge logistic regression; no weight of a feature is negative.

    Args:
        features: Of each run.
        failed: Whether its Dice is too low.
        prevalence: Share of failures where the model is used; the runs are weighted to it. None takes
            that of the runs.
    """
    names = sorted(features[0])
    x = np.array([[np.log10(max(s[n], 0) + 1e-3) for n in names] for s in features])
    mean, sd = x.mean(0), x.std(0) + 1e-6
    design = np.c_[np.ones(len(x)), (x - mean) / sd]
    y = np.array(failed, float)
    share = y.mean() if prevalence is None else prevalence
    runs = np.where(y > 0, share / max(y.sum(), 1), (1 - share) / max((1 - y).sum(), 1))

    def loss(beta: Array) -> tuple[float, Array]:
        z = design @ beta
        penalty = _RIDGE * np.r_[0, beta[1:]]
        value = float(runs @ (np.logaddexp(0, z) - y * z) + 0.5 * penalty @ beta)
        return value, design.T @ (runs * (expit(z) - y)) + penalty

    bounds = [(None, None)] + [(0.0, None)] * len(names)
    beta = minimize(loss, np.zeros(len(names) + 1), jac=True, method="L-BFGS-B", bounds=bounds).x
    weights = beta[1:] / sd
    return {
        "bias": float(beta[0] - (weights * mean).sum()),
        "weights": {n: float(w) for n, w in zip(names, weights, strict=True)},
        "cases": len(y),
        "failures": int(y.sum()),
    }


def corrupted_slices(file: Path, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
    """Yield HU and mask, (rows, columns), of a slice: as it is, with disease, with a dome, corrupted."""
    image = tifffile.imread(file).astype(np.float32)
    share = np.asarray(Image.open(file.parent.parent / "masks" / f"{file.stem}.png")).astype(np.float32)
    yield image, share
    yield change_slice(image, share, rng)
    with_dome = change_slice(image, share, rng, add_diaphragm)
    yield with_dome
    yield change_slice(*with_dome, rng)
    kind = int(rng.integers(5))
    if kind == 0:
        yield image + rng.uniform(100, 400) * rng.standard_normal(image.shape), share
    elif kind == 1:
        yield image * rng.uniform(0.5, 1.5) + rng.uniform(-300, 300), share
    elif kind == 2:
        yield image.T, share.T
    elif kind == 3:
        low = int(rng.uniform(0.1, 0.3) * len(image))
        yield image[low:-low], share[low:-low]
    else:
        width = int(rng.uniform(0.5, 0.8) * image.shape[1])
        yield image[:, :width], share[:, :width]


def as_volume(image: Array, share: Array) -> tuple[Volume, Array]:
    """Return a slice, (rows, columns), as a scan of one slice in RAS order, and its mask."""
    hu, mask = (np.ascontiguousarray(in_ras(a)[:, :, None]) for a in (image, share))
    whole = np.clip(np.rint(hu), -2000, 3000).astype(np.int16)
    return Volume(whole, np.eye(4), ScanMeta(spacing_known=False)), mask >= 0.5


def _fitted(rows: list[dict[str, Any]], out: Path, prevalence: float | None = None) -> Calibration:
    """Write the rows and fit the probability of failure on them."""
    write_json(out, rows)
    found = fit_logistic([r["signs"] for r in rows], [r["dice"] < FAILED_BELOW for r in rows], prevalence)
    return Calibration(**found)


def calibrate_slices(model: Segmenter, slices: list[Path], out: Path, seed: int = 6) -> Calibration:
    """Fit the confidence of single slices on those of the validation patients; see :func:`calibrate`."""
    rows: list[dict[str, Any]] = []
    for number, file in enumerate(slices):
        if file.stem in WRONG_REFERENCES:
            continue
        rng = np.random.default_rng([seed, number])
        for image, share in corrupted_slices(file, rng):
            volume, mask = as_volume(image, share)
            try:
                found = model(volume)
            except HilumError:
                continue
            assert found.confidence is not None
            score = dice(found.labels.data > 0, mask, empty=0.0)
            rows.append({"case": file.stem, "signs": found.confidence.signs, "dice": score})
    return _fitted(rows, out, _SLICES_FAIL)


def calibrate(model: LearnedLungs, cases: Iterable[HeldoutCase], out: Path, seed: int = 5) -> Calibration:
    """Fit on held-out cases, as they are and corrupted.

    Args:
        model: The model.
        cases: See :func:`hilum.training.recipes.lungs.heldout.heldout_cases`.
        out: File for the features and the Dice of each.
        seed: Of how they are corrupted.
    """
    rows: list[dict[str, Any]] = []
    for case in cases:
        rng = np.random.default_rng([seed, zlib.crc32(case.name.encode())])
        for how, corrupted, mask, step in corrupt(case.hu, case.lungs, rng):
            result = score_case(model, corrupted, mask, step)
            if result is not None:
                rows.append({"case": case.name, "how": how, "signs": result[0], "dice": result[1]})
    return _fitted(rows, out)


def without_calibration(model: Model, beside: str | None = None) -> Model:
    """Return a model with an empty calibration, so that its results hold the features."""
    # A result that is flagged may be refused, which would hide a failure: none is flagged here.
    empty = Calibration(bias=-30.0, weights={}, beside=beside)
    return replace(model, card=model.card.model_copy(update={"confidence": empty}))


def calibrate_confidence(out: Path, data: Path) -> None:
    """Calibrate both models in ``out`` and write it into their cards.

    Args:
        out: Folder of the shipped models.
        data: What :mod:`hilum.training.recipes.lungs.prepare` wrote; features and Dice are kept there.
    """
    volumes = LearnedLungs(without_calibration(open_model(out / "lungs.onnx")))
    beside = volumes.info.sha256
    thin = ThinLungs(without_calibration(open_model(out / "lungs-slices.onnx"), beside), volumes)
    of_scans = calibrate(volumes, heldout_cases(data), data / "signs.json")
    of_slices = calibrate_slices(thin, slices_of(data / "slices", "validation"), data / "slice_signs.json")
    of_slices = of_slices.model_copy(update={"beside": beside})
    for name, found in (("lungs", of_scans), ("lungs-slices", of_slices)):
        card = read_card(out / f"{name}.json", name).model_copy(update={"confidence": found})
        write_json(out / f"{name}.json", card.as_dict())
