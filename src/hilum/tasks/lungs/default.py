"""The default: the 3-D network for scans, a network of slices for single ones and thin stacks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING

from hilum.core.segmentation import ModelInfo, Progress, Segmentation, Segmenter
from hilum.core.volume import Volume
from hilum.models.engine import Device
from hilum.models.weights import FOLDER, load_weights

if TYPE_CHECKING:
    from hilum.tasks.lungs.model import LearnedLungs
    from hilum.tasks.lungs.thin import ThinLungs

__all__ = ["DefaultLungs"]

#: A stack thinner than this shows too little for three dimensions, mm.
THIN_MM = 40.0


class DefaultLungs:
    """Chooses by what the scan is.

    The network for scans, and the code round it, are loaded in the background at once, while the scan is
    being read; the network for slices when it is first needed.

    Args:
        device: Where the networks run.
        threads: Threads on the CPU; 0 for as many as there are cores.
    """

    def __init__(self, device: Device = Device.AUTO, threads: int = 0) -> None:
        self._device, self._threads = device, threads
        pool = ThreadPoolExecutor(1)
        self._opening = pool.submit(_open, threads, device)
        pool.shutdown(wait=False)

    @property
    def _volumes(self) -> LearnedLungs:
        return self._opening.result()

    @cached_property
    def _slices(self) -> ThinLungs:
        from hilum.models.slices import load_run
        from hilum.tasks.lungs.thin import ThinLungs

        model = load_run(FOLDER / "lungs-slices.onnx", self._threads, self._device)
        return ThinLungs(model, self._volumes)

    @property
    def info(self) -> ModelInfo:
        """Of the network for scans; a result names the one that made it."""
        return self._volumes.info

    def __call__(self, volume: Volume, progress: Progress | None = None) -> Segmentation:
        """Find the lungs; see :class:`hilum.core.segmentation.Segmenter`."""
        return self._choose(volume)(volume, progress)

    def _choose(self, volume: Volume) -> Segmenter:
        canonical = volume.canonical()
        if canonical.shape[2] > 1 and 1 in canonical.shape[:2]:
            from hilum.anatomy import Classic  # no network knows coronal pictures

            return Classic()
        height = canonical.shape[2] * canonical.spacing[2] if canonical.meta.spacing_known else None
        thin = canonical.shape[2] < 8 if height is None else canonical.shape[2] == 1 or height < THIN_MM
        return self._slices if thin else self._volumes


def _open(threads: int, device: Device) -> LearnedLungs:
    from hilum.tasks.lungs.model import LearnedLungs

    return LearnedLungs(load_weights("lungs", FOLDER, threads, device))
