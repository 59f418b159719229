"""The model card of a training that has ended."""

from __future__ import annotations

import hashlib
import os
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hilum.core.planes import Plane
from hilum.core.version import __version__
from hilum.models.card import (
    SCHEMA,
    DataCard,
    Figures,
    Licence,
    ModelCard,
    Parts,
    SliceInput,
    TrainingCard,
    VolumeInput,
)

if TYPE_CHECKING:
    from hilum.datasets.index import Dataset
    from hilum.datasets.split import Split
    from hilum.training.config import TrainConfig

__all__ = ["OPSET", "first_weights", "make_card", "package_versions", "slice_card"]

#: Version of the ONNX operators that networks are exported with.
OPSET = 18
#: Characters of the SHA-256 of the weights that are the version of a model: enough to distinguish runs.
_VERSION_CHARACTERS = 12

_LIMITS = (
    "It has learnt the habits of those who drew its reference masks, and their errors.",
    "It knows the part of the body and the scanners of its data set; on others it may call bowel gas or "
    "liver lung. Look at what it finds.",
    "Dense lung (consolidation, atelectasis) is found as far as the data set shows it; a high Dice hides "
    "what is missed there.",
    "Not a medical device, not for diagnosis.",
)
_SLICE_LIMIT = "It sees one slice of one plane at a time, so neighbouring slices may disagree."
_LICENCE = Licence(
    code="Apache-2.0",
    weights="as the data set they were trained on allows; name it before you hand them on",
)


def make_card(
    *,
    name: str,
    kind: str,
    takes: SliceInput | VolumeInput,
    labels: dict[str, int],
    threshold: float | None,
    onnx: Path,
    parameters: int,
    data: DataCard,
    training: TrainingCard,
    figures: Figures,
    task: str = "lungs",
) -> ModelCard:
    """Build the card of a trained network; its version is the start of the SHA-256 of its weights.

    Args:
        name: What the model is called.
        kind: Its architecture.
        takes: What the network takes.
        labels: Value of each label by its name.
        threshold: Probability from which a pixel is lung; None for networks of volumes.
        onnx: The exported network.
        parameters: Number of weights.
        data: What it was trained on.
        training: How it was trained.
        figures: What the training gave.
        task: What it segments.

    Raises:
        OSError: ``onnx`` cannot be read.
    """
    content = onnx.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    limits = (*_LIMITS[:2], _SLICE_LIMIT, *_LIMITS[2:]) if isinstance(takes, SliceInput) else _LIMITS
    return ModelCard(
        schema=SCHEMA,
        name=name,
        version=digest[:_VERSION_CHARACTERS],
        task=task,
        kind=kind,
        hilum=__version__,
        input=takes,
        labels=labels,
        threshold=threshold,
        onnx_sha256=digest,
        onnx_bytes=len(content),
        onnx_opset=OPSET,
        parameters=parameters,
        licence=_LICENCE,
        data=data,
        training=training,
        figures=figures,
        limits=limits,
    )


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that train."""
    return {package: metadata.version(package) for package in ("torch", "monai", "lightning")}


def first_weights(source: str | os.PathLike[str] | None) -> dict[str, str]:
    """Return what a card says of the weights that a training began with; nothing where it began from scratch.

    Args:
        source: A run, a file of weights or the name of a shipped model. Only its last part is written.
    """
    if source is None:
        return {}
    path = Path(source)
    file = path / "checkpoints" / "best.ckpt" if path.is_dir() else path
    about = {"initial": path.name}
    if file.is_file():
        about["initial_sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    return about


def slice_card(
    *,
    name: str,
    dataset: Dataset,
    config: TrainConfig,
    split: Split,
    plan: dict[str, Any],
    parameters: int,
    onnx: Path,
    figures: Figures,
    minutes: float,
    initial: str | os.PathLike[str] | None,
) -> ModelCard:
    """Build the card of a slice network; it names no subject and no folder."""
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    return make_card(
        name=name,
        kind=config.model.value,
        takes=SliceInput(
            size=config.slices.size,
            hu_window=config.hu_window,
            plane=Plane(dataset.plane),
            aspect="mm" if any(r.spacing_mm for r in dataset.slices[:1]) else "pixels",
        ),
        labels={"lung": 1},
        threshold=config.slices.threshold,
        onnx=onnx,
        parameters=parameters,
        data=DataCard(
            sha256=dataset.index_sha256,
            spacing=dataset.spacing,
            subjects=Parts(**{part: len(ids) for part, ids in parts.items()}),
            slices=Parts(**{part: len(dataset.of_subjects(ids)) for part, ids in parts.items()}),
        ),
        training=TrainingCard(
            steps=plan["steps"],
            minutes=round(minutes, 2),
            processes=plan["world"],
            seed=config.seed,
            fold=config.fold,
            versions=package_versions(),
            settings={"bare_step_s": plan["bare_step_s"], **first_weights(initial)},
        ),
        figures=figures,
    )
