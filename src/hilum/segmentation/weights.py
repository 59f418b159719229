"""Weights that come with hilum: an ONNX file and its model card, checked against each other."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilum.errors import ModelError
from hilum.segmentation.engine import Device, Session, open_session

__all__ = ["FOLDER", "Weights", "load_weights"]

FOLDER = Path(__file__).parents[1] / "weights"


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
    path = folder / f"{name}.onnx"
    try:
        card = json.loads(path.with_suffix(".json").read_text("utf-8"))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        expected, version = str(card["onnx_sha256"]), str(card["version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"The model {name} is missing or damaged.", "Install hilum again.") from error
    if digest != expected:
        raise ModelError(
            f"The weights of the model {name} are not those of its card: SHA-256 differs.",
            "Install hilum again, or copy the .onnx and .json together.",
        )
    return Weights(name, version, digest, card, open_session(path, threads, device))
