"""The label contract: what each value of a label map means.

The contract and its version are written into every output, so that a mask found on a disk in five years
can still be understood. Codes are SNOMED CT.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LABEL_CONTRACT_VERSION", "LUNGS", "LabelInfo", "Lung", "contract", "count_voxels"]

LABEL_CONTRACT_VERSION = "1.0"
#: Voxels that are looked at together: they and the answer fit a processor's cache.
_BLOCK = 2**18


class Lung(IntEnum):
    """Values of ``lungs.nii.gz``; sides are the patient's."""

    BACKGROUND = 0
    RIGHT = 1
    LEFT = 2


@dataclass(frozen=True)
class LabelInfo:
    """Name, meaning, colour (sRGB, 0-255) and SNOMED CT code of one label value."""

    value: int
    name: str
    title: str
    colour: tuple[int, int, int]
    snomed: str


#: What belongs to a lung, in words; part of every output.
LUNG_DEFINITION = (
    "Inside: parenchyma however dense (consolidation, ground glass, atelectasis, fibrosis, nodules and "
    "tumours within it), vessels and airways beyond the hilum, bullae. Outside: trachea and main bronchi, "
    "hilar vessels, pleural effusion, pneumothorax, mediastinum."
)

LUNGS: dict[Lung, LabelInfo] = {
    Lung.RIGHT: LabelInfo(1, "right_lung", "Right lung", (64, 140, 224), "3341006"),
    Lung.LEFT: LabelInfo(2, "left_lung", "Left lung", (240, 150, 56), "44029006"),
}


def contract() -> dict[str, object]:
    """Return the label contract as plain data for JSON outputs."""
    return {
        "version": LABEL_CONTRACT_VERSION,
        "lungs": {
            str(info.value): {"name": info.name, "title": info.title, "snomed_ct": info.snomed}
            for info in LUNGS.values()
        },
        "definition": LUNG_DEFINITION,
        "side": "patient's own right and left",
    }


def count_voxels(labels: npt.NDArray[np.integer[Any]]) -> dict[Lung, int]:
    """Return how many voxels each lung has."""
    flat = labels.ravel(order="K")
    blocks = [flat[start : start + _BLOCK] for start in range(0, flat.size, _BLOCK)]
    # Compared with a plain int: an enum's member would be taken for 64 bits, and the voxels with it.
    return {side: sum(int(np.count_nonzero(block == int(side))) for block in blocks) for side in LUNGS}
