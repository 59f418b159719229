"""Probability from which the network adds dense lung: chosen on held-out cases.

    python -m hilum.training.recipes.lungs.thresholds --data DATA [--weights FOLDER]

It prints and changes nothing.

The best row goes by hand into hilum.tasks.lungs.shape.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from hilum.anatomy.model import Scan, threshold_lungs
from hilum.core.errors import NotAChestError
from hilum.core.volume import Volume
from hilum.datasets.volume_grid import STEP_MM
from hilum.imaging.overlap import dice
from hilum.models.registry import open_model
from hilum.tasks.lungs.model import CLOSING_MM, LearnedLungs
from hilum.tasks.lungs.shape import Rules, join_lungs
from hilum.training.recipes.lungs.heldout import HeldoutCase, arguments_of, heldout_cases

#: Rules that are tried; see :class:`hilum.tasks.lungs.shape.Rules`.
SMALL, LARGE = (0.5, 0.6), (0.5, 0.65, 0.8, 0.88)
SURELY_NOT = (0.1, 0.2, 0.35)


def inputs_of(case: HeldoutCase, model: LearnedLungs) -> tuple[Any, ...] | None:
    """Return the inputs of the join, and the truth; None where there is no chest."""
    hu, labels = case.hu, case.lungs
    scan = Scan.of(Volume(hu.astype(np.int16), np.diag([STEP_MM] * 3 + [1.0])).canonical())
    prediction = model.ask(scan)
    try:
        aerated, _, exclusion_mask = threshold_lungs(scan, CLOSING_MM)
    except NotAChestError:
        return None
    return (
        aerated,
        prediction.right,
        prediction.left,
        exclusion_mask,
        scan.reduced.spacing,
        scan.hu,
        labels > 0,
    )


def main() -> None:
    """Try all and print the Dice of each."""
    arguments = arguments_of(__doc__)
    model = LearnedLungs(open_model(arguments.weights / "lungs.onnx"))
    found = heldout_cases(arguments.data)
    seen = [(case.group, inputs_of(case, model)) for case in found]
    cases = [(group, s) for group, s in seen if s is not None]
    groups = sorted({group for group, _ in cases})
    print(f"{len(cases)} of {len(seen)} cases")

    def show(what: str, scores: list[float]) -> None:
        parts = [
            np.array([s for s, (g, _) in zip(scores, cases, strict=True) if g == name]) for name in groups
        ]
        text = "  ".join(
            f"{name} {p.mean():.4f} (tenth {np.quantile(p, 0.1):.4f}, worst {p.min():.4f})"
            for name, p in zip(groups, parts, strict=True)
        )
        print(f"{what:55s} {np.mean(scores):.4f}  {text}", flush=True)

    show("air", [dice(c[0] > 0, c[-1]) for _, c in cases])
    show("network", [dice(c[1] + c[2] >= 0.5, c[-1]) for _, c in cases])
    for small, large, deny in itertools.product(SMALL, LARGE, SURELY_NOT):
        rules = Rules(sure=(small, large), loose=max(large, 0.8), surely_not=deny)
        scores = [dice(join_lungs(c[0], c[1], c[2], c[3], c[4], rules, c[5]) > 0, c[-1]) for _, c in cases]
        show(f"sure {small} to {large}, surely not {deny}", scores)


if __name__ == "__main__":
    main()
