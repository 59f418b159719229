"""Preparing the volumes of one subject: read, check, resample to isotropic voxels, write."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from hilum.anatomy.given import part_sides
from hilum.core.errors import GeometryError, InputError, UsageError
from hilum.core.flags import Severity
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LUNGS
from hilum.core.segmentation import ModelInfo, Segmentation
from hilum.core.sentences import Sentence
from hilum.core.volume import Volume
from hilum.datasets.job import Job, on_full_disk
from hilum.datasets.pairs import Pair
from hilum.datasets.volume_grid import isotropic_affine, to_isotropic
from hilum.datasets.volumes import LABELS, VolumeSubject
from hilum.io import read
from hilum.io.mask import Mask
from hilum.io.mask_grid import place
from hilum.io.masks import as_lungs, load_mask
from hilum.quality import check_segmentation, check_volume

__all__ = ["FLUID", "GAS", "parse_pleura", "write_volume_pair"]

FLUID = LABELS["pleural_fluid"]
GAS = LABELS["pleural_gas"]
#: Words for pleural fluid and free gas in ``--labels``, and names of segments, in lower case.
_WORDS = {"fluid": FLUID, "gas": GAS}
_NAMES = {
    **dict.fromkeys(("pleural_fluid", "pleural fluid", "pleural_effusion", "pleural effusion"), FLUID),
    **dict.fromkeys(("pleural_gas", "pleural gas", "pneumothorax"), GAS),
}


def parse_pleura(text: str | Mapping[int, int] | None) -> tuple[str | None, tuple[tuple[str, int], ...]]:
    """Separate pleural fluid and gas from the label mapping.

    Args:
        text: Such as ``1=right,2=left,3=fluid,4=gas``.

    Returns:
        The text with 0 in place of fluid and gas, for :func:`hilum.io.vocabulary.parse_labels`; and pairs
        of value or name and label.

    Examples:
        >>> parse_pleura("1=right,2=left,3=fluid")
        ('1=right,2=left,3=0', (('3', 3),))
    """
    if not isinstance(text, str):
        if text is not None and not isinstance(text, Mapping):
            raise UsageError(f"labels is {type(text).__name__}, expected text such as 1=right,2=left.")
        return (",".join(f"{key}={value}" for key, value in text.items()) if text else None), ()
    entries, pleura = [], {}
    for entry in text.split(","):
        key, _, word = (part.strip() for part in entry.rpartition("="))
        label = _WORDS.get(word.lower())
        if label is None or not key:
            entries.append(entry)
        else:
            pleura[key.lower()] = label
            entries.append(f"{key}=0")
    return ",".join(entries), tuple(sorted(pleura.items()))


def write_volume_pair(
    job: Job, pair: Pair, stage: Path, number: int, found: list[VolumeSubject]
) -> dict[str, Any]:
    """Read a pair, write it on isotropic voxels into ``stage`` and add its entry to ``found``.

    Returns:
        Its row of the index.

    Raises:
        InputError: It cannot be used; the message states the reason.
        GeometryError: It is a single slice, or its voxel size is unknown.
    """
    if pair.image is None or pair.mask is None:
        raise InputError(pair.problem)
    if job.step_mm is None:
        raise UsageError("step_mm is None, expected a voxel size in mm.")
    mask = load_mask(pair.mask, job.labels)
    volume = read(pair.image)
    if 1 in volume.shape or not volume.meta.spacing_known:
        what = "is a single slice" if 1 in volume.shape else "does not state its voxel size"
        raise GeometryError(
            f"The image {what}, so it cannot be used as a volume.",
            Sentence("Make a dataset of slices instead: omit {option:volumes}."),
        )
    labels, notes = _labels_of(job, mask, volume)
    hu, on_grid = to_isotropic(volume, labels, job.step_mm)
    if not (np.isin(on_grid, (1, 2))).any():
        raise InputError(
            f"The mask holds no lung on voxels of {job.step_mm:g} mm.",
            Sentence("Give a smaller {option:step_mm}."),
        )
    found.append(_describe(job, volume, labels, notes))
    affine = isotropic_affine(volume, hu.shape, job.step_mm)
    files = {
        f"{job.id}_{number}_ct.nii": _nifti(np.rint(hu).astype(np.int16), affine),
        f"{job.id}_{number}_labels.nii": _nifti(on_grid, affine),
    }
    with on_full_disk(job.root):
        for name, content in files.items():
            (stage / name).write_bytes(content)
    image, drawn = files
    return {
        "volume": number,
        "shape": list(hu.shape),
        "labels": [int((on_grid == value).sum()) for value in LABELS.values()],
        "image": image,
        "mask": drawn,
        "sha256": [hashlib.sha256(content).hexdigest() for content in files.values()],
        "bytes": [len(content) for content in files.values()],
    }


def _nifti(array: npt.NDArray[Any], affine: npt.NDArray[np.float64]) -> bytes:
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    content: bytes = image.to_bytes()
    return content


def _labels_of(job: Job, mask: Mask, volume: Volume) -> tuple[npt.NDArray[np.uint8], list[tuple[str, str]]]:
    """Return the mask on the grid of its image: right and left lung, pleural fluid and gas."""
    hint = Sentence("Check that they belong together, or resample the mask with {set:resample_masks}.")
    pleura = _pleura_of(job, mask)
    drawn = as_lungs(_without(mask, pleura), job.labels, "The mask")
    labels, placed = place(drawn, volume, "The mask", "its image", resample=job.resample_masks, hint=hint)
    notes: list[tuple[str, str]] = [*drawn.notes, *placed]
    if not labels.any():
        raise InputError("The mask is empty: it holds no lung.", "Check that it is the right file.")
    labels, flags = part_sides(labels, volume, mapped=drawn.mapped)
    for flag in flags:
        if flag.severity is Severity.ERROR:
            raise InputError(flag.reason, "Give a mask with one label per lung.")
        notes.append((flag.code, flag.message))
    if pleura:
        values = np.zeros(int(mask.array.max()) + 1, np.uint8)
        for value, label in pleura.items():
            values[value] = label
        beside = replace(mask, array=values[mask.array], mapped=True)
        there, _ = place(beside, volume, "The mask", "its image", resample=job.resample_masks, hint=hint)
        labels = np.where(labels > 0, labels, there).astype(np.uint8)
    return labels, notes


def _pleura_of(job: Job, mask: Mask) -> dict[int, int]:
    """Which values of a mask are pleural fluid or free gas; empty for formats with overlapping segments."""
    if mask.mapped:
        return {}
    spoken = dict(job.pleura)
    top = int(mask.array.max())
    out = {int(key): label for key, label in spoken.items() if key.isdecimal() and 0 < int(key) <= top}
    for value, name in mask.names.items():
        label = spoken.get(name.strip().lower(), _NAMES.get(name.strip().lower()))
        if label is not None and 0 < value <= top:
            out.setdefault(value, label)
    return out


def _without(mask: Mask, pleura: Mapping[int, int]) -> Mask:
    if not pleura:
        return mask
    array = np.where(np.isin(mask.array, list(pleura)), 0, mask.array).astype(mask.array.dtype)
    names = {value: name for value, name in mask.names.items() if value not in pleura}
    return replace(mask, array=array, names=names)


def _describe(
    job: Job, volume: Volume, labels: npt.NDArray[np.uint8], notes: list[tuple[str, str]]
) -> VolumeSubject:

    given = Segmentation(
        LabelVolume(np.where(labels > 2, 0, labels).astype(np.uint8), volume.affine, LUNGS),
        ModelInfo("given", ""),
    )
    flags = [*check_volume(volume, given), *check_segmentation(volume, given)]
    codes = tuple(dict.fromkeys(flag.code for flag in flags))
    return VolumeSubject(job.id, 1, codes, tuple(notes))
