"""How much the network of scans counts on single slices: chosen on those of the validation patients.

    python -m hilum.training.recipes.lungs.opinions --data DATA [--weights FOLDER]

It prints and changes nothing.

The best row goes by hand into hilum.tasks.lungs.thin.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from hilum.anatomy.model import Scan
from hilum.imaging.overlap import dice
from hilum.models.registry import open_model
from hilum.tasks.lungs.model import LearnedLungs
from hilum.tasks.lungs.thin import ThinLungs, weigh
from hilum.training.recipes.lungs.calibration import as_volume, corrupted_slices
from hilum.training.recipes.lungs.extrude import slices_of
from hilum.training.recipes.lungs.fresh import arguments_of

#: Weights and powers that are tried.
MOST, POWER = (0.0, 1.0, 2.0, 3.0), (2, 4)
#: What corrupted_slices gives, in its order; what comes after is not for choosing.
KINDS = ("as it is", "injured", "injured", "dome", "dome", "dome and injured")


def look(model: ThinLungs, picture: Any, share: Any) -> tuple[Any, ...]:
    """Return the answer of the network of slices, that of the other, where there is tissue, and the truth."""
    volume, mask = as_volume(picture, share)
    canonical = volume.canonical()
    plain, mirrored = model.of_slices(canonical)
    told, solid = model.of_scans(Scan.of(canonical), spacing_known=False)
    return 0.5 * (plain + mirrored), told, solid, mask


def main() -> None:
    """Try all and print the Dice of each."""
    arguments = arguments_of(__doc__)
    volumes = LearnedLungs(open_model(arguments.weights / "lungs.onnx"))
    model = ThinLungs(open_model(arguments.weights / "lungs-slices.onnx"), volumes)
    cases = []
    for number, file in enumerate(slices_of(arguments.data / "slices", "validation")):
        made = corrupted_slices(file, np.random.default_rng([9, number]))
        cases += [(kind, look(model, *pair)) for kind, pair in zip(KINDS, made, strict=False)]
    for most, power in itertools.product(MOST, POWER):
        scores: dict[str, list[float]] = {}
        for kind, (own, told, solid, mask) in cases:
            found = weigh(own, told, solid, most, power) >= model.slices.threshold
            scores.setdefault(kind, []).append(dice(found, mask))
        words = [f"{k} {np.mean(v):.4f} (tenth {np.quantile(v, 0.1):.3f})" for k, v in scores.items()]
        mean = np.mean([np.mean(v) for v in scores.values()])
        print(f"weight {most:.0f}, power {power}  {mean:.4f}  {'; '.join(words)}", flush=True)


if __name__ == "__main__":
    main()
