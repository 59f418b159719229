"""A handful of the trials of benchmarks/kills.py: killed, started again, and then the same bytes."""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="needs the signals of Unix"),
]


def load(name: str) -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def kills() -> ModuleType:
    return load("kills")


def test_a_batch_that_is_killed_goes_on_and_makes_nothing_twice(kills, tmp_path):
    batch = load("kills_batch")
    batch.make_scans(tmp_path / "scans", 6)
    count = batch.trial(tmp_path / "scans", tmp_path / "work", kills=3, jobs=2, rng=random.Random(2))
    assert sum(count.kills.values()) == 3
    assert count.rounds >= 1
    assert count.faultless, count


def test_killed_and_started_again_gives_the_same_bytes_and_leaves_nothing(kills, tmp_path):
    rng = random.Random(1)
    kills.make_inputs(tmp_path)
    for name, numbers in (
        ("segment-zip", (signal.SIGKILL, signal.SIGTERM)),
        ("prepare-2", (signal.SIGKILL, signal.SIGHUP)),
    ):
        task, place = kills.tasks(tmp_path)[name], kills.Place(tmp_path / "trial")
        expected, length = kills.measure(task, place)
        for number in numbers:
            trial = kills.try_once(task, place, number, rng.uniform(0.3, 0.9) * length, expected)
            assert not trial.faults, trial
