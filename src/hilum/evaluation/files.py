"""Masks from files: matching predictions to references, and reading them as cases."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from hilum.anatomy.given import part_sides
from hilum.core.errors import InputError
from hilum.core.flags import FlagCode, Severity
from hilum.core.labels import LUNGS
from hilum.core.sentences import Sentence
from hilum.core.volume import Volume
from hilum.evaluation.cases import Case, Grid, SideChoice
from hilum.io import read, scan_name
from hilum.io.mask import Mask
from hilum.io.mask_folder import holds_structures
from hilum.io.mask_grid import place
from hilum.io.masks import as_lungs, load_mask
from hilum.io.names import MASK_TAILS, VOLUME_SUFFIXES
from hilum.io.stream import readable
from hilum.io.vocabulary import BOTH, LabelMap
from hilum.io.write import LabelFormat
from hilum.tasks.registry import TASKS

__all__ = ["MaskFiles", "load_case", "match"]

_MASK_SUFFIXES = (*VOLUME_SUFFIXES, ".png", ".dcm")
_GRID_HINT = "Resample the mask to that grid (nearest neighbour) first."
#: Suffixes that programs add to the name of a scan for its image.
_IMAGE_TAILS = ("ct", "image", "img", "0000")
#: Mask that ``hilum segment`` writes into a folder named after the scan.
_INNER = tuple(TASKS[LUNGS.name].file_name(kind.suffix) for kind in LabelFormat)
_SHOWN = 3
#: Canonical (RAS) axes of stack, rows and columns of slices, by the axis of the stack.
_ORDER = {2: (2, 1, 0), 1: (1, 2, 0), 0: (0, 2, 1)}
_AXIAL = np.array([[0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float64)


@dataclass(frozen=True)
class MaskFiles:
    """The files of one case.

    Attributes:
        name: What the case is called.
        prediction: Predicted mask.
        reference: Reference mask.
        ct: The scan, or None.
    """

    name: str
    prediction: Path
    reference: Path
    ct: Path | None = None


def match(
    prediction: Path, reference: Path, ct: Path | None = None, *, matched_only: bool = False
) -> list[MaskFiles]:
    """Match predictions to references.

    Two single files are matched regardless of their names. In folders, files match by name, without the
    suffix and an ending such as ``_lungs``, ``_mask`` or ``_ct``. A folder may also be output of ``hilum
    segment``, a folder per scan with ``lungs.nii.gz`` in it, or of TotalSegmentator, a folder per scan with
    one file per structure.

    Args:
        prediction: File or folder.
        reference: File or folder.
        ct: File or folder with the scans.
        matched_only: Skip files without a counterpart.

    Returns:
        The cases in order of their names.

    Raises:
        InputError: A file is missing, is not a mask, or has no counterpart.
    """
    for path in (prediction, reference, ct):
        if path is not None:
            with readable(path):
                path.stat()
    one, other = (path.is_dir() and not holds_structures(path) for path in (prediction, reference))
    if one != other:
        folder, file = (prediction, reference) if one else (reference, prediction)
        raise InputError(
            f"{folder.name or folder} is a folder and {file.name} is a file.",
            "Give two files or two folders.",
        )
    if not one:
        scan = None if ct is None else _single_scan(ct, reference)
        return [MaskFiles(_key(scan_name(reference))[0], prediction, reference, scan)]
    found, drawn = _listed(prediction, inner=True), _listed(reference, inner=True)
    scans = None if ct is None else _listed(ct, inner=False) if ct.is_dir() else {}
    keys = set(found) & set(drawn)
    if not matched_only:
        _refuse(set(found) - keys, "prediction", "reference")
        _refuse(set(drawn) - keys, "reference", "prediction")
    if scans is not None:
        if not matched_only:
            _refuse(keys - set(scans), "case", "CT")
        keys &= set(scans)
    if not keys:
        raise InputError(
            "No prediction has a reference of the same name.",
            "Give two folders whose files have equal names.",
        )
    return [
        MaskFiles(key, found[key], drawn[key], None if scans is None else scans[key]) for key in sorted(keys)
    ]


def load_case(
    files: MaskFiles,
    *,
    labels: LabelMap | None = None,
    ref_labels: LabelMap | None = None,
    sides: SideChoice = SideChoice.AUTO,
) -> Case:
    """Read the files of a case onto one grid.

    Args:
        files: What belongs together.
        labels: Meaning of the values of the prediction; None if the file states it, or they are 0, 1 and 2.
        ref_labels: The same for the reference.
        sides: Whether to compare right and left lung separately.

    Raises:
        InputError: A file cannot be read, a mask holds values of unknown meaning, or the
            reference holds no lung.
        GeometryError: They are not on one grid.
    """
    found = _lungs(files.prediction, labels, "labels")
    drawn = _lungs(files.reference, ref_labels, "ref_labels")
    if files.ct is not None:
        volume = read(files.ct)
        prediction, reference = (
            place(mask, volume, path.name, files.ct.name, hint=_GRID_HINT)[0]
            for mask, path in ((found, files.prediction), (drawn, files.reference))
        )
    else:
        volume, prediction, reference = _on_one_grid(found, drawn, files)
    if 1 not in volume.shape and not reference.any():
        raise InputError(
            f"The reference {files.reference.name} holds no lung, so it cannot be evaluated against.",
            Sentence("Check that it is the right file, and that {option:ref_labels} fits it."),
        )
    stacked = _Stack(volume)
    return Case(
        name=files.name,
        subject=files.name,
        prediction=stacked(_with_sides(prediction, found, volume, files.prediction.name, sides)),
        reference=stacked(_with_sides(reference, drawn, volume, files.reference.name, sides)),
        grid=stacked.grid,
        hu=None if files.ct is None else stacked(volume.hu),
        sides=sides,
    )


def _lungs(path: Path, labels: LabelMap | None, option: str) -> Mask:
    return as_lungs(load_mask(path, labels), labels, path.name, option)


def _on_one_grid(
    found: Mask, drawn: Mask, files: MaskFiles
) -> tuple[Volume, npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Pad two masks to the grid of the larger one, so that one may be cropped to its lungs."""
    names = files.prediction.name, files.reference.name
    if drawn.cropped and found.array.size > drawn.array.size:
        volume = _grid_of(found)
        placed = place(drawn, volume, names[1], names[0], hint=_GRID_HINT)[0]
        return volume, found.array, placed
    volume = _grid_of(drawn)
    return volume, place(found, volume, *names, hint=_GRID_HINT)[0], drawn.array


