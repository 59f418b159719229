"""Flags of pleural fluid and free gas, raised with the lungs whether the task pleura is asked for or not."""

from __future__ import annotations

from collections.abc import Iterator

from hilum.anatomy.pleura import FLUID, GAS, SIDES, by_side
from hilum.core.flag_limits import LIMITS
from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.labels import LUNGS, PLEURA, Side
from hilum.core.segmentation import Segmentation
from hilum.core.volume import Volume

__all__ = ["pleura_flags"]


def pleura_flags(volume: Volume, segmentation: Segmentation) -> Iterator[Flag]:
    """Yield the flags of pleural fluid and pneumothorax, with their mL.

    None is raised where the model of the lungs does not find them, or where the file holds no voxel size, so
    that mL are unknown.

    Args:
        volume: The scan.
        segmentation: Its lungs, with the label map of the pleura beside them.
    """
    pleura = segmentation.beside.get(PLEURA.name)
    if pleura is None or not volume.meta.spacing_known:
        return
    found = {value: n * volume.voxel_volume_ml for value, n in pleura.counts().items()}
    fluid, gas = found[FLUID] >= LIMITS.pleural_fluid_ml, found[GAS] >= LIMITS.pleural_gas_ml
    if not fluid and not gas:
        return
    sided = by_side(volume, pleura, segmentation.labels).counts()
    ml = {SIDES[value].name: n * volume.voxel_volume_ml for value, n in sided.items()}
    if fluid:
        what = (
            f"Pleural fluid was found, {_amounts(ml, PLEURA[FLUID].name)}, outside the lungs. "
            "Look at the scan: thin or loculated fluid is found in part only."
        )
        regions = _regions(ml, PLEURA[FLUID].name, LIMITS.pleural_fluid_ml)
        yield Flag(FlagCode.PLEURAL_FLUID, Severity.WARNING, what, regions)
    if gas:
        what = (
            f"Free gas in the pleural space (pneumothorax) was found, {_amounts(ml, PLEURA[GAS].name)}, "
            "outside the lungs. Look at the scan: a bulla or bowel may look alike."
        )
        regions = _regions(ml, PLEURA[GAS].name, LIMITS.pleural_gas_ml)
        yield Flag(FlagCode.PNEUMOTHORAX, Severity.WARNING, what, regions)


def _amounts(ml: dict[str, float], name: str) -> str:
    right, left = ml[f"right_{name}"], ml[f"left_{name}"]
    return f"{right + left:.0f} mL (right {right:.0f} mL, left {left:.0f} mL)"


def _regions(ml: dict[str, float], name: str, least: float) -> tuple[str, ...]:
    """The lungs on whose sides there is enough for a flag; empty, which means both, where neither has."""
    sides = {Side.RIGHT.value: ml[f"right_{name}"], Side.LEFT.value: ml[f"left_{name}"]}
    return tuple(info.name for info in LUNGS.values() if sides[info.name] >= least)
