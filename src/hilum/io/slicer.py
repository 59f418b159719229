"""Segmentations of 3D Slicer (``.seg.nrrd``): label maps in NRRD whose header names the segments.

Where segments overlap, the file has several layers, a fourth axis that comes first. Format: Slicer
documentation, "Segmentations", and its writer vtkMRMLSegmentationStorageNode.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hilum.io.itk import load_itk, load_itk_layers
from hilum.io.mask import Mask, whole_values
from hilum.io.mask_names import lung_of, lung_of_code
from hilum.io.mask_segments import merge, no_lung, note_of
from hilum.io.stream import open_regular, readable
from hilum.io.vocabulary import LabelMap

__all__ = ["load_segmentation"]

_HEADER_BYTES = 2**20
_FIELD = re.compile(r"Segment(\d{1,5})_(Name|LabelValue|Layer|Tags):=(.*)")
#: Type and modifier in the terminology of a segment: SCT^39607008^Lung~SCT^24028007^Right.
_TERM = re.compile(r"TerminologyEntry:[^~]*~[^~]*~[^~^]*\^([^~^]*)\^[^~^]*~(?:[^~^]*\^([^~^]*)\^)?")
_NUMBER = re.compile(r"[0-9]{1,6}")
_CANONICAL = {1: "right lung", 2: "left lung", 3: "lungs"}


@dataclass(frozen=True)
class _Segment:
    """A segment by its name, its value, and the layer that it lies in."""

    name: str
    value: int
    layer: int


def load_segmentation(path: Path, labels: LabelMap | None = None) -> Mask:
    """Read a label map from NRRD, with the names of its segments where it has any.

    Raises:
        InputError: It cannot be read, or no segment of several layers is a lung.
    """
    with readable(path), open_regular(path) as file:
        header = file.read(_HEADER_BYTES).partition(b"\n\n")[0].replace(b"\r", b"")
    segments = list(_segments(header.decode("utf-8", "replace")))
    if len({segment.layer for segment in segments}) > 1:
        return _load_layers(path, segments, labels or LabelMap())
    raw = load_itk(path)
    names = {segment.value: segment.name for segment in segments}
    return Mask(
        whole_values(raw.array, path.name),
        raw.affine,
        raw.meta,
        names,
        cropped=bool(names) or path.name.lower().endswith(".seg.nrrd"),
    )


def _segments(header: str) -> Iterator[_Segment]:
    found: dict[int, dict[str, str]] = {}
    for number, key, value in _FIELD.findall(header):
        found.setdefault(int(number), {})[key] = value.strip()
    for number, fields in sorted(found.items()):
        value, layer = fields.get("LabelValue", str(number + 1)), fields.get("Layer", "0")
        if not (_NUMBER.fullmatch(value) and _NUMBER.fullmatch(layer)):
            continue
        name = fields.get("Name", "")
        term = _TERM.search(fields.get("Tags", ""))
        if lung_of(name) is None and term is not None:  # a name in another language, with its code
            name = _CANONICAL.get(lung_of_code(term[1], term[2] or "") or 0, name)
        yield _Segment(name, int(value), int(layer))


def _load_layers(path: Path, segments: list[_Segment], labels: LabelMap) -> Mask:
    parts = {segment: labels.of_segment(segment.name) for segment in segments}
    if not any(parts.values()):
        raise no_lung(path.name, [segment.name for segment in segments])
    layers = load_itk_layers(path)

    def lungs() -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
        for segment, part in parts.items():
            if part and segment.layer < len(layers):
                yield part, layers[segment.layer].array == segment.value

    array = merge(lungs(), layers[0].array.shape, path.name)
    note = note_of({segment.name: part for segment, part in parts.items()})
    affine, meta = layers[0].affine, layers[0].meta
    return Mask(array, affine, meta, cropped=True, mapped=True, notes=(note,))
