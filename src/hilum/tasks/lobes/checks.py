"""Quality flags of the lobes."""

from __future__ import annotations

from collections.abc import Iterator

from hilum.core.flag_limits import LIMITS
from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.labels import LOBES, Side
from hilum.tasks.lobes.find import LobeSegmentation
from hilum.tasks.lobes.frames import Fissure
from hilum.tasks.lobes.measures import LOBES_OF

__all__ = ["check_lobes"]

#: The lobes that each fissure parts.
_PARTED = {
    Fissure.RIGHT_OBLIQUE: LOBES_OF[Side.RIGHT],
    Fissure.RIGHT_HORIZONTAL: ("right_upper_lobe", "right_middle_lobe"),
    Fissure.LEFT_OBLIQUE: LOBES_OF[Side.LEFT],
}


def check_lobes(segmentation: LobeSegmentation) -> Iterator[Flag]:
    """Yield the flags of the segmentation, of fissures that are not seen, and of lobes that are small."""
    yield from segmentation.flags
    for fissure, percent in segmentation.seen.items():
        if percent < LIMITS.fissure_seen:
            parted = " and ".join(LOBES.region(name).title.lower() for name in _PARTED[fissure])
            message = (
                f"The {fissure.words} is seen over {percent:.0f} % of its extent only: the border between "
                f"{parted} is that of the shape prior, not of this patient. Look at the scan."
            )
            yield Flag(FlagCode.LOBES_FROM_PRIOR, Severity.WARNING, message, _PARTED[fissure])
    counts = segmentation.labels.counts()
    for side in (Side.RIGHT, Side.LEFT):
        values = [LOBES.region(name).values[0] for name in LOBES_OF[side]]
        whole = sum(counts[value] for value in values)
        for value in values:
            if counts[value] < LIMITS.lobe_share * whole:
                info = LOBES[value]
                message = (
                    f"The {info.title.lower()} takes {100 * counts[value] / whole:.1f} % of its lung: it may "
                    "be collapsed or have been removed, or a fissure was taken for another. Look at the scan."
                )
                yield Flag(FlagCode.LOBE_SMALL, Severity.WARNING, message, (info.name,))
