"""Sound model cards as plain data, to be changed by a test."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["changed", "slice_card", "volume_card"]


def slice_card(**fields: Any) -> dict[str, Any]:
    """The least card of a network of slices, with some fields changed."""
    return {
        "schema": "hilum.model/2",
        "name": "net",
        "version": "7",
        "task": "lungs",
        "kind": "unet",
        "hilum": "0.1.0",
        "input": {"kind": "slices", "size": [32, 32], "hu_window": [-1024.0, 400.0], "plane": "axial"},
        "labels": {"lung": 1},
        "threshold": 0.5,
        "onnx_sha256": "0" * 64,
        "parameters": 0,
        "licence": {"code": "Apache-2.0", "weights": "CC0"},
        **fields,
    }


def volume_card(**fields: Any) -> dict[str, Any]:
    """The least card of a network of volumes, with some fields changed."""
    about = {"kind": "volume", "step_mm": 3.5, "hu_window": [-1024.0, 400.0], "multiple": 16}
    card = slice_card(kind="volume", input=about, labels={"right_lung": 1, "left_lung": 2})
    del card["threshold"]
    return {**card, **fields}


def changed(card: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    """Return a card with one field, such as ``input.size``, changed; ``...`` takes it out."""
    card = json.loads(json.dumps(card))
    *tables, last = field.split(".")
    inner = card
    for table in tables:
        inner = inner[table]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return card
