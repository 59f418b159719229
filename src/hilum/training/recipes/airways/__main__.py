"""``python -m hilum.training.recipes.airways OUT.npz --phantoms FOLDER... --scans SCAN:LUNGS...``."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from hilum.core.labels import AIRWAYS
from hilum.io import read
from hilum.training.recipes.airways.fit import as_arrays
from hilum.training.recipes.airways.train import train_classifier
from hilum.training.recipes.airways.voxels import Rows, phantom_rows, scan_rows

_FIRST_EPOCHS, _EPOCHS = 3.0, 6.0


def main() -> None:
    """Train and write the file that hilum ships."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--phantoms", nargs="+", type=Path, help="folders of 'hilum phantom --trees full'")
    parser.add_argument("--scans", nargs="*", default=[], help="real scans with their lungs, as SCAN:LUNGS")
    given = parser.parse_args()
    phantoms = [_phantom(folder) for folder in given.phantoms]
    classifier = train_classifier(phantoms, epochs=_FIRST_EPOCHS if given.scans else _EPOCHS)
    if given.scans:
        pairs = [pair.split(":") for pair in given.scans]
        real = [scan_rows(read(scan), _mask(lungs), classifier) for scan, lungs in pairs]
        for rows, (scan, _) in zip(real, pairs, strict=True):
            counted = rows.weight > 0
            print(
                scan,
                f"{rows.truth.sum()} lumen, {(counted & ~rows.truth).sum()} not, {(~counted).sum()} unsure",
            )
        classifier = train_classifier([*phantoms, *real], epochs=_EPOCHS)
    stages = {"dips": classifier.dips, "rays": classifier.rays, "lines": classifier.lines}
    np.savez_compressed(given.out, least=np.float32(classifier.least), **as_arrays(stages))


def _phantom(folder: Path) -> Rows:
    (scan,) = folder.glob("*_ct.nii.gz")
    stem = str(scan).removesuffix("_ct.nii.gz")
    lumen = next(info.value for info in AIRWAYS.labels if info.name == "airway_lumen")
    print(folder.name)
    return phantom_rows(read(scan), _mask(f"{stem}_lungs.nii.gz"), _map(f"{stem}_airways.nii.gz") == lumen)


def _map(path: str) -> np.ndarray:  # type: ignore[type-arg]
    import nibabel as nib

    return np.asarray(nib.load(path).dataobj)


def _mask(path: str) -> np.ndarray:  # type: ignore[type-arg]
    return _map(path) > 0


if __name__ == "__main__":
    main()
