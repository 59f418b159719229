"""Inference on volumes, and the mapping of output channels to labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.core.errors import ModelError
from hilum.models.card import VolumeInput
from hilum.models.engine import check_probabilities
from hilum.models.registry import Model

__all__ = ["VolumeModel"]

Float = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class VolumeModel:
    """A volume network.

    Attributes:
        model: The open network with its card.
        labels: Names of the labels to return, in this order.
        optional: Labels to return after them; their probability is 0 where the network lacks them.

    Raises:
        ModelError: The network does not take volumes, or its card lacks one of ``labels``.
    """

    model: Model
    labels: tuple[str, ...]
    optional: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        card = self.model.card
        if not isinstance(card.input, VolumeInput):
            raise ModelError(f"The model {card.name} takes slices, not volumes.", "Choose a volume model.")
        missing = [label for label in self.labels if label not in card.labels]
        if missing:
            raise ModelError(
                f"The model {card.name} does not segment {missing[0]}: its labels are "
                f"{', '.join(card.channels)}.",
                "Choose a model that was trained for this task.",
            )

    def finds(self, *labels: str) -> bool:
        """Whether the network has learned all of these labels."""
        return all(label in self.model.card.labels for label in labels)

    @property
    def input(self) -> VolumeInput:
        """Input of the network."""
        found = self.model.card.input
        assert isinstance(found, VolumeInput)  # __post_init__ refuses others
        return found

    def scaled(self, hu: npt.NDArray[np.floating]) -> Float:
        """Return HU clipped to the network's window and scaled to -1 to 1."""
        low, high = self.input.hu_window
        return ((np.clip(hu, low, high) - low) * (2.0 / (high - low)) - 1.0).astype(np.float32)

    def probabilities(self, inputs: Sequence[Float]) -> list[Float]:
        """Run the network on volumes of one shape, in parallel.

        Args:
            inputs: From :meth:`scaled`, (x, y, z) in RAS order, voxels of ``input.step_mm``. Each is padded
                with air to the multiples that the network takes.

        Returns:
            For each input the probabilities of ``labels`` and ``optional``, (x, y, z, labels).

        Raises:
            ModelError: The network fails, or does not return probabilities.
        """
        card = self.model.card
        wanted = (*self.labels, *self.optional)
        own = {place: card.labels[name] for place, name in enumerate(wanted) if name in card.labels}
        filled = [_filled(x, self.input.multiple) for x in inputs]
        out: list[Float] = []
        for x, given, found in zip(inputs, filled, self.model.session.run_many(filled), strict=True):
            check_probabilities(found, (1, 1 + len(card.labels), *given.shape[2:]), card.name)
            nx, ny, nz = x.shape
            given_back = np.zeros((nx, ny, nz, len(wanted)), np.float32)
            for place, channel in own.items():  # channel 0 is the background
                given_back[..., place] = found[0, channel, :nx, :ny, :nz]
            out.append(given_back)
        return out


def _filled(x: Float, multiple: int) -> Float:
    """Pad a volume with air to a size that the network takes: (1, 1, x, y, z)."""
    pads = [(0, -n % multiple) for n in x.shape]
    full = np.pad(x, pads, constant_values=-1.0)[None, None]
    return np.ascontiguousarray(full, np.float32)
