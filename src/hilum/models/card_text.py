"""Rendering a model card as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hilum.models.card import ModelCard, Parts, SliceInput
from hilum.models.preprocess import RESIZE_RULE

__all__ = ["card_text"]

_TITLES = {
    "fcnn": "fully connected network, pixel by pixel",
    "unet": "2-D U-Net with residual blocks",
    "resnet": "ResNet encoder with a convolutional decoder",
    "volume": "3-D U-Net",
}


def card_text(card: ModelCard) -> str:
    """Render a model card.

    Args:
        card: Card of a slice network or a volume network. Missing values are omitted.

    Returns:
        Markdown: a table, the limits and the licence.
    """
    rows = [*_network(card), *_data(card), *_training(card), *_figures(card)]
    table = "\n".join(f"| {key} | {value} |" for key, value in rows)
    made = ", ".join(f"{package} {version}" for package, version in card.training.versions.items())
    by = f"hilum {card.hilum}{f' with {made}' if made else ''}"
    text = f"# {card.name}\n\nVersion {card.version}, made by {by}.\n\n| | |\n|---|---|\n{table}\n"
    if card.data.subjects is not None:
        text += "\nNo figure here is from the test part: `hilum evaluate` gives those.\n"
    if card.limits:
        text += "\n## Limits\n\n" + "\n".join(f"- {limit}" for limit in card.limits) + "\n"
    return text + f"\n## Licence\n\nCode: {card.licence.code}. Weights: {card.licence.weights}.\n"


def _network(card: ModelCard) -> Iterator[tuple[str, str]]:
    title = _TITLES.get(card.kind)
    yield "Task", card.task
    yield "Kind", f"{title} ({card.kind})" if title else card.kind
    sizes = [
        *([f"{card.onnx_bytes / 1e6:.1f} MB"] if card.onnx_bytes else []),
        *([f"opset {card.onnx_opset}"] if card.onnx_opset else []),
    ]
    yield "Weights", f"{card.parameters:,}{'; ONNX ' + ', '.join(sizes) if sizes else ''}"
    yield "SHA-256 of the ONNX file", f"`{card.onnx_sha256}`"
    low, high = card.input.hu_window
    scaled = f"HU {low:g} to {high:g} scaled to -1 to 1"
    names = ", ".join(f"{card.labels[label]} {label}" for label in card.channels)
    if isinstance(card.input, SliceInput):
        rows, columns = card.input.size
        yield "Input", f"{card.input.plane.value} slice, {rows} x {columns}, {scaled}; {RESIZE_RULE}"
        yield "Output", f"probability that a pixel is {names}; threshold {card.threshold:g}"
    else:
        yield (
            "Input",
            f"volume in RAS order, isotropic voxels of {card.input.step_mm:g} mm, size a multiple of "
            f"{card.input.multiple}, {scaled}",
        )
        yield "Output", f"probabilities of 0 background, {names}"


def _data(card: ModelCard) -> Iterator[tuple[str, str]]:
    data = card.data
    if data.subjects is not None:
        yield "Subjects", _parts(data.subjects)
    if data.slices is not None:
        yield "Slices", _parts(data.slices)
    if data.cases:
        yield "Cases", _counts(data.cases)
    if data.sources:
        yield "Sources", "; ".join(data.sources)
    if data.sha256 is not None:
        yield "SHA-256 of the data", f"`{data.sha256}`"


def _training(card: ModelCard) -> Iterator[tuple[str, str]]:
    training = card.training
    if training.seed is not None:
        yield "Seed", f"{training.seed}{f', fold {training.fold}' if training.fold else ''}"
    said = [
        *([f"{training.minutes:.1f} minutes"] if training.minutes is not None else []),
        *([f"{training.steps} steps"] if training.steps is not None else []),
        *([f"{training.processes} process(es)"] if training.processes is not None else []),
    ]
    if said:
        yield "Training", ", ".join(said)


def _figures(card: ModelCard) -> Iterator[tuple[str, str]]:
    dice, parity = card.figures.validation_dice, card.figures.parity
    if dice is not None:
        median = "" if dice.median is None else f"median {dice.median:.4f}, "
        cases = "" if dice.cases is None else f" of {dice.cases} cases"
        grid = "" if dice.grid is None else f", on the grid {dice.grid}"
        yield (
            "Validation Dice",
            f"mean {dice.mean:.4f}, {median}worst {dice.worst:.4f}{cases}{grid}; it selected the weights, "
            "so it is optimistic",
        )
    if parity is not None:
        said = [
            f"largest difference {parity.max_probability_difference:.1e}",
            *([f"Dice {parity.dice:.5f}"] if parity.dice is not None else []),
            *([f"{parity.cases} cases"] if parity.cases is not None else []),
            *([parity.engine] if parity.engine is not None else []),
        ]
        yield "ONNX against torch", ", ".join(said)
    if card.confidence is not None and card.confidence.cases is not None:
        yield "Confidence", f"calibrated on {card.confidence.cases} cases"


def _parts(parts: Parts) -> str:
    return _counts({"train": parts.train, "validation": parts.validation, "test": parts.test})


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
