"""Prepare the data of the recipe once: labelled scans, slices, negatives and abdomen slices on their grids.

    python -m hilum.training.recipes.lungs.prepare --volumes SCANS --labels LABELS --slices SLICES --out DATA

SCANS holds scans as NIfTI. LABELS holds ``NAME.npz`` (an array ``labels`` on the isotropic grid of the scan
of that name) or ``NAME.nii.gz`` (on the scan's own grid): 1 right, 2 left, 3 pleural fluid, 4 free gas. Scans
named by --own are aerated and labelled by their air; those named by --negative hold no lung. Run it again
after a stop or with more labels: existing files are kept.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from hilum.core.errors import InputError
from hilum.core.volume import Volume
from hilum.datasets.prepare import prepare
from hilum.datasets.split import split_subjects
from hilum.datasets.volume_grid import STEP_MM, isotropic_affine, to_isotropic
from hilum.datasets.volumes import load_volumes
from hilum.io import atomic_file, read, write_map, write_volume
from hilum.synthesis.lesions import abdomen_slices
from hilum.training.recipes.lungs.extrude import block_means, read_slice, slices_of
from hilum.training.recipes.lungs.labels import own_labels
from hilum.training.recipes.lungs.scans import NEGATIVE, SAME, SCANS
from hilum.training.recipes.lungs.source import KEPT_FACTOR, SLICES_HU

__all__ = ["prepare_data"]

_LABELS = "1=right,2=left,3=fluid,4=gas"
#: Distance of the abdomen slices, in voxels: 10 mm.
_ABDOMEN_STEP = 3


def prepare_data(
    volumes: Path,
    labels: Sequence[Path],
    slices: Path | None,
    out: Path,
    own: Sequence[str] = SCANS,
    negative: Sequence[str] = NEGATIVE,
    slice_labels: Path | None = None,
) -> Path:
    """Write the data of the recipe; existing files are kept.

    Args:
        volumes: Folder of scans, ``NAME.nii.gz``.
        labels: Folders of labels; see the module.
        slices: Folder with ``images`` and ``masks`` of single slices; None for no slices.
        out: Folder of the data.
        own: Names of scans that are aerated and labelled by their air, where ``labels`` has none.
        negative: Names of scans without lung.
        slice_labels: Folder that :mod:`hilum.training.recipes.lungs.slice_labels` wrote; None for none.

    Returns:
        ``out``.

    Raises:
        InputError: A scan is missing.
    """
    pairs = out / "pairs"
    pairs.mkdir(parents=True, exist_ok=True)
    given = {f.name.split(".")[0]: f for folder in labels for f in sorted(folder.iterdir()) if _is_label(f)}
    rows = []
    for name in sorted({*given, *own}):
        ct, mask = pairs / f"{name}_ct.nii.gz", pairs / f"{name}_lungs.nii.gz"
        if not mask.is_file():
            _write_pair(_scan(volumes, name), given.get(name), ct, mask)
            print(f"labels of {name}", flush=True)
        rows.append((ct.name, mask.name, SAME.get(name, name)))
    with atomic_file(pairs / "pairs.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "mask", "subject"), *rows])
    prepare(pairs / "pairs.csv", out / "scans", volumes=True, labels=_LABELS)
    _write_negatives(volumes, negative, out / "negatives.npz")
    _write_abdomen_slices(out / "scans", out / "bellies.npz")
    _write_slices(slices, out)
    if slice_labels is not None:
        _write_slices_hu(slice_labels, out)
    return out


def _is_label(file: Path) -> bool:
    return file.name.endswith((".npz", ".nii", ".nii.gz"))


def _scan(volumes: Path, name: str) -> Volume:
    file = next((f for s in (".nii.gz", ".nii", ".mha") if (f := volumes / f"{name}{s}").is_file()), None)
    if file is None:
        raise InputError(f"There is no scan {name} in {volumes.name}.", "Give its folder with --volumes.")
    return read(file)


def _write_pair(volume: Volume, labels: Path | None, ct: Path, mask: Path) -> None:
    """Write a scan and its labels on one grid; the mask comes last, and with it the pair is there."""
    if labels is not None and labels.suffix == ".npz":
        with np.load(labels) as kept:
            drawn = kept["labels"].astype(np.uint8)
        hu, _ = to_isotropic(volume)
        if hu.shape != drawn.shape:
            raise InputError(
                f"{labels.name} has {drawn.shape} voxels, its scan {hu.shape} on {STEP_MM} mm.",
                "Give labels on the isotropic grid of the scan.",
            )
        volume = Volume(np.rint(hu).astype(np.int16), isotropic_affine(volume, hu.shape))
    elif labels is not None:
        drawn = np.asanyarray(nib.load(labels).dataobj).astype(np.uint8)  # type: ignore[attr-defined]
    else:
        drawn = own_labels(volume)
    write_volume(ct, volume)
    write_map(mask, drawn, volume, "lungs")


def _write_negatives(volumes: Path, names: Sequence[str], file: Path) -> None:
    if file.is_file():
        return
    kept = {name: np.rint(to_isotropic(_scan(volumes, name))[0]).astype(np.int16) for name in names}
    _save(file, kept)


def _write_abdomen_slices(scans: Path, file: Path) -> None:
    if file.is_file():
        return
    data = load_volumes(scans)
    found = []
    for record in data.volumes:
        hu, labels = (np.asarray(a)[:, :, ::_ABDOMEN_STEP] for a in (data.image(record), data.mask(record)))
        found += abdomen_slices(hu, labels, data.step_mm * _ABDOMEN_STEP)
    _save(file, {f"b{k}": np.rint(abdomen).astype(np.int16) for k, abdomen in enumerate(found)})


def _write_slices(slices: Path | None, out: Path) -> None:
    """Keep the slices of the training patients of the study; the others validate and test."""
    file = out / "slices.npz"
    if file.is_file():
        return
    kept = {}
    if slices is not None:
        prepare(slices / "images", out / "slices", masks=slices / "masks", plane="axial")
        for k, one in enumerate(slices_of(out / "slices", "train")):
            hu, sides = read_slice(one)
            kept[f"hu{k}"] = np.rint(block_means(hu, KEPT_FACTOR)).astype(np.int16)
            shares = [block_means(sides == side, KEPT_FACTOR) for side in (1, 2)]
            kept[f"labels{k}"] = np.where(shares[0] > 0.5, 1, np.where(shares[1] > 0.5, 2, 0)).astype(
                np.uint8
            )
    _save(file, kept)


def _write_slices_hu(labels: Path, out: Path) -> None:
    """Keep the labelled slices in true HU of the training patients; the other patients validate and test."""
    if (file := out / SLICES_HU).is_file():
        return
    found = []
    for one in sorted(labels.glob("*.npz")):
        with np.load(one) as kept:
            found.append((str(kept["patient"]), {name: kept[name] for name in ("hu", "labels", "pixel_mm")}))
    patients = sorted({patient for patient, _ in found})
    train = {patients[k] for k in split_subjects(list(range(len(patients))), seed=0).train}
    own = [arrays for patient, arrays in found if patient in train]
    _save(file, {f"{name}{k}": array for k, arrays in enumerate(own) for name, array in arrays.items()})


def _save(file: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    with atomic_file(file) as part, part.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def main() -> None:
    """Read the command line and prepare the data."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--volumes", type=Path, required=True)
    parser.add_argument("--labels", type=Path, action="append", default=[])
    parser.add_argument("--slices", type=Path)
    parser.add_argument("--slice-labels", type=Path)
    parser.add_argument("--own", nargs="*", default=SCANS)
    parser.add_argument("--negative", nargs="*", default=NEGATIVE)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    prepare_data(
        given.volumes, given.labels, given.slices, given.out, given.own, given.negative, given.slice_labels
    )
    print(f"data: {given.out}")


if __name__ == "__main__":
    main()
