"""Learn the weights of hilum/quality/orientation.json: right from left, front from back, head from foot.

    python recipes/orientation/fit.py DATA [--work FOLDER] [--out FILE]

DATA is the folder of real scans. Prints the evidence in scans of patients that were left out, one line a
question. The numbers hold for true orientation; those of a mirrored scan are their negatives.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from samples import Sample, gather, turned
from scipy.optimize import minimize

from hilum.quality.orientation import HATS, Weights, even_slope, evidence_of, odd_across, odd_back

OUT = Path(__file__).parents[2] / "src" / "hilum" / "quality" / "orientation.json"
#: Strength of the penalty on squared weights, and the weight of a scan against that of a slice; on patients
#: left out strengths of 1 to 10 and weights of 8 to 30 made no relevant difference.
PENALTY, SCAN_WEIGHT = 3.0, 8.0
_ROUNDS, _FOLDS = 3, 10
Float = npt.NDArray[np.floating[Any]]


def logistic(features: Float, weight: Float) -> npt.NDArray[np.float64]:
    """Fit a logistic model without intercept; all samples are true, their mirror images the opposite."""

    def loss(w: Float) -> tuple[float, Float]:
        z = features @ w
        slope = -1 / (1 + np.exp(np.clip(z, -500, 500)))
        return float(weight @ np.logaddexp(0, -z) + PENALTY / 2 * w @ w), features.T @ (
            weight * slope
        ) + PENALTY * w

    start = np.zeros(features.shape[1])
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 300}).x)


def fit(samples: list[Sample]) -> Weights:
    """Learn the three models."""
    weight = np.concatenate(
        [np.full(len(s.planes.height), SCAN_WEIGHT / len(s.planes.height) if s.whole else 1) for s in samples]
    )
    parts = [odd_across(s.planes.cells, s.planes.height) for s in samples]
    by_height = np.concatenate(parts)
    # One set of weights for all heights, and what each height adds to it.
    shared = by_height.sum(axis=1)
    w = logistic(np.concatenate([shared, by_height.reshape(len(shared), -1)], axis=1), weight)
    across = w[: shared.shape[1]] + w[shared.shape[1] :].reshape(len(HATS), -1)
    back = logistic(np.concatenate([odd_back(s.planes.cells) for s in samples]), weight)
    slopes = np.stack([even_slope(s.planes.cells, s.planes.height) for s in samples if s.whole])
    return Weights(across, back, logistic(slopes, np.ones(len(slopes))))


def upright(samples: list[Sample]) -> list[Sample]:
    """Turn the slices round whose spine, by what the others teach, is on top: patients who lay prone."""
    folds = np.arange(len(samples)) % _FOLDS
    for _ in range(_ROUNDS):
        features = [odd_back(s.planes.cells)[0] for s in samples]
        stack = np.stack(features)
        prone = np.zeros(len(samples), bool)
        for fold in range(_FOLDS):
            own = folds == fold
            prone[own] = stack[own] @ logistic(stack[~own], np.ones(int((~own).sum()))) < 0
        samples = [turned(s) if p else s for s, p in zip(samples, prone, strict=True)]
    return samples


def learnable(data: Path, work: Path) -> list[Sample]:
    """Return all samples as the body lies."""
    samples = gather(data, work)
    displayed = [s for s in samples if s.patient.startswith("ID_")]  # files that state no position
    return [*upright(displayed), *(s for s in samples if not s.patient.startswith("ID_"))]


def without(samples: list[Sample], patient: str) -> Weights:
    """Learn from all patients but one."""
    return fit([s for s in samples if s.patient != patient])


def main() -> None:
    """Run the recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, default=Path("orientation-work"))
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    samples = learnable(args.data, args.work)
    whole = [s for s in samples if s.whole]
    left_out = {patient: without(samples, patient) for patient in {s.patient for s in whole}}
    found = [evidence_of(s.planes, left_out[s.patient]) for s in whole]
    for name in ("right_left", "front_back", "head_foot"):
        values = sorted(getattr(e, name) for e in found)
        print(f"{name}: {len(values)} scans, lowest {values[0]:.2f}, median {np.median(values):.2f}")
    weights = fit(samples)
    card = {
        "about": "Weights of hilum.quality.orientation, made by recipes/orientation/fit.py.",
        "learned_from": {
            "scans": len(whole),
            "patients_of_scans": len(left_out),
            "single_slices": len(samples) - len(whole),
            "collections": "LIDC-IDRI, NSCLC-Radiogenomics, CPTAC, CMB-CRC, ACRIN-FLT-Breast, TCGA-THCA, "
            "TCGA-LUAD, TCGA-LUSC (CC BY 3.0 and 4.0); COVID-CT-MD; Finding and Measuring Lungs in CT Data "
            "(CC BY 4.0)",
        },
        **{n: np.round(getattr(weights, n), 3).tolist() for n in ("right_left", "front_back", "head_foot")},
    }
    args.out.write_text(json.dumps(card, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
