"""Fitting the 3-D network: an example is a function of seed and step, so a killed run goes on as it was."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer, callbacks, loggers
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from hilum.core.errors import UsageError
from hilum.io import write_json
from hilum.training.checkpoint import (
    WeightsOnly,
    load_weights_into,
    read_checkpoint,
    steps_done,
    taking_up,
)
from hilum.training.common import update_ema, warmup_cosine
from hilum.training.slices.data import StepSampler
from hilum.training.slices.module import mix
from hilum.training.volumes.augment import AIR, Variation, vary
from hilum.training.volumes.cases import STEP_MM, Case, find_cases
from hilum.training.volumes.layers import use_onednn_layers
from hilum.training.volumes.networks import LungNet3d
from hilum.training.volumes.widen import init_from_narrower

__all__ = ["HIGH_HU", "VolumeConfig", "VolumeModule", "computes_half", "fit_volumes", "scale_hu"]

#: HU are clipped to [AIR, HIGH_HU] and scaled to -1 to 1.
HIGH_HU = 400.0


def scale_hu(hu: Tensor) -> Tensor:
    """Clip HU and scale them to -1 to 1, as the network takes them."""
    return (hu.clamp(AIR, HIGH_HU) - AIR) * (2.0 / (HIGH_HU - AIR)) - 1.0


@dataclass(frozen=True)
class VolumeConfig:
    """Choices of a training of the 3-D network."""

    steps: int = 17000
    size: tuple[int, int, int] = (96, 80, 80)
    widths: tuple[int, ...] = (16, 48, 96, 128)
    learning_rate: float = 2.5e-3
    weight_decay: float = 1e-4
    warmup: float = 0.05
    clip: float = 3.0
    ema: float = 0.998
    dense_weight: float = 2.0
    seed: int = 0
    every: int = 250
    threads: int = 2
    workers: int = 0
    #: bfloat16 where the processor computes with it, else 32 bits; both learn the same.
    half: bool = True
    #: HU that the network also sees closer; None for none.
    soft_hu: tuple[float, float] | None = None
    #: Channels that look at the voxels once more when the answer is given.
    detail: int = 0
    #: How often cases of each group are drawn.
    shares: dict[str, float] = field(default_factory=lambda: {"real": 0.25, "injured": 0.5, "phantom": 0.25})
    #: How many times more often a case is drawn within its group if all its lung is dense; 0: all alike.
    prefer_dense: float = 0.0


def dense_share(case: Case) -> float:
    """Return the share of a case's lung above -300 HU, too dense to be found by its air; 0 without lung."""
    hu, labels = case.load()
    inside = np.asarray(hu)[labels > 0]
    return float((inside > -300).mean()) if inside.size else 0.0


class _Examples(Dataset[dict[str, Tensor]]):
    def __init__(self, cases: list[Case], config: VolumeConfig, variation: Variation) -> None:
        self.config, self.variation = config, variation
        self.groups: dict[str, list[Case]] = {}
        for case in cases:
            self.groups.setdefault(case.group, []).append(case)
        self.groups = {k: v for k, v in self.groups.items() if k in config.shares}
        unknown = set(config.shares) - set(self.groups)
        if unknown:
            raise UsageError(
                f"There are no cases of the group {sorted(unknown)[0]!r}, of which a share is asked for."
            )
        self.chances = {
            k: torch.tensor([1 + config.prefer_dense * dense_share(case) for case in v])
            for k, v in (self.groups.items() if config.prefer_dense else ())
        }

    def __len__(self) -> int:
        return self.config.steps

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(mix(self.config.seed, step))
        names = sorted(self.groups)
        weights = torch.tensor([self.config.shares[name] for name in names])
        name = names[int(torch.multinomial(weights, 1, generator=generator))]
        group = self.groups[name]
        if name in self.chances:
            number = int(torch.multinomial(self.chances[name], 1, generator=generator))
        else:
            number = int(torch.randint(len(group), (), generator=generator))
        case = group[number]
        hu, labels = (torch.from_numpy(np.array(a)) for a in case.load())
        x, target = vary(hu, labels, self.config.size, STEP_MM, self.variation, generator)
        return {"hu": x, "target": target}


def new_network(config: VolumeConfig) -> LungNet3d:
    """Return the network that a configuration asks for, with random weights."""
    soft = None
    if config.soft_hu is not None:
        low, high = scale_hu(torch.tensor(config.soft_hu)).tolist()
        soft = (low, high)
    return LungNet3d(config.widths, 3, soft, config.detail)


