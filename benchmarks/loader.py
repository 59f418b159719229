"""Loader overhead: time of a training step beside the step of the network alone, and its parts.

The step alone is forward, loss, backward, clipping and AdamW on one batch in memory. It runs once after
each training step, so that both run under the same load. The
training is ``hilum train`` with reading, augmentation, EMA and bookkeeping. The first steps, which
warm up, and validation, which the step alone lacks, are not counted.

    python benchmarks/loader.py [DATASET] [--model unet] [--steps 60]

Without a dataset, a few phantoms are made. Prints a table and writes ``benchmarks/out/loader.json``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback

import hilum
from hilum.datasets.prepare import prepare
from hilum.results import write_phantoms
from hilum.training.config import TrainConfig, load_config
from hilum.training.slices.data import TrainingBatches
from hilum.training.slices.fit import train
from hilum.training.slices.module import LungModule
from hilum.training.slices.step_timer import StepTimer

HERE = Path(__file__).parent
WARM_UP = 5


class Clock(Callback):
    """Seconds of the parts of each step, by the hooks that Lightning calls between them."""

    def __init__(self, bare: StepTimer) -> None:
        self._bare = bare
        self.bare: list[float] = []
        self.parts: dict[str, list[float]] = defaultdict(list)
        self.whole: list[float] = []
        self._last: float | None = None
        self._ended: float | None = None

    def _lap(self, part: str) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self._last is not None:
            self.parts[part].append(now - self._last)
        self._last = now

    def around(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        """Time a function by itself."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            begin = time.perf_counter()
            out = function(*args, **kwargs)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.parts[part].append(time.perf_counter() - begin)
            return out

        return timed

    def on_train_batch_start(self, *_: Any) -> None:
        self._last = time.perf_counter()

    def on_before_backward(self, *_: Any) -> None:
        self._lap("forward and loss")

    def on_after_backward(self, *_: Any) -> None:
        self._lap("backward")

    def on_train_batch_end(self, *_: Any) -> None:
        self._lap("clip and AdamW")

    def lap_all(self) -> None:
        """A step has ended, with all that belongs to it: note it, and do a bare one."""
        now = time.perf_counter()
        if self._ended is not None:
            self.whole.append(now - self._ended)
        self.bare.append(self._bare())
        self._ended = time.perf_counter()

    def on_train_epoch_start(self, *_: Any) -> None:
        self._ended = time.perf_counter()  # validation lay between


def make_dataset(folder: Path) -> Path:
    chests = (hilum.phantom(seed=seed, spacing=(2, 2, 2), noise_hu=20) for seed in range(5))
    write_phantoms(chests, folder / "pairs")
    prepare(folder / "pairs", folder / "dataset")
    return folder / "dataset"


def measure(dataset: Path, run: Path, config: TrainConfig) -> dict[str, Any]:
    clock = Clock(StepTimer(config))
    read, vary, mean = (
        TrainingBatches.__getitem__,
        LungModule.on_after_batch_transfer,
        LungModule.on_train_batch_end,
    )
    TrainingBatches.__getitem__ = clock.around(read, "read slices")  # type: ignore[method-assign]
    timed_mean = clock.around(mean, "running mean")

    def varied(self: LungModule, batch: dict[str, Any], index: int) -> dict[str, Any]:
        function = clock.around(vary, "augment") if int(batch["step"]) >= 0 else vary
        out: dict[str, Any] = function(self, batch, index)
        return out

    def ended(self: LungModule, *arguments: Any) -> None:  # the last hook of a step
        timed_mean(self, *arguments)
        clock.lap_all()

    LungModule.on_after_batch_transfer = varied  # type: ignore[method-assign]
    LungModule.on_train_batch_end = ended  # type: ignore[method-assign]
    train(dataset, run, config, callbacks=[clock])
    whole, bare = (statistics.median(times[WARM_UP:]) for times in (clock.whole, clock.bare))
    parts = {name: statistics.median(times[WARM_UP:]) for name, times in clock.parts.items()}
    parts["everything else"] = whole - sum(parts.values())
    network = sum(parts[name] for name in ("forward and loss", "backward", "clip and AdamW"))
    ratios = [one / other for one, other in zip(clock.whole[WARM_UP:], clock.bare[WARM_UP:], strict=True)]
    return {
        "step_ms": 1e3 * whole,
        "bare_ms": 1e3 * bare,
        "over_bare_percent": 100 * (statistics.median(ratios) - 1),
        "over_network_in_loop_percent": 100 * (whole / network - 1),
        "slices_per_s": config.batch / whole,
        "bare_slices_per_s": config.batch / bare,
        "parts_ms": {name: 1e3 * seconds for name, seconds in parts.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("--model", default="unet")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    choices = {"model": arguments.model, "steps": arguments.steps, "validate_every": arguments.steps}
    config = load_config(None, {**choices, "validation_slices": 8}, arguments.settings)
    with tempfile.TemporaryDirectory() as name:
        dataset = arguments.dataset or make_dataset(Path(name))
        found = measure(dataset, Path(name) / "run", config)
    size = " x ".join(map(str, config.slices.size))
    print(f"{config.model.value}, {config.batch} slices of {size} a step, {torch.get_num_threads()} threads")
    print(f"{'part of a step':<20} {'ms':>8} {'%':>6}")
    for part, ms in sorted(found["parts_ms"].items(), key=lambda item: -item[1]):
        print(f"{part:<20} {ms:8.1f} {100 * ms / found['step_ms']:6.1f}")
    print(f"{'step':<20} {found['step_ms']:8.1f} {100:6.1f}")
    print(f"{'bare step':<20} {found['bare_ms']:8.1f} {100 * found['bare_ms'] / found['step_ms']:6.1f}")
    print(
        f"{found['slices_per_s']:.1f} slices/s against {found['bare_slices_per_s']:.1f} of the bare step: "
        f"a step takes {found['over_bare_percent']:+.1f} %; "
        f"over the network's share of the same steps {found['over_network_in_loop_percent']:+.1f} %"
    )
    (HERE / "out").mkdir(exist_ok=True)
    about = {"hilum": hilum.__version__, "torch": torch.__version__, "model": arguments.model}
    (HERE / "out" / "loader.json").write_text(json.dumps({**about, **found}, indent=2))


if __name__ == "__main__":
    main()
