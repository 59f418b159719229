"""The files of the vessels: a table of their pieces, and their surface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LOBES, LUNGS, VESSELS
from hilum.core.volume import Volume
from hilum.imaging.mesh import surface_mesh
from hilum.io import write_csv
from hilum.io.meshes import Surface, write_glb, write_stl
from hilum.tasks.spec import TaskResult
from hilum.tasks.vessels.measures import MeasuredVessels
from hilum.tasks.vessels.pieces import VesselPieces

__all__ = ["PIECE_COLUMNS", "write_vessel_files"]

#: Columns of ``vessel_pieces.csv``; the middle of the piece in RAS mm.
PIECE_COLUMNS = (
    "id", "side", "lobe", "x", "y", "z", "length_mm", "area_mm2", "volume_ml", "mask_radius_mm", "mask_ml",
)  # fmt: skip
#: Share of the triangles of marching cubes that is kept.
_KEPT = 0.2
#: Decimals of what is measured.
_DIGITS = 4
_SIDES = {info.value: info.name.split("_")[0] for info in LUNGS.values()}


def write_vessel_files(volume: Volume, found: TaskResult, place: Callable[[str], Path]) -> None:
    """Write the table of the pieces and the surface of the vessels.

    Args:
        volume: The scan.
        found: What the task ``vessels`` gave for it; ``details`` are the measured vessels.
        place: Turns the name of a file into its path.

    Raises:
        OutputError: A file cannot be written.
    """
    details = found.details
    # Where the volumes by calibre are withheld, those of the pieces are not to be trusted either.
    if isinstance(details, MeasuredVessels) and found.measures["vessels"]["bv5"].value is not None:
        lobes = found.segmentation.beside.get(LOBES.name)
        write_csv(place("vessel_pieces.csv"), PIECE_COLUMNS, _rows(details.pieces, lobes))
    mesh = surface_mesh(found.segmentation.labels.data > 0, volume.affine, smoothing=4, keep=_KEPT)
    if len(mesh.faces):
        red, green, blue = (value / 255 for value in VESSELS[1].colour)
        surface = Surface("vessels", mesh.vertices, mesh.faces, (red, green, blue, 1.0))
        write_stl(place("vessels.stl"), surface)
        write_glb(place("vessels.glb"), [surface])


def _rows(pieces: VesselPieces, lobes: LabelVolume | None) -> Iterator[tuple[object, ...]]:
    area = pieces.area_mm2
    lobe = [""] * len(pieces.length_mm) if lobes is None else _lobes(pieces, lobes)
    for n in range(len(pieces.length_mm)):
        yield (
            n,
            _SIDES[int(pieces.side[n])],
            lobe[n],
            *(round(float(value), 2) for value in pieces.centre[n]),
            *(
                round(float(values[n]), _DIGITS)
                for values in (pieces.length_mm, area, pieces.volume_ml, pieces.radius_mm, pieces.mask_ml)
            ),
        )


def _lobes(pieces: VesselPieces, lobes: LabelVolume) -> list[str]:
    """Name of the lobe that the middle of each piece lies in; empty outside of all."""
    inverse = np.linalg.inv(lobes.affine)
    index = np.rint(pieces.centre @ inverse[:3, :3].T + inverse[:3, 3]).astype(np.intp)
    index = np.clip(index, 0, np.array(lobes.data.shape) - 1)
    names = {value: info.name for value, info in LOBES.items()}
    return [names.get(value, "") for value in lobes.data[tuple(index.T)].tolist()]
