"""What a voxel classifier sees of a voxel that may lie in the lumen of an airway.

Lumens thinner than the blur of the scan are no darker than the lung beside them, but darker than the wall
round them. So the features compare a voxel with what lies on rays from it: dark both ways along one axis,
bright all round across it. All lengths are in mm, so that they hold on any grid of about 1 mm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import numpy.typing as npt

from hilum.core.cores import thread_count
from hilum.imaging.hessian import eigenvalues_3x3, hessian_blocks
from hilum.imaging.morphology import Mask

__all__ = ["candidates", "line_features", "rim_hu", "voxel_features"]

_Floats = npt.NDArray[np.float32]
Spacing = tuple[float, float, float]
#: Scales of the Hessian in mm; wider lumens grow from the trachea by threshold.
SCALES_MM = (0.7, 1.2)
#: Distances along a ray in mm.
RADII_MM = (1.0, 1.7, 2.4, 3.2, 4.2, 5.4)
#: Rays are bright to here, in steps of RADII_MM: the walls of lumens up to 3 mm, and up to 5 mm.
_RIM_STEPS = (3, 5)
#: Distances along an axis at which the first likelihood is summed, mm.
LINE_MM = (0.9, 1.8, 2.7, 3.6, 4.5, 5.4, 6.3)
#: A candidate is a dip along one axis of at least this much at the first scale, HU ...
_LEAST_DIP_HU = 3.0
#: ... with a wall or a vessel within this many mm, brighter than this in HU ...
_WALL_MM, _WALL_HU = 2.0, -740.0
#: ... or a dip along two axes, as a lumen is that is wider than the blur, HU.
_LEAST_TUBE_HU = 20.0
#: It is darker than this, HU: half air, half wall.
_DARK_HU = -420.0
#: HU are divided by this and clipped: a vessel with contrast agent is a vessel.
_UNIT_HU, _CLIP = 100.0, 5.0
#: Planes of a slab, and candidates of a block, that bound the working memory.
_PLANES, _BLOCK = 48, 2**14


def _directions() -> npt.NDArray[np.float64]:
    """13 axes to the neighbours of a voxel as unit vectors; each second half is the opposite."""
    half = [step for step in product((-1, 0, 1), repeat=3) if step > (0, 0, 0)]
    axes = np.array(half, float)
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return np.concatenate([axes, -axes])


_RAYS = _directions()
_AXES = len(_RAYS) // 2
#: Rays across each axis: the eight that are nearest to its plane.
_ACROSS = np.argsort(np.abs(_RAYS[:_AXES] @ _RAYS.T), axis=1, kind="stable")[:, :8]


def slabs(depth: int, halo: int) -> Iterator[tuple[slice, slice]]:
    """Yield slabs of planes along the first axis, and their inner parts."""
    for start in range(0, depth, _PLANES):
        stop = min(depth, start + _PLANES)
        low, high = max(0, start - halo), min(depth, stop + halo)
        yield slice(low, high), slice(start - low, stop - low)


def candidates(hu: _Floats, spacing: Spacing, where: Mask) -> tuple[npt.NDArray[np.intp], _Floats]:
    """Find the voxels that may lie in a lumen: dark, in a dip beside a wall.

    Args:
        hu: Smoothed HU, shape (x, y, z).
        spacing: Distance between voxels in mm.
        where: Where to look.

    Returns:
        Flat indices, rising, and what the first network sees of them, shape (n, 8): the eigenvalues of the
        Hessian at each scale, the HU, and the largest HU within :data:`_WALL_MM`; all over 100 HU.
    """
    around = _brightest_near(hu, spacing)

    def dips(
        voxels: npt.NDArray[np.intp], derivatives: list[_Floats]
    ) -> tuple[npt.NDArray[np.intp], _Floats]:
        values = np.stack(eigenvalues_3x3(derivatives), axis=1)
        dip = (values[:, 0] > _LEAST_DIP_HU) & (around[tuple(voxels.T)] > _WALL_HU)
        kept = dip | (values[:, 1] > _LEAST_TUBE_HU)
        return np.ravel_multi_index(tuple(voxels[kept].T), hu.shape), values[kept]

    def curved(_: npt.NDArray[np.intp], derivatives: list[_Floats]) -> _Floats:
        return np.stack(eigenvalues_3x3(derivatives), axis=1)

    first, *wider = SCALES_MM
    parts = hessian_blocks(hu, spacing, first, where & (hu < _DARK_HU), dips)
    index = np.concatenate([np.zeros(0, np.intp), *(part[0] for part in parts)])
    found = [np.concatenate([np.zeros((0, 3), np.float32), *(part[1] for part in parts)])]
    kept = np.zeros(hu.shape, bool)
    kept.ravel()[index] = True
    for sigma in wider:  # the blocks, and so the voxels, come in one order at each scale
        found.append(
            np.concatenate([np.zeros((0, 3), np.float32), *hessian_blocks(hu, spacing, sigma, kept, curved)])
        )
    found.append(np.stack([hu.ravel()[index] + 850.0, around.ravel()[index] + 850.0], axis=1))
    rising = np.argsort(index)
    seen = np.concatenate(found, axis=1)[rising]
    seen /= np.float32(_UNIT_HU)
    return index[rising], np.clip(seen, -_CLIP, _CLIP, out=seen)


def _brightest_near(hu: _Floats, spacing: Spacing) -> _Floats:
    """Largest HU within :data:`_WALL_MM` of each voxel along each axis."""
    from scipy import ndimage

    size = [1 + 2 * round(_WALL_MM / step) for step in spacing]
    out = np.empty_like(hu)

    def one(part: tuple[slice, slice]) -> None:
        outer, inner = part
        out[outer][inner] = ndimage.maximum_filter(hu[outer], size)[inner]

    with ThreadPoolExecutor(thread_count()) as pool:
        list(pool.map(one, slabs(hu.shape[0], size[0] // 2)))
    return out


class _Sampler:
    """Values on rays from voxels, by the nearest voxel; beyond the array its border."""

    def __init__(self, image: _Floats, spacing: Spacing, radii: Sequence[float]) -> None:
        steps = np.rint(_RAYS[None] * np.array(radii)[:, None, None] / np.array(spacing)).astype(np.intp)
        self.pad = np.abs(steps).max(axis=(0, 1))
        self.shape = image.shape
        padded = np.pad(image, [(int(p), int(p)) for p in self.pad], mode="edge")
        self.strides = np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1])
        self.offsets = steps @ self.strides
        self.values = padded.ravel()

    def places(self, index: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Flat indices in the padded array."""
        where = np.stack(np.unravel_index(index, self.shape), axis=1) + self.pad
        out: npt.NDArray[np.intp] = where @ self.strides
        return out

    def __call__(self, places: npt.NDArray[np.intp]) -> _Floats:
        """Values of shape (radii, rays, n)."""
        out: _Floats = self.values[self.offsets[:, :, None] + places]
        return out


