"""Classes of injured lung on digital chests with exact truth, and on real scans.

    python benchmarks/injury_classes.py                    # digital chests, held-out seeds
    python benchmarks/injury_classes.py --real DATA        # real scans, the lungs found by the network

Digital chests take their own lungs, so that only the classes are judged. Rules were tuned on seeds 100 to
105; these are 200 to 209. A nodule counts as found where the intersection over union exceeds 0.1.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

import hilum  # noqa: E402
from hilum.core.label_volume import LabelVolume  # noqa: E402
from hilum.core.labels import INJURY, InjuryClass  # noqa: E402
from hilum.imaging.morphology import components, dilate  # noqa: E402
from hilum.imaging.overlap import dice  # noqa: E402
from hilum.tasks.injury.definitions import INJURED  # noqa: E402
from hilum.tasks.injury.segment import find_tissue  # noqa: E402

#: Digital chests: arguments of :func:`hilum.phantom`.
CHESTS: dict[str, dict[str, object]] = {
    "haze and consolidation": {"seed": 200, "injury": "ground_glass:0.5,consolidation:0.4,nodule:0.4"},
    "emphysema": {"seed": 201, "injury": "emphysema:0.5,nodule:0.6"},
    "all and effusion": {
        "seed": 202,
        "injury": "ground_glass:0.3,consolidation:0.5,emphysema:0.3,effusion:0.4",
    },
    "collapse": {"seed": 203, "injury": "atelectasis:0.5,nodule:0.8,emphysema:0.3"},
    "haze": {"seed": 204, "injury": "ground_glass:0.6,nodule:0.5"},
    "healthy": {"seed": 205},
    "expiratory": {"seed": 206, "expiration": 1.0},
    "prone": {"seed": 207, "prone": True},
    "prone, half expiratory": {"seed": 208, "prone": True, "expiration": 0.5},
    "smoker's walls": {"seed": 209, "smoker_walls": 1.0},
    "smoker's walls, full trees": {"seed": 209, "smoker_walls": 1.0, "trees": "full"},
    "5 mm slices": {"seed": 202, "injury": "ground_glass:0.3,consolidation:0.5,emphysema:0.3,effusion:0.4",
                    "spacing": (1.0, 1.0, 5.0)},
    "sharp kernel": {"seed": 202, "injury": "ground_glass:0.3,consolidation:0.5,emphysema:0.3,effusion:0.4",
                     "kernel": "sharp", "noise_hu": 40.0},
    "soft kernel": {"seed": 202, "injury": "ground_glass:0.3,consolidation:0.5,emphysema:0.3,effusion:0.4",
                    "kernel": "soft"},
    "noise 40 HU": {"seed": 202, "injury": "ground_glass:0.3,consolidation:0.5,emphysema:0.3,effusion:0.4",
                    "noise_hu": 40.0},
}  # fmt: skip
#: Nodules smaller than a ball of 6 mm are not counted, mL.
LEAST_NODULE_ML = 0.113
#: Real scans without diffuse disease.
CALM = (
    "imlab-001",
    "imlab-002",
    "imlab-003",
    "lidc-0001_low",
    "lidc-0002_low",
    "lidc-0003_low",
    "covidctmd-normal002_third",
)


def judge(name: str, arguments: dict[str, object]) -> dict[str, object]:
    chest = hilum.phantom(**arguments)
    lungs = LabelVolume.on_grid_of(chest.volume, chest.labels)
    start = time.process_time()
    found = find_tissue(chest.volume, lungs).labels.data
    out: dict[str, object] = {"chest": name, "cpu_s": round(time.process_time() - start, 1)}
    inside = chest.labels > 0
    voxel_ml = chest.volume.voxel_volume_ml
    for kind in (*INJURED, InjuryClass.EMPHYSEMA):
        out[f"{INJURY[kind].name}_share"] = round(100 * float((found == kind).sum() / inside.sum()), 3)
    if chest.injury is None:
        return out
    truth = chest.injury.labels
    for kind in (*INJURED, InjuryClass.EMPHYSEMA):
        if (truth == kind).any():
            out[f"{INJURY[kind].name}_dice"] = round(dice(found == kind, truth == kind), 3)
    tissue = np.maximum(chest.volume.hu / 1000.0 + 1.0, 0.0) * voxel_ml
    true_g = sum(chest.injury.amounts["lungs"][INJURY[kind].name]["mass_g"] for kind in INJURED)
    if true_g > 20:
        out["injured_mass_error"] = round(100 * (tissue[np.isin(found, INJURED)].sum() / true_g - 1), 1)
    return {**out, **nodules(found, truth, voxel_ml)}


def nodules(found: np.ndarray, truth: np.ndarray, voxel_ml: float) -> dict[str, object]:
    """Count nodules: all, and those that lie apart from consolidated lung, which no reader tells from it."""
    own, _ = components(found == InjuryClass.NODULE, 26)
    real, sizes = components(truth == InjuryClass.NODULE, 26)
    dense = dilate(truth == InjuryClass.CONSOLIDATION, 3.0, (1.0, 1.0, 1.0))
    large = [n for n in range(1, len(sizes)) if sizes[n] * voxel_ml >= LEAST_NODULE_ML]
    apart = {n for n in large if not dense[real == n].any()}
    hits = {n for n in large if _hit(real == n, own)}
    touched = set(np.unique(own[real > 0])) - {0}
    return {
        "nodules": len(large),
        "nodules_found": len(hits),
        "nodules_apart": len(apart),
        "nodules_apart_found": len(apart & hits),
        "nodules_false": int(own.max()) - len(touched),
    }


def _hit(mine: np.ndarray, own: np.ndarray) -> bool:
    others = [own == other for other in np.unique(own[mine]) if other]
    return any((mine & other).sum() / (mine | other).sum() > 0.1 for other in others)


def real(folder: Path, only: str) -> Iterator[dict[str, object]]:
    for name in (one for one in (*CALM, "covidctmd-P002_third") if only in one):
        tasks = "lungs,pleura,lobes,injury" if "P002" in name else "lungs,pleura,injury"
        result = hilum.segment(folder / "volumes" / f"{name}.nii.gz", task=tasks)
        found = result.segmentations["injury"].labels
        inside = found.data > 0
        row: dict[str, object] = {"scan": name}
        for kind in (*INJURED, InjuryClass.EMPHYSEMA):
            row[INJURY[kind].name] = round(100 * float((found.data == kind).sum() / inside.sum()), 2)
        row["injured"] = round(100 * float(np.isin(found.data, INJURED).sum() / inside.sum()), 2)
        row["doubtful"] = any(flag.code == "injury_doubtful" for flag in result.flags)
        if "P002" in name:
            table = folder / "volumes" / "covidctmd-P002_infection_labels.csv"
            row.update(by_slice(result, table), **by_lobe(result, table))
        yield row


def by_slice(result: hilum.Result, labels: Path) -> dict[str, object]:
    """Sensitivity and specificity of the slices of each lung with infection, for some least shares of it."""
    found = result.segmentations["injury"].labels.data
    lungs = result.segmentations["lungs"].labels.data
    rows = _slice_rows(labels)
    pairs = []
    for side, lobes in ((1, ("RUL", "RML", "RLL")), (2, ("LUL", "LLL"))):
        inside = (lungs == side).sum(axis=(0, 1))
        injured = (np.isin(found, INJURED) & (lungs == side)).sum(axis=(0, 1))
        pairs += [
            (injured[k] / inside[k], any(row[lobe] == "1" for lobe in lobes))
            for k, row in rows.items()
            if k < len(inside) and inside[k]
        ]
    return _scores("lung", pairs)


def by_lobe(result: hilum.Result, labels: Path) -> dict[str, object]:
    """Sensitivity and specificity of the slices of each lobe with infection, as :func:`by_slice`."""
    found = result.segmentations["injury"].labels.data
    lobes = result.segmentations["lobes"].labels.data
    rows, pairs = _slice_rows(labels), []
    for value, name in enumerate(("LUL", "LLL", "RUL", "RML", "RLL"), start=1):
        inside = (lobes == value).sum(axis=(0, 1))
        injured = (np.isin(found, INJURED) & (lobes == value)).sum(axis=(0, 1))
        pairs += [
            (injured[k] / inside[k], row[name] == "1")
            for k, row in rows.items()
            if k < len(inside) and inside[k]
        ]
    return _scores("lobe", pairs)


def _slice_rows(labels: Path) -> dict[int, dict[str, str]]:
    with labels.open(encoding="utf-8") as file:
        return {int(row["k_in_ct_nii"]): row for row in csv.DictReader(file)}


def _scores(what: str, pairs: list[tuple[float, bool]]) -> dict[str, object]:
    """Sensitivity and specificity of shares above some per cent; None without a slice of that kind."""
    shares, ill = np.array([one for one, _ in pairs]), np.array([truth for _, truth in pairs], bool)

    def share(hits: np.ndarray) -> float | None:
        return round(float(hits.mean()), 3) if len(hits) else None

    return {
        f"{what}_slices": [int(ill.sum()), int((~ill).sum())],
        f"{what}_sensitivity_specificity_by_percent": {
            cut: [share(shares[ill] > cut / 100), share(shares[~ill] <= cut / 100)]
            for cut in (0.5, 1.0, 2.0, 5.0)
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real", type=Path, help="folder of real scans")
    parser.add_argument("--only", default="", help="digital chests or scans whose name holds this")
    given = parser.parse_args()
    rows = (
        real(given.real, given.only)
        if given.real
        else (judge(name, chest) for name, chest in CHESTS.items() if given.only in name)
    )
    for row in rows:
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
