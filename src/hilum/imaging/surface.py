"""Distances between the surfaces of two masks, weighted by area.

Definition: Nikolov et al. 2018 (arXiv:1809.04430; J Med Internet Res 2021;23:e26151). The surface of a mask
runs between voxels. Each block of 2 x 2 x 2 neighbouring voxels (2 x 2 in a slice) that is cut by the
surface is one surface element; it lies at the middle of the block, and its weight is the area of the
marching-cubes surface in it. Counting border voxels instead, as many programs do, gives a slanted face more
weight than a straight one and depends on the direction of the grid.

Beyond the edge of the array there is background: a lung cut by the scan's edge has surface there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hilum.imaging.morphology import distance_to

__all__ = ["SurfaceDistances", "element_areas", "interface_distances", "surface_distances"]

_Bools = npt.NDArray[np.bool_]
_Floats = npt.NDArray[np.float32]
#: The code of each block, and which blocks are surface elements.
_Elements = tuple[npt.NDArray[np.uint8], _Bools]
#: Distances are float32: a distance of exactly the tolerance must not fall beyond it by rounding.
_SLACK = 1e-5


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Distance of each surface element of one mask to the nearest one of the other.

    Attributes:
        to_reference: Distance of each element of the prediction to the reference's surface, shape (p,).
        prediction_areas: Area (length in a slice) of these elements, shape (p,).
        to_prediction: Distance of each element of the reference to the prediction's surface, shape (r,).
        reference_areas: Area of these elements, shape (r,).

    The unit is that of the spacing. Both masks must have a surface; see :func:`surface_distances`.
    """

    to_reference: _Floats
    prediction_areas: _Floats
    to_prediction: _Floats
    reference_areas: _Floats

    def hausdorff(self, percent: float = 95.0) -> float:
        """Return the distance below which ``percent`` of the area lies, in the worse of both directions."""
        return max(
            _percentile(self.to_reference, self.prediction_areas, percent),
            _percentile(self.to_prediction, self.reference_areas, percent),
        )

    def average(self) -> float:
        """Return the average symmetric surface distance: the mean over the area of both surfaces."""
        near, far = self.to_reference.astype(np.float64), self.to_prediction.astype(np.float64)
        total = float((near * self.prediction_areas).sum() + (far * self.reference_areas).sum())
        return total / self._area()

    def dice(self, tolerance: float) -> float:
        """Return the surface Dice: the share of both surfaces that lies within ``tolerance`` of the other."""
        limit = tolerance * (1 + _SLACK)
        near = self.prediction_areas[self.to_reference <= limit].sum(dtype=np.float64)
        far = self.reference_areas[self.to_prediction <= limit].sum(dtype=np.float64)
        return float(near + far) / self._area()

    def _area(self) -> float:
        both = self.prediction_areas.sum(dtype=np.float64) + self.reference_areas.sum(dtype=np.float64)
        return float(both)


def surface_distances(
    prediction: _Bools, reference: _Bools, spacing: tuple[float, ...]
) -> SurfaceDistances | None:
    """Measure the distances between the surfaces of two masks.

    Args:
        prediction: Boolean array with two or three axes, best cropped to where the masks are.
        reference: Boolean array of the same shape.
        spacing: Distance of neighbouring voxels along each axis.

    Returns:
        The distances, or None where a mask is empty and has no surface.
    """
    if not (prediction.any() and reference.any()):
        return None
    cut = element_areas(spacing) > 0
    found, drawn = _codes(prediction), _codes(reference)
    return _distances((found, cut[found]), (drawn, cut[drawn]), spacing)


def interface_distances(
    prediction: tuple[_Bools, _Bools], reference: tuple[_Bools, _Bools], spacing: tuple[float, ...]
) -> SurfaceDistances | None:
    """Measure the distances between two surfaces where one structure meets another, such as two lobes.

    A surface element is a block that holds voxels of both structures; it weighs as much as the area of the
    surface of the first one in it. What borders on the background is no part of the surface.

    Args:
        prediction: The two structures as boolean arrays with two or three axes.
        reference: The same of the reference, arrays of the same shape.
        spacing: Distance of neighbouring voxels along each axis.

    Returns:
        The distances, or None where the structures of a mask do not meet.
    """
    found, drawn = _interface(*prediction), _interface(*reference)
    if not (found[1].any() and drawn[1].any()):
        return None
    return _distances(found, drawn, spacing)


def _interface(first: _Bools, second: _Bools) -> _Elements:
    code = _codes(first)
    return code, (code > 0) & (_codes(second) > 0)


