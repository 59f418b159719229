"""Triangle meshes of masks, in millimetres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.core.errors import UsageError
from hilum.imaging.morphology import bounding_box

__all__ = ["Mesh", "decimate", "smooth", "surface_mesh"]

_Vertices = npt.NDArray[np.float32]
_Faces = npt.NDArray[np.int32]
#: Steps outward and inward of Taubin 1995 (lambda, mu): the pair keeps the volume, where plain Laplacian
#: smoothing would make thin tubes vanish. The pass band ends at 1 / lambda + 1 / mu = 0.1.
_TAUBIN = (0.5, -0.526)


@dataclass(frozen=True, eq=False)
class Mesh:
    """A surface of triangles.

    Attributes:
        vertices: float32 positions in mm, shape (n, 3).
        faces: int32 indices of the corners of each triangle, anticlockwise seen from outside, shape (m, 3).
    """

    vertices: _Vertices
    faces: _Faces

    @property
    def volume_ml(self) -> float:
        """Volume inside a closed surface in mL (divergence theorem)."""
        a, b, c = (self.vertices[self.faces[:, corner]].astype(np.float64) for corner in range(3))
        return float(np.einsum("ij,ij->", a, np.cross(b, c))) / 6000

    @property
    def area_mm2(self) -> float:
        """Area in mm2."""
        a, b, c = (self.vertices[self.faces[:, corner]].astype(np.float64) for corner in range(3))
        return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()) / 2


def surface_mesh(
    mask: npt.NDArray[np.bool_],
    affine: npt.NDArray[np.float64],
    *,
    smoothing: int = 10,
    keep: float = 1.0,
) -> Mesh:
    """Make the surface of a mask by marching cubes (as in scikit-image).

    Args:
        mask: Bool array (i, j, k). Beyond the border of the array there is background.
        affine: 4 x 4 matrix from voxel index to mm.
        smoothing: Pairs of smoothing steps; see :func:`smooth`.
        keep: Share of the triangles to keep; see :func:`decimate`.

    Returns:
        A closed surface; without triangles if the mask is empty.

    Raises:
        UsageError: ``keep`` is not allowed, or the mask has not three axes.
    """
    if mask.ndim != 3:
        raise UsageError(f"mask has {mask.ndim} axes, expected three.")
    _check_share(keep)
    box = bounding_box(mask)
    if box is None:
        return Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32))
    from skimage.measure import marching_cubes

    padded = np.pad(mask[box], 1).astype(np.float32)
    places, faces, _, _ = marching_cubes(padded, 0.5, allow_degenerate=False)
    places = places + [part.start - 1 for part in box]
    vertices = (places @ affine[:3, :3].T + affine[:3, 3]).astype(np.float32)
    mesh = Mesh(vertices, np.ascontiguousarray(faces, np.int32))
    if mesh.volume_ml < 0:  # triangles face inward, which depends on the handedness of the grid
        mesh = Mesh(vertices, np.ascontiguousarray(faces[:, ::-1], np.int32))
    return decimate(smooth(mesh, smoothing), keep)


def smooth(mesh: Mesh, pairs: int) -> Mesh:
    """Take the steps of the voxels out of a surface and keep its volume (Taubin 1995).

    Args:
        mesh: The surface.
        pairs: How often each vertex moves towards the mean of its neighbours and back.
    """
    if pairs < 1 or not len(mesh.faces):
        return mesh
    from scipy import sparse

    count = len(mesh.vertices)
    ends = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    links = sparse.csr_matrix(
        (np.ones(len(ends), np.float32), (ends[:, 0], ends[:, 1])), shape=(count, count)
    )
    links = ((links + links.T) > 0).astype(np.float32)
    share = sparse.diags(1 / np.maximum(np.asarray(links.sum(axis=1)).ravel(), 1))
    mean = (share @ links).tocsr()
    vertices = mesh.vertices.astype(np.float64)
    for _ in range(pairs):
        for step in _TAUBIN:
            vertices += step * (mean @ vertices - vertices)
    return Mesh(vertices.astype(np.float32), mesh.faces)


def decimate(mesh: Mesh, keep: float) -> Mesh:
    """Reduce the number of triangles where the surface is flat (quadric errors, as in fast-simplification).

    The surface stays closed. Where thin parts come to touch, an edge may belong to four triangles.

    Args:
        mesh: The surface.
        keep: Share of the triangles to keep, above 0 and at most 1.

    Raises:
        UsageError: The share is not allowed.
    """
    _check_share(keep)
    if keep == 1 or not len(mesh.faces):
        return mesh
    import fast_simplification

    vertices, faces = fast_simplification.simplify(mesh.vertices, mesh.faces, target_reduction=1 - keep)
    return Mesh(np.asarray(vertices, np.float32), np.asarray(faces, np.int32))


def _check_share(keep: float) -> None:
    if not 0 < keep <= 1:
        raise UsageError(f"keep is {keep}, expected a share above 0 and at most 1.")