def voxel_features(hu: _Floats, spacing: Spacing, index: npt.NDArray[np.intp], curved: _Floats) -> _Floats:
    """Compute the features of candidates from the HU round them.

    Args:
        hu: Smoothed HU, shape (x, y, z).
        spacing: Distance between voxels in mm.
        index: Flat indices of the candidates.
        curved: From :func:`candidates`.

    Returns:
        float32 array (n, features), without a unit.
    """
    sampler = _Sampler(hu, spacing, RADII_MM)

    def one(start: int) -> _Floats:
        part = slice(start, start + _BLOCK)
        places = sampler.places(index[part])
        centre = sampler.values[places]
        rays = (sampler(places) - centre) / _UNIT_HU
        np.clip(rays, -_CLIP, _CLIP, out=rays)
        parts = [centre / _UNIT_HU + 8.5, *_spread(rays), *_tube(rays)]
        return np.stack([*parts, *curved[part].T], axis=1).astype(np.float32, copy=False)

    return _in_blocks(one, len(index))


def _spread(rays: _Floats) -> list[_Floats]:
    """Mean, least and largest value at each distance."""
    out: list[_Floats] = []
    for shell in rays:
        out += [shell.mean(axis=0), shell.min(axis=0), shell.max(axis=0)]
    return out


