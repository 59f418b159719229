"""The CT volume: Hounsfield units with their position in space."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.affines import corner_distance
from hilum.core.errors import GeometryError, InputError, UsageError
from hilum.core.flags import Note
from hilum.core.units import TrueMm, TrueSpacing

__all__ = ["ScanMeta", "Volume"]

_HASHED_VOXELS = 8 * 2**20  # voxels hashed at a time, which bounds the copy where they lie in another order


@dataclass(frozen=True)
class ScanMeta:
    """What the file says about the scan; never a patient identifier.

    Attributes:
        name: Short name of the input: file or folder name without suffix; in a batch, its folder of results.
        source_format: ``nifti``, ``nrrd``, ``metaimage``, ``tiff``, ``dicom`` or ``phantom``.
        stored_shape: Shape of the array in the file, two or three axes; label maps go back to it.
        spacing_known: False where the file holds no voxel size (a bare TIFF); millimetres are then unknown.
        orientation_known: False where the file does not say how the patient lies in the array.
        modality: DICOM modality or empty.
        kernel: Convolution kernel or empty.
        kvp: Tube voltage in kV.
        slice_thickness: Nominal slice thickness in mm, which may differ from the slice distance.
        slice_axis: Axis of the array (0 to 2) across the slices as they were made; None if unknown.
        patient_position: DICOM patient position such as ``HFS`` or ``HFP``.
        contrast: Whether contrast agent was named; None if unknown.
        manufacturer: Scanner maker and model, or empty.
        body_part: DICOM body part examined, or empty.
        series_uid: DICOM series instance UID of the series that was read. Used to link a DICOM SEG to its
            source; it is not written to other outputs.
        files: The files that were read, in slice order (DICOM); used to link a DICOM SEG to its source.
        archive: The zip that was read, or empty; ``files`` are then the names in it.
        predicted_weight_g: Predicted weight of both lungs of this patient in g that the user gave, or None.
        notes: (code, sentence) pairs of what the reader found and did, such as a corrected slice order; the
            quality gate shows them.
    """

    name: str = "scan"
    source_format: str = ""
    stored_shape: tuple[int, ...] = ()
    spacing_known: bool = True
    orientation_known: bool = True
    modality: str = ""
    kernel: str = ""
    kvp: float | None = None
    slice_thickness: float | None = None
    slice_axis: int | None = None
    patient_position: str = ""
    contrast: bool | None = None
    manufacturer: str = ""
    body_part: str = ""
    series_uid: str = ""
    files: tuple[str, ...] = ()
    archive: str = ""
    predicted_weight_g: float | None = None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, eq=False)
class Volume:
    """A CT volume in Hounsfield units.

    Attributes:
        hu: Array of shape (i, j, k) in HU, int16 or float32. A single slice has one axis of length 1.
        affine: 4 x 4 matrix from voxel index to RAS millimetres as in NIfTI-1: +x to the patient's right,
            +y to the front, +z to the head.
        meta: What the file says about the scan.

    Raises:
        InputError: The array is empty, not three-dimensional or of a type that cannot be HU.
        GeometryError: The affine is not 4 x 4, not finite or singular.

    Examples:
        >>> import numpy as np
        >>> vol = Volume(np.zeros((4, 5, 6), np.int16), np.diag([-1.0, -1.0, 2.0, 1.0]))
        >>> vol.spacing
        (1.0, 1.0, 2.0)
        >>> vol.axcodes
        ('L', 'P', 'S')
        >>> vol.canonical().axcodes
        ('R', 'A', 'S')
    """

    hu: npt.NDArray[Any]
    affine: npt.NDArray[np.float64]
    meta: ScanMeta = field(default_factory=ScanMeta)

    def __post_init__(self) -> None:
        hu = np.asarray(self.hu)
        if hu.ndim != 3:
            raise InputError(f"A volume has three axes, this one has {hu.ndim}.")
        if hu.size == 0:
            raise InputError(f"The volume is empty: its shape is {hu.shape}.")
        if hu.dtype not in (np.dtype(np.int16), np.dtype(np.float32)):
            raise InputError(f"HU are held as int16 or float32, not as {hu.dtype}.")
        affine = np.array(self.affine, dtype=np.float64)
        check_affine(affine)
        affine.setflags(write=False)
        object.__setattr__(self, "hu", hu)
        object.__setattr__(self, "affine", affine)
        if not self.meta.stored_shape:
            object.__setattr__(self, "meta", replace(self.meta, stored_shape=hu.shape))

    def __repr__(self) -> str:
        shape = " x ".join(str(n) for n in self.shape)
        spacing = " x ".join(f"{step:.4g}" for step in self.spacing)
        size = f"{spacing} mm" if self.meta.spacing_known else "voxel size not known"
        axes = "".join(self.axcodes) if self.meta.orientation_known else "orientation not known"
        return f"<Volume {self.meta.name!r} {shape} {self.hu.dtype}, {size}, {axes}>"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (i, j, k) of the array."""
        i, j, k = self.hu.shape
        return i, j, k

    @property
    def spacing(self) -> TrueSpacing:
        """Distance between neighbouring voxels along i, j, k in mm."""
        x, y, z = spacing_of(self.affine)
        return TrueMm(x), TrueMm(y), TrueMm(z)

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in mL: the determinant of the affine, so that a sheared grid is right too."""
        return voxel_ml_of(self.affine)

    @property
    def axcodes(self) -> tuple[str, str, str]:
        """Nearest anatomical direction in which each axis grows, such as ``('L', 'P', 'S')``."""
        import nibabel as nib

        a, b, c = nib.aff2axcodes(self.affine)
        return str(a), str(b), str(c)

    def _orientation(self) -> npt.NDArray[np.float64]:
        import nibabel as nib

        ornt: npt.NDArray[np.float64] = nib.io_orientation(self.affine)
        return ornt

    def canonical(self) -> Volume:
        """Return this volume with axes permuted and flipped to the closest RAS+ order.

        Nothing is interpolated: the array is a view of the same voxels. An oblique scan stays oblique.
        """
        import nibabel as nib

        ornt = self._orientation()
        hu = nib.apply_orientation(self.hu, ornt)
        affine = self.affine @ nib.orientations.inv_ornt_aff(ornt, self.shape)
        across = self.meta.slice_axis
        slice_axis = None if across is None else int(ornt[across, 0])
        return Volume(hu, affine, replace(self.meta, stored_shape=hu.shape, slice_axis=slice_axis))

    def restore(self, labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Bring an array on the grid of :meth:`canonical` back to the grid of this volume.

        Args:
            labels: Array of the canonical shape (i, j, k).

        Returns:
            A view of the same voxels in this volume's axis order, shape ``self.shape``.

        Raises:
            UsageError: The shape is not that of ``self.canonical()``.
        """
        import nibabel as nib

        ornt = self._orientation()
        wanted = tuple(int(self.shape[int(np.flatnonzero(ornt[:, 0] == axis)[0])]) for axis in range(3))
        if labels.shape != wanted:
            raise UsageError(f"labels has shape {labels.shape}, expected the canonical shape {wanted}.")
        inverse = np.zeros_like(ornt)
        for axis, (target, flip) in enumerate(ornt):
            inverse[int(target)] = (axis, flip)
        back: npt.NDArray[Any] = nib.apply_orientation(labels, inverse)
        return back

    def stored(self, labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Give ``labels`` (shape ``self.shape``) the shape that the file had, such as 2-D for a slice."""
        return labels.reshape(self.meta.stored_shape)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the voxels and their place, in hexadecimal.

        Copies of a scan have the same fingerprint, whatever their names and however they are compressed; the
        order of the voxels in memory does not count, that of the axes does.
        """
        digest = hashlib.sha256(f"{self.hu.dtype.str[1:]} {self.shape}".encode())
        digest.update(np.ascontiguousarray(self.affine, "<f8").tobytes())
        step = max(1, _HASHED_VOXELS // (self.shape[0] * self.shape[1]))
        for start in range(0, self.shape[2], step):
            block = self.hu[:, :, start : start + step].T
            digest.update(np.ascontiguousarray(block, block.dtype.newbyteorder("<")).data.cast("B"))
        return digest.hexdigest()

    def same_grid(self, other: Volume, tolerance_mm: float = 1e-2) -> bool:
        """Whether two volumes have the same shape and the same corners to ``tolerance_mm``."""
        if self.shape != other.shape:
            return False
        return corner_distance(self.affine, other.affine, self.shape) <= tolerance_mm


def spacing_of(affine: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Distance between neighbouring voxels along i, j, k in mm."""
    x, y, z = np.linalg.norm(affine[:3, :3], axis=0)
    return float(x), float(y), float(z)


def voxel_ml_of(affine: npt.NDArray[np.float64]) -> float:
    """Volume of one voxel in mL: the determinant of the affine, so that a sheared grid is right too."""
    return float(abs(np.linalg.det(affine[:3, :3]))) / 1000.0


def check_affine(affine: npt.NDArray[np.float64]) -> None:
    """Raise :class:`GeometryError` unless ``affine`` is a usable 4 x 4 voxel-to-millimetre matrix."""
    if affine.shape != (4, 4):
        raise GeometryError(f"The affine must be 4 x 4, it is {affine.shape}.")
    if not np.isfinite(affine).all():
        raise GeometryError(
            "The affine holds values that are not numbers, so the position of the voxels is unknown.",
            "Convert the scan again from DICOM.",
        )
    with np.errstate(all="ignore"):  # overflowing numbers give a determinant that is NaN
        columns = np.linalg.norm(affine[:3, :3], axis=0)
        determinant = abs(np.linalg.det(affine[:3, :3] / columns))
    if (columns < 1e-6).any():
        raise GeometryError(
            "The voxel spacing is zero along an axis, so volumes cannot be measured.",
            "Convert the scan again from DICOM, or correct the header.",
        )
    if not determinant >= 1e-3:
        raise GeometryError(
            "The affine is singular: two axes of the scan point the same way.",
            "Convert the scan again from DICOM, or correct the header.",
        )
