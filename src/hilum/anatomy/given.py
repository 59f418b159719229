"""Masks from elsewhere: assigns right and left where the mask has one label for both lungs.

Sides are assigned only where they are certain: the orientation is known, the mask has two components of
similar size (or one with a narrow bridge where the lungs touch), and one lies on each side of the body's
middle. Otherwise both lungs together are measured and the sides are withheld.
"""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
import numpy.typing as npt

from hilum.anatomy.sides import PARTING_MM, grow_back
from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LUNGS, Lung
from hilum.core.segmentation import ModelInfo, Segmentation
from hilum.core.sentences import Sentence
from hilum.core.volume import Volume
from hilum.imaging.morphology import bounding_box, components, depth
from hilum.io.vocabulary import BOTH

__all__ = ["given_segmentation", "part_sides"]

_Mask = npt.NDArray[np.bool_]
_Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class GivenRules:
    """Rules that split a mask with one label into right and left lung.

    Chosen by hand so that an uncertain side is withheld and not guessed; no value was searched for. Shares
    are of voxels. Lengths are those of the patient: masks of children are not magnified.

    Attributes:
        grid_mm: Block size on which touching lungs are separated.
        least: Least size of the smaller piece as a share of the larger; otherwise no side is assigned.
        alike: And least share from which the sides are certain.
        rest: Largest share outside of the two largest pieces: islands of an outline.
        doubtful: Where two lungs touch, their border may lie as far off as the mask was eroded; the volume in
            question is at most this share of the smaller lung.
        apart: Share of a lung that lies beside the other; the front edges of two lungs may overlap.
        one_side: Share of a single lung on the left of the body's middle from which it is not the right lung.
        spans: Share of a mask on the smaller side of the body's middle from which it is more than one lung.
        body_hu: Threshold of the body.
        rows: Step in rows for finding the body's middle.
        cut: How much more of the body one side of the scan may cut than the other, as a share of its largest
            section.
    """

    grid_mm: float = 2.5
    least: float = 0.1
    alike: float = 0.3
    rest: float = 0.02
    doubtful: float = 0.01
    apart: float = 0.9
    one_side: float = 0.95
    spans: float = 0.2
    body_hu: int = -300
    rows: int = 4
    cut: float = 0.2


_RULES = GivenRules()
_WITHHELD = ("right_lung", "left_lung")
_THIRDS = tuple(f"lungs_{third}" for third in ("ventral", "mid_ap", "dorsal", "apical", "middle", "basal"))


def given_segmentation(labels: npt.NDArray[np.uint8], volume: Volume, *, mapped: bool) -> Segmentation:
    """Make a segmentation of a mask that was given.

    Args:
        labels: Array of the volume's shape: 0, 1 (right), 2 (left) or BOTH (lung, side unknown).
        volume: The scan.
        mapped: Whether names or the user gave the meaning of the values. If not, a single label may mean
            both lungs.

    Returns:
        The segmentation, with flags that state how the sides were assigned.
    """
    sides, flags = part_sides(labels, volume, mapped=mapped)
    return Segmentation(LabelVolume.on_grid_of(volume, sides), ModelInfo("given", ""), flags=flags)


def part_sides(
    labels: npt.NDArray[np.uint8], volume: Volume, *, mapped: bool
) -> tuple[npt.NDArray[np.uint8], tuple[Flag, ...]]:
    """Return labels of 1 and 2 only, and flags about them; see :func:`given_segmentation`.

    Where the flag ``sides_unknown`` comes back, the labels split the lungs so that they can be measured
    together, and the flag withholds right and left.
    """
    present = [value for value in (1, 2, BOTH) if (labels == value).any()]
    if BOTH not in present and (mapped or len(present) != 1):
        return labels, ()
    canonical = np.asarray(nib.apply_orientation(labels, nib.io_orientation(volume.affine)))
    box = bounding_box(canonical > 0)
    if box is None:
        return labels, ()
    inside = canonical[box] > 0
    parted = _part(inside, volume)
    if parted is None and BOTH not in present:
        on_right = _share_on_right(inside, box, volume)
        if on_right is None or min(on_right, 1 - on_right) < _RULES.spans:
            return labels, _wrong_side(on_right, volume, Lung(present[0]))
    if parted is None:
        right, doubt = _half(inside), "The mask does not split into two lungs."
    else:
        right, sure = parted
        doubt = _doubt(right, inside & ~right, sure, box, volume)
    if not doubt and len(present) > 1:
        doubt = "Only a part of it states its side."
    out = np.zeros(canonical.shape, np.uint8, order="F")
    out[box][right], out[box][inside & ~right] = Lung.RIGHT, Lung.LEFT
    for side in LUNGS if BOTH in present else ():  # sides that were given stay
        out[canonical == side] = side
    flag = _unknown(doubt, thirds=parted is not None) if doubt else _parted(out, volume)
    return volume.restore(out), (flag,)


