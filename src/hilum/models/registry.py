"""Finding trained models: shipped ones by name, others by their folder, card or ONNX file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hilum.core.errors import ModelError
from hilum.core.segmentation import ModelInfo
from hilum.core.sentences import Sentence
from hilum.io.text import shown
from hilum.models.card import ModelCard, read_card
from hilum.models.engine import Device, Session, check_weights, open_session

__all__ = ["SHIPPED", "Model", "ModelFiles", "find_model", "open_model", "shipped_models"]

#: Each shipped model is ``<name>.onnx`` and ``<name>.json`` in this folder.
SHIPPED = Path(__file__).parent / "shipped"
#: File names in the folder of a ``hilum train`` run, and the file that is written first.
_CARD, _ONNX, _BEGUN = "card.json", "model.onnx", "config.toml"


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network that is ready to run.

    Attributes:
        card: Its model card.
        path: Its ONNX file.
        session: Its inference session.
    """

    card: ModelCard
    path: Path
    session: Session

    @property
    def info(self) -> ModelInfo:
        """Name, version and hash, recorded with results."""
        return ModelInfo(self.card.name, self.card.version, self.card.onnx_sha256)


@dataclass(frozen=True)
class ModelFiles:
    """A trained model whose card has been read, but which is not open yet.

    Attributes:
        name: Name it was requested by: of a shipped model, of the run's folder, or of the file.
        card: Its model card.
        path: Its ONNX file.
    """

    name: str
    card: ModelCard
    path: Path

    def check(self) -> ModelFiles:
        """Return this object if the weights match the card.

        Raises:
            ModelError: The weights are missing or do not match.
        """
        check_weights(self.path, self.card.onnx_sha256, self.name)
        return self

    def open(self, threads: int = 0, device: Device = Device.AUTO) -> Model:
        """Make the model ready to run.

        Args:
            threads: CPU threads; 0 for the number of cores.
            device: Device to run on.

        Raises:
            ModelError: The weights are missing, corrupted or not those of the card, or no engine runs them.
        """
        self.check()
        return Model(self.card, self.path, open_session(self.path, threads, device))


def shipped_models() -> tuple[str, ...]:
    """Return the names of the models shipped with hilum."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.json")))


def find_model(source: str | Path) -> ModelFiles:
    """Find a trained model and read its card.

    Args:
        source: The name of a shipped model (as text), a folder made by ``hilum train``, a model card, or an
            ONNX file with its card beside it: ``x.onnx`` with ``x.json``, or ``model.onnx`` with
            ``card.json``.

    Raises:
        ModelError: It is missing, its training has not ended, or its card is corrupted or of another version.
    """
    if isinstance(source, str) and source in shipped_models():
        path = SHIPPED / f"{source}.json"
        return ModelFiles(source, read_card(path, source), path.with_suffix(".onnx"))
    path = Path(source)
    if not path.exists():
        raise ModelError(
            f"There is no model {shown(path.name or str(path))}.",
            f"Give one of {', '.join(shipped_models())}, or the folder of a training run.",
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
        threads: CPU threads; 0 for the number of cores.
        device: Device to run on.

    Raises:
        ModelError: As :func:`find_model` and :meth:`ModelFiles.open`.
    """
    return find_model(source).open(threads, device)


def _files(path: Path) -> tuple[Path, Path]:
    """Return the paths of a model's card and weights."""
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
            Sentence("Run {verb:train} with the same arguments again: it resumes where it stopped."),
        )
    return ModelError(
        f"{shown(path.name or str(path))} is not a model of hilum: {_CARD} is missing.",
        Sentence("Give the folder that {verb:train} made, or its model.onnx with card.json beside it."),
    )
