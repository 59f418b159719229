"""What makes the classes of injured lung doubtful: thick slices, a sharp kernel, noise, a shallow breath."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hilum.core.flag_limits import LIMITS
from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.volume import Volume
from hilum.quality.geometry import is_sharp

__all__ = ["injury_flags"]


def injury_flags(volume: Volume, facts: Mapping[str, float]) -> tuple[Flag, ...]:
    """Return one flag that names all causes; none where there is no cause.

    Args:
        volume: The scan.
        facts: Numbers found while segmenting, see :class:`hilum.tasks.injury.segment.Tissue`.
    """
    causes = tuple(_causes(volume, facts))
    if not causes:
        return ()
    message = (
        f"Classes of injured lung are doubtful: {'; '.join(causes)}. Look at the overlay before using them."
    )
    return (Flag(FlagCode.INJURY_DOUBTFUL, Severity.WARNING, message),)


def _causes(volume: Volume, facts: Mapping[str, float]) -> Iterator[str]:
    thick = max(volume.meta.slice_thickness or 0.0, *volume.spacing)
    if volume.meta.spacing_known and thick > LIMITS.injury_thick_mm:
        yield f"the voxels are {thick:.1f} mm thick, so borders are mixed with their surroundings"
    if is_sharp(volume.meta.kernel):
        yield f"the kernel {volume.meta.kernel} is sharp, which raises the share below -950 HU"
    noise = facts.get("noise_hu", 0.0)
    if noise > LIMITS.injury_noise_hu:
        yield f"the noise is {noise:.0f} HU"
    expected = facts.get("expected_hu")
    if expected is None:
        return
    low, high = LIMITS.injury_expected_hu
    if expected > high:
        yield (
            f"all of the lung is dense (about {expected:.0f} HU), as after expiration or with disease of the "
            "whole lung, which HU alone do not tell apart"
        )
    if expected < low:
        yield (
            f"all of the lung is dark (about {expected:.0f} HU), as in emphysema of the whole lung or "
            f"where the "
            "HU scale is off"
        )