# -- two lungs in one mask --------------------------------------------------------------------------------


def _part(inside: _Mask, volume: Volume) -> tuple[_Mask, bool] | None:
    """Split a mask (axes RAS, cropped to itself) into two lungs.

    Returns:
        The right part, and whether the border is sure; None if it is not two lungs.
    """
    pieces, counts = components(inside)
    pair = _two(counts)
    if pair is not None and counts[1:].sum() - counts[list(pair)].sum() <= _RULES.rest * counts[1:].sum():
        ordered = _ordered(pieces == pair[0], pieces == pair[1])
        if ordered is not None:
            return _with_rest(inside, *ordered), True
    canonical = volume.canonical()
    steps = [max(1, round(_RULES.grid_mm / s)) if volume.meta.spacing_known else 1 for s in canonical.spacing]
    blocks = _blocks(inside, steps)
    size = tuple(s * step for s, step in zip(canonical.spacing, steps, strict=True))
    rim = [(1, 1) if n > 1 else (0, 0) for n in blocks.shape]  # a single slice has no depth across
    blocks = np.pad(blocks, rim)
    deep = depth(blocks, (size[0], size[1], size[2]))
    for radius in PARTING_MM:
        pieces, counts = components(deep > radius)
        pair = _two(counts)
        ordered = None if pair is None else _ordered(pieces == pair[0], pieces == pair[1])
        if ordered is None:
            continue
        right = _with_rest(blocks, *grow_back(blocks, *ordered))
        trim = tuple(slice(low, n - high) for (low, high), n in zip(rim, blocks.shape, strict=True))
        whole = right[trim].repeat(steps[0], 0).repeat(steps[1], 1).repeat(steps[2], 2)
        doubtful = 2 * radius * _contact(right, blocks & ~right, size)
        smaller = min(np.count_nonzero(right), np.count_nonzero(blocks & ~right)) * float(np.prod(size))
        fine = inside & whole[tuple(slice(0, n) for n in inside.shape)]
        return fine, doubtful <= _RULES.doubtful * smaller
    return None


def _contact(right: _Mask, left: _Mask, size: tuple[float, ...]) -> float:
    """Area in mm2 over which two masks touch."""
    area = 0.0
    for axis in range(3):
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        faces = np.count_nonzero((right[low] & left[high]) | (left[low] & right[high]))
        area += faces * float(np.prod(size)) / size[axis]
    return area


