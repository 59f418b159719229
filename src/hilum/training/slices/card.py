"""The model card: what a model is, what it was made of, and where it must not be trusted."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hilum.core.version import __version__
from hilum.models.card import SLICES_SCHEMA
from hilum.models.preprocess import RESIZE_RULE

if TYPE_CHECKING:
    from hilum.datasets.index import Dataset
    from hilum.datasets.split import Split
    from hilum.training.slices.config import TrainConfig
    from hilum.training.slices.export import Parity

__all__ = ["card_data", "card_text"]

_LIMITS = (
    "It has learnt the habits of those who drew its reference masks, and their errors.",
    "It knows the part of the body, the plane and the scanners of its data set; on others it may call bowel "
    "gas or liver lung. Look at what it finds.",
    "It sees one slice at a time, so neighbouring slices may disagree.",
    "Dense lung (consolidation, atelectasis) is found as far as the data set shows it; a high Dice hides "
    "what is missed there.",
    "Not a medical device, not for diagnosis.",
)
_TITLES = {
    "fcnn": "Fully connected network, pixel by pixel",
    "unet": "2-D U-Net with residual blocks",
    "resnet": "ResNet encoder with a convolutional decoder",
}


def card_data(
    *,
    name: str,
    dataset: Dataset,
    config: TrainConfig,
    split: Split,
    plan: dict[str, Any],
    parameters: int,
    onnx: Path,
    parity: Parity,
    figures: dict[str, Any],
    minutes: float,
) -> dict[str, Any]:
    """Put a card together as plain data; nothing in it names a subject or a folder."""
    from hilum.training.slices.export import OPSET

    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    return {
        "schema": SLICES_SCHEMA,
        "name": name,
        "kind": config.model.value,
        "title": _TITLES[config.model.value],
        "hilum": __version__,
        "input": {
            "name": "image",
            "size": list(config.size),
            "hu_window": list(config.hu_window),
            "scaled_to": [-1.0, 1.0],
            "plane": dataset.plane,
            "resize": RESIZE_RULE,
            "multiple": 32,
            "aspect": "mm" if any(r.spacing_mm for r in dataset.slices[:1]) else "pixels",
        },
        "output": {"name": "lung", "meaning": "probability that a pixel is lung, right or left"},
        "threshold": config.threshold,
        "parameters": parameters,
        "onnx_opset": OPSET,
        "onnx_sha256": hashlib.sha256(onnx.read_bytes()).hexdigest(),
        "onnx_bytes": onnx.stat().st_size,
        "parity": {
            "engine": parity.engine,
            "max_probability_difference": parity.max_difference,
            "dice": parity.dice,
            "slices": parity.slices,
        },
        "data": {
            "index_sha256": dataset.index_sha256,
            "spacing": dataset.spacing,
            "subjects": {part: len(ids) for part, ids in parts.items()},
            "slices": {part: len(dataset.of_subjects(ids)) for part, ids in parts.items()},
            "split": "split.json",
        },
        "seeds": {"all": config.seed, "fold": config.fold},
        "steps": plan["steps"],
        "processes": plan["world"],
        "bare_step_s": plan["bare_step_s"],
        "training_minutes": round(minutes, 2),
        "figures": figures,
        "versions": {package: metadata.version(package) for package in ("torch", "monai", "lightning")},
        "limits": list(_LIMITS),
        "licences": {
            "code": "Apache-2.0",
            "weights": "as the data set they were trained on allows; name it before you hand them on",
        },
    }


def card_text(card: dict[str, Any]) -> str:
    """Write a card for people, in Markdown."""
    figures, data, parity, entry = card["figures"], card["data"], card["parity"], card["input"]
    dice = figures["validation_dice"]
    rows = [
        ("Kind", f"{card['title']} ({card['kind']})"),
        (
            "Weights",
            f"{card['parameters']:,}; ONNX {card['onnx_bytes'] / 1e6:.1f} MB, opset {card['onnx_opset']}",
        ),
        ("SHA-256 of model.onnx", f"`{card['onnx_sha256']}`"),
        (
            "Input",
            f"{entry['plane']} slice, {entry['size'][0]} x {entry['size'][1]}, "
            f"HU {entry['hu_window'][0]:g} to {entry['hu_window'][1]:g} scaled to -1 to 1; {entry['resize']}",
        ),
        ("Output", f"{card['output']['meaning']}; lung from {card['threshold']:g}"),
        ("Subjects", ", ".join(f"{part} {n}" for part, n in data["subjects"].items())),
        ("Slices", ", ".join(f"{part} {n}" for part, n in data["slices"].items())),
        ("Data", f"index `{data['index_sha256']}`"),
        (
            "Seed",
            f"{card['seeds']['all']}" + (f", fold {card['seeds']['fold']}" if card["seeds"]["fold"] else ""),
        ),
        (
            "Training",
            f"{card['training_minutes']:.1f} minutes, {card['steps']} steps, {card['processes']} process(es)",
        ),
        (
            "Validation Dice",
            f"mean {dice['mean']:.4f}, median {dice['median']:.4f}, worst {dice['worst']:.4f} of "
            f"{dice['slices']} slices, on the input's grid; it chose the weights, so it flatters",
        ),
        (
            "ONNX against torch",
            f"largest difference {parity['max_probability_difference']:.1e}, Dice {parity['dice']:.5f}, "
            f"{parity['slices']} slices, {parity['engine']}",
        ),
    ]
    table = "\n".join(f"| {key} | {value} |" for key, value in rows)
    limits = "\n".join(f"- {limit}" for limit in card["limits"])
    return (
        f"# {card['name']}\n\nMade by hilum {card['hilum']} with "
        + ", ".join(f"{k} {v}" for k, v in card["versions"].items())
        + f".\n\n| | |\n|---|---|\n{table}\n\nThe test part was not looked at: `hilum evaluate` does it.\n\n"
        f"## Limits\n\n{limits}\n\n## Licence\n\nCode {card['licences']['code']}. "
        f"Weights: {card['licences']['weights']}.\n"
    )
