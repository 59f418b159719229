"""The diseases. Each returns, for one lung, the share of a voxel that becomes tissue, gas or fluid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hilum.synthesis.lesions.lung import Float, LungSpace, smooth_step
from hilum.synthesis.pathology import Pathology

__all__ = ["RECIPES", "Change", "bronchograms"]


#: Pleural fluid (Nandalur 2005: 7 and 10 HU on average, standard deviations 9 and 7).
FLUID_HU = (0.0, 20.0)
#: Lung filled by pneumonia, and collapsed lung, without and with contrast medium: in the venous phase 81 HU
#: part the two, without contrast they are alike (Konietzke 2021). What gas is left lowers both by some 20 HU.
PNEUMONIA_HU = (15.0, 85.0)
COLLAPSED_HU = (25.0, 105.0)


@dataclass(frozen=True, eq=False)
class Change:
    """Change of a lung by a disease.

    Attributes:
        share: Part of each voxel that becomes ``target``, 0 to 1; spreads over the surface's mixed voxels.
        target: HU of what comes in; a number or a map.
        leaves: Voxels that no longer are lung (fluid, free gas), or None. No vessel is left in them.
    """

    share: Float
    target: Float | float
    leaves: Float | None = None


def _patches(lung: LungSpace, severity: float, coarse: float, low: float = 0.6, rim: float = 0.4) -> Float:
    """Score of places that disease affects first: random, dependent, subpleural."""
    score = lung.field(coarse) + np.float32(0.5) * lung.field(coarse / 3)
    rim_score = np.exp(-lung.deep / np.float32(20.0))
    score = score + np.float32(low * lung.rng.uniform(0, 2.5)) * lung.low
    score = score + np.float32(rim * lung.rng.uniform(-1, 3)) * rim_score
    score = score + np.float32(lung.rng.uniform(-0.5, 1.2)) * lung.basal
    return np.asarray(score)


def _ground_glass(lung: LungSpace, severity: float) -> list[Change]:
    place = lung.highest(_patches(lung, severity, 35.0), 0.1 + 0.8 * severity, lung.rng.uniform(0.3, 1.0))
    strength = lung.rng.uniform(0.2, 0.35) + 0.25 * severity
    grain = np.float32(1) + np.float32(0.2) * lung.field(8.0)
    return [Change(np.clip(place * np.float32(strength) * grain, 0, 0.75) * min(1.0, 4 * severity), 30.0)]


def _crazy_paving(lung: LungSpace, severity: float) -> list[Change]:
    place = lung.highest(_patches(lung, severity, 35.0), 0.1 + 0.7 * severity, 0.5)
    lines = np.maximum(lung.sheets(7.0, 0.25), lung.sheets(9.0, 0.2))
    share = place * (np.float32(0.25 + 0.15 * severity) + np.float32(0.4) * lines)
    return [Change(np.clip(share, 0, 0.9) * min(1.0, 4 * severity), 30.0)]


def bronchograms(lung: LungSpace) -> Float:
    """Share left to air: branching tubes, in a part of the cases."""
    if lung.rng.random() < 0.4:
        return np.zeros((1, 1, 1), np.float32)
    tubes = lung.tubes(lung.rng.uniform(14, 24), lung.rng.uniform(0.25, 0.4))
    return tubes * (lung.deep > 6) * np.float32(lung.rng.uniform(0.4, 0.85))


def _consolidation(lung: LungSpace, severity: float) -> list[Change]:
    coarse = lung.rng.uniform(25, 60)
    score = _patches(lung, severity, coarse, low=1.2, rim=0.7)
    core = lung.highest(score, 0.03 + 0.72 * severity, lung.rng.uniform(0.08, 0.5))
    halo = lung.highest(score, 0.08 + 0.87 * severity, 0.8)
    share = np.maximum(core * np.float32(0.98), halo * np.float32(lung.rng.uniform(0.1, 0.45)))
    share = share * (1 - bronchograms(lung)) * np.float32(min(1.0, 5 * severity))
    target = np.float32(lung.rng.uniform(*PNEUMONIA_HU)) + np.float32(6) * lung.field(15.0)
    return [Change(share, target)]


def _atelectasis(lung: LungSpace, severity: float) -> list[Change]:
    """Density grows towards the ground, as in ARDS: aerated, ground glass, collapsed (Gattinoni 1987)."""
    base = lung.low + np.float32(0.12) * lung.field(40.0) + np.float32(lung.rng.uniform(0, 0.4)) * lung.basal
    level = float(np.quantile(base[lung.mask], 1 - (0.04 + 0.6 * severity))) if lung.mask.any() else 1.0
    width = lung.rng.uniform(0.03, 0.25)
    dense = smooth_step((base - np.float32(level)) / np.float32(width) + np.float32(0.5))
    haze = smooth_step((base - np.float32(level - 0.45)) / np.float32(0.6)) * np.float32(0.4 * severity)
    share = np.maximum(dense * np.float32(0.97), haze) * (1 - bronchograms(lung))
    return [Change(share * np.float32(min(1.0, 5 * severity)), float(lung.rng.uniform(*COLLAPSED_HU)))]


def _oedema(lung: LungSpace, severity: float) -> list[Change]:
    """Water everywhere, more in dependent lung and around the hilum."""
    spread = np.float32(0.5) + np.float32(0.6) * lung.low + np.float32(0.15) * lung.field(30.0)
    septa = np.float32(0.15) * lung.sheets(12.0, 0.15) * np.exp(-lung.deep / np.float32(12.0))
    return [Change(np.clip(np.float32(0.5 * severity) * (spread + septa), 0, 0.85), 20.0)]


def _fibrosis(lung: LungSpace, severity: float) -> list[Change]:
    """Reticulation and honeycombs under the pleura, most at the base."""
    rim = np.exp(-lung.deep / np.float32(6 + 20 * severity))
    score = rim * 2 + np.float32(lung.rng.uniform(0.3, 1.2)) * lung.basal + np.float32(0.4) * lung.field(25.0)
    place = lung.highest(score, 0.08 + 0.5 * severity, 0.4)
    cells = np.maximum(lung.sheets(lung.rng.uniform(6, 11), 0.45), lung.sheets(8.0, 0.3))
    wall = Change(place * (np.float32(0.15) + np.float32(0.6) * cells) * min(1.0, 4 * severity), 30.0)
    holes = place * (1 - cells) * np.float32(0.6 * min(1.0, 4 * severity))
    return [wall, Change(holes * (lung.deep > 2), -980.0)]


def _emphysema(lung: LungSpace, severity: float) -> list[Change]:
    score = lung.field(lung.rng.uniform(12, 30)) + np.float32(lung.rng.uniform(-1, 1)) * lung.basal
    share = lung.highest(score, 0.1 + 0.7 * severity, 0.6) * np.float32(0.4 + 0.55 * severity)
    out = [Change(share * min(1.0, 4 * severity), -990.0)]
    for _ in range(int(lung.rng.poisson(3 * severity))):  # bullae, most of them under the pleura
        ball = lung.ball(lung.inside_point(15.0), lung.rng.uniform(6, 12 + 30 * severity))
        out.append(Change(smooth_step(-ball / np.float32(2.5)), -1000.0))
        out.append(Change(smooth_step(1 - np.abs(ball) / np.float32(1.5)) * np.float32(0.35), 0.0))
    return out


def _mass(lung: LungSpace, severity: float) -> list[Change]:
    out = []
    for _ in range(1 + int(lung.rng.poisson(severity))):
        radius = lung.rng.uniform(5, 12 + 38 * severity)
        ball = lung.ball(lung.inside_point(0.6 * radius + 3), radius)
        ball = ball + np.float32(0.12 * radius) * lung.field(max(8.0, 0.6 * radius))
        out.append(
            Change(smooth_step(np.float32(0.5) - ball / np.float32(3.0)), float(lung.rng.uniform(20, 70)))
        )
    return [Change(c.share * np.float32(min(1.0, 10 * severity)), c.target) for c in out]


def _from_wall(
    lung: LungSpace, severity: float, direction: tuple[float, float, float]
) -> tuple[Float, float]:
    """Score that is highest where fluid or gas gathers along ``direction``, and the share it takes."""
    place = lung.along(direction) + np.float32(0.05) * lung.field(45.0)
    # A meniscus: along the wall it reaches farther than in the middle.
    place = place + np.float32(lung.rng.uniform(0.05, 0.35)) * np.exp(-lung.deep / np.float32(8.0))
    return place, 0.04 + 0.5 * severity**1.2


def _effusion(lung: LungSpace, severity: float) -> list[Change]:
    x, y, z = lung.gravity
    down = (x, y, z - lung.rng.uniform(0.0, 0.7))
    score, share = _from_wall(lung, severity, down)
    fluid = lung.highest(score, share, 0.03)
    rim = lung.highest(score, min(0.95, share + 0.12 + 0.2 * severity), 0.25)
    much = np.float32(lung.rng.uniform(0.3, 0.95))
    squeezed = Change(rim * (1 - fluid) * much, float(lung.rng.uniform(*COLLAPSED_HU)))
    leaves = (fluid >= 0.5).astype(np.float32)
    return [squeezed, Change(fluid, float(lung.rng.uniform(*FLUID_HU)), leaves)]


def _pneumothorax(lung: LungSpace, severity: float) -> list[Change]:
    x, y, z = lung.gravity
    up = (-x, -y, -z + lung.rng.uniform(0.0, 0.7))
    score, share = _from_wall(lung, severity, up)
    gas = lung.highest(score, share, 0.02)
    dense = np.float32(0.12 + 0.3 * severity) * np.ones((1, 1, 1), np.float32)
    line = smooth_step(1 - np.abs(gas - np.float32(0.5)) * 2) * np.float32(0.25)
    leaves = (gas >= 0.5).astype(np.float32)
    return [
        Change(np.broadcast_to(dense, lung.shape) * (1 - gas), 30.0),
        Change(gas, -1000.0, leaves),
        Change(line, 0.0),
    ]


def _white_out(lung: LungSpace, severity: float) -> list[Change]:
    share = np.float32(0.5 + 0.5 * severity) * (1 - np.float32(0.04) * np.abs(lung.field(20.0)))
    share = np.clip(share, 0, 1) * (1 - bronchograms(lung))
    return [Change(share, np.float32(lung.rng.uniform(15, 60)) + np.float32(5) * lung.field(20.0))]


#: Pathologies that can be put into real lungs, and how.
RECIPES: dict[Pathology, Callable[[LungSpace, float], list[Change]]] = {
    Pathology.GROUND_GLASS: _ground_glass,
    Pathology.CRAZY_PAVING: _crazy_paving,
    Pathology.CONSOLIDATION: _consolidation,
    Pathology.ATELECTASIS: _atelectasis,
    Pathology.OEDEMA: _oedema,
    Pathology.FIBROSIS: _fibrosis,
    Pathology.EMPHYSEMA: _emphysema,
    Pathology.MASS: _mass,
    Pathology.EFFUSION: _effusion,
    Pathology.PNEUMOTHORAX: _pneumothorax,
    Pathology.WHITE_OUT: _white_out,
}
