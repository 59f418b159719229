"""Every choice of a training in one validated object, read from and saved as TOML. No torch here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from hilum.core.errors import InputError, UsageError
from hilum.io.text import parse_toml, quoted, read_toml, shown

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


#: No training is longer; larger numbers are typing errors, and some libraries cannot count so far.
_MOST_STEPS, _MOST_MINUTES = 10**9, 10.0**6


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


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Augment(_Strict):
    """How pictures are varied while training. A share is the chance that a picture gets it.

    Values in HU and in shares of the picture; what a CT can meet: another calibration, kernel, dose, field
    of view, patient size and position.
    """

    #: Intensities become ``hu * scale + shift``; one picture in ``squeezed`` gets the wide range of scales.
    shift_hu: float = Field(default=60.0, ge=0, le=500)
    scale: tuple[float, float] = (0.94, 1.06)
    squeezed: float = Field(default=0.4, ge=0, le=1)
    squeezed_scale: tuple[float, float] = (0.75, 1.30)
    noise: float = Field(default=0.4, ge=0, le=1)
    noise_hu: float = Field(default=80.0, ge=0, le=500)
    blur: float = Field(default=0.25, ge=0, le=1)
    sharpen: float = Field(default=0.25, ge=0, le=1)
    zoom: tuple[float, float] = (0.75, 1.30)
    aspect: float = Field(default=0.12, ge=0, le=0.5)
    rotation_deg: float = Field(default=12.0, ge=0, le=180)
    turned: float = Field(default=0.15, ge=0, le=1)
    move: float = Field(default=0.08, ge=0, le=0.5)
    mirror: float = Field(default=0.5, ge=0, le=1)
    crop: float = Field(default=0.15, ge=0, le=1)
    table: float = Field(default=0.2, ge=0, le=1)

    @field_validator("scale", "squeezed_scale", "zoom")
    @classmethod
    def _range(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0.2 <= value[0] <= value[1] <= 5:
            raise ValueError("expected two rising numbers between 0.2 and 5")
        return value


class Networks(_Strict):
    """Sizes of the networks; each kind reads its own."""

    fcnn_patch: int = Field(default=15, ge=3, le=63)
    fcnn_dilation: int = Field(default=3, ge=1, le=8)
    fcnn_hidden: tuple[int, ...] = Field(default=(64, 32), min_length=1, max_length=6)
    unet_widths: tuple[int, ...] = Field(default=(16, 32, 64, 128, 160), min_length=2, max_length=7)
    resnet_blocks: tuple[int, int, int, int] = (2, 2, 2, 2)
    resnet_widths: tuple[int, int, int, int] = (32, 64, 128, 256)

    @field_validator("fcnn_patch")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("expected an odd number, so that the patch has a middle")
        return value

    @field_validator("fcnn_hidden", "unet_widths", "resnet_blocks", "resnet_widths")
    @classmethod
    def _positive(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not all(1 <= v <= 2048 for v in value):
            raise ValueError("expected numbers from 1 to 2048")
        return value


class Slices(_Strict):
    """What only networks of slices have.

    Attributes:
        size: Height and width of the network's input, multiples of 32.
        dice: Weight of the Dice loss beside the cross-entropy.
        smoothing: Labels are taken as this sure at most: 0.02 turns 1 into 0.98.
        robust: A slice's loss L counts as ``robust * (1 - exp(-L / robust))``, so that a wrong reference
            pulls little; 0 for off.
        robust_from: Share of the steps after which ``robust`` holds: before, everything is wrong.
        without_lung: Share of slices without lung in a batch, where the data set has some.
        validation_slices: At most so many slices validate, evenly spread over the validation part.
        threshold: Probability from which a pixel is lung.
    """

    size: tuple[int, int] = (256, 256)
    dice: float = Field(default=1.0, ge=0, le=1000)
    smoothing: float = Field(default=0.01, ge=0, lt=0.5)
    robust: float = Field(default=0.7, ge=0, le=1000)
    robust_from: float = Field(default=0.3, ge=0, le=1)
    without_lung: float = Field(default=0.15, ge=0, le=1)
    validation_slices: int = Field(default=256, ge=1, le=_MOST_STEPS)
    threshold: float = Field(default=0.5, gt=0, lt=1)

    @field_validator("size")
    @classmethod
    def _size(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not all(32 <= v <= 4096 and v % 32 == 0 for v in value):
            raise ValueError("expected multiples of 32 from 32 to 4096")
        return value


class Volumes(_Strict):
    """What only the network of volumes has.

    Attributes:
        size: Voxels of an example along x, y and z; multiples of ``2 ** len(widths)``.
        widths: Channels of each level of the network.
        soft_tissue_hu: HU that the soft-tissue branch sees stretched; empty for no branch.
        refinement: Channels of the head that reads the voxels again; 0 for none.
        dense_weight: Weight of a voxel of lung above -500 HU in the cross-entropy; others weigh 1.
        pleura_weight: Weight of the Dice loss of pleural fluid and gas beside that of the lungs.
    """

    size: tuple[int, int, int] = (96, 80, 80)
    widths: tuple[int, ...] = Field(default=(24, 64, 128, 192), min_length=2, max_length=6)
    soft_tissue_hu: tuple[float, ...] = (-160.0, 240.0)
    refinement: int = Field(default=48, ge=0, le=512)
    dense_weight: float = Field(default=2.0, ge=1, le=100)
    pleura_weight: float = Field(default=0.5, ge=0, le=10)

    @field_validator("widths")
    @classmethod
    def _positive(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not all(1 <= v <= 2048 for v in value):
            raise ValueError("expected numbers from 1 to 2048")
        return value

    @field_validator("soft_tissue_hu")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if value and not (len(value) == 2 and -1024 <= value[0] < value[1] <= 4096):
            raise ValueError("expected two rising numbers in HU, or none")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Volumes:
        multiple = 2 ** len(self.widths)
        if not all(multiple <= n <= 512 and n % multiple == 0 for n in self.size):
            raise ValueError(
                f"size: expected multiples of {multiple} up to 512, for {len(self.widths)} widths"
            )
        return self


class Variation(_Strict):
    """How volumes are varied while training. A share is the chance that an example gets it.

    Lengths in mm, intensities in HU. ``elastic_mm`` is the bend along x, y and z: along z the diaphragm rises
    and sinks the most. ``raised_mm`` is how far one half of the diaphragm is drawn up or down at most.
    ``side_cut`` is the largest part of the width or depth that a narrow field of view cuts off. ``contrast``
    is the chance of contrast medium, which dense lung takes up and fluid does not.
    """

    zoom: float = Field(default=0.30, ge=0, le=1)
    stretch: float = Field(default=0.10, ge=0, le=1)
    rotation_deg: float = Field(default=14.0, ge=0, le=180)
    elastic: float = Field(default=0.5, ge=0, le=1)
    elastic_mm: tuple[float, float, float] = (9.0, 9.0, 18.0)
    raised: float = Field(default=0.25, ge=0, le=1)
    raised_mm: float = Field(default=50.0, ge=0, le=200)
    mirror: float = Field(default=0.5, ge=0, le=1)
    off_centre: float = Field(default=0.35, ge=0, le=1)
    crop: float = Field(default=0.35, ge=0, le=1)
    side_cut: float = Field(default=0.5, ge=0.05, le=0.9)
    thick: float = Field(default=0.35, ge=0, le=1)
    blur: float = Field(default=0.25, ge=0, le=1)
    noise: float = Field(default=0.5, ge=0, le=1)
    noise_hu: float = Field(default=45.0, ge=0, le=500)
    shift_hu: float = Field(default=14.0, ge=0, le=500)
    scale: float = Field(default=0.03, ge=0, le=0.5)
    squeezed: float = Field(default=0.12, ge=0, le=1)
    contrast: float = Field(default=0.25, ge=0, le=1)


class Cases(_Strict):
    """Cases that are made while the network of volumes trains.

    Attributes:
        injury: Share of examples that come from a case with synthetic injury; the others from scans as they
            are.
        workers: Processes that make cases; 0 makes them in the training process. With 0 a training is a
            function of its seed, and one that was stopped goes on to the same weights. Processes work side by
            side with the network, and which cases are at hand at a step hangs on their speed.
        pool: Cases that are kept to be drawn again.
        reuse: How often a case is drawn on average, where ``workers`` is 0; it sets how many are made.
    """

    injury: float = Field(default=0.0, ge=0, le=1)
    workers: int = Field(default=0, ge=0, le=256)
    pool: int = Field(default=64, ge=1, le=100_000)
    reuse: int = Field(default=4, ge=1, le=1000)


class TrainConfig(_Strict):
    """A training from data set to run.

    What networks of slices and of volumes share stands here; what only one of them has, in its section. A key
    of the section of the model may be given without the section's name.

    Attributes:
        model: Which network.
        seed: Of the split, the first weights, the order of the examples and the augmentation.
        fold: ``k/n``: the k-th of n folds validates, the test part stays the same; None for one split.
        test_share: Share of subjects in the test part, which is never looked at here.
        validation_share: Share of subjects that choose the best weights.
        hu_window: HU are clipped to it and scaled to -1 to 1.
        batch: Slices, or volumes, a step on each device.
        steps: Length of the training in steps; overrides ``minutes``.
        minutes: Length in minutes. The steps it holds are measured at the start and kept with the run, so
            that a resumed run has as many.
        learning_rate: Highest rate of AdamW; warm-up, then cosine to a hundredth.
        warmup: Share of the steps in which the rate rises.
        weight_decay: Of AdamW.
        clip: Largest norm of the gradient.
        ema: Decay of the running mean of the weights, which is what is validated and exported.
        validate_every: Steps from one validation and checkpoint to the next; 0 chooses it from
            ``checkpoint_minutes`` and the measured speed.
        checkpoint_minutes: Longest time between checkpoints when ``validate_every`` is 0.
        patience: Early stop after so many validations without a better Dice; 0 for never.
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
    hu_window: tuple[float, float] = (-1024.0, 400.0)
    batch: int = Field(default=8, ge=1, le=4096)
    steps: int | None = Field(default=None, ge=1, le=_MOST_STEPS)
    minutes: float = Field(default=20.0, gt=0, le=_MOST_MINUTES)
    learning_rate: float = Field(default=2e-3, gt=0, le=1)
    warmup: float = Field(default=0.1, ge=0, le=0.9)
    weight_decay: float = Field(default=1e-4, ge=0, le=10)
    clip: float = Field(default=5.0, gt=0, le=1e6)
    ema: float = Field(default=0.99, ge=0, lt=1)
    validate_every: int = Field(default=0, ge=0, le=_MOST_STEPS)
    checkpoint_minutes: float = Field(default=1.5, gt=0, le=_MOST_MINUTES)
    patience: int = Field(default=0, ge=0, le=_MOST_STEPS)
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
                f"'{shown(setting)}' is no setting, expected key=value such as learning_rate=0.001."
            )
        _put(data, key.strip(), _value(text.strip()))
    data.update({key: value for key, value in (overrides or {}).items() if value is not None})
    if "model" not in data:
        raise UsageError("No model was named.", "Add --model fcnn, unet, resnet or volume.")
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
        raise InputError(f"There is no configuration {shown(file.name)}.", "Check the path after --config.")
    return read_toml(file, hint="Correct it, or copy the config.toml of another run.")


def _put(data: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    if len(tables) > 1:
        raise UsageError(f"The configuration has no key {shown(key)}.", "Tables: " + ", ".join(_TABLES) + ".")
    for name in tables:
        inner = data.setdefault(name, {})
        if not isinstance(inner, dict):
            raise UsageError(f"{shown(key)} is no setting: {shown(name)} holds one value, not several.")
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
