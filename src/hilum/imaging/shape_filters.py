"""Filters for tubes and plates from the eigenvalues of the Hessian.

Eigenvalues are normalised for scale, so a response has the unit of the image (HU) and may be compared over
scales and over scans of other voxels. It says what shape the grey values have, not how large the contrast is
in absolute terms: decide on contrast with the image itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.errors import UsageError
from hilum.imaging.hessian import Eigenvalues, Spacing, map_eigenvalues

__all__ = ["Contrast", "line_response", "plate_response", "plateness", "tubeness"]

_Floats = npt.NDArray[np.float32]
#: Damping of the line filter where the largest eigenvalue is negative (a blob, the end of a tube) and where
#: it is positive (a dip along the tube, a junction): Sato 1998.
_ALPHA_NEGATIVE = 0.5
_ALPHA_POSITIVE = 2.0


class Contrast(str, Enum):
    """Whether a structure is brighter or darker than what is round it."""

    BRIGHT = "bright"
    DARK = "dark"


def tubeness(
    image: npt.NDArray[Any],
    spacing: Spacing,
    scales: Sequence[float],
    *,
    contrast: Contrast | str = Contrast.BRIGHT,
    mask: npt.NDArray[np.bool_] | None = None,
) -> _Floats:
    """Compute the response of a multi-scale line filter; see :func:`line_response`.

    A tube whose cross-section is a Gaussian of standard deviation s answers most at scale s, with a quarter
    of its contrast; a straight one of radius r with sharp walls at about 0.7 r.

    Args:
        image: Array (i, j, k), for instance HU.
        spacing: Distance between voxels along i, j, k in mm.
        scales: Standard deviations of the Gaussians in mm.
        contrast: ``bright`` for vessels, ``dark`` for the lumen of airways.
        mask: Where to compute; elsewhere the result is 0. None: everywhere.

    Returns:
        float32 array of the shape of ``image``, at least 0, in the unit of the image.

    Raises:
        UsageError: An argument is not allowed.
    """
    return map_eigenvalues(image, spacing, scales, _signed(line_response, contrast), mask)


def plateness(
    image: npt.NDArray[Any],
    spacing: Spacing,
    scales: Sequence[float],
    *,
    contrast: Contrast | str = Contrast.BRIGHT,
    mask: npt.NDArray[np.bool_] | None = None,
) -> _Floats:
    """Compute the response of a multi-scale plate filter; see :func:`plate_response`.

    A plate whose profile is a Gaussian of standard deviation s answers most at scale 1.41 s, with 0.385 of
    its contrast.

    Args:
        image: Array (i, j, k), for instance HU.
        spacing: Distance between voxels along i, j, k in mm.
        scales: Standard deviations of the Gaussians in mm.
        contrast: ``bright`` for fissures and walls, ``dark`` for gaps.
        mask: Where to compute; elsewhere the result is 0. None: everywhere.

    Returns:
        float32 array of the shape of ``image``, at least 0, in the unit of the image.

    Raises:
        UsageError: An argument is not allowed.
    """
    return map_eigenvalues(image, spacing, scales, _signed(plate_response, contrast), mask)


def line_response(eigenvalues: Eigenvalues) -> _Floats:
    """Response of the line filter of Sato 1998 to bright tubes.

    With eigenvalues l1 >= l2 >= l3: 0 where l2 >= 0, else ``-l2 exp(-l1**2 / (2 (a l2)**2))`` with a = 0.5
    where l1 <= 0 and a = 2 elsewhere. It is that of ITK's Hessian3DToVesselnessMeasureImageFilter.

    Args:
        eigenvalues: Of the Hessian, largest first, each of one shape.

    Returns:
        Values of at least 0 in that shape.
    """
    first, second, _ = eigenvalues
    strength = np.maximum(-second, 0)
    alpha = np.where(first <= 0, np.float32(_ALPHA_NEGATIVE), np.float32(_ALPHA_POSITIVE))
    ratio = first / (alpha * np.maximum(strength, np.float32(1e-20)))
    np.clip(ratio, -10, 10, out=ratio)  # exp(-50) is 0 beside any response; its square must not overflow
    ratio *= ratio
    ratio *= np.float32(-0.5)
    response: _Floats = strength * np.exp(ratio)
    return response


def plate_response(eigenvalues: Eigenvalues) -> _Floats:
    """Response to bright plates: 0 for a tube, the curvature across for a plate.

    With l3 the smallest eigenvalue and m the larger magnitude of the other two: 0 where l3 >= 0, else
    ``-l3 max(0, (-l3 - m) / (-l3 + m))``. Definition of hilum.

    Args:
        eigenvalues: Of the Hessian, largest first, each of one shape.

    Returns:
        Values of at least 0 in that shape.
    """
    first, second, third = eigenvalues
    strength = np.maximum(-third, 0)
    other = np.maximum(np.abs(first), np.abs(second))
    excess = np.maximum(strength - other, 0)
    response: _Floats = strength * excess / np.maximum(strength + other, np.float32(1e-20))
    return response


def _signed(
    response: Callable[[Eigenvalues], _Floats], contrast: Contrast | str
) -> Callable[[Eigenvalues], _Floats]:
    """Return the response for dark structures where these are wanted."""
    try:
        wanted = Contrast(contrast)
    except ValueError:
        raise UsageError(f"contrast is {contrast!r}, expected bright or dark.") from None
    if wanted is Contrast.BRIGHT:
        return response
    return lambda eigenvalues: response((-eigenvalues[2], -eigenvalues[1], -eigenvalues[0]))