def _tube(rays: _Floats) -> list[_Floats]:
    """How dark the darkest axis stays, and how bright it becomes on rays across it."""
    out: list[_Floats] = []
    brightest = np.maximum.accumulate(rays, axis=0)
    for step in _RIM_STEPS:
        rim = brightest[step]
        both = np.maximum(rim[:_AXES], rim[_AXES:])
        order = np.argpartition(both, 2, axis=0)[:3]
        lowest = np.sort(np.take_along_axis(both, order, 0), axis=0)
        axis = np.argmin(both, axis=0)
        across = np.sort(np.take_along_axis(rim, _ACROSS[axis].T, 0), axis=0)
        out += [
            lowest[0],
            lowest[1],
            lowest[2],
            across[0],
            across[1],
            across[2],
            across[4],
            across.mean(axis=0),
        ]
        out.append(np.sort(rim, axis=0)[:13].mean(axis=0))
    return out


def line_features(likelihood: _Floats, spacing: Spacing, index: npt.NDArray[np.intp]) -> _Floats:
    """Compute how far a first likelihood goes on along an axis, and what lies round it.

    Args:
        likelihood: 0 to 1, shape (x, y, z).
        spacing: Distance between voxels in mm.
        index: Flat indices of the candidates.

    Returns:
        float32 array (n, features).
    """
    sampler = _Sampler(likelihood, spacing, LINE_MM)

    def one(start: int) -> _Floats:
        places = sampler.places(index[start : start + _BLOCK])
        rays = sampler(places)
        along = rays.mean(axis=0)
        near = rays[:3].mean(axis=0)
        lines = np.sort(along[:_AXES] + along[_AXES:], axis=0)
        single = np.sort(along, axis=0)
        short = np.sort(near, axis=0)
        never = np.minimum.accumulate(rays, axis=0).mean(axis=0)
        whole = np.sort(never, axis=0)
        parts = [
            sampler.values[places], lines[-1], lines[-2], single[-1], single[-2], single[-3],
            along.mean(axis=0),
            short[-1], short[-2], short[-3], near.mean(axis=0), whole[-1], whole[-2], whole[-3],
        ]  # fmt: skip
        return np.stack(parts, axis=1).astype(np.float32, copy=False)

    return _in_blocks(one, len(index))


def _in_blocks(one: object, count: int) -> _Floats:
    if not count:
        return np.zeros((0, 0), np.float32)
    with ThreadPoolExecutor(thread_count()) as pool:
        return np.concatenate(list(pool.map(one, range(0, count, _BLOCK))))  # type: ignore[arg-type]


def rim_hu(hu: _Floats, spacing: Spacing, index: npt.NDArray[np.intp]) -> _Floats:
    """Return how much brighter than the voxel it becomes within 3.2 mm on six of eight rays across its axis.

    Args:
        hu: Smoothed HU, shape (x, y, z).
        spacing: Distance between voxels in mm.
        index: Flat indices.
    """
    sampler = _Sampler(hu, spacing, RADII_MM[: _RIM_STEPS[0] + 1])

    def one(start: int) -> _Floats:
        places = sampler.places(index[start : start + _BLOCK])
        rim = (sampler(places) - sampler.values[places]).max(axis=0)
        axis = np.argmin(np.maximum(rim[:_AXES], rim[_AXES:]), axis=0)
        across = np.sort(np.take_along_axis(rim, _ACROSS[axis].T, 0), axis=0)
        return np.asarray(across[2], np.float32)

    return _in_blocks(one, len(index))
