"""Masks, measures and trained weights of digital chests, to be compared before and after a change.

Byte by byte:

    python benchmarks/golden.py before      # at the commit before the change
    python benchmarks/golden.py after       # at the one after it
    diff -r before after && echo same

Bytes are the same on one machine only: other processors compute other last bits. What holds on all of them
is kept in ``tests/golden``; ``--keep`` makes those files anew, after a change that moves numbers on purpose.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import hilum  # noqa: E402
from support import golden  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, nargs="?", help="folder for masks, measures and hashes of weights")
    parser.add_argument("--keep", action="store_true", help="write the files of tests/golden")
    given = parser.parse_args()
    masks: dict[str, np.ndarray] = {}
    measures: dict[str, dict[str, dict[str, dict[str, object]]]] = {}
    for name, make in golden.SCANS.items():
        result = hilum.segment(make())
        masks[name], measures[name] = result.segmentations["lungs"].labels.data, result.measures.as_dict()
        print(name, result.measures["lungs"]["volume"].value)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        network = golden.train_slices(Path(folder)).read_bytes()
        weights = golden.train_volumes(Path(folder))
    if given.out:
        given.out.mkdir(parents=True)
        for name, mask in masks.items():
            np.save(given.out / f"{name}.npy", mask)
            (given.out / f"{name}.json").write_text(json.dumps(measures[name], indent=1, sort_keys=True))
        hashes = {
            "slices": hashlib.sha256(network).hexdigest(),
            "volumes": hashlib.sha256(b"".join(value.tobytes() for value in weights)).hexdigest(),
        }
        (given.out / "weights.json").write_text(json.dumps(hashes, indent=1))
    if given.keep:
        kept = {
            "measures": {name: golden.values_of(measures[name]) for name in measures},
            "volumes": golden.norms(weights),
            "slices": golden.norms(golden.weights_of(network)),
        }
        np.savez_compressed(ROOT / "tests" / "golden" / "masks.npz", **masks)
        (ROOT / "tests" / "golden" / "values.json").write_text(json.dumps(kept) + "\n")


if __name__ == "__main__":
    main()
