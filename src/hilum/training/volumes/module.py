"""Training and validation steps of the volume network, for Lightning."""

from __future__ import annotations

import copy
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn import functional

from hilum.datasets.volumes import LABELS
from hilum.training.common import log_mean_dice, mix, update_ema, warmup_cosine
from hilum.training.config import TrainConfig
from hilum.training.run import precision_of
from hilum.training.volumes.augment import vary
from hilum.training.volumes.networks import LungNet3d
from hilum.training.volumes.onednn import use_onednn_layers

__all__ = ["VolumeModule", "new_network", "predict", "scale_hu", "scaled_range", "volume_loss"]

#: Lung above this is dense: consolidated, collapsed, or ground glass. HU.
_DENSE_HU = -500.0
#: Share of an example's voxels that is added to both sums of the Dice loss, so that a class that is absent
#: and not found gives nothing.
_DICE_FLOOR = 0.001


def scale_hu(hu: Tensor, window: tuple[float, float]) -> Tensor:
    """Clip HU to a window and scale them to -1 to 1, as the network takes them."""
    low, high = window
    return (hu.clamp(low, high) - low) * (2.0 / (high - low)) - 1.0


def scaled_range(config: TrainConfig) -> tuple[float, float] | None:
    """Return the range of the soft-tissue branch on the network's scale; None for no branch."""
    if not config.volumes.soft_tissue_hu:
        return None
    low, high = scale_hu(torch.tensor(config.volumes.soft_tissue_hu), config.hu_window).tolist()
    return low, high


def new_network(config: TrainConfig, classes: int) -> LungNet3d:
    """Return the network that a configuration asks for, with random weights."""
    v = config.volumes
    return LungNet3d(v.widths, classes, scaled_range(config), v.refinement)


def volume_loss(
    logits: Tensor, target: Tensor, hu: Tensor, *, dense_weight: float, pleura_weight: float
) -> Tensor:
    """Cross-entropy, heavier where lung is dense, plus soft Dice (Milletari 2016) of each label.

    Args:
        logits: (n, classes, x, y, z).
        target: Shares of the classes, same shape.
        hu: (n, 1, x, y, z).
        dense_weight: Weight of a voxel of lung or fluid above -500 HU; others have weight 1.
        pleura_weight: Weight of the Dice loss of pleural fluid and gas beside that of the lungs.
    """
    dense = target[:, 1 : 1 + LABELS["pleural_fluid"]].sum(1, keepdim=True)
    weight = 1 + (dense_weight - 1) * dense * (hu > _DENSE_HU)
    entropy = -(target * functional.log_softmax(logits, 1)).sum(1, keepdim=True)
    entropy = (weight * entropy).sum() / weight.sum()
    probability = torch.softmax(logits, 1)[:, 1:]
    truth = target[:, 1:]
    floor = _DICE_FLOOR * truth[0, 0].numel()
    both = 2 * (probability * truth).sum((2, 3, 4)) + floor
    total = (probability.square() + truth.square()).sum((2, 3, 4)) + floor
    missed = 1 - both / total
    lungs = LABELS["left_lung"]
    loss = entropy + missed[:, :lungs].mean()
    if missed.shape[1] > lungs:
        loss = loss + pleura_weight * missed[:, lungs:].mean()
    return loss


def predict(network: LungNet3d, hu: Tensor, window: tuple[float, float]) -> Tensor:
    """Return the probabilities of a whole volume, (classes, x, y, z); it is padded with air.

    Args:
        network: In any state; its gradients are not kept.
        hu: HU, (x, y, z).
        window: HU that become -1 and 1.
    """
    pad = [side for n in reversed(hu.shape) for side in (0, -n % network.multiple)]
    x = functional.pad(scale_hu(hu.float(), window), pad, value=-1.0)[None, None]
    with torch.no_grad():
        probability = torch.softmax(network(x).float(), 1)[0]
    a, b, c = hu.shape
    return probability[:, :a, :b, :c]


class VolumeModule(LightningModule):
    """The network, its EMA, and its training steps.

    Args:
        config: All choices.
        steps: Length of the training.
        classes: Background and labels.
        step_mm: Side of a voxel in mm.
    """

    def __init__(self, config: TrainConfig, steps: int, classes: int, step_mm: float) -> None:
        super().__init__()
        self.config, self.steps, self.classes, self.step_mm = config, steps, classes, step_mm
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.network = new_network(config, classes).to(memory_format=torch.channels_last_3d)
        if precision_of(config) == "32-true":
            use_onednn_layers(self.network)
        self.mean = copy.deepcopy(self.network).requires_grad_(False)
        self._dice: list[Tensor] = []

    def train(self, mode: bool = True) -> VolumeModule:
        """Switch to training mode; the EMA stays in evaluation mode."""
        super().train(mode)
        self.mean.eval()
        return self

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Vary the cases of a training step, on the device of the network."""
        if "cases" not in batch:
            return batch
        step, c = int(batch["step"]), self.config
        examples = []
        for number, case in enumerate(batch["cases"]):
            generator = torch.Generator().manual_seed(mix(c.seed, step, number, self.global_rank))
            examples.append(
                vary(case, c.volumes.size, self.step_mm, c.variation, generator, self.classes, self.device)
            )
        return {
            "hu": torch.stack([hu for hu, _ in examples]),
            "target": torch.stack([t for _, t in examples]),
        }

    def loss(self, hu: Tensor, target: Tensor) -> Tensor:
        """Loss of a batch of varied examples."""
        v = self.config.volumes
        logits = self.network(scale_hu(hu, self.config.hu_window)).float()
        return volume_loss(logits, target, hu, dense_weight=v.dense_weight, pleura_weight=v.pleura_weight)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """One step."""
        loss = self.loss(batch["hu"], batch["target"])
        self.log("loss", loss, on_step=True, on_epoch=False)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Update the EMA of the weights."""
        update_ema(self.mean, self.network, self.config.ema, self.global_step)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Dice of both lungs together of a whole volume."""
        probability = predict(self.mean, batch["hu"], self.config.hu_window)
        lungs = slice(1, 1 + LABELS["left_lung"])
        found = probability[lungs].sum(0) >= 0.5
        truth = (batch["labels"] >= 1) & (batch["labels"] <= LABELS["left_lung"])
        total = found.sum() + truth.sum()
        self._dice.append(torch.where(total == 0, 1.0, 2.0 * (found & truth).sum() / total.clamp(min=1)))

    def on_validation_epoch_end(self) -> None:
        """Mean over all volumes of all processes."""
        some = torch.stack(self._dice) if self._dice else torch.zeros(0, device=self.device)
        self._dice.clear()
        log_mean_dice(self, some)

    def configure_optimizers(self) -> Any:
        """AdamW (Loshchilov 2019): linear warm-up, then cosine decay to a hundredth."""
        c = self.config
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=c.learning_rate, weight_decay=c.weight_decay
        )
        return warmup_cosine(optimizer, self.steps, c.warmup)