def _grid_of(mask: Mask) -> Volume:
    """Return the grid of a mask, as a volume without HU."""
    flat = mask.array.shape[2] == 1 and not mask.meta.orientation_known and not mask.meta.spacing_known
    affine = _AXIAL if flat else mask.affine
    return Volume(np.broadcast_to(np.int16(0), mask.array.shape), affine, mask.meta)


def _with_sides(
    labels: npt.NDArray[np.uint8], mask: Mask, volume: Volume, name: str, sides: SideChoice
) -> npt.NDArray[np.uint8]:
    """Return labels of 0, 1 and 2. If sides are requested, a label for both lungs is split."""
    if sides is SideChoice.YES:
        labels, flags = part_sides(labels, volume, mapped=mask.mapped)
        doubts = [flag.reason for flag in flags if flag.severity is Severity.ERROR]
        if doubts:
            raise InputError(
                f"{name}: {doubts[0]}", Sentence("Use {set:sides=no}, or give masks with two labels.")
            )
    return np.minimum(labels, 1) if labels.max() == BOTH else labels


def _listed(folder: Path, *, inner: bool) -> dict[str, Path]:
    """Return the files of a folder by the name used for matching."""
    with readable(folder):
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    paths: list[tuple[str, Path]] = []
    for entry in entries:
        if entry.is_dir():
            masks = _inner(entry) if inner else [entry]
            paths += [(entry.name, path) for path in masks[:1]]
        elif entry.name.lower().endswith(_MASK_SUFFIXES if inner else (*_MASK_SUFFIXES, ".zip")):
            paths.append((scan_name(entry), entry))
    if not paths:
        what = "masks that hilum reads" if inner else "scans that hilum reads"
        raise InputError(f"The folder {folder.name or folder} holds no {what}.", "Check the path.")
    grouped: dict[str, dict[bool, list[Path]]] = {}
    for name, path in paths:
        key, is_mask = _key(name)
        grouped.setdefault(key, {}).setdefault(is_mask, []).append(path)
    out: dict[str, Path] = {}
    for key, kinds in grouped.items():
        # If scans and masks are in one folder, the ending of the name distinguishes them.
        chosen = kinds.get(inner) or kinds[not inner]
        if len(chosen) > 1:
            raise InputError(
                f"{chosen[0].name} and {chosen[1].name} in {folder.name} have the same name {key!r}.",
                "Keep one file per scan in the folder.",
            )
        out[key] = chosen[0]
    return out


