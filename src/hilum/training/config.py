"""All settings of a training in one validated object, read from and saved as TOML. No torch here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from hilum.core.constants import CT_WINDOW_HU
from hilum.core.errors import InputError, UsageError
from hilum.core.sentences import Sentence
from hilum.io.text import parse_toml, quoted, read_toml, shown
from hilum.training.sections import (
    MOST_STEPS,
    Augment,
    Cases,
    Networks,
    Slices,
    Strict,
    Variation,
    Volumes,
)

__all__ = [
    "Augment",
    "Cases",
    "ModelKind",
    "Networks",
    "Slices",
    "TrainConfig",
    "Variation",
    "Volumes",
    "load_config",
    "to_toml",
]


#: No training is longer; larger numbers are typing errors.
_MOST_MINUTES = 10.0**6


class ModelKind(str, Enum):
    """Which network is trained."""

    FCNN = "fcnn"
    UNET = "unet"
    RESNET = "resnet"
    VOLUME = "volume"

    @property
    def takes_volumes(self) -> bool:
        """Whether it is the 3-D network of volumes, not one of slices."""
        return self is ModelKind.VOLUME


class TrainConfig(Strict):
    """A training from data set to run.

    What networks of slices and of volumes share stands here; what only one of them has, in its section. A key
    of the section of the model may be given without the section's name.

    Attributes:
        model: Which network.
        seed: Of the split, the first weights, the order of the examples and the augmentation.
        fold: ``k/n``: the k-th of n folds validates, the test part stays the same; None for one split.
        test_share: Share of subjects in the test part, which a training never reads.
        validation_share: Share of subjects that choose the best weights.
        hu_window: HU are clipped to it and scaled to -1 to 1.
        batch: Slices, or volumes, a step on each device.
        steps: Length of the training in steps; overrides ``minutes``.
        minutes: Length in minutes. The steps it holds are measured at the start and kept with the run, so
            that a resumed run has the same number.
        learning_rate: Highest rate of AdamW; warm-up, then cosine to a hundredth.
        warmup: Share of the steps in which the rate rises.
        weight_decay: Of AdamW.
        clip: Largest norm of the gradient.
        ema: Decay of the EMA of the weights; the EMA is what is validated and exported.
        validate_every: Steps from one validation and checkpoint to the next; 0 chooses it from
            ``checkpoint_minutes`` and the measured speed.
        checkpoint_minutes: Longest time between checkpoints when ``validate_every`` is 0.
        patience: Validations without a better Dice after which the training stops early; 0 for never.
        precision: ``auto`` takes bfloat16 where a GPU, or for volumes a processor, computes with it, else
            float32.
        workers: Processes that load slices; 0 loads in the training process, which is best for a CPU.
        threads: Threads of torch; 0 leaves it to torch.
        slices: What only networks of slices have.
        augment: How slices are varied.
        networks: Sizes of the networks of slices.
        volumes: What only the network of volumes has.
        variation: How volumes are varied.
        cases: Cases that are made while the network of volumes trains.
    """

    model: ModelKind
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    fold: str | None = None
    test_share: float = Field(default=0.20, ge=0.0, le=0.9)
    validation_share: float = Field(default=0.15, gt=0.0, le=0.9)
    hu_window: tuple[float, float] = CT_WINDOW_HU
    batch: int = Field(default=8, ge=1, le=4096)
    steps: int | None = Field(default=None, ge=1, le=MOST_STEPS)
    minutes: float = Field(default=20.0, gt=0, le=_MOST_MINUTES)
    learning_rate: float = Field(default=2e-3, gt=0, le=1)
    warmup: float = Field(default=0.1, ge=0, le=0.9)
    weight_decay: float = Field(default=1e-4, ge=0, le=10)
    clip: float = Field(default=5.0, gt=0, le=1e6)
    ema: float = Field(default=0.99, ge=0, lt=1)
    validate_every: int = Field(default=0, ge=0, le=MOST_STEPS)
    checkpoint_minutes: float = Field(default=1.5, gt=0, le=_MOST_MINUTES)
    patience: int = Field(default=0, ge=0, le=MOST_STEPS)
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    workers: int = Field(default=0, ge=0, le=256)
    threads: int = Field(default=0, ge=0, le=1024)
    slices: Slices = Slices()
    augment: Augment = Augment()
    networks: Networks = Networks()
    volumes: Volumes = Volumes()
    variation: Variation = Variation()
    cases: Cases = Cases()

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_volumes(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("model") in (ModelKind.VOLUME, ModelKind.VOLUME.value):
            return {**_VOLUME_DEFAULTS, **data}
        return data

    @field_validator("fold")
    @classmethod
    def _fold(cls, value: str | None) -> str | None:
        if value is not None:
            match = re.fullmatch(r"(\d{1,3})/(\d{1,3})", value)
            if not match or not 1 <= int(match[1]) <= int(match[2]) or int(match[2]) < 2:
                raise ValueError("expected k/n with k from 1 to n, such as 1/5")
        return value

    @field_validator("hu_window")
    @classmethod
    def _window(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not -4096 <= value[0] < value[1] <= 4096:
            raise ValueError("expected two rising numbers in HU")
        return value


#: Where the defaults of the network of volumes differ: a volume is 2,400 times a pixel's row, so few make a
#: batch, and a training has ten times the steps of one of slices (chosen with version 1 of the network).
_VOLUME_DEFAULTS: dict[str, Any] = {"batch": 1, "warmup": 0.05, "clip": 3.0, "ema": 0.998}
_SLICE_TABLES: dict[str, type[BaseModel]] = {"slices": Slices, "augment": Augment, "networks": Networks}
_VOLUME_TABLES: dict[str, type[BaseModel]] = {"volumes": Volumes, "variation": Variation, "cases": Cases}
_TABLES = {**_SLICE_TABLES, **_VOLUME_TABLES}


def load_config(
    file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    settings: Sequence[str] = (),
) -> TrainConfig:
    """Build a configuration: defaults, then a file, then settings, then the arguments of the command.

    Args:
        file: TOML with keys of :class:`TrainConfig`.
        overrides: Values that win; None is passed over.
        settings: ``key=value`` with dots for the tables, such as ``augment.noise=0.5``; values as in TOML,
            text without quotes is taken as it is.

    Raises:
        UsageError: A key is unknown or a value is not allowed.
        InputError: The file cannot be read.
    """
    data: dict[str, Any] = {} if file is None else _read_toml(file)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise UsageError(
                f"'{shown(setting)}' is not a setting, expected key=value such as learning_rate=0.001."
            )
        _put(data, key.strip(), _value(text.strip()))
    data.update({key: value for key, value in (overrides or {}).items() if value is not None})
    if "model" not in data:
        raise UsageError("No model was named.", Sentence("Add {set:model=fcnn}, unet, resnet or volume."))
    _into_section(data)
    try:
        return TrainConfig.model_validate(data)
    except ValidationError as error:
        raise _complaint(error) from error


def _into_section(data: dict[str, Any]) -> None:
    """Move keys of the model's section that stand outside of it into it, in place.

    Raises:
        UsageError: A section is for the other kind of network.
    """
    volumes = data["model"] in (ModelKind.VOLUME, ModelKind.VOLUME.value)
    for other in _SLICE_TABLES if volumes else _VOLUME_TABLES:
        if other in data:
            kind = "slices" if volumes else "volumes"
            raise UsageError(
                f"The section [{other}] is for networks of {kind}, not for the model "
                f"{shown(getattr(data['model'], 'value', data['model']))}.",
                "Leave it out.",
            )
    name = "volumes" if volumes else "slices"
    section = data.get(name, {})
    if not isinstance(section, dict):
        return
    short = [key for key in data if key in _TABLES[name].model_fields and key not in TrainConfig.model_fields]
    if short:
        data[name] = {**section, **{key: data.pop(key) for key in short}}


def to_toml(config: TrainConfig) -> str:
    """Write a configuration as TOML that :func:`load_config` reads back as the same object.

    Sections of the other kind of network are left out.
    """
    others = _SLICE_TABLES if config.model.takes_volumes else _VOLUME_TABLES
    data = config.model_dump(mode="json", exclude_none=True, exclude=set(others))
    tables = {key: value for key, value in data.items() if isinstance(value, dict)}
    lines = ["# Made by hilum train; hilum train DATASET --config FILE repeats it."]
    lines += [f"{key} = {_literal(value)}" for key, value in data.items() if key not in tables]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {_literal(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _read_toml(file: Path) -> dict[str, Any]:
    if not file.exists():
        raise InputError(
            f"There is no configuration {shown(file.name)}.", Sentence("Check the path of {option:config}.")
        )
    return read_toml(file, hint="Correct it, or copy the config.toml of another run.")


def _put(data: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    if len(tables) > 1:
        raise UsageError(f"The configuration has no key {shown(key)}.", "Tables: " + ", ".join(_TABLES) + ".")
    for name in tables:
        inner = data.setdefault(name, {})
        if not isinstance(inner, dict):
            raise UsageError(f"{shown(key)} is not a setting: {shown(name)} holds one value, not several.")
        data = inner
    data[last] = value


def _value(text: str) -> Any:
    try:
        return parse_toml(f"value = {text}")["value"]
    except (ValueError, KeyError):
        return text


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_literal(v) for v in value) + "]"
    return repr(value)


def _complaint(error: ValidationError) -> UsageError:
    """Say the first thing that is wrong in one sentence."""
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    if where[0] in ("slices", "volumes"):  # keys of the model's section are known without its name
        where = where[1:] or where
    key = shown(".".join(where))
    if first["type"] == "extra_forbidden":
        group: type[BaseModel] = _TABLES.get(str(first["loc"][0]), TrainConfig)
        import difflib

        name = str(first["loc"][-1])
        near = difflib.get_close_matches(name, group.model_fields, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Keys: {', '.join(sorted(group.model_fields))}."
        return UsageError(f"The configuration has no key '{key}'.", hint)
    wrong = str(first["msg"]).removeprefix("Value error, ")
    wrong = wrong[:1].lower() + wrong[1:]
    return UsageError(f"{key} is {quoted(first['input'])} in the configuration: {wrong}.")