def _distances(found: _Elements, drawn: _Elements, spacing: tuple[float, ...]) -> SurfaceDistances:
    areas = element_areas(spacing)
    (found_code, at_found), (drawn_code, at_drawn) = found, drawn
    return SurfaceDistances(
        to_reference=distance_to(at_drawn, spacing)[at_found],
        prediction_areas=areas[found_code[at_found]],
        to_prediction=distance_to(at_found, spacing)[at_drawn],
        reference_areas=areas[drawn_code[at_drawn]],
    )


@lru_cache(maxsize=64)
def element_areas(spacing: tuple[float, ...]) -> _Floats:
    """Return the area of surface in a block by the code of the block, float32.

    Args:
        spacing: Distance of neighbouring voxels along each axis; three for volumes, two for slices, where
            the "area" is a length.

    Returns:
        Shape (256,) or (16,). Bit ``n`` of a code is set where corner ``n`` is inside; along axis ``a`` the
        corner number grows by ``2 ** a``. Blocks wholly inside or outside have area 0.
    """
    axes = len(spacing)
    steps = np.asarray(spacing, np.float64)
    areas = np.zeros(2 ** (2**axes), np.float32)
    for code in range(1, len(areas) - 1):
        if axes == 2:
            ends = [np.array([_middle(edge, axes) for edge in pair]) for pair in _segments(code, 0, 1, 0)]
            areas[code] = sum(np.linalg.norm((a - b) * steps) for a, b in ends)
        else:
            areas[code] = sum(_loop_area(loop * steps) for loop in _loops(code))
    areas.setflags(write=False)
    return areas


_Edge = frozenset[int]


def _segments(code: int, first: int, second: int, base: int) -> list[tuple[_Edge, _Edge]]:
    """Lines in which the surface cuts one face of a block; each joins the middles of two edges.

    The face holds corner ``base`` and spans the axes ``first`` and ``second``. Where two opposite corners are
    inside, each is cut off on its own. This depends on the face alone, so that the pieces of neighbouring
    blocks fit together (Lorensen and Cline 1987; Nielson and Hamann 1991 on the choice).
    """
    a, b = 1 << first, 1 << second
    ring = [base, base + a, base + a + b, base + b]
    inside = [bool(code >> corner & 1) for corner in ring]
    edges = [frozenset((ring[n], ring[(n + 1) % 4])) for n in range(4)]
    crossed = [edge for n, edge in enumerate(edges) if inside[n] != inside[(n + 1) % 4]]
    if len(crossed) == 2:
        return [(crossed[0], crossed[1])]
    if len(crossed) == 4:
        return [(edges[n - 1], edges[n]) for n in range(4) if inside[n]]
    return []


def _loops(code: int) -> list[npt.NDArray[np.float64]]:
    """Closed lines in which the surface cuts the faces of a cube, as points in units of voxels."""
    neighbours: dict[_Edge, list[_Edge]] = {}
    for first, second, normal in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
        for base in (0, 1 << normal):
            for one, other in _segments(code, first, second, base):
                neighbours.setdefault(one, []).append(other)
                neighbours.setdefault(other, []).append(one)
    loops = []
    while neighbours:
        start = min(neighbours, key=sorted)
        chain, edge = [start], neighbours[start][0]
        while edge != start:
            ahead = neighbours[edge]
            chain.append(edge)
            edge = ahead[1] if ahead[0] == chain[-2] else ahead[0]
        for edge in chain:
            del neighbours[edge]
        loops.append(np.array([_middle(edge, 3) for edge in chain]))
    return loops


def _middle(edge: _Edge, axes: int) -> list[float]:
    return [sum(corner >> axis & 1 for corner in edge) / 2 for axis in range(axes)]


def _loop_area(loop: npt.NDArray[np.float64]) -> float:
    """Area of the fan of triangles from the middle of a loop, which need not lie in a plane."""
    spokes = loop - loop.mean(axis=0)
    return float(np.linalg.norm(np.cross(spokes, np.roll(spokes, -1, axis=0)), axis=1).sum() / 2)


def _codes(mask: _Bools) -> npt.NDArray[np.uint8]:
    """Code of each block of neighbouring voxels, all background beyond the array; one longer each axis."""
    code = np.pad(mask, 1).view(np.uint8)
    for axis in range(mask.ndim):
        low, high = (
            code[tuple(part if a == axis else slice(None) for a in range(mask.ndim))]
            for part in (slice(None, -1), slice(1, None))
        )
        code = low | (high << np.uint8(1 << axis))
    return code


def _percentile(distances: _Floats, areas: _Floats, percent: float) -> float:
    order = np.argsort(distances, kind="stable")
    share = np.cumsum(areas[order], dtype=np.float64)
    place = int(np.searchsorted(share, percent / 100 * share[-1]))
    return float(distances[order[min(place, len(order) - 1)]])
