"""Inference on slices, without torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.errors import ModelError, UsageError
from hilum.models.card import SliceInput
from hilum.models.engine import check_probabilities
from hilum.models.preprocess import fit_slice, from_input, normalise, to_input
from hilum.models.registry import Model

__all__ = ["SliceModel"]

_BATCH = 4


class SliceModel:
    """A slice network.

    Args:
        model: From :func:`hilum.models.registry.open_model`.

    Attributes:
        model: The same.
        input: Input of the network.
        threshold: Probability at and above which a pixel is lung.

    Raises:
        ModelError: The network does not take slices.
    """

    def __init__(self, model: Model) -> None:
        card = model.card
        if not isinstance(card.input, SliceInput) or card.threshold is None:
            raise ModelError(f"The model {card.name} takes volumes, not slices.", "Choose a slice model.")
        self.model, self.input, self.threshold = model, card.input, card.threshold

    def probabilities(
        self, slices: npt.NDArray[Any], spacing: tuple[float, float] | None = None
    ) -> npt.NDArray[np.float32]:
        """Predict the lung probability of each pixel.

        Args:
            slices: HU as int16 or float32, (n, rows, columns), in display orientation: anterior up in
                axial slices, superior up in coronal and sagittal ones, the patient's right on the left.
            spacing: Row and column spacing in mm. Give it if pixels are not square and the size
                is known: the network was trained with the aspect in mm. None assumes square pixels.

        Returns:
            float32 0 to 1, the shape of ``slices``.

        Raises:
            UsageError: ``slices`` does not have three axes.
            ModelError: The network fails, or does not return probabilities.
        """
        if slices.ndim != 3 or 0 in slices.shape[1:]:
            raise UsageError(f"slices has shape {slices.shape}, expected (n, rows, columns).")
        window, session = self.input.hu_window, self.model.session
        fit = fit_slice((slices.shape[1], slices.shape[2]), self.input.size, spacing)
        out = np.empty(slices.shape, np.float32)

        together = _BATCH * session.lanes
        for start in range(0, len(slices), together):
            parts = [slice(k, k + _BATCH) for k in range(start, min(start + together, len(slices)), _BATCH)]
            inputs = [normalise(to_input(slices[part], fit, window), window)[:, None] for part in parts]
            for part, given, found in zip(parts, inputs, session.run_many(inputs), strict=True):
                check_probabilities(found, given.shape, self.model.card.name)
                out[part] = from_input(found[:, 0], fit)
        return out
