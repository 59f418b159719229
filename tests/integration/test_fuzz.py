"""300 broken inputs of all kinds, made by benchmarks/fuzz.py: each is refused or read, and leaves nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

FUZZ = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"
FAMILIES = ("dicom", "itk", "nifti", "pair", "tiff", "zip", "text", "masks")
CASES, SEED = 304, 0
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FUZZ.is_file(), reason="benchmarks/fuzz.py is not here"),
    pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="needs Linux"),
]


def run(*arguments: object, out: Path) -> list[dict[str, Any]]:
    words = [*map(str, arguments), "--seed", str(SEED), "--workers", "1", "--out", str(out / "kept")]
    ended = subprocess.run(
        [sys.executable, str(FUZZ), *words, "--json", str(out / "outcomes.json")],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert (out / "outcomes.json").is_file(), ended.stderr
    outcomes: list[dict[str, Any]] = json.loads((out / "outcomes.json").read_text("utf-8"))
    return outcomes


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run("--cases", CASES, out=tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("family", FAMILIES)
def test_broken_inputs_are_refused_or_read_and_leave_nothing(
    family: str, outcomes: list[dict[str, Any]]
) -> None:
    own = [outcome for outcome in outcomes if outcome["family"] == family]
    assert len(own) == CASES // len(FAMILIES)
    failed = [
        f"{outcome['family']} {outcome['number']} ({outcome['kind']}): {outcome['result']}, {outcome['said']}"
        for outcome in own
        if outcome["result"] not in ("refused", "accepted")
        or outcome["left"]
        or (outcome["result"] == "refused" and outcome["lines"])  # of libraries, beside the sentence
    ]
    assert not failed, "\n".join(failed)


def test_the_inputs_are_broken_but_not_all_of_them_beyond_reading(outcomes: list[dict[str, Any]]) -> None:
    counts = Counter(outcome["result"] for outcome in outcomes)
    assert counts["refused"] > CASES / 3
    assert counts["accepted"] > CASES / 20


def test_a_case_is_the_same_each_time(outcomes: list[dict[str, Any]], tmp_path: Path) -> None:
    one = next(outcome for outcome in outcomes if outcome["family"] == "text" and outcome["number"] == 17)
    again = run("--family", "text", "--number", 17, out=tmp_path)
    assert again == [one]
