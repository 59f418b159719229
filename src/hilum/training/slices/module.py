"""Training and validation steps of slice networks, for Lightning."""

from __future__ import annotations

import copy
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn import functional

from hilum.training.common import log_mean_dice, mix, update_ema, warmup_cosine
from hilum.training.config import TrainConfig
from hilum.training.slices.augment import Augmenter, Injury
from hilum.training.slices.data import as_float
from hilum.training.slices.networks import LungNet, build_network

__all__ = ["LungModule", "dice_of", "slice_loss"]


def slice_loss(logits: Tensor, target: Tensor, *, dice: float, smoothing: float) -> Tensor:
    """Cross-entropy plus soft Dice of each slice.

    The Dice loss (Milletari 2016) has a floor under its sums, so that a slice without lung gives nothing
    when nothing is found in it.

    Args:
        logits: (n, 1, height, width).
        target: Share of lung in each pixel, same shape.
        dice: Weight of the Dice loss.
        smoothing: How far the target of the cross-entropy stays from 0 and 1.

    Returns:
        Loss of each slice, shape (n,).
    """
    soft = target * (1 - 2 * smoothing) + smoothing
    entropy = functional.binary_cross_entropy_with_logits(logits, soft, reduction="none").mean((1, 2, 3))
    probability = torch.sigmoid(logits)
    floor = 0.002 * target[0].numel()
    both = 2 * (probability * target).sum((1, 2, 3)) + floor
    total = (probability.square() + target.square()).sum((1, 2, 3)) + floor
    return entropy + dice * (1 - both / total)


def dice_of(probability: Tensor, target: Tensor, threshold: float) -> Tensor:
    """Dice of each slice, shape (n,); 1 where neither holds lung."""
    found, truth = probability >= threshold, target >= 0.5
    total = found.sum((1, 2, 3)) + truth.sum((1, 2, 3))
    return torch.where(total == 0, 1.0, 2.0 * (found & truth).sum((1, 2, 3)) / total.clamp(min=1))


class LungModule(LightningModule):
    """A network, its EMA, and its training steps.

    Args:
        config: All choices.
        steps: Length of the training.
        injury: See :class:`hilum.training.slices.augment.Augmenter`.
    """

    def __init__(self, config: TrainConfig, steps: int, injury: Injury | None = None) -> None:
        super().__init__()
        self.config, self.steps = config, steps
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.network: LungNet = build_network(config.model, config.networks)
        self.mean = copy.deepcopy(self.network).requires_grad_(False)
        self._augmenter = Augmenter(config.augment, config.hu_window, injury)
        self._dice: list[Tensor] = []

    def train(self, mode: bool = True) -> LungModule:
        """Switch to training mode; the EMA stays in evaluation mode."""
        super().train(mode)
        self.mean.eval()
        return self

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Augment a training batch, seeded by its step."""
        hu, lung = as_float(batch)
        step = int(batch["step"])
        if step >= 0:
            generator = torch.Generator()
            generator.manual_seed(mix(self.config.seed, step, self.global_rank))
            hu, lung = self._augmenter(hu, lung, generator)
        low, high = self.config.hu_window
        return {"x": (hu - low) * (2.0 / (high - low)) - 1.0, "lung": lung, "step": step}

    def loss(self, x: Tensor, lung: Tensor, step: int) -> Tensor:
        """Loss of a batch."""
        c = self.config
        total = torch.zeros(len(x), device=x.device)
        weights = 0.0
        for logits, target, weight in self.network.supervise(x, lung, step):
            total = total + weight * slice_loss(
                logits.float(), target, dice=c.slices.dice, smoothing=c.slices.smoothing
            )
            weights += weight
        total = total / weights
        if c.slices.robust and step >= c.slices.robust_from * self.steps:
            total = c.slices.robust * (1 - torch.exp(-total / c.slices.robust))
        return total.mean()

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """One step."""
        loss = self.loss(batch["x"], batch["lung"], batch["step"])
        self.log("loss", loss, on_step=True, on_epoch=False)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Update the EMA of the weights."""
        update_ema(self.mean, self.network, self.config.ema, self.global_step)

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Dice of each slice, on the input's grid."""
        probability = torch.sigmoid(self.mean(batch["x"]).float())
        self._dice.append(dice_of(probability, batch["lung"], self.config.slices.threshold))

    def on_validation_epoch_end(self) -> None:
        """Mean and worst over all slices of all processes."""
        some = torch.cat(self._dice) if self._dice else torch.zeros(0, device=self.device)
        self._dice.clear()
        log_mean_dice(self, some)

    def configure_optimizers(self) -> Any:
        """AdamW (Loshchilov 2019): linear warm-up, then cosine decay to a hundredth."""
        c = self.config
        plain = [p for p in self.network.parameters() if p.ndim < 2]
        rest = [p for p in self.network.parameters() if p.ndim >= 2]
        groups = [{"params": rest, "weight_decay": c.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=c.learning_rate)
        return warmup_cosine(optimizer, self.steps, c.warmup)
