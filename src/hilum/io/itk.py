"""The formats of ITK, NRRD and MetaImage: header and voxels made a scan in RAS."""

from __future__ import annotations

from pathlib import Path

from hilum.core.errors import InputError
from hilum.core.flags import FlagCode, Note
from hilum.core.volume import ScanMeta, Volume, check_affine
from hilum.io.checks import RawImage, spatial_shape, to_volume
from hilum.io.metaimage import read_metaimage_header
from hilum.io.names import scan_name
from hilum.io.nrrd import read_nrrd_header
from hilum.io.raster import Raster, load_voxels, split_layers
from hilum.io.stream import read_head, readable

__all__ = ["load_itk", "load_itk_layers", "read_itk"]


def read_itk(path: Path, *, within: Path | None = None) -> Volume:
    """Read a CT from NRRD (``.nrrd``, ``.nhdr``) or MetaImage (``.mha``, ``.mhd``).

    Args:
        path: The file, or the header of data in other files.
        within: A folder that the data files must not lie outside of, as for the content of an archive.

    Raises:
        InputError: Truncated, corrupt, not scalar, more than one volume, or not HU.
        GeometryError: Zero spacing, or directions that do not span space.
    """
    return to_volume(load_itk(path, within=within))


def load_itk(path: Path, *, within: Path | None = None) -> RawImage:
    """Read array and geometry without checking the intensities. Arguments as in :func:`read_itk`."""
    raster = _raster(path, within)
    if raster.layers > 1:
        raise InputError(
            f"Every voxel holds {raster.layers} numbers (colours, vectors or time points), a CT has one.",
            "Save the volume that you want as a scalar image.",
        )
    shape = spatial_shape(raster.shape)
    return RawImage(load_voxels(raster).reshape(shape, order="F"), raster.affine, _meta(path, raster))


def load_itk_layers(path: Path) -> list[RawImage]:
    """Read the layers of an image, such as a segmentation, whose voxels hold one number per layer.

    Raises:
        InputError: Truncated, corrupt, or more than one volume.
        GeometryError: Zero spacing, or directions that do not span space.
    """
    raster = _raster(path, None)
    shape, meta = spatial_shape(raster.shape), _meta(path, raster)
    layers = split_layers(raster, load_voxels(raster))
    return [RawImage(layer.reshape(shape, order="F"), raster.affine, meta) for layer in layers]


def _raster(path: Path, within: Path | None) -> Raster:
    """Read the header, and check its geometry before any voxel is read."""
    with readable(path):
        read_header = read_nrrd_header if _is_nrrd(path) else read_metaimage_header
        raster = read_header(path, within)
    check_affine(raster.affine)
    return raster


def _is_nrrd(path: Path) -> bool:
    return read_head(path, 4) == b"NRRD"


def _meta(path: Path, raster: Raster) -> ScanMeta:
    flat = len(raster.shape) == 2
    known = raster.orientation_known and not flat
    return ScanMeta(
        name=scan_name(path),
        source_format="nrrd" if _is_nrrd(path) else "metaimage",
        stored_shape=raster.shape,
        spacing_known=raster.spacing_known and not flat,
        orientation_known=known,
        notes=(*raster.notes, *_notes(known=known, spaced=raster.spacing_known, flat=flat)),
    )


def _notes(*, known: bool, spaced: bool, flat: bool) -> tuple[Note, ...]:
    notes = []
    if not known:
        notes.append(
            (
                FlagCode.ORIENTATION_UNKNOWN,
                "The header does not say how the patient lies: right and left may be swapped.",
            )
        )
    if not spaced:
        notes.append((FlagCode.SPACING_UNKNOWN, "The header holds no voxel spacing; 1 mm was taken."))
    elif flat:
        notes.append(
            (FlagCode.SLICE_THICKNESS_UNKNOWN, "The header of the slice holds no thickness; 1 mm was taken.")
        )
    return tuple(notes)
