"""The files of the airways' tree: JSON, SWC, CSV, and the surface of the lumen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hilum.core.labels import AIRWAYS, LOBES
from hilum.core.version import __version__
from hilum.core.volume import Volume
from hilum.drawing.generations import generation_colour
from hilum.imaging.mesh import Mesh, surface_mesh
from hilum.io import write_csv, write_json
from hilum.io.meshes import Surface, write_glb, write_stl
from hilum.io.swc import SwcPoints, write_swc
from hilum.measures import Group
from hilum.tasks.airways.arteries import ARTERY_RULE
from hilum.tasks.airways.calibre import MeasuredAirways
from hilum.tasks.airways.tree import BRANCH_RULE, LOBE_RULE, AirwayBranch, AirwayTree
from hilum.tasks.spec import TaskResult

__all__ = ["BRANCH_COLUMNS", "TREE_SCHEMA", "write_airway_files"]

TREE_SCHEMA = "hilum.airway_tree/1"
#: Columns of ``airway_branches.csv``; positions in RAS mm.
BRANCH_COLUMNS = (
    "id", "parent", "generation", "side", "lobe", "length_mm",
    "start_x", "start_y", "start_z", "end_x", "end_y", "end_z",
    "lumen_mm", "wall_mm", "lumen_mm2", "wall_area_percent",
    "lumen_half_mm", "wall_half_mm", "wall_area_percent_half",
    "taper_percent_per_mm", "narrowing_percent", "artery_mm", "airway_artery_ratio",
    "rays_percent", "mask_ml",
)  # fmt: skip
#: SWC types of sides and lobes; SWC leaves those from 5 to its users.
_SWC_TYPES = {
    "trachea": 5,
    "right": 6,
    "left": 7,
    **{info.name: 10 + value for value, info in LOBES.items()},
}
#: Share of the triangles of marching cubes that is kept: the files of a tree are then below 2 MB.
_KEPT = 0.3
#: Decimals of what is measured in mm and %.
_DIGITS = 3


def write_airway_files(volume: Volume, found: TaskResult, place: Callable[[str], Path]) -> None:
    """Write the tree and the surface of the lumen.

    Args:
        volume: The scan.
        found: What the task ``airways`` gave for it; ``details`` is the measured tree or None.
        place: Turns the name of a file into its path.

    Raises:
        OutputError: A file cannot be written.
    """
    airways = found.details
    if not isinstance(airways, MeasuredAirways):
        return
    airways = _trusted(airways, found)
    write_json(place("airway_tree.json"), tree_dict(airways))
    write_csv(place("airway_branches.csv"), BRANCH_COLUMNS, _rows(airways.tree))
    write_swc(place("airway_tree.swc"), _swc(airways.tree), _swc_notes())
    lumen = found.segmentation.labels.data == next(iter(AIRWAYS))
    mesh = surface_mesh(lumen, volume.affine, keep=_KEPT)
    if len(mesh.faces):
        write_stl(place("airways.stl"), Surface("airways", mesh.vertices, mesh.faces))
        write_glb(place("airways.glb"), _by_generation(mesh, airways.tree))


def tree_dict(airways: MeasuredAirways) -> dict[str, object]:
    """Return a measured tree as plain data: the content of ``airway_tree.json``."""
    blur = airways.blur
    return {
        "schema": TREE_SCHEMA,
        "hilum": __version__,
        "space": "RAS mm",
        "branch_rule": BRANCH_RULE,
        "lobe_rule": LOBE_RULE if airways.lobes else None,
        "artery_rule": ARTERY_RULE if airways.arteries else None,
        "blur": {
            "in_plane_mm": round(blur.in_plane_mm, _DIGITS),
            "through_mm": round(blur.through_mm, _DIGITS),
            "measured": blur.measured,
        },
        "lumen_hu": round(airways.lumen_hu, 1),
        "branches": [_branch_dict(index, branch) for index, branch in enumerate(airways.tree.branches)],
    }


def _trusted(airways: MeasuredAirways, found: TaskResult) -> MeasuredAirways:
    """Leave out calibres that a quality flag forbids."""
    forbidden = {group for flag in found.measures.flags for group in flag.forbids}
    if not forbidden & {Group.ALL.value, Group.DENSITY.value}:
        return airways
    return replace(airways, tree=airways.tree.with_calibres([None] * len(airways.tree.branches)))


def _branch_dict(index: int, branch: AirwayBranch) -> dict[str, object]:
    found = branch.calibre
    row: dict[str, object] = {
        "id": index,
        "parent": branch.parent if branch.parent >= 0 else None,
        "generation": branch.generation,
        "side": branch.side,
        "lobe": branch.lobe or None,
        "length_mm": round(branch.length_mm, _DIGITS),
        "points": np.round(branch.points, 2).tolist(),
        "mask_radii_mm": np.round(branch.mask_radii, 2).tolist(),
        "lumen_mm": None,
        "wall_mm": None,
        "artery_mm": None,
        "stations": None,
    }
    if found is not None:
        stations = found.stations
        row["lumen_mm"], row["wall_mm"] = _rounded(found.lumen_mm), _rounded(found.wall_mm)
        row["artery_mm"] = _rounded(found.artery_mm)
        row["stations"] = {
            "at_mm": _listed(stations.at_mm),
            "lumen_mm": _listed(stations.lumen_mm),
            "wall_mm": _listed(stations.wall_mm),
            "lumen_half_mm": _listed(stations.half_lumen_mm),
            "wall_half_mm": _listed(stations.half_wall_mm),
        }
    return row


def _listed(values: npt.NDArray[np.float64]) -> list[float | None]:
    return [round(value, _DIGITS) if np.isfinite(value) else None for value in values.tolist()]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _rows(tree: AirwayTree) -> Iterator[list[object]]:
    """Give one row a branch, columns of :data:`BRANCH_COLUMNS`."""
    for index, branch in enumerate(tree.branches):
        found = branch.calibre
        ends = [round(value, _DIGITS) for value in (*branch.points[0].tolist(), *branch.points[-1].tolist())]
        calibre: list[float | None] = [None] * 12
        if found is not None:
            rays = found.stations.rays
            calibre = [
                found.lumen_mm, found.wall_mm, found.lumen_mm2, found.wall_percent,
                found.half_lumen_mm, found.half_wall_mm, found.half_wall_percent,
                found.taper_percent_per_mm, found.narrowing_percent, found.artery_mm,
                found.artery_ratio, 100 * float(np.median(rays)),
            ]  # fmt: skip
        yield [
            index, branch.parent if branch.parent >= 0 else None, branch.generation, branch.side,
            branch.lobe or None, round(branch.length_mm, _DIGITS), *ends, *map(_rounded, calibre),
            round(branch.mask_ml, 4),
        ]  # fmt: skip


def _swc(tree: AirwayTree) -> SwcPoints:
    table = tree.centrelines().table()
    kinds = np.array([_SWC_TYPES[_swc_place(branch)] for branch in tree.branches], np.int64)
    return SwcPoints(kinds[table.branches], table.points, table.radii, table.parents)


def _swc_place(branch: AirwayBranch) -> str:
    return branch.lobe or ("trachea" if branch.side == "none" else branch.side)


def _swc_notes() -> list[str]:
    return [
        "Types: " + ", ".join(f"{kind} {place}" for place, kind in _SWC_TYPES.items()),
        "Radius of the lumen by the fit; of the mask where there is no fit",
    ]


def _by_generation(mesh: Mesh, tree: AirwayTree) -> list[Surface]:
    """Divide the surface of the lumen by the generation of the nearest branch, each with its colour."""
    from scipy.spatial import KDTree

    points = np.concatenate([branch.points for branch in tree.branches])
    generations = np.repeat(
        [branch.generation for branch in tree.branches], [len(branch.points) for branch in tree.branches]
    )
    middles = mesh.vertices[mesh.faces].mean(axis=1)
    of_face = generations[KDTree(points).query(middles)[1]]
    out = []
    for generation in np.unique(of_face).tolist():
        used, faces = np.unique(mesh.faces[of_face == generation], return_inverse=True)
        r, g, b = (channel / 255 for channel in generation_colour(generation))
        colour = (r**2.2, g**2.2, b**2.2, 1.0)  # glTF wants linear colours
        name = "Trachea" if generation == 0 else f"Generation {generation}"
        out.append(Surface(name, mesh.vertices[used], faces.reshape(-1, 3), colour))
    return out
