"""Surfaces as glTF (GLB) and STL files."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.errors import UsageError
from hilum.core.version import __version__
from hilum.io.atomic import atomic_file

__all__ = ["Surface", "write_glb", "write_stl"]

#: glTF is in metres, y up, with the front of things towards +z; RAS has the front towards +y and z up. So z
#: becomes y, y becomes z, and x changes its sign: the patient's right is on the viewer's left. By columns.
_RAS_TO_GLTF = [-0.001, 0, 0, 0, 0, 0, 0.001, 0, 0, 0.001, 0, 0, 0, 0, 0, 1]
#: Codes of glTF 2.0: types of numbers, and what a buffer view holds.
_FLOAT, _UINT32, _VERTICES, _INDICES = 5126, 5125, 34962, 34963
#: Text that opens an STL file: 3D Slicer reads the frame from it, and takes LPS where it is missing.
_STL_HEADER = "hilum {version} SPACE=RAS"


@dataclass(frozen=True, eq=False)
class Surface:
    """A surface to write.

    Attributes:
        name: What the viewer lists it as.
        vertices: Positions in RAS mm, shape (n, 3).
        faces: Indices of the corners of each triangle, anticlockwise seen from outside, shape (m, 3).
        colour: Red, green, blue and opacity, linear, 0 to 1.
    """

    name: str
    vertices: npt.NDArray[np.float32]
    faces: npt.NDArray[np.integer[Any]]
    colour: tuple[float, float, float, float] = (0.8, 0.8, 0.8, 1.0)

    def __post_init__(self) -> None:
        if not len(self.faces):
            raise UsageError(f"The surface {self.name} has no triangles.", "Leave it out.")
        if int(self.faces.min()) < 0 or int(self.faces.max()) >= len(self.vertices):
            raise UsageError(f"The surface {self.name} has triangles with corners that are not there.")


def write_glb(path: Path | str, surfaces: Sequence[Surface]) -> None:
    """Write surfaces into one binary glTF 2.0 file.

    Vertices stay in RAS mm; a node turns them into the metres and the axes of glTF, so that the patient
    stands upright and faces the viewer.

    Args:
        path: The file.
        surfaces: At least one.

    Raises:
        UsageError: There is none.
        OutputError: The file cannot be written.
    """
    if not surfaces:
        raise UsageError("surfaces is empty, expected at least one.")
    chunks: list[bytes] = []
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []

    def add(array: npt.NDArray[Any], kind: str, component: int, target: int, **bounds: Any) -> int:
        data = array.tobytes()
        start = sum(map(len, chunks))
        views.append({"buffer": 0, "byteOffset": start, "byteLength": len(data), "target": target})
        accessors.append({
            "bufferView": len(views) - 1,
            "componentType": component,
            "count": array.size if kind == "SCALAR" else len(array),
            "type": kind,
            **bounds,
        })  # fmt: skip
        chunks.append(data)
        return len(accessors) - 1

    meshes, materials = [], []
    for number, surface in enumerate(surfaces):
        vertices = np.ascontiguousarray(surface.vertices, "<f4")
        bounds = {"min": vertices.min(axis=0).tolist(), "max": vertices.max(axis=0).tolist()}
        attributes = {
            "POSITION": add(vertices, "VEC3", _FLOAT, _VERTICES, **bounds),
            "NORMAL": add(_normals(vertices, surface.faces), "VEC3", _FLOAT, _VERTICES),
        }
        indices = add(np.ascontiguousarray(surface.faces, "<u4"), "SCALAR", _UINT32, _INDICES)
        primitive = {"attributes": attributes, "indices": indices, "material": number}
        meshes.append({"name": surface.name, "primitives": [primitive]})
        materials.append(_material(surface))
    count = len(surfaces)
    nodes: list[dict[str, Any]] = [{"mesh": n, "name": s.name} for n, s in enumerate(surfaces)]
    nodes.append({"name": "RAS mm", "children": list(range(count)), "matrix": _RAS_TO_GLTF})
    document = {
        "asset": {"version": "2.0", "generator": f"hilum {__version__}"},
        "scene": 0,
        "scenes": [{"nodes": [count]}],
        "nodes": nodes,
        "meshes": meshes,
        "materials": materials,
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": sum(map(len, chunks))}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    data = b"".join(chunks)  # floats and 32-bit integers only: a multiple of 4 bytes
    with atomic_file(path) as part, part.open("wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(data)))
        file.write(struct.pack("<I4s", len(text), b"JSON") + text)
        file.write(struct.pack("<I4s", len(data), b"BIN\0") + data)


def write_stl(path: Path | str, surface: Surface) -> None:
    """Write a surface into a binary STL file, in RAS mm. STL holds neither names nor colours.

    Args:
        path: The file.
        surface: The surface.

    Raises:
        OutputError: The file cannot be written.
    """
    corners = surface.vertices[surface.faces].astype("<f4")
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
    layout = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    rows = np.zeros(len(corners), layout)
    rows["normal"], rows["corners"] = normals, corners
    header = _STL_HEADER.format(version=__version__).encode()
    with atomic_file(path) as part, part.open("wb") as file:
        file.write(header.ljust(80) + struct.pack("<I", len(rows)))
        file.write(rows.tobytes())


def _normals(
    vertices: npt.NDArray[np.float32], faces: npt.NDArray[np.integer[Any]]
) -> npt.NDArray[np.float32]:
    """Mean direction of the triangles at each vertex, weighted by area; without it a viewer shades flat."""
    corners = vertices[faces].astype(np.float64)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    out = np.stack(
        [
            np.bincount(faces.ravel(), np.repeat(across[:, axis], 3), minlength=len(vertices))
            for axis in range(3)
        ],
        axis=1,
    )
    length = np.linalg.norm(out, axis=1, keepdims=True)
    # glTF wants unit vectors: a vertex without triangles gets any.
    unit = np.where(length > 0, out / np.maximum(length, 1e-30), [0.0, 0.0, 1.0])
    return np.ascontiguousarray(unit, "<f4")


def _material(surface: Surface) -> dict[str, Any]:
    shading = {"baseColorFactor": list(surface.colour), "metallicFactor": 0.0, "roughnessFactor": 0.7}
    material: dict[str, Any] = {"name": surface.name, "pbrMetallicRoughness": shading}
    if surface.colour[3] < 1:
        material["alphaMode"] = "BLEND"
    return material
