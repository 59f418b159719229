"""Train the classifier of the airways.

    python -m hilum.training.recipes.airways OUT.npz --phantoms FOLDER... --scans SCAN:LUNGS:PAINTED...

The first classifier knows phantoms alone. In each round the classifier of the round before labels the scans,
and the next one learns from phantoms, scans, and scans with airways painted into them, all on coarser voxels,
too. PAINTED is how many of those are made of a scan; one whose slices are thick is learned painted only.
``--first`` goes on from a classifier.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.labels import AIRWAYS
from hilum.io import read
from hilum.tasks.airways.classifier import Classifier, load_classifier
from hilum.training.recipes.airways.branches import Drawn, read_drawn
from hilum.training.recipes.airways.cases import painted_case, real_case
from hilum.training.recipes.airways.coarse import coarser_case
from hilum.training.recipes.airways.fit import as_arrays
from hilum.training.recipes.airways.train import train_classifier
from hilum.training.recipes.airways.voxels import Rows, case_rows, phantom_rows

#: Passes over the rows: of the first classifier and of the ones of each round.
_FIRST_EPOCHS, _EPOCHS = 6.0, 5.0
#: Seeds of a round.
_SEEDS = 1000
#: Voxels of the coarser cases, mm: a thin scan of half resolution, and the finest of most thick ones.
_COARSER_MM = (1.4, 2.0)
#: Of scans with thicker slices than this, mm, small airways cannot be labelled.
_THIN_SLICES_MM = 1.5


def main() -> None:
    """Train and write the file that hilum ships."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--phantoms", nargs="+", type=Path, help="folders of 'hilum phantom --trees full'")
    parser.add_argument("--scans", nargs="+", help="real scans with their lungs, as SCAN:LUNGS:PAINTED")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--first", type=Path, help="a classifier that labels the scans in the first round")
    given = parser.parse_args()
    phantoms = [_phantom(folder) for folder in given.phantoms]
    drawn = [read_drawn(next(folder.glob("*_branches.csv"))) for folder in given.phantoms]
    if given.first:
        classifier = load_classifier(given.first)
    else:
        classifier = train_classifier([grids[0] for grids in phantoms], epochs=_FIRST_EPOCHS)
    for number in range(given.rounds):
        real = [rows for scan in given.scans for rows in _scan(scan, classifier, drawn, number)]
        made = [rows for grids in phantoms for rows in grids]
        classifier = train_classifier([*real, *made], epochs=_EPOCHS)
    stages = {"dips": classifier.dips, "rays": classifier.rays, "lines": classifier.lines}
    arrays: dict[str, Any] = {"least": np.float32(classifier.least), **as_arrays(stages)}
    np.savez_compressed(given.out, **arrays)


def _scan(given: str, classifier: Classifier, drawn: list[Drawn], number: int) -> list[Rows]:
    """Rows of a scan as it is, and with airways painted into it, others in each round, by turns coarser."""
    path, lungs, count = given.rsplit(":", 2)
    volume = read(path)
    case = real_case(volume, _map(lungs) > 0, classifier)
    cases = [case] if max(volume.spacing) <= _THIN_SLICES_MM else []
    for seed in range(int(count)):
        random = np.random.default_rng(number * _SEEDS + seed)
        cases.append(painted_case(case, drawn[seed % len(drawn)], random))
    coarser = [coarser_case(one, _COARSER_MM[turn % 2]) for turn, one in enumerate(cases)]
    out = [case_rows(one) for one in (*cases, *coarser)]
    for rows in out:
        counted = rows.weight > 0
        negatives = np.count_nonzero(counted & ~rows.truth)
        print(path, f"{rows.truth.sum()} lumen, {negatives} not, {(~counted).sum()} unsure", flush=True)
    return out


def _phantom(folder: Path) -> list[Rows]:
    """Rows of a phantom as it is, then on coarser voxels."""
    (scan,) = folder.glob("*_ct.nii.gz")
    stem = str(scan).removesuffix("_ct.nii.gz")
    lumen = next(info.value for info in AIRWAYS.labels if info.name == "airway_lumen")
    print(folder.name, flush=True)
    lungs, airways = (_map(f"{stem}_{kind}.nii.gz") for kind in ("lungs", "airways"))
    return [phantom_rows(read(scan), lungs > 0, airways == lumen, mm) for mm in (None, *_COARSER_MM)]


def _map(path: str) -> npt.NDArray[Any]:
    import nibabel as nib

    return np.asarray(nib.load(path).dataobj)  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
