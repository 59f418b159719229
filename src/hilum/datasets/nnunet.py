"""The ``dataset.json`` of nnU-Net (version 2): which channel is the CT, and what the labels are.

Format: nnU-Net documentation, dataset_format.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hilum.core.errors import InputError
from hilum.core.sentences import Sentence
from hilum.io.mask_names import lung_of
from hilum.io.text import shown
from hilum.io.vocabulary import BOTH, LabelMap, listed

__all__ = ["image_channel", "is_nnunet", "label_map", "listed_cases"]

#: Labels with a meaning of their own in nnU-Net: background, and voxels that were not annotated.
_BACKGROUND, _IGNORED = "background", "ignore"
_MOST_DIGITS = 9


def is_nnunet(content: object) -> bool:
    """Whether a ``dataset.json`` is one of nnU-Net version 2."""
    return (
        isinstance(content, dict)
        and not isinstance(content.get("training"), list)
        and bool({"channel_names", "file_ending", "numTraining"} & content.keys())
    )


def _is_number(key: str) -> bool:
    """Whether a key is the number of a channel or a label; a longer number is neither."""
    return key.isascii() and key.isdecimal() and len(key) <= _MOST_DIGITS


def image_channel(content: object) -> int:
    """Return the number of the CT channel; the first channel if none is named CT."""
    names = content.get("channel_names") if isinstance(content, dict) else None
    if isinstance(names, dict):
        for key, name in names.items():
            if _is_number(str(key)) and str(name).strip().lower() == "ct":
                return int(key)
    return 0


def listed_cases(content: object) -> list[tuple[str, list[str], str]] | None:
    """Return name, images by channel and mask of the listed cases; None if no case is listed."""
    cases = content.get("dataset") if isinstance(content, dict) else None
    if not isinstance(cases, dict):
        return None
    out = []
    for name, case in cases.items():
        images = case.get("images") if isinstance(case, dict) else None
        mask = case.get("label") if isinstance(case, dict) else None
        if not (
            isinstance(images, list) and images and all(isinstance(i, str) for i in images)
        ) or not isinstance(mask, str):
            raise InputError(
                f"The case {shown(name)} of the dataset.json does not name its images and its label.",
                'Write {"images": ["FILE"], "label": "FILE"}.',
            )
        out.append((str(name), images, mask))
    return out


def label_map(content: object, name: str) -> LabelMap | None:
    """Return the meaning of the labels in a ``dataset.json`` of nnU-Net or the Decathlon; None if absent.

    nnU-Net writes ``{"lung": 1}`` and, for regions, ``{"lungs": [1, 2], "left lung": [2]}``; the Decathlon
    writes ``{"1": "lung"}``.

    Args:
        content: Its content.
        name: Name of the file in an error message.

    Raises:
        InputError: It names its labels, but no lung among them.
    """
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, dict):
        return None
    named = dict(_pairs(labels))
    named = {title: values for title, values in named.items() if title.lower() != _BACKGROUND and values}
    if not named:
        return None
    parts = {value: 0 for title, values in named.items() if title.lower() != _IGNORED for value in values}
    for title, values in named.items():
        part = lung_of(title) or 0
        for value in values:
            if part and parts.get(value, 0) in (
                0,
                BOTH,
            ):  # a region of one side takes precedence over one of both
                parts[value] = part
    if not any(parts.values()):
        raise InputError(
            f"{name} names its labels ({listed(named)}), but no lung among them.",
            Sentence(
                "State which values are lung, such as {set:labels=1=right,2=left}, or {set:labels=both}."
            ),
        )
    return LabelMap(values=tuple(sorted(parts.items())), origin=name)


def _pairs(labels: Mapping[Any, Any]) -> list[tuple[str, tuple[int, ...]]]:
    out: list[tuple[str, tuple[int, ...]]] = []
    for key, value in labels.items():
        if isinstance(value, str) and _is_number(str(key)):
            out.append((value, (int(key),) if int(key) else ()))
            continue
        values = value if isinstance(value, list) else [value]
        if all(isinstance(v, int) and not isinstance(v, bool) for v in values):
            out.append((str(key), tuple(v for v in values if v)))
    return out
