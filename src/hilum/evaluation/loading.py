"""Cases from files: reading masks and scans onto one grid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from hilum.anatomy.given import part_sides
from hilum.core.errors import InputError
from hilum.core.flags import FlagCode, Severity
from hilum.core.sentences import Sentence
from hilum.core.volume import Volume
from hilum.evaluation.cases import Case, Grid, SideChoice
from hilum.evaluation.class_labels import ClassNames, class_names, to_classes
from hilum.evaluation.class_parts import ClassParts
from hilum.evaluation.class_sets import ClassSet, any_classes, class_set
from hilum.evaluation.files import MaskFiles
from hilum.io import read
from hilum.io.mask import Mask
from hilum.io.mask_grid import place
from hilum.io.masks import as_lungs, load_mask, load_parts
from hilum.io.vocabulary import BOTH, LabelMap

__all__ = ["load_case", "load_classes"]

_GRID_HINT = "Resample the mask to that grid (nearest neighbour) first."
#: Canonical (RAS) axes of stack, rows and columns of slices, by the axis of the stack.
_ORDER = {2: (2, 1, 0), 1: (1, 2, 0), 0: (0, 2, 1)}
_AXIAL = np.array([[0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float64)


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
    volume, prediction, reference = _on_grid(found, drawn, files)
    if 1 not in volume.shape and not reference.any():
        raise InputError(
            f"The reference {files.reference.name} holds no lung, so it cannot be evaluated against.",
            Sentence("Check that it is the right file, and that {option:ref_labels} fits it."),
        )
    prediction = _with_sides(prediction, found, volume, files.prediction.name, sides)
    reference = _with_sides(reference, drawn, volume, files.reference.name, sides)
    return _case(files, volume, prediction, reference, sides)


def load_classes(
    files: MaskFiles,
    task: str,
    *,
    labels: ClassNames | None = None,
    ref_labels: ClassNames | None = None,
) -> tuple[Case, ClassSet]:
    """Read the files of a case of label maps with several classes onto one grid.

    Args:
        files: What belongs together.
        task: What the label maps show; see :data:`hilum.evaluation.class_sets.EVALUATED`.
        labels: Meaning of the values of the prediction; None if the file states it, or they are those of the
            label contract.
        ref_labels: The same for the reference.

    Returns:
        The case with the values of the classes, and the classes; where the task leaves them open, those that
        the two files name.

    Raises:
        InputError: A file cannot be read, or a mask holds values of unknown meaning.
        GeometryError: They are not on one grid.
    """
    classes = class_set(task)
    found = load_parts(files.prediction, ClassParts(classes, labels, "labels"))
    drawn = load_parts(files.reference, ClassParts(classes, ref_labels, "ref_labels"))
    found_names = class_names(found, labels, classes, files.prediction.name, "labels")
    drawn_names = class_names(drawn, ref_labels, classes, files.reference.name, "ref_labels")
    if classes is None:
        classes = any_classes([*drawn_names.values(), *found_names.values()])
    found = replace(found, array=to_classes(found, found_names, classes))
    drawn = replace(drawn, array=to_classes(drawn, drawn_names, classes))
    volume, prediction, reference = _on_grid(found, drawn, files)
    if files.within is not None:
        lungs = _lungs(files.within, None, "labels")
        outside = place(lungs, volume, files.within.name, files.reference.name, hint=_GRID_HINT)[0] == 0
        prediction, reference = (np.where(outside, 0, labels) for labels in (prediction, reference))
    return _case(files, volume, prediction, reference, SideChoice.NO), classes


def _case(
    files: MaskFiles,
    volume: Volume,
    prediction: npt.NDArray[np.uint8],
    reference: npt.NDArray[np.uint8],
    sides: SideChoice,
) -> Case:
    stacked = _Stack(volume)
    return Case(
        name=files.name,
        subject=files.name,
        prediction=stacked(prediction),
        reference=stacked(reference),
        grid=stacked.grid,
        hu=None if files.ct is None else stacked(volume.hu),
        sides=sides,
        affine=stacked.affine,
    )


def _lungs(path: Path, labels: LabelMap | None, option: str) -> Mask:
    return as_lungs(load_mask(path, labels), labels, path.name, option)


def _on_grid(
    found: Mask, drawn: Mask, files: MaskFiles
) -> tuple[Volume, npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Bring two masks to the grid of the scan, or to that of one of them."""
    if files.ct is None:
        return _on_one_grid(found, drawn, files)
    volume = read(files.ct)
    prediction, reference = (
        place(mask, volume, path.name, files.ct.name, hint=_GRID_HINT)[0]
        for mask, path in ((found, files.prediction), (drawn, files.reference))
    )
    return volume, prediction, reference


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
        self._canonical_affine, self._shape = canonical.affine, canonical.shape

    def __call__(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        canonical = nib.apply_orientation(array, self._ornt)
        # Rows and columns increase towards inferior, posterior and the patient's left: against RAS.
        out: npt.NDArray[Any] = np.transpose(canonical, self._order)[:, ::-1, ::-1]
        return out

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """Matrix from index (slice, row, column) to RAS mm."""
        stack, rows, cols = self._order
        turn = np.zeros((4, 4))
        turn[stack, 0], turn[rows, 1], turn[cols, 2], turn[3, 3] = 1, -1, -1, 1
        turn[rows, 3], turn[cols, 3] = self._shape[rows] - 1, self._shape[cols] - 1
        return np.asarray(self._canonical_affine @ turn)
