"""Robustness to scanner, settings and patient: accuracy on scans that were changed on purpose.

Scans with hand-made masks that no model was trained on, and digital chests, as they are and as another
scanner, field of view, posture or size of patient would have given them. Prints a line a change and writes
benchmarks/out/robustness.json, summed over scans only.

    python benchmarks/robustness.py [--model lungs] [--only circle]
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

import hilum
from confidence import FAILED_BELOW
from hilum.core.errors import HilumError
from hilum.imaging.overlap import dice as dice_of
from hilum.tasks.lungs.confidence import UNCERTAIN
from hilum.tasks.registry import load_model
from injury import DATA, SCANS, scan_and_lungs

HERE = Path(__file__).parent
PHANTOM_SEEDS = (3, 4)
Array = np.ndarray[Any, Any]
Spacing = tuple[float, float, float]
#: HU, mask of the lungs, voxel size in mm.
Case = tuple[Array, Array, Spacing]


def smoothed(hu: Array, spacing: Spacing, mm: float) -> Array:
    return ndimage.gaussian_filter(hu, [mm / s for s in spacing])


def noise(hu_sd: float) -> Callable[[Case, np.random.Generator], Case]:
    return lambda c, rng: (c[0] + hu_sd * rng.standard_normal(c[0].shape, np.float32), *c[1:])


def streaks(case: Case, rng: np.random.Generator) -> Case:
    """Photon starvation: noise drawn out from side to side."""
    return case[0] + ndimage.gaussian_filter1d(noise(400)(case, rng)[0] - case[0], 3, axis=0), *case[1:]


def sharp(case: Case, rng: np.random.Generator) -> Case:
    """A kernel that overshoots at edges, and its noise."""
    hu, mask, spacing = case
    return noise(40)((hu + 1.5 * (hu - smoothed(hu, spacing, 2.0)), mask, spacing), rng)


def soft(mm: float) -> Callable[[Case, np.random.Generator], Case]:
    return lambda c, rng: (smoothed(c[0], c[2], mm), *c[1:])


def thick(case: Case, rng: np.random.Generator) -> Case:
    """Slices of 10 mm."""
    hu, mask, (x, y, z) = case
    n = max(1, round(10 / z))
    planes = hu.shape[2] // n * n
    means = [a[:, :, :planes].reshape(*a.shape[:2], -1, n).mean(3) for a in (hu, mask)]
    return means[0], means[1] >= 0.5, (x, y, z * n)


def gaps(case: Case, rng: np.random.Generator) -> Case:
    """Thin slices every 10 mm."""
    hu, mask, (x, y, z) = case
    n = max(1, round(10 / z))
    return hu[:, :, n // 2 :: n], mask[:, :, n // 2 :: n], (x, y, z * n)


def values(change: Callable[[Array], Array]) -> Callable[[Case, np.random.Generator], Case]:
    return lambda c, rng: (change(c[0]), *c[1:])


def size(factor: float) -> Callable[[Case, np.random.Generator], Case]:
    return lambda c, rng: (c[0], c[1], (c[2][0] * factor, c[2][1] * factor, c[2][2] * factor))


def turned(axes: tuple[int, int]) -> Callable[[Case, np.random.Generator], Case]:
    """By 20 degrees, the corners filled with -1000 as software does."""

    def change(case: Case, rng: np.random.Generator) -> Case:
        hu = ndimage.rotate(case[0], 20, axes=axes, order=1, cval=-1000)
        return hu, ndimage.rotate(case[1].astype(np.float32), 20, axes=axes, order=1) >= 0.5, case[2]

    return change


def part(which: Callable[[Array], tuple[slice, ...]]) -> Callable[[Case, np.random.Generator], Case]:
    def change(case: Case, rng: np.random.Generator) -> Case:
        index = which(case[1])
        return case[0][index], case[1][index], case[2]

    return change


def span(mask: Array, axis: int) -> tuple[int, int]:
    hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
    return int(hit[0]), int(hit[-1]) + 1


def along_z(low: float, high: float) -> Callable[[Array], tuple[slice, ...]]:
    """A part of the lungs' height, 0 to 1; beyond 0 and 1 what lies below and above them too."""

    def which(mask: Array) -> tuple[slice, ...]:
        first, last = span(mask, 2)
        at = [first + share * (last - first) for share in (low, high)]
        low_at = None if low <= 0 else round(at[0])
        return slice(None), slice(None), slice(low_at, None if high >= 1 else round(at[1]))

    return which


def box(mask: Array) -> tuple[slice, ...]:
    """As close as it goes round the lungs."""
    return tuple(slice(*span(mask, axis)) for axis in range(3))


def half(first: bool) -> Callable[[Array], tuple[slice, ...]]:
    def which(mask: Array) -> tuple[slice, ...]:
        middle = sum(span(mask, 0)) // 2
        return (slice(None, middle) if first else slice(middle, None), slice(None), slice(None))

    return which


