"""Write the pairs of the study on volumes: scans and their lung labels as NIfTI, on the scans' own grids.

Scans are taken from VOLUMES (``NAME.nii.gz``), one a patient. LABELS holds ``NAME.npz`` (an array ``labels``
on the isotropic grid of the scan of that name, 1 right, 2 left); their surface is drawn again on the scan's
own voxels. Scans without labels there are aerated and labelled by their air. Run it again after a stop:
existing pairs are kept.

    python recipes/study/pairs.py --volumes VOLUMES --labels LABELS --out PAIRS
    hilum prepare PAIRS -o dataset --plane coronal
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hilum.core.errors import InputError
from hilum.core.volume import Volume
from hilum.datasets.volume_grid import STEP_MM
from hilum.io import read, write_map, write_volume
from hilum.tasks.lungs.iso_scan import IsoScan
from hilum.tasks.lungs.predict import Probabilities
from hilum.tasks.lungs.surface import draw
from hilum.training.recipes.lungs.labels import own_labels

#: Scans of the study, one a patient: collection, and licence as known to us. Where a patient has two files,
#: that of the whole field of view of the chest is taken. No test scan of the model ``lungs`` is among them.
SCANS = {
    "acrin-flt-001-b_half": ("ACRIN-FLT-Breast", "CC BY 3.0"),
    "acrin-flt-013_half": ("ACRIN-FLT-Breast", "CC BY 3.0"),
    "cmb-crc-01068_half": ("CMB-CRC", "CC BY 4.0"),
    "covidctmd-P002_third": ("COVID-CT-MD", "CC BY 4.0"),
    "covidctmd-cap002_third": ("COVID-CT-MD", "CC BY 4.0"),
    "covidctmd-normal002_third": ("COVID-CT-MD", "CC BY 4.0"),
    "cptac-c3n-00247_third": ("CPTAC", "CC BY 3.0"),
    "lidc-0001_low": ("LIDC-IDRI", "CC BY 3.0"),
    "lidc-0002_low": ("LIDC-IDRI", "CC BY 3.0"),
    "lidc-0003_low": ("LIDC-IDRI", "CC BY 3.0"),
    "lidc-0004": ("LIDC-IDRI", "CC BY 3.0"),
    "lidc-0063_half": ("LIDC-IDRI", "CC BY 3.0"),
    "nsclc-r01-001_low": ("NSCLC-Radiogenomics", "CC BY 3.0"),
    "tcga-de-a4ma": ("TCGA-THCA", "CC BY 3.0"),
}


def native_labels(volume: Volume, drawn: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Bring labels on isotropic voxels to a scan's own grid; its voxels draw the surface of aerated lung.

    Args:
        volume: The scan.
        drawn: 1 right, 2 left, on the grid of :func:`hilum.datasets.volume_grid.to_isotropic`.

    Returns:
        Labels of the shape of the scan.

    Raises:
        InputError: The labels lie on another grid.
    """
    scan = IsoScan.of(volume.canonical(), STEP_MM, magnification=1.0)
    if scan.hu.shape != drawn.shape:
        raise InputError(
            f"The labels have {drawn.shape} voxels, their scan {scan.hu.shape} on {STEP_MM} mm.",
            "Give labels on the isotropic grid of the scan.",
        )
    right, left = ((drawn == side).astype(np.float32) for side in (1, 2))
    none = np.zeros_like(right)
    labels, _ = draw(scan, Probabilities(right, left, fluid=none, gas=none), scan.unseen)
    return volume.restore(labels.transpose(scan.order))


def write_pairs(volumes: Path, labels: Path, out: Path, names: Iterable[str] = SCANS) -> int:
    """Write ``NAME_ct.nii.gz`` and ``NAME_lungs.nii.gz`` of each scan; existing pairs are kept.

    Args:
        volumes: Folder of scans.
        labels: Folder of labels; see the module.
        out: Folder of the pairs.
        names: Names of the scans.

    Returns:
        How many pairs were written.

    Raises:
        InputError: A scan is missing, or its labels do not fit.
    """
    out.mkdir(parents=True, exist_ok=True)
    count = 0
    for name in names:
        ct, mask = out / f"{name}_ct.nii.gz", out / f"{name}_lungs.nii.gz"
        if mask.is_file():
            continue
        scan, stored = volumes / f"{name}.nii.gz", labels / f"{name}.npz"
        if not scan.is_file():
            raise InputError(f"There is no scan {name} in {volumes.name}.", "Give its folder with --volumes.")
        volume = read(scan)
        if stored.is_file():
            with np.load(stored) as kept:
                drawn = native_labels(volume, kept["labels"].astype(np.uint8))
        else:
            drawn = own_labels(volume)
        write_volume(ct, volume)
        write_map(mask, drawn, volume, "lungs")  # last, and with it the pair is there
        count += 1
        print(f"{name}: labels {'given' if stored.is_file() else 'by air'}", flush=True)
    return count


def main() -> None:
    """Read the command line and write the pairs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--volumes", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    print(f"{write_pairs(given.volumes, given.labels, given.out)} pairs -> {given.out}")


if __name__ == "__main__":
    main()
