"""The sections of a training's configuration: what one kind of network has, and how examples are made."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = ["MOST_STEPS", "Augment", "Cases", "Networks", "Slices", "Strict", "Variation", "Volumes"]

#: No training is longer; larger numbers are typing errors, and some libraries cannot count that far.
MOST_STEPS = 10**9


class Strict(BaseModel):
    """Base of all sections: a key that is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Augment(Strict):
    """Augmentation of slices. A share is the probability that a slice gets it.

    Values in HU and in shares of the slice; what a CT can meet: another calibration, kernel, dose, field
    of view, patient size and position.
    """

    #: Intensities become ``hu * scale + shift``; a share ``squeezed`` of slices gets the wide range.
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


class Networks(Strict):
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


class Slices(Strict):
    """What only networks of slices have.

    Attributes:
        size: Height and width of the network's input, multiples of 32.
        dice: Weight of the Dice loss beside the cross-entropy.
        smoothing: Labels are taken as this sure at most: 0.02 turns 1 into 0.98.
        robust: A slice's loss L counts as ``robust * (1 - exp(-L / robust))``, so that a wrong reference
            pulls little; 0 for off.
        robust_from: Share of the steps after which ``robust`` holds: before, everything is wrong.
        without_lung: Share of slices without lung in a batch, where the data set has some.
        validation_slices: Most slices of a validation, evenly spread over the validation part.
        threshold: Probability from which a pixel is lung.
    """

    size: tuple[int, int] = (256, 256)
    dice: float = Field(default=1.0, ge=0, le=1000)
    smoothing: float = Field(default=0.01, ge=0, lt=0.5)
    robust: float = Field(default=0.7, ge=0, le=1000)
    robust_from: float = Field(default=0.3, ge=0, le=1)
    without_lung: float = Field(default=0.15, ge=0, le=1)
    validation_slices: int = Field(default=256, ge=1, le=MOST_STEPS)
    threshold: float = Field(default=0.5, gt=0, lt=1)

    @field_validator("size")
    @classmethod
    def _size(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not all(32 <= v <= 4096 and v % 32 == 0 for v in value):
            raise ValueError("expected multiples of 32 from 32 to 4096")
        return value


class Volumes(Strict):
    """What only the network of volumes has.

    Attributes:
        size: Voxels of an example along x, y and z; multiples of ``2 ** len(widths)``.
        widths: Channels of each level of the network.
        soft_tissue_hu: HU that the soft-tissue branch sees stretched; empty for no branch.
        refinement: Full-resolution channels of the refinement head; 0 for no head.
        dense_weight: Weight of a voxel of lung above -500 HU in the cross-entropy; others have weight 1.
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


class Variation(Strict):
    """Augmentation of volumes. A share is the probability that an example gets it.

    Lengths in mm, intensities in HU. ``elastic_mm`` is the bend along x, y and z: along z the diaphragm rises
    and sinks the most. ``raised_mm`` is how far one half of the diaphragm is drawn up or down at most.
    ``side_cut`` is the largest part of the width or depth that a narrow field of view cuts off. ``contrast``
    is the probability of contrast medium, which dense lung takes up and fluid does not. ``small`` is that of
    a body of ``smallest`` to 1 times its size, ``half`` that of a field of view that ends between the lungs,
    ``upside_down`` that of planes in reversed order, and ``metal`` that of metal with its streaks.
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
    small: float = Field(default=0.0, ge=0, le=1)
    smallest: float = Field(default=0.3, gt=0, le=1)
    half: float = Field(default=0.0, ge=0, le=1)
    upside_down: float = Field(default=0.0, ge=0, le=1)
    metal: float = Field(default=0.0, ge=0, le=1)


class Cases(Strict):
    """Cases that are made while the network of volumes trains.

    Attributes:
        injury: Share of examples that come from a case with synthetic injury; the others from scans as they
            are.
        workers: Processes that make cases; 0 makes them in the training process. With 0 a training is a
            function of its seed, and one that was stopped resumes to the same weights. Processes work side by
            side with the network, and which cases are at hand at a step hangs on their speed.
        pool: Cases that are kept to be drawn again.
        reuse: How often a case is drawn on average, where ``workers`` is 0; it sets how many are made.
    """

    injury: float = Field(default=0.0, ge=0, le=1)
    workers: int = Field(default=0, ge=0, le=256)
    pool: int = Field(default=64, ge=1, le=100_000)
    reuse: int = Field(default=4, ge=1, le=1000)
