"""Weights that come with hilum: an ONNX file and its model card, checked against each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilum.core.errors import ModelError
from hilum.models.engine import Device, Session, open_weights

__all__ = ["FOLDER", "Weights", "load_weights"]

FOLDER = Path(__file__).parent / "shipped"


@dataclass(frozen=True, eq=False)
class Weights:
    """A network that is ready to run, and what is known of it."""

    name: str
    version: str
    sha256: str
    card: dict[str, Any]
    session: Session


def load_weights(name: str, folder: Path = FOLDER, threads: int = 0, device: Device = Device.AUTO) -> Weights:
    """Open ``<folder>/<name>.onnx``, whose card is ``<name>.json``.

    Raises:
        ModelError: A file is missing or damaged, or the weights are not those of the card.
    """
    # Here, because pydantic takes a tenth of a second, which passes while the scan is being read.
    from hilum.models.card import VOLUMES_SCHEMA, read_card

    path = folder / f"{name}.onnx"
    if not (path.is_file() and path.with_suffix(".json").is_file()):
        raise ModelError(f"The model {name} is missing: its .onnx or its .json.", "Install hilum again.")
    card = read_card(path.with_suffix(".json"), VOLUMES_SCHEMA, name)
    digest = card["onnx_sha256"]
    return Weights(name, card["version"], digest, card, open_weights(path, digest, name, threads, device))
