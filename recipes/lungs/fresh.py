"""Cases that no stage has learned from: slabs of validation patients, some with domes, other digital chests.

Thresholds are chosen and the confidence is calibrated on them. The test patients' slices are not among them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from cases import phantom_case
from scans import load_bellies
from slabs import make_slab, slices_of

from hilum.models.registry import SHIPPED
from hilum.training.volumes.cases import write_case

#: Seeds of the digital chests begin here; those of the training lie below.
_FIRST_SEED = 3000


def arguments_of(text: str) -> argparse.Namespace:
    """Read the arguments of a script that chooses something on these cases; ``text`` says what it does."""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=SHIPPED)
    return parser.parse_args()


def make_fresh(dataset: Path, out: Path, slabs: int = 3, phantoms: int = 48, seed: int = 0) -> Path:
    """Write the cases that are not there yet.

    Args:
        dataset: The slices as ``hilum prepare`` writes them.
        out: Folder of the cases; what :func:`scans.look_at_scans` wrote lies beside it.
        slabs: Made of each slice of a validation patient.
        phantoms: Number of digital chests.
        seed: Of all draws.

    Returns:
        ``out``.
    """
    out.mkdir(parents=True, exist_ok=True)
    for index in range(phantoms):
        name = f"phantom-{index:02d}"
        if not (out / f"{name}.labels.npy").is_file():
            write_case(out, name, *phantom_case(index, seed, _FIRST_SEED))
    for number, file in enumerate(slices_of(dataset, "validation")):
        for k in range(slabs):
            name = f"slab-{number:03d}-{k}"
            if not (out / f"{name}.labels.npy").is_file():
                write_case(out, name, *make_slab(file, np.random.default_rng([seed, 5, number, k])))
        name = f"dome-{number:03d}"
        if not (out / f"{name}.labels.npy").is_file():
            rng = np.random.default_rng([seed, 7, number])
            write_case(out, name, *make_slab(file, rng, True, load_bellies(out.parent)))
    return out
