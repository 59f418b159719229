"""The models that find lungs, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from hilum.core.errors import ModelError, UsageError
from hilum.core.segmentation import Segmenter
from hilum.models.engine import Device

__all__ = ["DEFAULT_MODEL", "available_models", "load_model"]

DEFAULT_MODEL = "lungs"


def _classic(device: Device) -> Segmenter:
    from hilum.anatomy import Classic

    if device is Device.GPU:
        raise ModelError(
            "The model 'classic' runs on the CPU only.", "Leave --device away, or choose auto or cpu."
        )
    return Classic()


@lru_cache(maxsize=2)  # opened once for many scans
def _lungs(device: Device) -> Segmenter:
    from hilum.tasks.lungs.default import DefaultLungs

    return DefaultLungs(device)


def _trained(path: Path, device: Device) -> Segmenter:
    from hilum.models.slices import load_run
    from hilum.tasks.lungs.learned import LearnedSlices

    return LearnedSlices(load_run(path, device=device))


_MODELS: dict[str, Callable[[Device], Segmenter]] = {"classic": _classic, "lungs": _lungs}


def available_models() -> tuple[str, ...]:
    """Return the names that :func:`load_model` takes."""
    return tuple(sorted(_MODELS))


def load_model(name: str = DEFAULT_MODEL, device: Device | str = Device.AUTO) -> Segmenter:
    """Return the model called ``name``, or the one that was trained into the folder ``name``.

    Args:
        name: One of :func:`available_models`, a folder made by ``hilum train``, or its ``model.onnx``.
        device: Where to run it. ``classic`` runs on the CPU only.

    Raises:
        ModelError: No model has this name, or it cannot run on this device.
        UsageError: ``device`` is not a :class:`Device`.
    """
    try:
        wanted = Device(device)
    except ValueError as error:
        raise UsageError(
            f"device is {device!r}, expected one of {', '.join(d.value for d in Device)}."
        ) from error
    if name not in _MODELS and Path(name).exists():
        return _trained(Path(name), wanted)
    if name not in _MODELS:
        raise ModelError(
            f"There is no model called {name!r}.",
            f"Models: {', '.join(available_models())}; or the folder of a trained run.",
        )
    return _MODELS[name](wanted)
