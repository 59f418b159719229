"""Gaussian mixture of a histogram, best single threshold, and overlap of two histograms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Mixture", "Threshold", "best_threshold", "dice_at", "fit_mixture", "overlap"]

Counts = npt.NDArray[np.float64]
_ROUNDS = 500
_TOLERANCE = 1e-7
_LEAST_SD = 2.0


@dataclass(frozen=True)
class Mixture:
    """Two Gaussians, the one of lower mean first.

    Attributes:
        weights: Share of each; they sum to 1.
        means: HU.
        sds: Standard deviations in HU.
        crossing: HU between the means at which both are equally likely; None if there is none.
    """

    weights: tuple[float, float]
    means: tuple[float, float]
    sds: tuple[float, float]
    crossing: float | None

    def density(self, hu: Counts, component: int) -> Counts:
        """Return the density of one component, weighted, per HU."""
        return _normal(hu, self.weights[component], self.means[component], self.sds[component])


@dataclass(frozen=True)
class Threshold:
    """A threshold in HU below which a pixel is lung, and its Dice."""

    hu: float
    dice: float


def fit_mixture(hu: Counts, counts: Counts) -> Mixture | None:
    """Fit two Gaussians to a histogram by expectation-maximisation (Dempster, Laird and Rubin 1977).

    It is initialised with Otsu's (1979) split of the histogram, so the result is deterministic.

    Args:
        hu: Centres of the bins.
        counts: Counts or densities.

    Returns:
        The fit, or None if the histogram holds fewer than two values.
    """
    used = counts > 0
    x, w = hu[used], counts[used] / counts.sum() if counts.sum() > 0 else counts[used]
    if x.size < 2:
        return None
    split = _otsu(x, w)
    share = np.stack([x <= split, x > split]).astype(np.float64)
    before = -np.inf
    weights: Counts = np.zeros(2)
    means, sds = weights, weights
    for _ in range(_ROUNDS):
        mass = share * w
        weights = mass.sum(axis=1)
        means = (mass @ x) / weights
        sds = np.sqrt(np.maximum((mass * (x - means[:, None]) ** 2).sum(axis=1) / weights, _LEAST_SD**2))
        parts = np.stack([_normal(x, *p) for p in zip(weights, means, sds, strict=True)])
        total = np.maximum(parts.sum(axis=0), 1e-300)
        share = parts / total
        likelihood = float(w @ np.log(total))
        if likelihood - before < _TOLERANCE:
            break
        before = likelihood
    order = np.argsort(means)
    weights, means, sds = weights[order], means[order], sds[order]
    return Mixture(
        weights=(float(weights[0]), float(weights[1])),
        means=(float(means[0]), float(means[1])),
        sds=(float(sds[0]), float(sds[1])),
        crossing=_crossing(weights, means, sds),
    )


def best_threshold(hu: Counts, lung: Counts, other: Counts) -> Threshold | None:
    """Find the threshold with the highest Dice, pixels below it being lung.

    Args:
        hu: Lower edges of the bins.
        lung: Histogram of the lung pixels.
        other: Histogram of the other pixels.

    Returns:
        The threshold and its Dice, or None if there is no lung.
    """
    if lung.sum() <= 0:
        return None
    dice = dice_at(lung, other)
    best = int(np.argmax(dice))
    return Threshold(float(hu[best]), float(dice[best]))


def dice_at(lung: Counts, other: Counts) -> Counts:
    """Return the Dice of thresholding at the lower edge of each bin."""
    true = np.concatenate([[0.0], np.cumsum(lung)[:-1]])
    false = np.concatenate([[0.0], np.cumsum(other)[:-1]])
    total = true + false + lung.sum()
    out: Counts = np.divide(2 * true, total, out=np.zeros_like(true), where=total > 0)
    return out


def overlap(first: Counts, second: Counts) -> float | None:
    """Return the overlapping coefficient of two histograms: 0 disjoint, 1 equal (Inman and Bradley 1989)."""
    if first.sum() <= 0 or second.sum() <= 0:
        return None
    return float(np.minimum(first / first.sum(), second / second.sum()).sum())


def _normal(x: Counts, weight: float, mean: float, sd: float) -> Counts:
    out: Counts = weight / (sd * np.sqrt(2 * np.pi)) * np.exp(-0.5 * ((x - mean) / sd) ** 2)
    return out


def _otsu(x: Counts, w: Counts) -> float:
    """Return the split with the largest variance between its two sides."""
    mass, moment = np.cumsum(w)[:-1], np.cumsum(w * x)[:-1]
    mean = float(w @ x)
    between = (mean * mass - moment) ** 2 / np.maximum(mass * (1 - mass), 1e-12)
    return float(x[int(np.argmax(between))])


def _crossing(weights: Counts, means: Counts, sds: Counts) -> float | None:
    """Solve for equal densities: a quadratic in HU."""
    (p, q), (m, n), (s, t) = weights, means, sds
    a = 1 / (2 * t**2) - 1 / (2 * s**2)
    b = m / s**2 - n / t**2
    c = n**2 / (2 * t**2) - m**2 / (2 * s**2) + np.log(p * t / (q * s))
    roots = np.roots([a, b, c]) if abs(a) > 1e-12 else np.array([-c / b]) if b else np.array([])
    between = [float(r.real) for r in roots if abs(r.imag) < 1e-9 and m <= r.real <= n]
    return between[0] if between else None
