"""The lungs by a network of volumes; single slices and thin stacks by a network of slices beside it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from hilum.core.segmentation import ModelInfo, Progress, Segmentation, Segmenter
from hilum.core.volume import Volume
from hilum.models.engine import Device
from hilum.models.registry import Model, find_model
from hilum.tasks.lungs.model import LearnedLungs

if TYPE_CHECKING:
    from hilum.tasks.lungs.thin import ThinLungs

__all__ = ["SLICES", "VolumeLungs"]

#: The network that stands beside each network of volumes, for single slices and thin stacks.
SLICES = "lungs-slices"
#: A stack thinner than this shows too little for three dimensions, mm.
THIN_MM = 40.0
#: The same in slices, where their spacing is not known.
_THIN_SLICES = 8


class VolumeLungs:
    """Chooses by what the scan is: a scan, or a single slice or thin stack.

    The weights of the network of slices are checked at once, too, but it is made ready when it is first
    needed, which few scans do: that takes a quarter of a second.

    Args:
        model: A network of volumes.
        threads: Threads on the CPU for the network of slices; 0 for as many as there are cores.
        device: Where the network of slices runs.

    Raises:
        ModelError: ``model`` takes no volumes or has no lungs among its labels, or the network of slices is
            missing or damaged.
    """

    def __init__(self, model: Model, threads: int = 0, device: Device = Device.AUTO) -> None:
        self._volumes = LearnedLungs(model)
        self._files = find_model(SLICES).check()
        self._device, self._threads = device, threads

    @cached_property
    def _slices(self) -> ThinLungs:
        from hilum.tasks.lungs.thin import ThinLungs

        return ThinLungs(self._files.open(self._threads, self._device), self._volumes)

    @property
    def info(self) -> ModelInfo:
        """Of the network of volumes; a result names the one that made it."""
        return self._volumes.info

    def __call__(self, volume: Volume, progress: Progress | None = None) -> Segmentation:
        """Find the lungs; see :class:`hilum.core.segmentation.Segmenter`."""
        return self._choose(volume)(volume, progress)

    def _choose(self, volume: Volume) -> Segmenter:
        canonical = volume.canonical()
        count = canonical.shape[2]
        if count > 1 and 1 in canonical.shape[:2]:
            from hilum.anatomy import Classic  # no network knows coronal slices

            return Classic()
        if canonical.meta.spacing_known:
            thin = count == 1 or count * canonical.spacing[2] < THIN_MM
        else:
            thin = count < _THIN_SLICES
        return self._slices if thin else self._volumes
