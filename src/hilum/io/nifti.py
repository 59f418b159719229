"""NIfTI-1 and NIfTI-2: single files, gzipped files and .hdr/.img pairs.

The header is parsed with nibabel; the voxels are decompressed with isal straight into the array that is
returned, so that a scan of int16 is in memory once. Standard: Cox et al., NIfTI-1 Data Format (2004),
https://nifti.nimh.nih.gov/nifti-1.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.spatialimages import HeaderDataError

from hilum.core.affines import corner_distance
from hilum.core.errors import GeometryError, InputError
from hilum.core.flags import FlagCode, Note
from hilum.core.sentences import Sentence
from hilum.core.volume import ScanMeta, Volume, check_affine
from hilum.io.checks import RawImage, check_size, spatial_shape, to_volume
from hilum.io.names import scan_name
from hilum.io.stream import drain, is_gzip, open_stream, readable, skip_bytes
from hilum.io.voxels import read_voxels

__all__ = ["is_nifti_header", "load_nifti", "read_nifti"]

_MAGICS = (b"n+1\0", b"ni1\0", b"n+2\0", b"ni2\0")
_PAIR_MAGICS = (b"ni1\0", b"ni2\0")
#: Extensions between header and voxels have some kB.
_MOST_OFFSET_BYTES = 2**28
_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # spatial codes of xyzt_units: unknown, metre, mm, micron
_UNIT_NAMES = {1: "metres", 3: "micrometres"}
#: sform and qform may differ by the rounding of float32 quaternions, at most a few tenths of a millimetre at
#: the corner of a chest CT; more is a real disagreement.
_FORM_TOLERANCE_MM = 0.5
_CONVERT = "Convert the scan again from DICOM, or correct the header."


@dataclass(frozen=True, eq=False)
class _Geometry:
    """Affine (voxel to RAS mm) and notes about it."""

    affine: npt.NDArray[np.float64]
    orientation_known: bool
    spacing_known: bool
    notes: tuple[Note, ...]


def read_nifti(path: Path) -> Volume:
    """Read a CT from NIfTI.

    Raises:
        InputError: Not NIfTI, truncated, corrupt, 4-D, or not HU.
        GeometryError: Its place in space cannot be trusted.
    """
    return to_volume(load_nifti(path))


def load_nifti(path: Path) -> RawImage:
    """Read array and geometry of a NIfTI file without checking its intensities.

    Voxels are int16 where they are whole and fit, else float32; slope and intercept are applied where they
    are not 1 and 0.

    Args:
        path: ``.nii``, ``.nii.gz``, or either file of a ``.hdr``/``.img`` pair.
    """
    header_path, data_path = _pair(path)
    with readable(header_path), open_stream(header_path, ahead=False) as stream:
        header = _parse_header(stream, header_path)
    single = header["magic"].item() not in (magic.rstrip(b"\0") for magic in _PAIR_MAGICS)
    if single:
        data_path = header_path
    elif data_path == header_path:
        raise InputError(
            Sentence("{file:path} is the header of a .hdr/.img pair and holds no voxels.", path=path.name),
            "Call the two files NAME.hdr and NAME.img and give either.",
        )
    stored = _stored_shape(header)
    shape = spatial_shape(stored)
    dtype = _voxel_type(header)
    with np.errstate(all="ignore"):  # numbers beyond all bounds are refused by check_affine
        geometry = _geometry(header, shape)
    check_affine(geometry.affine)  # before any voxel is read
    with readable(data_path):
        offset = _offset(header, data_path, single=single)
        size = data_path.stat().st_size
        check_size(
            stored,
            dtype.itemsize,
            size if is_gzip(data_path) else size - offset,
            compressed=is_gzip(data_path),
        )
        with open_stream(data_path) as stream:
            skip_bytes(stream, offset)
            flat = read_voxels(stream, dtype, prod(shape), *_scaling(header))
            drain(stream)
    meta = ScanMeta(
        name=scan_name(path),
        source_format="nifti",
        stored_shape=stored,
        spacing_known=geometry.spacing_known,
        orientation_known=geometry.orientation_known,
        notes=geometry.notes,
    )
    return RawImage(flat.reshape(shape, order="F"), geometry.affine, meta)


def is_nifti_header(head: bytes) -> bool:
    """Whether the first 352 or more (decompressed) bytes of a file are a NIfTI header."""
    size = {int.from_bytes(head[:4], order) for order in ("little", "big")}
    return (348 in size and head[344:348] in _MAGICS) or (540 in size and head[4:8] in _MAGICS)


def _pair(path: Path) -> tuple[Path, Path]:
    """Header and data file; they are the same for a single file."""
    name = path.name.lower()
    for mine, other in ((".img", ".hdr"), (".hdr", ".img")):
        for end in (mine, mine + ".gz"):
            if not name.endswith(end):
                continue
            stem = path.name[: -len(end)]
            found = [p for s in (other, other + ".gz") if (p := path.with_name(stem + s)).exists()]
            if not found:
                raise InputError(
                    Sentence(
                        "{file:path} is half of a .hdr/.img pair, and the file {file:other} is missing.",
                        path=path.name,
                        other=stem + other,
                    ),
                    "Put both files into one folder.",
                )
            return (path, found[0]) if mine == ".hdr" else (found[0], path)
    return path, path


def _parse_header(stream: BinaryIO, path: Path) -> Any:
    head = stream.read(348)
    long = 540 in {int.from_bytes(head[:4], order) for order in ("little", "big")}
    if long:
        head += stream.read(192)
    if not is_nifti_header(head):
        if len(head) == 348 and 348 in {int.from_bytes(head[:4], order) for order in ("little", "big")}:
            raise InputError(
                Sentence(
                    "{file:path} is Analyze 7.5, which does not hold the orientation of the patient.",
                    path=path.name,
                ),
                "Convert the scan from DICOM to NIfTI.",
            )
        raise InputError(
            Sentence("{file:path} is not NIfTI: it has no NIfTI header.", path=path.name),
            "Check that the name fits the content.",
        )
    if len(head) < (540 if long else 348):
        raise EOFError
    kind = nib.Nifti2Header if long else nib.Nifti1Header
    return kind(head, check=False)


def _stored_shape(header: Any) -> tuple[int, ...]:
    dims = [int(n) for n in header["dim"]]
    if not 1 <= dims[0] <= 7:
        raise InputError(f"The NIfTI header gives {dims[0]} axes, so it is broken.", "Get the file again.")
    return tuple(dims[1 : dims[0] + 1])


def _voxel_type(header: Any) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = header.get_data_dtype()
    except (KeyError, HeaderDataError) as error:
        raise InputError(
            f"The NIfTI data type {int(header['datatype'])} is not known.", "Convert the scan again."
        ) from error
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        what = "RGB colours" if dtype.kind == "V" else f"voxels of type {dtype}"
        raise InputError(
            f"The NIfTI file holds {what}, not intensities of a CT.", "Save the scan as 16-bit HU."
        )
    return dtype


def _offset(header: Any, path: Path, *, single: bool) -> int:
    offset = float(header["vox_offset"])
    start = int(header["sizeof_hdr"]) + 4 if single else 0
    if single and offset == 0:  # some writers leave it out
        return start
    if not np.isfinite(offset) or offset < max(start - 4, 0) or offset > _MOST_OFFSET_BYTES:
        raise InputError(
            Sentence(
                "{file:path} has a broken header: its data start at byte {offset}.",
                path=path.name,
                offset=f"{offset:g}",
            ),
            _CONVERT,
        )
    return int(offset)


def _scaling(header: Any) -> tuple[float, float]:
    try:
        slope, inter = header.get_slope_inter()
    except HeaderDataError as error:
        raise InputError("The NIfTI header holds a scale that is not a number.", _CONVERT) from error
    return (1.0 if slope is None else float(slope)), (0.0 if inter is None else float(inter))


def _geometry(header: Any, shape: tuple[int, int, int]) -> _Geometry:
    """Read the affine: sform where its code is set, else qform, else the bare spacing."""
    notes: list[Note] = []
    unit = int(header["xyzt_units"]) & 7
    factor = _MM.get(unit)
    if factor is None:
        raise GeometryError(f"The header gives voxel sizes in the unknown unit {unit}.", _CONVERT)
    if unit in _UNIT_NAMES:
        notes.append(
            (FlagCode.UNITS_CONVERTED, f"The header gives {_UNIT_NAMES[unit]}; they were made millimetres.")
        )
    sform = np.asarray(header.get_sform(), np.float64) if int(header["sform_code"]) > 0 else None
    qform = _qform(header)
    if sform is not None and qform is not None and _is_usable(qform) and not _is_usable(sform):
        sform = None
        notes.append(
            (
                FlagCode.SFORM_QFORM_DISAGREE,
                "Of the two positions in the header one, the sform, is broken; the qform was used. Compare "
                "right and left with the original.",
            )
        )
    if qform is None and sform is None and int(header["qform_code"]) > 0:
        raise GeometryError("The qform of the header is broken: its quaternion is not a rotation.", _CONVERT)
    chosen = sform if sform is not None else qform
    known = chosen is not None
    if chosen is None:
        _check_pixdim(header, None, shape)
        chosen = np.asarray(header.get_base_affine(), np.float64)
        notes.append(
            (
                FlagCode.ORIENTATION_UNKNOWN,
                "The header does not say how the patient lies (sform and qform codes are 0): "
                "right and left may be swapped.",
            )
        )
    else:
        notes += _check_pixdim(header, chosen, shape)
    if sform is not None and qform is not None:
        notes += _compare_forms(sform, qform, shape, factor)
    affine, thickness_known = _with_normal(chosen, flat=shape[2] == 1, stored_axes=int(header["dim"][0]))
    spacing_known = thickness_known and (known or int(header["dim"][0]) > 2)
    if not spacing_known:
        notes.append(
            (FlagCode.SLICE_THICKNESS_UNKNOWN, "The header of the slice holds no thickness; 1 mm was taken.")
        )
    affine[:3] *= factor
    return _Geometry(affine, known, spacing_known, tuple(notes))


def _is_usable(affine: npt.NDArray[np.float64]) -> bool:
    try:
        check_affine(affine)
    except GeometryError:
        return False
    return True


def _qform(header: Any) -> npt.NDArray[np.float64] | None:
    """The qform where its code is set and its quaternion is a rotation."""
    if int(header["qform_code"]) <= 0:
        return None
    header = header.copy()
    if float(header["pixdim"][0]) not in (-1.0, 1.0):
        header["pixdim"][0] = 1  # the standard reads 0 as 1
    header["pixdim"][1:4] = np.abs(header["pixdim"][1:4])
    with suppress(ValueError, HeaderDataError):
        return np.asarray(header.get_qform(), np.float64)
    return None


def _check_pixdim(
    header: Any, affine: npt.NDArray[np.float64] | None, shape: tuple[int, int, int]
) -> list[Note]:
    """Compare pixdim with the affine: other programs take the voxel size from there.

    Raises:
        GeometryError: pixdim is zero or not a number along an axis with more than one voxel.
    """
    axes = [axis for axis in range(3) if shape[axis] > 1]
    pixdim = np.abs(np.asarray(header["pixdim"][1:4], np.float64))[axes]
    if not np.isfinite(pixdim).all() or (pixdim == 0).any():
        raise GeometryError(
            "The voxel spacing in the header (pixdim) is zero or not a number, so volumes cannot be "
            "measured.",
            _CONVERT,
        )
    if affine is None:
        return []
    spacing = np.linalg.norm(affine[:3, :3], axis=0)[axes]
    if np.allclose(spacing, pixdim, rtol=0.01):
        return []
    given, used = (" x ".join(f"{v:.3g}" for v in values) for values in (pixdim, spacing))
    return [
        (
            FlagCode.SPACING_DISAGREES,
            f"The header gives the voxel size {given} in one place (pixdim) and {used} in another; "
            "the second was used. Compare with the scanner's protocol.",
        )
    ]


def _compare_forms(
    sform: npt.NDArray[np.float64], qform: npt.NDArray[np.float64], shape: tuple[int, int, int], factor: float
) -> list[Note]:
    worst = corner_distance(sform, qform, shape) * factor
    if worst <= _FORM_TOLERANCE_MM:
        return []
    return [
        (
            FlagCode.SFORM_QFORM_DISAGREE,
            f"The header holds two positions of the scan that differ by up to {worst:.3g} mm; the sform was "
            "used. Compare right and left with the original.",
        )
    ]


def _with_normal(
    affine: npt.NDArray[np.float64], *, flat: bool, stored_axes: int
) -> tuple[npt.NDArray[np.float64], bool]:
    """Give a single slice whose third direction is empty a normal of 1 mm; say whether there was one.

    Only a file with two axes may leave the direction out: a zero in a 3-D file is an error for the caller.
    """
    affine = affine.copy()
    if not flat or stored_axes > 2 or np.linalg.norm(affine[:3, 2]) > 1e-6:
        return affine, True
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    length = np.linalg.norm(normal)
    affine[:3, 2] = normal / length if length > 0 else 0.0
    return affine, False
