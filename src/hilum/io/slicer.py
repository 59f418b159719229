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
from hilum.io.mask_segments import Parts, SegmentName
from hilum.io.stream import open_regular, readable

__all__ = ["load_segmentation"]

_HEADER_BYTES = 2**20
_FIELD = re.compile(r"Segment(\d{1,5})_(Name|LabelValue|Layer|Tags):=(.*)")
#: Type and modifier in the terminology of a segment: SCT^39607008^Lung~SCT^24028007^Right.
_TERM = re.compile(r"TerminologyEntry:[^~]*~[^~]*~[^~^]*\^([^~^]*)\^[^~^]*~(?:[^~^]*\^([^~^]*)\^)?")
_NUMBER = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True)
class _Segment:
    """A segment by its name and code, its value, and the layer that it lies in."""

    name: SegmentName
    value: int
    layer: int


def load_segmentation(path: Path, parts: Parts) -> Mask:
    """Read a label map from NRRD, with the names of its segments where it has any.

    Args:
        path: The file.
        parts: What the segments of a file with several layers mean.

    Raises:
        InputError: It cannot be read, or no segment of several layers means anything.
    """
    with readable(path), open_regular(path) as file:
        header = file.read(_HEADER_BYTES).partition(b"\n\n")[0].replace(b"\r", b"")
    segments = list(_segments(header.decode("utf-8", "replace")))
    if len({segment.layer for segment in segments}) > 1:
        return _load_layers(path, segments, parts)
    raw = load_itk(path)
    names = {segment.value: parts.known_name(segment.name) for segment in segments}
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
        term = _TERM.search(fields.get("Tags", ""))
        code, modifier = ("", "") if term is None else (term[1], term[2] or "")
        name = SegmentName(fields.get("Name", ""), code=code, modifier=modifier)
        yield _Segment(name, int(value), int(layer))


def _load_layers(path: Path, segments: list[_Segment], parts: Parts) -> Mask:
    # A name in another language is known by its code, but a name that is known says more than a code.
    named = {segment: SegmentName(parts.known_name(segment.name)) for segment in segments}
    values = {segment: parts.value_of(name) for segment, name in named.items()}
    if not any(values.values()):
        raise parts.nothing(path.name, [name.name for name in named.values()])
    layers = load_itk_layers(path)

    def chosen() -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
        for segment, value in values.items():
            if value and segment.layer < len(layers):
                yield value, layers[segment.layer].array == segment.value

    array = parts.merge(chosen(), layers[0].array.shape, path.name)
    return Mask(
        array,
        layers[0].affine,
        layers[0].meta,
        parts.names,
        cropped=True,
        mapped=True,
        notes=parts.notes({named[segment].name: value for segment, value in values.items()}),
    )
