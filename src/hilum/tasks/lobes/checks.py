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
    unseen = {fissure: p for fissure, p in segmentation.seen.items() if p < LIMITS.fissure_seen}
    if unseen:
        named = [f"of the {fissure.words} {percent:.0f} %" for fissure, percent in unseen.items()]
        told = " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)
        message = (
            f"{told[:1].upper()}{told[1:]} is seen, less than {LIMITS.fissure_seen:g} %: the border of the "
            "lobes there is that of the shape prior, not of this patient. Look at the scan."
        )
        regions = tuple(dict.fromkeys(name for fissure in unseen for name in _PARTED[fissure]))
        yield Flag(FlagCode.LOBES_FROM_PRIOR, Severity.WARNING, message, regions)
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
