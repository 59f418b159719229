"""Weight and air without the partial volume of the wall, against the truth of digital chests.

Every seed is made healthy and with one injury, with a soft and a sharp kernel, in voxels of 1 and 3 mm and in
slices of 5 mm; it is measured with its true mask and with the mask that a model finds. The constants of
``hilum.measures.edge`` were chosen on seeds 1 and 2, so figures are reported on others. Prints a line a case
and two tables, and writes benchmarks/out/edge_weight.json.

    python benchmarks/edge_weight.py [--seeds 11 12] [--model lungs]
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

import hilum

HERE = Path(__file__).parent
SPACINGS = {"1 mm": (1.0, 1.0, 1.0), "3 mm": (3.0, 3.0, 3.0), "1 x 1 x 5 mm": (1.0, 1.0, 5.0)}
KERNELS = ("soft", "sharp")
#: The n-th seed gets the n-th injury, in turn.
INJURIES = ("oedema:0.5", "consolidation:0.5", "effusion:0.5")
#: Measure to the key of the truth that it is compared with.
AMOUNTS = {
    "tissue_mass": "mass_g",
    "tissue_mass_edge": "mass_g",
    "air_volume": "air_ml",
    "air_volume_edge": "air_ml",
}


def errors(result: Any, truth: dict[str, float]) -> dict[str, float]:
    """Return errors of the amounts of both lungs in percent, and their LAA-950 in percent."""
    values = {name: entry.value for name, entry in result.measures["lungs"].items()}
    known = {name: np.nan if values[name] is None else values[name] for name in (*AMOUNTS, "laa_950")}
    out = {name: 100.0 * (known[name] / truth[key] - 1.0) for name, key in AMOUNTS.items()}
    return {**out, "laa_950": known["laa_950"]}


def cases(seeds: list[int], model: str) -> list[dict[str, Any]]:
    rows = []
    for (n, seed), (size, spacing), kernel in itertools.product(enumerate(seeds), SPACINGS.items(), KERNELS):
        for injury in (None, INJURIES[n % len(INJURIES)]):
            chest = hilum.phantom(seed=seed, spacing=spacing, kernel=kernel, injury=injury)
            truth = chest.truth.as_dict()["regions"]["lungs"]
            row: dict[str, Any] = {"seed": seed, "size": size, "kernel": kernel, "injury": injury or "none"}
            row["true"] = errors(hilum.measure(chest.volume, chest.labels), truth)
            row["segmented"] = errors(hilum.segment(chest.volume, model=model), truth)
            rows.append(row)
            print(seed, size, kernel, injury, *(f"{row[m][v]:+.2f}" for m in ("true", "segmented")
                  for v in AMOUNTS), flush=True)  # fmt: skip
    return rows


def summary(rows: list[dict[str, Any]], mask: str, measure: str) -> dict[str, float]:
    """Return mean, mean of the absolute values and worst of a measure over cases."""
    values = np.array([row[mask][measure] for row in rows])
    values = values[np.isfinite(values)]
    worst = float(values[np.abs(values).argmax()])
    return {"mean": float(values.mean()), "absolute": float(np.abs(values).mean()), "worst": worst}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    parser.add_argument("--model", default="lungs")
    arguments = parser.parse_args()
    rows = cases(arguments.seeds, arguments.model)
    table = []
    for size, kernel, sick in itertools.product(SPACINGS, KERNELS, (False, True)):
        own = [r for r in rows if (r["size"], r["kernel"], r["injury"] != "none") == (size, kernel, sick)]
        for mask in ("true", "segmented"):
            line: dict[str, Any] = {"size": size, "kernel": kernel, "injured": sick, "mask": mask}
            line["n"] = len(own)
            line |= {name: summary(own, mask, name) for name in (*AMOUNTS, "laa_950")}
            table.append(line)
            shown = (f"{name} {line[name]['mean']:+.2f} ({line[name]['worst']:+.2f})" for name in AMOUNTS)
            print(f"{size:12s} {kernel:5s} {'injured' if sick else 'healthy'} {mask:9s}", *shown,
                  f"laa_950 {line['laa_950']['mean']:.2f}")  # fmt: skip
    (HERE / "out").mkdir(exist_ok=True)
    report = {"hilum": hilum.__version__, "seeds": arguments.seeds, "table": table}
    (HERE / "out" / "edge_weight.json").write_text(json.dumps(report, indent=1), "utf-8")


if __name__ == "__main__":
    main()
