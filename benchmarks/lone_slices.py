"""Single slices: axial slices of held-out scans, each evaluated by itself, as they are and with injuries.

They cover the levels of a whole scan: apices, hila, the dome of the diaphragm, bases, and the abdomen.
Prints one line a disease and writes benchmarks/out/lone_slices.json, summed over slices.

    python benchmarks/lone_slices.py [--every 10]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy import ndimage

import hilum
from confidence import FAILED_BELOW, finding_failures
from hilum.core.errors import NotAChestError
from hilum.core.segmentation import Segmenter
from hilum.synthesis.lesions import add_injury
from hilum.synthesis.pathology import Pathology
from hilum.tasks.registry import load_model
from injury import DATA, SCANS, scan_and_lungs

HERE = Path(__file__).parent
KINDS = (None, Pathology.CONSOLIDATION, Pathology.ATELECTASIS, Pathology.EFFUSION, Pathology.GROUND_GLASS)
SEVERITY, SEED = 0.5, 100
#: An abdomen with bowel gas; its uppermost slices show the lungs' bases and are left out, mm.
ABDOMEN, LEFT_OUT_MM = "abdomen-ts.nii.gz", 25.0
#: Slices with less lung than this count as slices without lung, cm2.
LEAST_CM2 = 15.0


def score_slices(
    model: Segmenter, scan: hilum.Volume, truth: np.ndarray, every_mm: float
) -> list[dict[str, float]]:
    """Return area, Dice, false area (cm2) and the probability of failure of each slice."""
    rows = []
    pixel = scan.spacing[0] * scan.spacing[1] / 100.0
    for z in range(0, scan.shape[2], max(1, round(every_mm / scan.spacing[2]))):
        part = slice(z, z + 1)
        true = truth[:, :, part]
        failure = float("nan")
        try:
            result = model(hilum.Volume(np.ascontiguousarray(scan.hu[:, :, part]), scan.affine))
            found = result.labels.data > 0
            if result.confidence is not None:
                failure = result.confidence.failure
        except NotAChestError:
            found = np.zeros(true.shape, bool)
        both = 2 * float((found & true).sum()) / max(1, int(found.sum() + true.sum()))
        rows.append(
            {
                "area": float(true.sum()) * pixel,
                "dice": both,
                "false": float((found & ~true).sum()) * pixel,
                "failure": failure,
            }
        )
    return rows


def summary(rows: list[dict[str, float]]) -> dict[str, float]:
    """Sum up the slices of one disease."""
    lung = [r for r in rows if r["area"] >= LEAST_CM2]
    dice = np.array([r["dice"] for r in lung])
    return {
        "slices": len(lung),
        "dice": float(dice.mean()),
        "tenth": float(np.quantile(dice, 0.1)),
        "worst": float(dice.min()),
        "below": float((dice < FAILED_BELOW).mean()),
        "false_cm2_worst": max(r["false"] for r in rows),
        "empty": len(rows) - len(lung),
        "false_cm2_empty": float(np.mean([r["false"] for r in rows if r["area"] < LEAST_CM2] or [np.nan])),
    }


def refused(model: Segmenter, scan: hilum.Volume, every_mm: float) -> tuple[int, int]:
    """Return how many slices of a scan without lungs there are, and how many were refused."""
    rows = score_slices(model, scan, np.zeros(scan.shape, bool), every_mm)
    return len(rows), sum(r["false"] == 0 for r in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="lungs")
    parser.add_argument("--every", type=float, default=10.0, help="mm")
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    table: dict[str, list[dict[str, float]]] = {}
    for name in SCANS:
        ras, own = scan_and_lungs(name)
        parts, _ = ndimage.label(own)
        for kind in KINDS:
            hu, truth = ras.hu, own
            if kind is not None:
                made = add_injury(ras.hu, parts, ras.spacing, kind=kind, severity=SEVERITY, seed=SEED)
                hu, truth = made.hu, made.mask > 0
            scan = hilum.Volume(hu, ras.affine, ras.meta)
            word = "as it is" if kind is None else kind.value
            table.setdefault(word, []).extend(score_slices(model, scan, truth, arguments.every))
    out: dict[str, object] = {}
    for word, rows in table.items():
        out[word] = row = summary(rows)
        print(
            f"{word:15s} n {row['slices']:3d}  Dice {row['dice']:.3f}, a tenth below {row['tenth']:.3f}, "
            f"worst {row['worst']:.3f}, below {FAILED_BELOW} {100 * row['below']:.0f} %  largest false area "
            f"{row['false_cm2_worst']:.0f} cm2  without lung {row['empty']}: {row['false_cm2_empty']:.1f} cm2"
        )
    abdomen = hilum.read(DATA / ABDOMEN).canonical()
    top = abdomen.shape[2] - round(LEFT_OUT_MM / abdomen.spacing[2])
    abdomen = hilum.Volume(np.ascontiguousarray(abdomen.hu[:, :, :top]), abdomen.affine)
    count, good = refused(model, abdomen, arguments.every)
    out["abdomen"] = {"slices": count, "refused": good}
    print(f"abdomen with bowel gas: {good} of {count} slices refused")
    scored = [
        r for rows in table.values() for r in rows if r["area"] >= LEAST_CM2 and np.isfinite(r["failure"])
    ]
    if scored:
        dice, failure = (np.array([r[key] for r in scored]) for key in ("dice", "failure"))
        out["confidence"] = {"slices": len(scored), **finding_failures(dice, failure)}
        print("confidence", json.dumps(out["confidence"]))
    (HERE / "out").mkdir(exist_ok=True)
    (HERE / "out" / "lone_slices.json").write_text(json.dumps(out, indent=1), "utf-8")


if __name__ == "__main__":
    main()
