"""Mean and covariance of fissure surfaces from scattered points: a linear model with random effects.

The coefficients of a subject are drawn from a Gaussian, the points lie on the surface with a normal error.
Mean and covariance are found by expectation and maximisation, which uses what each subject shows and leaves
open what it does not (Laird and Ware 1982). The covariance is shrunk towards that of a smooth surface.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.tasks.lobes.frames import Fissure, Frame, smooth_covariance
from hilum.training.recipes.lobes.points import Subject

__all__ = [
    "LATTICE_MM",
    "SMOOTH_SUBJECTS",
    "Observed",
    "fit_gaussian",
    "held_out_errors",
    "make_frames",
    "observe",
]

Floats = npt.NDArray[np.float64]

#: Distance of the coefficients, mm.
LATTICE_MM = 35.0
#: The lattice exceeds the points by this, mm.
_MARGIN_MM = 10.0
#: Standard deviation of a point from a surface of the lattice, mm.
_POINT_MM = 2.0
#: How many subjects the smooth covariance counts as, beside the real ones.
SMOOTH_SUBJECTS = 10.0
#: Rounds of expectation and maximisation; later ones change the errors of subjects left out by less than 1 %.
_ROUNDS = 8
#: Points of each fissure that a subject left out shows.
_SHOWN = 6
#: Normals of the planes, from the lower to the upper lobe. The oblique ones rise backwards by 50 degrees.
_NORMALS = {
    Fissure.RIGHT_OBLIQUE: (0.0, np.sin(np.deg2rad(50)), np.cos(np.deg2rad(50))),
    Fissure.RIGHT_HORIZONTAL: (0.25, 0.3, 0.92),
    Fissure.LEFT_OBLIQUE: (0.0, np.sin(np.deg2rad(50)), np.cos(np.deg2rad(50))),
}


@dataclass(frozen=True, eq=False)
class Observed:
    """What a subject shows of its coefficients.

    Attributes:
        basis: Weights of the coefficients of all fissures for each point, (n, coefficients).
        height: Heights of the points, (n,) mm.
        fissure: Fissure of each point, (n,).
    """

    basis: Floats
    height: Floats
    fissure: npt.NDArray[np.intp]


def make_frames(subjects: Sequence[Subject]) -> tuple[Frame, ...]:
    """Place the planes of the fissures so that their lattices cover all points."""
    frames = []
    for fissure in Fissure:
        points = np.concatenate([subject.points[fissure] for subject in subjects])
        normal = np.array(_NORMALS[fissure]) / np.linalg.norm(_NORMALS[fissure])
        across = np.array([1.0, 0.0, 0.0]) - normal * normal[0]
        across /= np.linalg.norm(across)
        axes = np.stack([across, np.cross(normal, across), normal])
        origin = points.mean(axis=0)
        uv = ((points - origin) @ axes.T)[:, :2]
        low, high = uv.min(axis=0) - _MARGIN_MM, uv.max(axis=0) + _MARGIN_MM
        n, m = (int(np.ceil(extent / LATTICE_MM)) + 3 for extent in high - low)
        frames.append(Frame(origin, axes, low, LATTICE_MM, (n, m)))
    return tuple(frames)


def observe(subject: Subject, frames: Sequence[Frame]) -> Observed:
    """Return what the points of a subject say of the coefficients."""
    ends = np.cumsum([0, *(frame.size for frame in frames)])
    basis, height, fissure = [], [], []
    for number, frame in enumerate(frames):
        local = frame.local(subject.points[Fissure(number)])
        rows = np.zeros((len(local), ends[-1]))
        rows[:, ends[number] : ends[number + 1]] = frame.basis(local[:, :2])
        basis.append(rows)
        height.append(local[:, 2])
        fissure.append(np.full(len(local), number))
    return Observed(np.concatenate(basis), np.concatenate(height), np.concatenate(fissure))


def fit_gaussian(observed: Sequence[Observed], frames: Sequence[Frame]) -> tuple[Floats, Floats]:
    """Return mean and covariance of the coefficients."""
    size = sum(frame.size for frame in frames)
    smooth, start = np.zeros((size, size)), 0
    for frame in frames:
        block = slice(start, start + frame.size)
        smooth[block, block] = smooth_covariance(frame.shape)
        start += frame.size
    sums = [
        (one.basis.T @ one.basis / _POINT_MM**2, one.basis.T @ one.height / _POINT_MM**2) for one in observed
    ]
    mean, covariance = np.zeros(size), 4 * smooth  # wide: the first round hardly holds the points back
    for _ in range(_ROUNDS):
        precision = np.linalg.inv(covariance)
        pulled, uncertainty, found = precision @ mean, np.zeros_like(smooth), []
        for square, cross in sums:
            posterior = np.linalg.inv(precision + square)
            found.append(posterior @ (pulled + cross))
            uncertainty += posterior
        mean = np.mean(found, axis=0)
        away = np.array(found) - mean
        covariance = (SMOOTH_SUBJECTS * smooth + uncertainty + away.T @ away) / (SMOOTH_SUBJECTS + len(sums))
    return mean, covariance


def held_out_errors(
    observed: Observed, mean: Floats, covariance: Floats, rng: np.random.Generator
) -> tuple[list[Floats], list[Floats]]:
    """Errors of a subject that the Gaussian was not fitted to, by fissure, mm along the plane's normal.

    Returns:
        Of all points for the mean alone; and of the other points when :data:`_SHOWN` points of each fissure,
        drawn at random, are shown.
    """
    shown = np.concatenate(
        [
            rng.permutation(np.flatnonzero(observed.fissure == number))[:_SHOWN]
            for number in range(len(Fissure))
        ]
    )
    basis = observed.basis[shown]
    away = observed.height - observed.basis @ mean
    noise = _POINT_MM**2 * np.eye(len(shown))
    gain = covariance @ basis.T @ np.linalg.inv(basis @ covariance @ basis.T + noise)
    left = away - observed.basis @ (gain @ away[shown])
    other = np.ones(len(away), bool)
    other[shown] = False

    def split(errors: Floats, use: npt.NDArray[np.bool_]) -> list[Floats]:
        return [np.abs(errors[use & (observed.fissure == number)]) for number in range(len(Fissure))]

    return split(away, np.ones(len(away), bool)), split(left, other)
