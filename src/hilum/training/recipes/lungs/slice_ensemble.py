"""Weight of the volume network in the ensemble for single slices: chosen on the validation patients.

    python -m hilum.training.recipes.lungs.slice_ensemble --data DATA [--weights FOLDER]

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
from hilum.tasks.lungs.thin import ThinLungs, fuse
from hilum.training.recipes.lungs.calibration import as_volume, corrupted_slices
from hilum.training.recipes.lungs.extrude import slices_of
from hilum.training.recipes.lungs.heldout import arguments_of

#: Weights and powers that are tried.
MOST, POWER = (0.0, 1.0, 2.0, 3.0), (2, 4)
#: Changes that corrupted_slices makes, in its order; later ones are not used for choosing.
CHANGES = ("as it is", "injured", "injured", "dome", "dome", "dome and injured")


def predictions(model: ThinLungs, image: Any, share: Any) -> tuple[Any, ...]:
    """Return the predictions of the slice and of the volume network, the share of tissue, and the truth."""
    volume, mask = as_volume(image, share)
    canonical = volume.canonical()
    plain, mirrored = model.of_slices(canonical)
    volume_prob, solid = model.of_volumes(Scan.of(canonical), spacing_known=False)
    return 0.5 * (plain + mirrored), volume_prob, solid, mask


def main() -> None:
    """Try all and print the Dice of each."""
    arguments = arguments_of(__doc__)
    volumes = LearnedLungs(open_model(arguments.weights / "lungs.onnx"))
    model = ThinLungs(open_model(arguments.weights / "lungs-slices.onnx"), volumes)
    cases = []
    for number, file in enumerate(slices_of(arguments.data / "slices", "validation")):
        made = corrupted_slices(file, np.random.default_rng([9, number]))
        cases += [(kind, predictions(model, *pair)) for kind, pair in zip(CHANGES, made, strict=False)]
    for most, power in itertools.product(MOST, POWER):
        scores: dict[str, list[float]] = {}
        for kind, (own, volume_prob, solid, mask) in cases:
            found = fuse(own, volume_prob, solid, most, power) >= model.slices.threshold
            scores.setdefault(kind, []).append(dice(found, mask))
        words = [f"{k} {np.mean(v):.4f} (tenth {np.quantile(v, 0.1):.3f})" for k, v in scores.items()]
        mean = np.mean([np.mean(v) for v in scores.values()])
        print(f"weight {most:.0f}, power {power}  {mean:.4f}  {'; '.join(words)}", flush=True)


if __name__ == "__main__":
    main()
