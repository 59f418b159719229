"""Trained models: those that ship, by name, and any other by its folder, its card or its ONNX file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hilum.core.errors import ModelError
from hilum.core.segmentation import ModelInfo
from hilum.io.text import shown
from hilum.models.card import ModelCard, read_card
from hilum.models.engine import Device, Session, check_weights, open_session

__all__ = ["SHIPPED", "Model", "ModelFiles", "find_model", "open_model", "shipped_models"]

#: Each model that ships is ``<name>.onnx`` and ``<name>.json`` in this folder.
SHIPPED = Path(__file__).parent / "shipped"
#: What ``hilum train`` calls the two files in the folder of a run, and the file that it writes first.
_CARD, _ONNX, _BEGUN = "card.json", "model.onnx", "config.toml"


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network that is ready to run.

    Attributes:
        card: What it is.
        path: Its ONNX file.
        session: What runs it.
    """

    card: ModelCard
    path: Path
    session: Session

    @property
    def info(self) -> ModelInfo:
        """Name, version and hash, for the results that it makes."""
        return ModelInfo(self.card.name, self.card.version, self.card.onnx_sha256)


@dataclass(frozen=True)
class ModelFiles:
    """A trained model that was found and whose card was read, but that is not opened.

    Attributes:
        name: What it was asked for by: the name of a shipped model, of the run's folder, or of the file.
        card: What it is.
        path: Its ONNX file.
    """

    name: str
    card: ModelCard
    path: Path

    def check(self) -> ModelFiles:
        """Return the files themselves if the weights are those of the card.

        Raises:
            ModelError: The weights are missing, or others.
        """
        check_weights(self.path, self.card.onnx_sha256, self.name)
        return self

    def open(self, threads: int = 0, device: Device = Device.AUTO) -> Model:
        """Make the model ready to run.

        Args:
            threads: Threads on the CPU; 0 for as many as there are cores.
            device: Where it runs.

        Raises:
            ModelError: The weights are missing, damaged or not those of the card, or nothing here runs them.
        """
        self.check()
        return Model(self.card, self.path, open_session(self.path, threads, device))


def shipped_models() -> tuple[str, ...]:
    """Return the names of the models that ship with hilum."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.json")))


def find_model(source: str | Path) -> ModelFiles:
    """Find a trained model and read its card.

    Args:
        source: The name of a shipped model (as text), a folder made by ``hilum train``, a model card, or an
            ONNX file with its card beside it: ``x.onnx`` with ``x.json``, or ``model.onnx`` with
            ``card.json``.

    Raises:
        ModelError: It is missing, its training has not ended, or its card is damaged or of another version.
    """
    if isinstance(source, str) and source in shipped_models():
        path = SHIPPED / f"{source}.json"
        return ModelFiles(source, read_card(path, source), path.with_suffix(".onnx"))
    path = Path(source)
    if not path.exists():
        raise ModelError(
            f"There is no model {shown(path.name or str(path))}.",
            f"Models: {', '.join(shipped_models())}; or the folder of a trained run.",
        )
    card, onnx = _files(path)
    name = onnx.resolve().parent.name if card.name == _CARD else onnx.stem
    if not card.is_file():
        raise _no_card(path, onnx.parent, name)
    return ModelFiles(name, read_card(card, name), onnx)


def open_model(source: str | Path, threads: int = 0, device: Device = Device.AUTO) -> Model:
    """Find a trained model and make it ready to run.

    Args:
        source: As for :func:`find_model`.
        threads: Threads on the CPU; 0 for as many as there are cores.
        device: Where it runs.

    Raises:
        ModelError: As :func:`find_model` and :meth:`ModelFiles.open`.
    """
    return find_model(source).open(threads, device)


def _files(path: Path) -> tuple[Path, Path]:
    """Return where the card and the weights of a model are."""
    if path.is_dir():
        return path / _CARD, path / _ONNX
    if path.suffix == ".json":
        return path, path.with_name(_ONNX) if path.name == _CARD else path.with_suffix(".onnx")
    own = path.with_suffix(".json")
    return own if own.is_file() else path.with_name(_CARD), path


def _no_card(path: Path, folder: Path, name: str) -> ModelError:
    if (folder / _BEGUN).is_file():
        return ModelError(
            f"The training in {shown(name)} has not ended: it has no {_CARD}.",
            "Run the same hilum train command again: it goes on where it stopped.",
        )
    return ModelError(
        f"{shown(path.name or str(path))} is no model of hilum: {_CARD} is missing.",
        f"Give the folder that hilum train made, or its {_ONNX} with {_CARD} beside it.",
    )
