"""Does the model know when it fails? Area under the ROC for "Dice below 0.95" on held-out scans.

Scans with hand-made masks that no model was trained on, as they are, injured, and broken on purpose. Refused
scans are counted apart: a refusal is not a silent failure. Writes benchmarks/out/confidence.json.

    python benchmarks/confidence.py [--scans imlab-001]
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
from scipy import ndimage

import hilum
from hilum.datasets.volume_grid import STEP_MM, to_isotropic
from hilum.io import read_labels
from hilum.models.registry import open_model
from hilum.synthesis.lesions import add_injury
from hilum.synthesis.lesions.kinds import RECIPES
from hilum.tasks.lungs.confidence import UNCERTAIN, chance_of_failure
from hilum.tasks.lungs.model import LearnedLungs
from hilum.training.recipes.lungs.calibration import FAILED_BELOW, corrupt, score_case

HERE = Path(__file__).parent

DATA = Path(os.environ.get("HILUM_DATA", HERE.parent.parent / "shared" / "data")) / "volumes"
SCANS = ("imlab-001", "imlab-002", "imlab-003", "elastix-hemithorax")


def area_under_roc(score: np.ndarray, failed: np.ndarray) -> float:
    """Probability that a failure scores higher than a success (Mann-Whitney)."""
    bad, good = score[failed], score[~failed]
    wins = (bad[:, None] > good[None]).sum() + 0.5 * (bad[:, None] == good[None]).sum()
    return float(wins / (bad.size * good.size))


def finding_failures(dice: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """How well a probability of failure detects a Dice below FAILED_BELOW."""
    failed, flagged = dice < FAILED_BELOW, score >= UNCERTAIN
    return {
        "failures": int(failed.sum()),
        "auc": area_under_roc(score, failed),
        "failures_flagged": float(flagged[failed].mean()),
        "successes_flagged": float(flagged[~failed].mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scans", nargs="+", default=SCANS, choices=SCANS)
    given = parser.parse_args()
    network = open_model("lungs")
    model, calibration = LearnedLungs(network), network.card.confidence
    assert calibration is not None  # the shipped model has one
    rng = np.random.default_rng(11)
    rows, refused = [], 0
    for scan in given.scans:
        volume = hilum.read(next(DATA.glob(f"{scan}.[nm]*")))
        mask = (read_labels(next(DATA.glob(f"{scan}_lungs*")), volume) > 0).astype(np.uint8)
        hu, labels = to_isotropic(volume, mask)
        parts, _ = ndimage.label(labels > 0)
        cases = [("healthy", hu, parts)]
        for kind in RECIPES:
            made = add_injury(
                hu, parts, (STEP_MM,) * 3, kind=kind, severity=float(rng.uniform(0.2, 0.9)), seed=7
            )
            cases.append((kind.value, made.hu, made.mask))
        for name, image, truth in cases:
            for how, corrupted, own, step in corrupt(image, truth, rng):
                result = score_case(model, corrupted, own, step)
                if result is None:
                    refused += 1
                    continue
                rows.append((scan, name, how, result[1], chance_of_failure(result[0], calibration)))
    dice, score = np.array([r[3] for r in rows]), np.array([r[4] for r in rows])
    out = {"runs": len(rows), "refused": refused, **finding_failures(dice, score)}
    for key, value in out.items():
        print(f"{key:18s} {value:.3f}" if isinstance(value, float) else f"{key:18s} {value}")
    (HERE / "out").mkdir(exist_ok=True)
    (HERE / "out" / "confidence.json").write_text(json.dumps(out, indent=1), "utf-8")


if __name__ == "__main__":
    main()
