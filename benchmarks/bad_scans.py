"""One bad scan of each kind among good ones: what the others lose by it, and what is said.

A file that ends too early, an abdomen, a scan that hangs, one that takes too much memory and one that kills
its process lie among small digital chests. The last three are good files whose name tells a worker of the
tests what to do. ``hilum segment``'s batch does all of them, two at a time, and then once more with
``resume``, which may only try the bad ones again.

    python benchmarks/bad_scans.py [--scans 50]

Prints what was said of each bad scan, and writes ``benchmarks/out/bad_scans.json``.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from pathlib import Path

import hilum

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "tests")]

from hilum.io import write_volume  # noqa: E402
from support.plain_chest import build_chest  # noqa: E402
from support.work import badly  # noqa: E402

#: Seconds and GB that a scan may take; a good one takes about 2 s and 0.5 GB, the one that grows over 1 GB.
TIME_LIMIT, MEMORY_LIMIT = 120.0, 1.0
#: By their names, which the worker reads.
MISBEHAVED = ("hang", "grow", "crash")


def make_scans(folder: Path, count: int) -> None:
    """Write ``count`` scans, five of them bad."""
    chest = build_chest(spacing=(5.0, 5.0, 6.0)).volume
    for number in range(count - 5):
        hu = chest.hu + chest.hu.dtype.type(number % 16)
        write_volume(folder / f"good-{number:03d}.nii.gz", hilum.Volume(hu, chest.affine))
    for name in MISBEHAVED:
        write_volume(folder / f"{name}-1.nii.gz", chest)
    whole = (folder / "good-000.nii.gz").read_bytes()
    (folder / "truncated-1.nii.gz").write_bytes(whole[: len(whole) // 2])
    made = hilum.phantom(seed=1, spacing=(3.0, 3.0, 4.0), orientation="RAS")
    lowest = int((made.labels > 0).any(axis=(0, 1)).argmax())
    below = hilum.Volume(made.volume.hu[:, :, : max(8, lowest - 4)], made.volume.affine)
    write_volume(folder / "abdomen-1.nii.gz", below)


def once(scans: Path, out: Path) -> dict[str, object]:
    """Do what is not done yet; return the counts, the rows of the tables and the codes of the failures."""
    batch = hilum.run_batch(
        scans,
        out,
        jobs=2,
        resume=True,
        report=False,
        time_limit=TIME_LIMIT,
        memory_limit=MEMORY_LIMIT,
        work=badly,
    )
    codes = [outcome.error.exit_code for outcome in batch if outcome.error is not None]
    with (out / "scans.csv").open(encoding="utf-8") as file:
        rows = sum(1 for _ in csv.DictReader(file))
    with (out / "failed.csv").open(encoding="utf-8") as file:
        reasons = {row["scan"]: row["message"] for row in csv.DictReader(file)}
    counts = {"measured": batch.counts.measured, "before": batch.counts.before, "failed": batch.counts.failed}
    return {**counts, "rows": rows, "codes": codes, "reasons": reasons}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scans", type=int, default=50)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scans, out = Path(name) / "scans", Path(name) / "results"
        make_scans(scans, given.scans)
        found = {"first": once(scans, out), "resumed": once(scans, out)}
    for what, result in found.items():
        print(what, {key: value for key, value in result.items() if key != "reasons"})
    for scan, reason in found["first"]["reasons"].items():
        print(f"  {scan}: {reason}")
    out = HERE / "out" / "bad_scans.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(found, indent=1), "utf-8")


if __name__ == "__main__":
    main()
