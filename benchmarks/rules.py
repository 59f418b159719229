"""What three rules of the model ``lungs`` give: each is switched off, and held-out scans are predicted again.

The surface drawn by native voxels, against the network's probability alone: Dice and mean surface distance on
the scans with masks. The average with the prediction of the mirror image, against one prediction: the same,
and pleural fluid drawn by hand. The refusal of what is not a chest: the volume that is found in scans without
lungs, or with the tips of lungs only. Real scans as in benchmarks/lungs_real.py; prints a line a scan.

    python benchmarks/rules.py [--model lungs]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from hilum.tasks.registry import load_model
from lungs_real import fluid, masks, no_chest, nothing

#: No probability lies in this band: the surface is where the network's probability is 0.5.
EMPTY_BAND = (0.5, 0.5)


@contextmanager
def without(name: str, value: Any) -> Iterator[None]:
    """Replace a name of the model's code."""
    with mock.patch(f"hilum.tasks.lungs.{name}", value):
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="lungs")
    model = load_model(parser.parse_args().model)
    for row in masks(model, nothing):
        print("surface by native voxels", row, flush=True)
    with without("surface.BAND", EMPTY_BAND):
        for row in masks(model, nothing):
            print("surface by the network", row, flush=True)
    for row in fluid(model, nothing):
        print("with the mirror image", row, flush=True)
    with mock.patch.object(model._volumes, "mirror", False):
        for row in (*masks(model, nothing), *fluid(model, nothing)):
            print("without the mirror image", row, flush=True)
    with without("model.require_chest", lambda *_: None):
        for row in no_chest(model, nothing):
            print("nothing is refused", row, flush=True)


if __name__ == "__main__":
    main()
