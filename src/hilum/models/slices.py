"""Running a trained model on slices, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.errors import ModelError, UsageError
from hilum.core.sentences import Sentence
from hilum.models.card import SLICES_SCHEMA, read_card
from hilum.models.engine import Device, Session, check_probabilities, open_weights
from hilum.models.preprocess import fit_picture, from_input, normalise, to_input

__all__ = ["SliceModel", "load_run"]

_BATCH = 4


@dataclass(frozen=True, eq=False)
class SliceModel:
    """A trained model of slices.

    Attributes:
        name: Name of the run.
        card: Its model card, ``card.json``.
        session: What runs it.
    """

    name: str
    card: dict[str, Any]
    session: Session

    @property
    def plane(self) -> str:
        """``axial``, ``coronal`` or ``sagittal``: the pictures it was trained on."""
        return str(self.card["input"]["plane"])

    @property
    def threshold(self) -> float:
        """Probability from which a pixel is lung."""
        return float(self.card["threshold"])

    @property
    def sha256(self) -> str:
        """SHA-256 of the weights."""
        return str(self.card["onnx_sha256"])

    def probabilities(
        self, slices: npt.NDArray[Any], spacing: tuple[float, float] | None = None
    ) -> npt.NDArray[np.float32]:
        """Return how likely each pixel is lung.

        Args:
            slices: HU as int16 or float32, (n, rows, columns), as people look at them: axial with the front
                up, coronal and sagittal with the head up, the patient's right on the left.
            spacing: Distance of rows and of columns in mm. Give it where pixels are not square and the size
                is known: the network was trained with the aspect in mm. None takes them as square.

        Returns:
            float32 0 to 1, the shape of ``slices``.

        Raises:
            UsageError: ``slices`` has not three axes.
            ModelError: The network fails, or does not give probabilities.
        """
        if slices.ndim != 3 or 0 in slices.shape[1:]:
            raise UsageError(f"slices has shape {slices.shape}, expected (n, rows, columns).")
        about = self.card["input"]
        window = (float(about["hu_window"][0]), float(about["hu_window"][1]))
        size = (int(about["size"][0]), int(about["size"][1]))
        fit = fit_picture((slices.shape[1], slices.shape[2]), size, spacing)
        out = np.empty(slices.shape, np.float32)

        together = _BATCH * self.session.lanes
        for start in range(0, len(slices), together):
            parts = [slice(k, k + _BATCH) for k in range(start, min(start + together, len(slices)), _BATCH)]
            inputs = [normalise(to_input(slices[part], fit, window), window)[:, None] for part in parts]
            for part, given, found in zip(parts, inputs, self.session.run_many(inputs), strict=True):
                check_probabilities(found, given.shape, self.name)
                out[part] = from_input(found[:, 0], fit)
        return out


def load_run(path: Path | str, threads: int = 0, device: Device = Device.AUTO) -> SliceModel:
    """Open a trained model.

    Args:
        path: Folder made by ``hilum train``, or its ``model.onnx`` with ``card.json`` beside it.
        threads: Threads to use; 0 for as many as there are cores.
        device: Where to run it.

    Raises:
        ModelError: It is not complete, damaged, of another version, or nothing is installed to run it.
    """
    path = Path(path)
    onnx = path if path.suffix == ".onnx" else path / "model.onnx"
    shipped = onnx.with_suffix(".json")
    file = shipped if shipped.is_file() else onnx.with_name("card.json")
    name = onnx.stem if shipped.is_file() else onnx.resolve().parent.name
    if not path.exists():
        raise ModelError(
            f"There is no model {path.name}.", Sentence("Check the path, or train one with {verb:train}.")
        )
    if not file.is_file():
        begun = (onnx.parent / "config.toml").is_file()
        raise ModelError(
            f"The run {name} is not complete."
            if begun
            else f"{path.name} is no model of hilum: card.json is missing.",
            Sentence("Run {verb:train} with the same arguments again: it goes on where it stopped.")
            if begun
            else Sentence(
                "Give the folder that {verb:train} made, or its model.onnx with card.json beside it."
            ),
        )
    card = read_card(file, SLICES_SCHEMA, name)
    return SliceModel(name, card, open_weights(onnx, card["onnx_sha256"], name, threads, device))
