"""Compare weights on the subjects that validate: scans as they are, and with made disease of the pleura.

    python -m hilum.training.recipes.lungs.compare --scans DATA [--cases 24] START.pt RUN ...

Weights are all that a training can begin with. Prints, for each, the Dice of lungs, of pleural fluid and of
free gas, and the part of the fluid that is counted as lung; nothing is written.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from hilum.core.constants import CT_WINDOW_HU
from hilum.datasets.split import split_subjects
from hilum.datasets.volumes import LABELS, load_volumes
from hilum.imaging.overlap import dice
from hilum.training.config import TrainConfig
from hilum.training.recipes.lungs.__main__ import recipe_config
from hilum.training.recipes.lungs.source import RecipeSource
from hilum.training.volumes.initial import load_initial
from hilum.training.volumes.module import predict, scaled_range
from hilum.training.volumes.networks import LungNet3d
from hilum.training.volumes.sources import VolumeCase, case_of

__all__ = ["main", "score"]

_FLUID, _GAS = LABELS["pleural_fluid"], LABELS["pleural_gas"]


def score(network: LungNet3d, case: VolumeCase) -> dict[str, float]:
    """Return figures of a case; NaN where the case holds nothing of a kind.

    Args:
        network: A network of volumes.
        case: HU and labels.

    Returns:
        ``lungs``, ``fluid``, ``gas``: Dice; ``fluid as lung``: part of the fluid that is counted as lung.
    """
    chances = predict(network, torch.from_numpy(case.hu), CT_WINDOW_HU).numpy()
    found, truth = chances.argmax(0), case.labels
    lung = (found == LABELS["right_lung"]) | (found == LABELS["left_lung"])

    def of(value: int) -> float:
        mask: npt.NDArray[Any] = truth == value
        return dice(found == value, mask) if mask.any() else float("nan")

    fluid = truth == _FLUID
    return {
        "lungs": dice(lung, (truth > 0) & (truth < _FLUID), empty=1.0),
        "fluid": of(_FLUID),
        "gas": of(_GAS),
        "fluid as lung": float(lung[fluid].mean()) if fluid.any() else float("nan"),
    }


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line and print a table for each of the weights."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scans", type=Path, required=True, help="folder of the prepared data")
    parser.add_argument("--cases", type=int, default=24, help="made cases")
    parser.add_argument("--seed", type=int, default=0, help="of the split, as in the training")
    parser.add_argument("weights", nargs="+")
    given = parser.parse_args(words)
    config = recipe_config(None, None, 0, given.seed, [])
    groups = _cases(given.scans, config, given.cases)
    for name in given.weights:
        network = load_initial(name, scaled_range(config)).eval()
        print(f"{name}: mean, worst of each")
        for group, cases in groups.items():
            rows = [score(network, case) for case in cases]
            parts = [_column(kind, [row[kind] for row in rows]) for kind in rows[0]] if rows else []
            print(f"{group}: {', '.join(part for part in parts if part)}", flush=True)


def _cases(data: Path, config: TrainConfig, count: int) -> dict[str, list[VolumeCase]]:
    scans = load_volumes(data / "scans")
    split = split_subjects(
        [subject.id for subject in scans.subjects],
        seed=config.seed,
        test_share=config.test_share,
        validation_share=config.validation_share,
    )
    source = RecipeSource(data, split.validation, config.seed)
    return {
        "scans as they are": [case_of(hu, labels) for hu, labels in source.scans],
        "made cases": source.validation_cases(count),
    }


def _column(kind: str, values: list[float]) -> str:
    seen = np.array([value for value in values if not np.isnan(value)])
    if not seen.size:
        return ""
    worst = seen.max() if kind == "fluid as lung" else seen.min()
    return f"{kind} {seen.mean():.4f} {worst:.4f} ({seen.size})"


if __name__ == "__main__":
    main()