def volume_loss(logits: Tensor, target: Tensor, hu: Tensor, dense_weight: float) -> Tensor:
    """Cross-entropy, heavier where lung is dense, plus soft Dice (Milletari 2016) of each side.

    Args:
        logits: (n, 3, x, y, z).
        target: Shares of the classes, same shape.
        hu: (n, 1, x, y, z).
        dense_weight: Weight of a voxel of lung above -500 HU; others weigh 1.
    """
    lung = target[:, 1:].sum(1, keepdim=True)
    weight = 1 + (dense_weight - 1) * lung * (hu > -500)
    entropy = -(target * functional.log_softmax(logits, 1)).sum(1, keepdim=True)
    entropy = (weight * entropy).sum() / weight.sum()
    probability = torch.softmax(logits, 1)[:, 1:]
    truth = target[:, 1:]
    floor = 0.001 * truth[0, 0].numel()
    both = 2 * (probability * truth).sum((2, 3, 4)) + floor
    total = (probability.square() + truth.square()).sum((2, 3, 4)) + floor
    return entropy + (1 - both / total).mean()


def computes_half() -> bool:
    """Whether there is hardware for bfloat16; in software it would be slower than 32 bits."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _in_half(config: VolumeConfig) -> bool:
    """Whether a training computes with bfloat16 here."""
    return config.half and computes_half()


class VolumeModule(LightningModule):
    """The network, its running mean, and how it learns."""

    def __init__(self, config: VolumeConfig) -> None:
        super().__init__()
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.network = new_network(config).to(memory_format=torch.channels_last_3d)
        if not _in_half(config):
            use_onednn_layers(self.network)
        self.mean = copy.deepcopy(self.network).requires_grad_(False)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """One step."""
        logits = self.network(scale_hu(batch["hu"]))
        loss = volume_loss(logits.float(), batch["target"], batch["hu"], self.config.dense_weight)
        self.log("loss", loss, on_step=True)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Move the running mean; in the beginning it forgets faster."""
        update_ema(self.mean, self.network, self.config.ema, self.global_step)

    def configure_optimizers(self) -> Any:
        """AdamW (Loshchilov 2019): linear rise, then cosine to a hundredth."""
        c = self.config
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=c.learning_rate, weight_decay=c.weight_decay
        )
        return warmup_cosine(optimizer, c.steps, c.warmup)


class _Tell(callbacks.Callback):
    def __init__(self, report: Callable[[int, float], None]) -> None:
        self.report = report

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.report(trainer.global_step, float(outputs["loss"]))


def fit_volumes(
    cases: Path,
    out: Path,
    config: VolumeConfig,
    variation: Variation | None = None,
    initial: LungNet3d | None = None,
    report: Callable[[int, float], None] | None = None,
) -> LungNet3d:
    """Train the network, or go on with a training that was stopped.

    Args:
        cases: Folder of cases; see :mod:`hilum.training.volumes.cases`.
        out: Folder of checkpoints and logs.
        config: All choices.
        variation: How much examples are varied.
        initial: Network whose weights are the first ones; it may be narrower.
        report: Called after each step with its number and loss.

    Returns:
        The running mean of the network.

    Raises:
        InputError: There are no cases.
        ModelError: The checkpoint to go on from is damaged, or of another training.
    """
    torch.set_num_threads(config.threads)
    variation = variation or Variation()
    data = _Examples(find_cases(cases), config, variation)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "config.json", {"config": asdict(config), "variation": asdict(variation)})
    last = out / "last.ckpt"
    sampler = StepSampler(config.steps, config.every)
    resumed = last.is_file()
    module = VolumeModule(config)
    if resumed:
        found = read_checkpoint(last, out.name)
        sampler.set_epoch(steps_done(found, last, out.name) // config.every)
        load_weights_into(module, found["state_dict"], out.name)
    elif initial is not None:
        for network in (module.network, module.mean):
            init_from_narrower(initial, network)
    loader = DataLoader(data, batch_size=1, sampler=sampler, num_workers=config.workers)
    keep = callbacks.ModelCheckpoint(
        dirpath=out, filename="last", enable_version_counter=False, save_on_train_epoch_end=True
    )
    trainer = Trainer(
        accelerator="auto",
        devices=1,
        precision="bf16-mixed" if _in_half(config) else "32-true",
        max_steps=config.steps,
        max_epochs=-1,
        gradient_clip_val=config.clip,
        callbacks=[keep, *([_Tell(report)] if report else [])],
        logger=loggers.CSVLogger(out, name="", version="log"),
        log_every_n_steps=20,
        reload_dataloaders_every_n_epochs=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        plugins=[WeightsOnly(out.name)],
    )
    with taking_up(trainer, last, out.name):
        trainer.fit(module, loader, ckpt_path=str(last) if resumed else None)
    mean: LungNet3d = module.mean
    return mean
