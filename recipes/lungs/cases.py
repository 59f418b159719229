"""Training cases of the 3-D lung model: real scans, the same with made-up injuries, slabs, digital chests."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from bowel import add_bowel
from scans import SCANS, load_bellies, look_at_scans
from slabs import draw_out, make_slab, slices_of

import hilum
from hilum.core.labels import Lung
from hilum.synthesis.lesions import random_injury
from hilum.synthesis.phantoms import make_phantom
from hilum.training.volumes.cases import STEP_MM, on_cubes, own_labels, write_case

PHANTOM_INJURIES = (
    "",
    "consolidation:0.7",
    "effusion:0.6",
    "ground_glass:0.8,consolidation:0.4",
    "atelectasis:0.8",
    "pneumothorax:0.5",
    "emphysema:0.8",
    "oedema:0.7,effusion:0.4",
    "consolidation:1.0,atelectasis:0.6",
    "effusion:1.0",
    "nodule:0.8,ground_glass:0.5",
    "atelectasis:1.0,effusion:0.7",
)
#: Slabs of each training slice with the dome of a diaphragm.
DOMES = 2
#: Slabs of slices at the base of each scan.
SCAN_DOMES = 24
#: How often what lies below or above the lungs is taken again with bowel put in.
_BOWELS = 3
Tell = Callable[[str], None]


def make_cases(
    data: Path, dataset: Path, out: Path, counts: tuple[int, int, int], tell: Tell, seed: int = 0
) -> dict[str, str]:
    """Write all cases that are not there yet; return the SHA-256 of each by its name.

    Args:
        data: Holds ``volumes/``.
        dataset: The slices as ``hilum prepare`` writes them.
        out: Folder of the cases.
        counts: Injured cases of each scan, slabs of each training slice, digital chests.
        tell: Is told of progress.
        seed: Of all draws.
    """
    injured, slabs, phantoms = counts
    out.mkdir(parents=True, exist_ok=True)
    log = out / "cases.json"
    done: dict[str, str] = json.loads(log.read_text("utf-8")) if log.is_file() else {}
    jobs: list[tuple[Any, ...]] = [(_phantom, i, seed) for i in range(phantoms)]
    jobs += [(_scan, i, data / "volumes" / f"{name}.nii.gz", injured, seed) for i, name in enumerate(SCANS)]
    look_at_scans(data, out.parent)
    jobs += [(_slabs, i, file, slabs, seed) for i, file in enumerate(slices_of(dataset, "train"))]
    with ProcessPoolExecutor(2) as pool:
        for number, made in enumerate(pool.map(_run, [(job, out, set(done)) for job in jobs])):
            done.update(made)
            log.write_text(json.dumps(done, indent=1, sort_keys=True), "utf-8")
            if number % 10 == 0:
                tell(f"cases: {number + 1}/{len(jobs)}")
    return done


def _run(task: tuple[tuple[Any, ...], Path, set[str]]) -> dict[str, str]:
    (work, *arguments), out, done = task
    made: dict[str, str] = work(*arguments, out, done)
    return made


def _phantom(index: int, seed: int, out: Path, done: set[str]) -> dict[str, str]:
    name = f"phantom-{index:02d}"
    return {} if name in done else {name: write_case(out, name, *phantom_case(index, seed, 1000))}


def phantom_case(index: int, seed: int, first: int) -> tuple[Any, Any]:
    """Return HU and labels of a digital chest on cubes; its own seed is ``first + index``."""
    rng = np.random.default_rng([seed, 1, index])
    phantom = make_phantom(
        seed=first + index,
        spacing=(STEP_MM,) * 3,
        orientation="RAS",
        injury=PHANTOM_INJURIES[index % len(PHANTOM_INJURIES)] or None,
        noise_hu=float(rng.uniform(5, 40)),
        size=float(rng.uniform(0.65, 1.15)),
        arms_down=bool(rng.random() < 0.3),
        prone=bool(rng.random() < 0.1),
    )
    return on_cubes(phantom.volume, phantom.labels)


def _scan(index: int, path: Path, injured: int, seed: int, out: Path, done: set[str]) -> dict[str, str]:
    names = [f"real-{index:02d}"] + [f"injured-{index:02d}-{k:02d}" for k in range(injured)]
    names += [f"dome-scan{index:02d}-{k:02d}" for k in range(SCAN_DOMES)]
    if set(names) <= done:
        return {}
    volume = hilum.read(path)
    hu, labels = on_cubes(volume, own_labels(volume))
    made = {names[0]: write_case(out, names[0], hu, labels)}
    for part, planes in _ends(labels).items():
        # A whole abdomen is rarer than the ends of chests, and has a share of its own.
        group = "abdomen" if (planes.stop - planes.start) * STEP_MM > 200 else "negative"
        name = f"{group}-{index:02d}-{part}"
        own = labels[:, :, planes]
        made[name] = write_case(out, name, hu[:, :, planes], own)
        for k in range(_BOWELS):
            rng = np.random.default_rng([seed, 3, index, k])
            more = f"{name}-{k}"
            made[more] = write_case(out, more, add_bowel(hu[:, :, planes], own, STEP_MM, rng), own)
    for k, name in enumerate(names[1 + injured :]):
        if name in done:
            continue
        rng = np.random.default_rng([seed, 8, index, k])
        made[name] = write_case(out, name, *_low_slab(hu, labels, rng))
    for k, name in enumerate(names[1 : 1 + injured]):
        if name in done:
            continue
        rng = np.random.default_rng([seed, 2, index, k])
        result = random_injury(hu, labels, (STEP_MM,) * 3, rng)
        sick = result.hu
        if rng.random() < 0.4:
            sick = add_bowel(sick, labels, STEP_MM, rng)
        made[name] = write_case(out, name, sick, result.mask)
    return made


def _low_slab(hu: Any, labels: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """A slice at the base of a scan's lungs drawn out, for what the organs below look like in one slice."""
    planes = np.flatnonzero(labels.any(axis=(0, 1)))
    low, high = int(planes[0]), int(planes[-1])
    z = int(np.clip(rng.uniform(low - 3, low + 0.45 * (high - low)), 0, high))
    maps = [np.asarray(a[:, :, z], np.float32) for a in (hu, labels == Lung.RIGHT, labels == Lung.LEFT)]
    return draw_out(maps, STEP_MM, rng)


def _slabs(index: int, file: Path, count: int, seed: int, out: Path, done: set[str]) -> dict[str, str]:
    made = {}
    for k in range(count):
        name = f"slab-{index:03d}-{k}"
        if name not in done:
            made[name] = write_case(out, name, *make_slab(file, np.random.default_rng([seed, 4, index, k])))
    for k in range(DOMES):
        name = f"dome-{index:03d}-{k}"
        if name not in done:
            rng = np.random.default_rng([seed, 6, index, k])
            made[name] = write_case(out, name, *make_slab(file, rng, True, load_bellies(out.parent)))
    return made


def _ends(labels: Any) -> dict[str, slice]:
    """What lies below and above the lungs, with their tips, where there are at least 12 planes of it."""
    planes = np.flatnonzero(labels.any(axis=(0, 1)))
    low, high = int(planes[0]), int(planes[-1]) + 1
    fifth = (high - low) // 5
    ends = {
        "below": slice(0, low + fifth),
        "beneath": slice(0, max(0, low - 4)),
        "above": slice(high - fifth // 2, labels.shape[2]),
    }
    return {k: s for k, s in ends.items() if s.stop - s.start >= 12}
