"""Draw docs/img/lungs.png: digital chests with disease, the truth and what the models find.

python docs/make_lungs_image.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from hilum.synthesis.phantoms import make_phantom
from hilum.tasks.registry import load_model

CASES = {
    "healthy": None,
    "consolidation 0.7": "consolidation:0.7",
    "atelectasis 0.8": "atelectasis:0.8",
    "effusion 0.7": "effusion:0.7",
    "pneumothorax 0.6": "pneumothorax:0.6",
}


def main() -> None:
    models = {name: load_model(name) for name in ("classic", "lungs")}
    figure, axes = plt.subplots(2, len(CASES), figsize=(3.2 * len(CASES), 5.6))
    for column, (title, injury) in enumerate(CASES.items()):
        phantom = make_phantom(seed=41, spacing=(1.5, 1.5, 2.5), orientation="RAS", injury=injury)
        z = int(0.42 * phantom.volume.shape[2])
        for row, (name, model) in enumerate(models.items()):
            found = model(phantom.volume).labels.data > 0
            truth = phantom.labels > 0
            dice = 2 * (found & truth).sum() / (found.sum() + truth.sum())
            axis = axes[row, column]
            axis.imshow(phantom.volume.hu[::-1, ::-1, z].T, cmap="gray", vmin=-1000, vmax=250)
            for mask, colour in ((truth, "#35c759"), (found, "#ff3b30")):
                axis.contour(mask[::-1, ::-1, z].T, [0.5], colors=colour, linewidths=0.9)
            axis.set_title(f"{title}\n{name}: Dice {dice:.3f}", fontsize=9)
            axis.axis("off")
    figure.suptitle("Digital chests. Green: truth, red: found", fontsize=10)
    figure.tight_layout()
    figure.savefig(Path(__file__).parent / "img" / "lungs.png", dpi=70)


if __name__ == "__main__":
    main()