def _inner(folder: Path) -> list[Path]:
    """Return the candidate masks in the folder of a scan."""
    files = [folder / name for name in _INNER if (folder / name).is_file()]
    return files + [path for path in (folder, folder / "segmentations") if holds_structures(path)]


def _key(name: str) -> tuple[str, bool]:
    """Return the name without the ending that marks a mask or an image, and whether it marks a mask.

    Examples:
        >>> _key("chest-7_lungs"), _key("chest-7_0000"), _key("lungs")
        (('chest-7', True), ('chest-7', False), ('lungs', False))
    """
    lower = name.lower()
    for tail in (*MASK_TAILS, *_IMAGE_TAILS):
        for joint in "_-.":
            if lower.endswith(joint + tail) and len(name) > len(tail) + 1:
                return name[: -len(tail) - 1], tail in MASK_TAILS
    return name, False


def _single_scan(ct: Path, reference: Path) -> Path:
    if not ct.is_dir():
        return ct
    try:
        return _listed(ct, inner=False)[_key(scan_name(reference))[0]]
    except (KeyError, InputError):
        return ct  # a DICOM folder; otherwise reading it raises an error


def _refuse(alone: Iterable[str], what: str, partner: str) -> None:
    names = sorted(alone)
    if names:
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        verb = f"{what}s have" if len(names) > 1 else f"{what} has"
        raise InputError(
            f"{len(names)} {verb} no {partner} of the same name ({shown}).",
            Sentence("Rename the files, or skip them with {set:matched_only}."),
        )


class _Stack:
    """Converts arrays on the grid of a volume to stacks of slices in display orientation."""

    def __init__(self, volume: Volume) -> None:
        canonical = volume.canonical()
        thin = [axis for axis in (2, 1, 0) if canonical.shape[axis] == 1]
        self._order = _ORDER[thin[0] if thin else 2]
        self._ornt = nib.io_orientation(volume.affine)
        steps = canonical.spacing
        stack, rows, cols = self._order
        known = volume.meta.spacing_known
        stacked = known and FlagCode.SLICE_THICKNESS_UNKNOWN not in {code for code, _ in volume.meta.notes}
        self.grid = Grid(
            pixel_mm=(steps[rows], steps[cols]) if known else None,
            slice_mm=steps[stack] if stacked else None,
            voxel_ml=volume.voxel_volume_ml if stacked else None,
        )

    def __call__(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        canonical = nib.apply_orientation(array, self._ornt)
        # Rows and columns increase towards inferior, posterior and the patient's left: against RAS.
        out: npt.NDArray[Any] = np.transpose(canonical, self._order)[:, ::-1, ::-1]
        return out