def circle(padding: float) -> Callable[[Case, np.random.Generator], Case]:
    """A reconstructed field so narrow that it cuts both lungs, with padding round it."""

    def change(case: Case, rng: np.random.Generator) -> Case:
        hu, mask, spacing = case
        (x0, x1), (y0, y1) = span(mask, 0), span(mask, 1)
        x, y = np.ogrid[: hu.shape[0], : hu.shape[1]]
        radius = 0.4 * max((x1 - x0) * spacing[0], (y1 - y0) * spacing[1])
        middle = ((x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2)
        off = ((x - middle[0]) * spacing[0]) ** 2 + ((y - middle[1]) * spacing[1]) ** 2
        seen = (off < radius**2)[:, :, None]
        return np.where(seen, hu, padding), mask & seen, spacing

    return change


def lung(change: Callable[[Array, Array], Array]) -> Callable[[Case, np.random.Generator], Case]:
    return lambda c, rng: (np.where(c[1], change(c[0], rng.standard_normal(c[0].shape)), c[0]), *c[1:])


def contrast(case: Case, rng: np.random.Generator) -> Case:
    """Vessels, heart and organs 120 HU brighter."""
    hu, mask, spacing = case
    return np.where(mask, hu, hu + 120 * np.clip((hu - 20) / 40, 0, 1)), mask, spacing


CHANGES: dict[str, Callable[[Case, np.random.Generator], Case]] = {
    "as it is": lambda c, rng: c,
    "noise of 50 HU": noise(50),
    "noise of 150 HU": noise(150),
    "streaks": streaks,
    "sharp kernel": sharp,
    "blur of 2 mm": soft(2),
    "blur of 4 mm": soft(4),
    "slices of 10 mm": thick,
    "a slice every 10 mm": gaps,
    "20 HU too low": values(lambda hu: hu - 20),
    "20 HU too high": values(lambda hu: hu + 20),
    "40 HU too low": values(lambda hu: hu - 40),
    "40 HU too high": values(lambda hu: hu + 40),
    "window -1000 to 400": values(lambda hu: hu.clip(-1000, 400)),
    "window -1350 to 150": values(lambda hu: hu.clip(-1350, 150)),
    "contrast medium": contrast,
    "a third of the size": size(0.35),
    "half the size": size(0.5),
    "0.7 of the size": size(0.7),
    "1.25 of the size": size(1.25),
    "turned about x": turned((1, 2)),
    "turned about y": turned((0, 2)),
    "turned about z": turned((0, 1)),
    "mirrored, feet first": lambda c, rng: (c[0][::-1, :, ::-1], c[1][::-1, :, ::-1], c[2]),
    "apex only": part(along_z(0.67, 1)),
    "middle only": part(along_z(0.33, 0.67)),
    "base only": part(along_z(0, 0.33)),
    "cropped to the lungs": part(box),
    "one half of the body": part(half(True)),
    "the other half": part(half(False)),
    "circle, padding -2000": circle(-2000),
    "circle, padding -1024": circle(-1024),
    "circle, padding 0": circle(0),
    "breathed out": lung(lambda hu, n: 0.55 * hu - 20),
    "emphysema throughout": lung(lambda hu, n: np.where(hu < -600, -960 + 25 * n, hu)),
}


def cases(scans: list[str]) -> Iterator[tuple[str, Case]]:
    for name in scans:
        ras, own = scan_and_lungs(name)
        yield name, (ras.hu.astype(np.float32), own, ras.spacing)
    for seed in PHANTOM_SEEDS:
        chest = hilum.phantom(seed=seed, spacing=(1.2, 1.2, 2.0), orientation="RAS")
        yield f"digital chest {seed}", (chest.volume.hu.astype(np.float32), chest.labels > 0, (1.2, 1.2, 2.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="lungs")
    parser.add_argument("--only", default="", help="changes whose name holds this (regular expression)")
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    dice: dict[str, list[float]] = defaultdict(list)
    flagged: dict[str, int] = defaultdict(int)
    refused: dict[str, int] = defaultdict(int)
    here = [name for name in SCANS if any(DATA.glob(f"{name}.[nm]*"))]
    if not here:
        print("real scans: not here, left out")
    for number, (_, case) in enumerate(cases(here)):
        for how, change in CHANGES.items():
            if not re.search(arguments.only, how):
                continue
            hu, true, spacing = change(case, np.random.default_rng([5, number]))
            whole = np.ascontiguousarray(np.rint(hu.clip(-3024, 3071)).astype(np.int16))
            try:
                found = model(hilum.Volume(whole, np.diag([*spacing, 1.0])))
            except HilumError:
                refused[how] += 1
                continue
            dice[how].append(dice_of(found.labels.data > 0, true))
            flagged[how] += found.confidence is not None and found.confidence.failure >= UNCERTAIN
    rows = []
    for how in CHANGES:
        if not (dice[how] or refused[how]):
            continue
        scores = np.array(dice[how])
        row = {"change": how, "evaluated": scores.size, "refused": refused[how], "flagged": flagged[how]}
        if scores.size:
            row |= {"dice": float(np.median(scores)), "worst": float(scores.min())}
            row["failed"] = int((scores < FAILED_BELOW).sum())
        rows.append(row)
        print(
            f"{how:24s} Dice median {row.get('dice', float('nan')):.3f}, worst "
            f"{row.get('worst', float('nan')):.3f}, below {FAILED_BELOW}: {row.get('failed', 0)} of "
            f"{scores.size}; flagged {flagged[how]}, refused {refused[how]}",
            flush=True,
        )
    (HERE / "out").mkdir(exist_ok=True)
    (HERE / "out" / "robustness.json").write_text(json.dumps(rows, indent=1), "utf-8")


if __name__ == "__main__":
    main()