def _blocks(mask: _Mask, steps: list[int]) -> _Mask:
    """Blocks of voxels of which one at least is marked."""
    padded = np.pad(mask, [(0, -n % step) for n, step in zip(mask.shape, steps, strict=True)])
    split = [part for n, step in zip(padded.shape, steps, strict=True) for part in (n // step, step)]
    return np.asarray(padded.reshape(split).any(axis=(1, 3, 5)))


def _two(counts: npt.NDArray[np.int64]) -> tuple[int, int] | None:
    """Return the numbers of the two largest pieces where they are of like size."""
    if counts.size < 3:
        return None
    order = 1 + np.argsort(counts[1:], kind="stable")[::-1]
    first, second = int(order[0]), int(order[1])
    return (first, second) if counts[second] >= _RULES.least * counts[first] else None


def _ordered(one: _Mask, other: _Mask) -> tuple[_Mask, _Mask] | None:
    """Return the piece on the right and that on the left; None where they do not lie side by side."""
    if _centre(one) < _centre(other):
        one, other = other, one
    right, left = (np.cumsum(np.count_nonzero(mask, axis=(1, 2))) for mask in (one, other))
    begins = np.searchsorted(right, (1 - _RULES.apart) * right[-1])
    ends = np.searchsorted(left, _RULES.apart * left[-1])
    return (one, other) if begins >= ends else None


def _with_rest(mask: _Mask, right: _Mask, left: _Mask) -> _Mask:
    """Assign the rest to the nearer piece; return the right part."""
    middle = (_centre(right) + _centre(left)) / 2
    out: _Mask = right | (mask & ~left & (np.arange(mask.shape[0]) > middle)[:, None, None])
    return out


def _half(mask: _Mask) -> _Mask:
    """The right half of a mask, by volume: only so that both lungs together can be counted."""
    line = np.cumsum(np.count_nonzero(mask, axis=(1, 2)))
    middle = int(np.searchsorted(line, line[-1] / 2))
    out: _Mask = mask & (np.arange(mask.shape[0]) > middle)[:, None, None]
    return out


def _centre(mask: _Mask) -> float:
    line = np.count_nonzero(mask, axis=(1, 2))
    return float(np.arange(line.size) @ line) / max(int(line.sum()), 1)


# -- flags -------------------------------------------------------------------------------------------------


def _doubt(right: _Mask, left: _Mask, sure: bool, box: _Box, volume: Volume) -> str:
    """Return why two parts of a mask cannot be assigned to right and left; empty if they can."""
    if not volume.meta.orientation_known:
        return "The scan does not state how the patient lies."
    if not sure:
        return "The lungs touch, and where one ends cannot be seen in the mask."
    sizes = sorted((np.count_nonzero(right), np.count_nonzero(left)))
    if sizes[0] < _RULES.alike * sizes[1]:
        return "One part is far smaller than the other, so it may not be a lung."
    middle = _body_middle(box, volume)
    if middle is not None and not _centre(left) < middle < _centre(right):
        return "Both parts lie on one side of the body's middle."
    return ""


def _body_middle(box: _Box, volume: Volume) -> float | None:
    """Middle of the body in the slices of the lungs, as an index in the box.

    None if there is no body, or if the scan holds only one side of it.
    """
    slices = volume.canonical().hu[:, :: _RULES.rows, box[2]] > _RULES.body_hu
    line = np.count_nonzero(slices, axis=(1, 2))
    if not line.any() or abs(int(line[0]) - int(line[-1])) > _RULES.cut * line.max():
        return None
    return float(_centre(slices) - box[0].start)


def _share_on_right(inside: _Mask, box: _Box, volume: Volume) -> float | None:
    """Part of the mask on the right of the body's middle; None where that is not known."""
    middle = _body_middle(box, volume)
    if middle is None:
        return None
    line = np.count_nonzero(inside, axis=(1, 2))
    return float(line[np.arange(line.size) > middle].sum() / line.sum())


def _wrong_side(on_right: float | None, volume: Volume, side: Lung) -> tuple[Flag, ...]:
    """Withhold the values of one single lung that lies on the other side than its label says."""
    if on_right is None or not volume.meta.orientation_known:
        return ()
    if (on_right if side == Lung.RIGHT else 1 - on_right) > 1 - _RULES.one_side:
        return ()
    name, other = ("right", "left") if side is Lung.RIGHT else ("left", "right")
    message = Sentence(
        "The mask marks one lung, by the label contract the {name} one, but it lies on the patient's "
        "{other}; its values by side are withheld. If it is the {other} lung, say so: {set:labels=$pair}.",
        name=name,
        other=other,
        pair=f"{int(side)}={other}",
    )
    reason = f"The lung that is marked as the {name} one lies on the patient's {other}."
    return (Flag(FlagCode.LEFT_RIGHT_SUSPECT, Severity.ERROR, message, _WITHHELD, ("all",), reason),)


def _parted(labels: npt.NDArray[np.uint8], volume: Volume) -> Flag:
    ml = [np.count_nonzero(labels == int(side)) * volume.voxel_volume_ml for side in (Lung.RIGHT, Lung.LEFT)]
    sizes = f" of {ml[0]:,.0f} and {ml[1]:,.0f} mL" if volume.meta.spacing_known else ""
    message = (
        f"The mask has one label for both lungs; it was split into two parts{sizes}, one on each side "
        "of the body."
    )
    return Flag(FlagCode.SIDES_PARTED, Severity.INFO, message)


def _unknown(doubt: str, *, thirds: bool) -> Flag:
    message = Sentence(
        "The mask has one label for both lungs, and which part is right and which left is not sure. {doubt} "
        "Both lungs together are measured; the sides are withheld. Give a mask with two labels; if it marks "
        "one lung only, {set:labels=VALUE=right} or VALUE=left says which.",
        doubt=doubt,
    )
    regions = _WITHHELD if thirds else (*_WITHHELD, *_THIRDS)
    reason = "The mask has one label for both lungs, and its sides are not sure."
    return Flag(FlagCode.SIDES_UNKNOWN, Severity.ERROR, message, regions, ("all",), reason)
