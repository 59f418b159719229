"""Draw the README's picture from a digital chest: ``python docs/make_overview.py``."""

from __future__ import annotations

from pathlib import Path

import hilum
from hilum.report.figures import save_overview_png


def main() -> None:
    chest = hilum.phantom(seed=1, spacing=(1.0, 1.0, 1.0), noise_hu=12.0)
    save_overview_png(hilum.segment(chest.volume), Path(__file__).parent / "img" / "overview.png")


if __name__ == "__main__":
    main()
