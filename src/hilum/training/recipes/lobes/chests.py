"""Mean and modes of the fissures for digital chests, from every second subject."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hilum.core.labels import Lung
from hilum.synthesis.phantoms.anatomy import LUNG_BOX, Anatomy, Body
from hilum.synthesis.phantoms.fields import Lattice
from hilum.tasks.lobes.frames import Fissure, Frame
from hilum.tasks.lobes.prior import MeanLungs
from hilum.tasks.lobes.registration import register
from hilum.training.recipes.lobes.fit import fit_gaussian, make_frames, observe
from hilum.training.recipes.lobes.points import Subject

__all__ = ["other_subjects", "write_chest_fissures"]

Floats = npt.NDArray[np.float64]

#: Modes that digital chests are drawn from.
_MODES = 16
#: Distance of the stored heights, mm: the splines of the modes are smooth on it.
_STEP_MM = 12.0
#: Voxels of the chest that is laid on the mean lungs, mm.
_VOXEL_MM = 4.0


def other_subjects(subjects: Sequence[Subject]) -> Sequence[Subject]:
    """Return the subjects from which digital chests have no fissures."""
    return subjects[1::2]


def write_chest_fissures(subjects: Sequence[Subject], lungs: MeanLungs, path: Path) -> None:
    """Write the file that :mod:`hilum.synthesis.phantoms.fissures` reads.

    Args:
        subjects: All subjects; every second one is used.
        lungs: Mean lungs in the space of the points, on which the lungs of the chest are laid.
        path: The file.
    """
    chosen = subjects[::2]
    frames = make_frames(chosen)
    mean, covariance = fit_gaussian([observe(subject, frames) for subject in chosen], frames)
    variances, vectors = np.linalg.eigh(covariance)
    largest = np.argsort(variances)[::-1][:_MODES]
    modes = (vectors[:, largest] * np.sqrt(variances[largest])).T
    modes *= np.sign(modes.sum(axis=1, keepdims=True))
    ends = np.cumsum([0, *(frame.size for frame in frames)])
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "step": np.array(_STEP_MM, np.float32),
        "to_points": _chest_to_points(lungs).astype(np.float32),
        "origins": np.array([frame.origin for frame in frames], np.float32),
        "axes": np.array([frame.axes for frame in frames], np.float32),
        "lows": np.array([frame.low for frame in frames], np.float32),
    }
    for fissure in Fissure:
        part = slice(ends[fissure], ends[fissure + 1])
        arrays[f"mean_{fissure.value}"] = _heights(frames[fissure], mean[None, part])[0].astype(np.float32)
        arrays[f"modes_{fissure.value}"] = _heights(frames[fissure], modes[:, part]).astype(np.float16)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def _heights(frame: Frame, coefficients: Floats) -> Floats:
    """Heights of surfaces, (n, u, v) mm, each :data:`_STEP_MM`."""
    lines = [
        np.arange(low, high + _STEP_MM, _STEP_MM) for low, high in zip(frame.low, frame.high, strict=True)
    ]
    uv = np.stack(np.meshgrid(*lines, indexing="ij"), axis=2)
    out: Floats = coefficients @ frame.basis(uv.reshape(-1, 2)).T
    return out.reshape(len(coefficients), *uv.shape[:2])


def _chest_to_points(lungs: MeanLungs) -> Floats:
    """Affine map from the frame of a chest of size 1 to the space of the points, (3, 4)."""
    low, high = LUNG_BOX
    counts = np.ceil((high - low) / _VOXEL_MM).astype(int) + 1
    lattice = Lattice(np.eye(3) * _VOXEL_MM, low, (int(counts[0]), int(counts[1]), int(counts[2])))
    anatomy, p = Anatomy(Body()), lattice.coordinates
    labels = np.zeros(lattice.shape, np.uint8)
    for side, lung in ((1, Lung.RIGHT), (-1, Lung.LEFT)):
        labels[anatomy.lung(p, side) < 0] = lung.value
    affine = np.eye(4)
    affine[:3, :3] *= _VOXEL_MM
    affine[:3, 3] = low
    found = register(labels, affine, lungs)
    return np.concatenate([found.matrix, found.offset[:, None]], axis=1)
