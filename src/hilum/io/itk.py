"""The formats of ITK, NRRD and MetaImage: header and voxels made a scan in RAS."""

from __future__ import annotations

from pathlib import Path

from hilum.io.finish import RawImage, finish, spatial_shape
from hilum.io.metaimage import read_metaimage_header
from hilum.io.names import scan_name
from hilum.io.nrrd import read_nrrd_header
from hilum.io.raster import load_voxels
from hilum.io.stream import read_head, readable
from hilum.volume import ScanMeta, Volume, check_affine

__all__ = ["load_itk", "read_itk"]


def read_itk(path: Path, *, within: Path | None = None) -> Volume:
    """Read a CT from NRRD (``.nrrd``, ``.nhdr``) or MetaImage (``.mha``, ``.mhd``).

    Args:
        path: The file, or the header of data in other files.
        within: A folder that the data files must not lie outside of, as for the content of an archive.

    Raises:
        InputError: Truncated, corrupt, not scalar, more than one volume, or not HU.
        GeometryError: Zero spacing, or directions that do not span space.
    """
    return finish(load_itk(path, within=within))


def load_itk(path: Path, *, within: Path | None = None) -> RawImage:
    """Read array and geometry without a word on the intensities. Arguments as in :func:`read_itk`."""
    is_nrrd = read_head(path, 4) == b"NRRD"
    with readable(path):
        raster = read_nrrd_header(path, within) if is_nrrd else read_metaimage_header(path, within)
    shape = spatial_shape(raster.shape)
    flat = len(raster.shape) == 2
    check_affine(raster.affine)  # before any voxel is read
    array = load_voxels(raster).reshape(shape, order="F")
    told = raster.orientation_told and not flat
    meta = ScanMeta(
        name=scan_name(path),
        source_format="nrrd" if is_nrrd else "metaimage",
        stored_shape=raster.shape,
        spacing_known=raster.spacing_told and not flat,
        orientation_known=told,
        notes=(*raster.notes, *_notes(told=told, spaced=raster.spacing_told, flat=flat)),
    )
    return RawImage(array, raster.affine, meta)


def _notes(*, told: bool, spaced: bool, flat: bool) -> tuple[tuple[str, str], ...]:
    notes = []
    if not told:
        notes.append(
            (
                "orientation_unknown",
                "The header does not say how the patient lies: right and left may be swapped.",
            )
        )
    if not spaced:
        notes.append(("spacing_unknown", "The header holds no voxel spacing; 1 mm was taken."))
    elif flat:
        notes.append(
            ("slice_thickness_unknown", "The header of the slice holds no thickness; 1 mm was taken.")
        )
    return tuple(notes)
