"""The models that find lungs, by name, each behind the same interface."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from hilum.core.errors import ModelError, UsageError
from hilum.core.labels import LUNGS
from hilum.core.segmentation import Segmenter
from hilum.core.sentences import Sentence
from hilum.models.engine import Device

__all__ = [
    "DEFAULT_MODEL",
    "AvailableModel",
    "available_models",
    "load_model",
]

DEFAULT_MODEL = "lungs"
#: The model without weights.
_CLASSIC = "classic"


@dataclass(frozen=True)
class AvailableModel:
    """A model that can be chosen by its name.

    Attributes:
        name: For :func:`load_model`.
        task: What it segments.
        version: Of the model.
        kind: ``rules``, or the architecture of its network.
    """

    name: str
    task: str
    version: str
    kind: str


def available_models() -> tuple[AvailableModel, ...]:
    """Return the models that :func:`load_model` knows by name."""
    from hilum.anatomy import Classic
    from hilum.models.registry import find_model, shipped_models

    cards = [find_model(name).card for name in shipped_models()]
    own = AvailableModel(Classic.info.name, LUNGS.name, Classic.info.version, "rules")
    return (own, *(AvailableModel(card.name, card.task, card.version, card.kind) for card in cards))


def load_model(
    name: str = DEFAULT_MODEL, device: Device | str = Device.AUTO, task: str = LUNGS.name
) -> Segmenter:
    """Return a model that is ready to run.

    Args:
        name: ``classic``; the name of a shipped model; a folder made by ``hilum train``; or a model card or
            ONNX file.
        device: Where to run it. ``classic`` runs on the CPU only.
        task: What it must segment.

    Raises:
        ModelError: There is no such model, it is damaged or made for another task, or it cannot run on this
            device.
        UsageError: ``device`` is not a :class:`Device`.
    """
    try:
        wanted = Device(device)
    except ValueError as error:
        raise UsageError(
            f"device is {device!r}, expected one of {', '.join(d.value for d in Device)}."
        ) from error
    if name == _CLASSIC:
        return _classic(wanted)
    return _opened(name, wanted, task)


def _classic(device: Device) -> Segmenter:
    from hilum.anatomy import Classic

    if device is Device.GPU:
        raise ModelError(
            "The model 'classic' runs on the CPU only.",
            Sentence("Leave {option:device} away, or choose auto or cpu."),
        )
    return Classic()


def _opened(name: str, device: Device, task: str) -> Segmenter:
    """Open a trained network; which class runs it is decided by its card."""
    from hilum.models.registry import find_model

    files = find_model(name)
    if files.card.task != task:
        raise ModelError(
            f"The model {files.name} was trained for the task {files.card.task}, not for {task}.",
            "Choose a model of this task.",
        )
    return _kept(files.path, files.card.model_dump_json(), device)


@lru_cache(maxsize=2)  # opened once for many scans, and again when the card has changed
def _kept(path: Path, card: str, device: Device) -> Segmenter:
    from hilum.models.card import SliceInput
    from hilum.models.registry import open_model
    from hilum.tasks.lungs.default import VolumeLungs
    from hilum.tasks.lungs.learned import LearnedSlices

    model = open_model(path, device=device)
    return (
        LearnedSlices(model)
        if isinstance(model.card.input, SliceInput)
        else VolumeLungs(model, device=device)
    )
