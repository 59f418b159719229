from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.core.errors import InputError, UsageError
from hilum.io.swc import SwcPoints, read_swc, write_swc

PARENTS = np.array([-1, 0, 1, 1, -1])


def tree(parents=PARENTS, seed=0) -> SwcPoints:
    rng = np.random.default_rng(seed)
    count = len(parents)
    return SwcPoints(
        rng.integers(0, 9, count),
        rng.normal(size=(count, 3)) * 100,
        rng.random(count) * 9,
        np.asarray(parents),
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_what_is_written_is_read(tmp_path_factory, count, seed):
    rng = np.random.default_rng(seed)
    # Depth first, as the reader sorts: each point hangs on the one before it, or begins a tree.
    parents = np.where(rng.random(count) < 0.2, -1, np.arange(count) - 1)
    written = tree(parents, seed)
    file = tmp_path_factory.mktemp("swc") / "tree.swc"
    write_swc(file, written, ["types: 0 undefined"])
    read = read_swc(file)
    assert (read.types == written.types).all()
    assert (read.parents == written.parents).all()
    assert read.points == pytest.approx(written.points, abs=6e-4)
    assert read.radii == pytest.approx(written.radii, abs=6e-4)


def test_the_file_says_units_and_frame_and_counts_from_one(tmp_path):
    write_swc(tmp_path / "a.swc", tree(), ["two\nlines"])
    lines = (tmp_path / "a.swc").read_text().splitlines()
    assert "RAS" in lines[1]
    assert "# two lines" in lines
    rows = [line.split() for line in lines if not line.startswith("#")]
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [row[6] for row in rows] == ["-1", "1", "2", "2", "-1"]


def test_any_order_and_gaps_in_the_ids_are_read(tmp_path):
    file = tmp_path / "a.swc"
    file.write_text("# other program\n\n30 5 2 0 0 1 7 # tip\n7 5 1 0 0 1.5 4\n4 1 0 0 0 2 -1\n")
    read = read_swc(file)
    assert read.points[:, 0].tolist() == [0, 1, 2]
    assert read.parents.tolist() == [-1, 0, 1]
    assert read.types.tolist() == [1, 5, 5]


def test_an_empty_file_is_an_empty_tree(tmp_path):
    (tmp_path / "a.swc").write_text("# nothing\n")
    assert len(read_swc(tmp_path / "a.swc").points) == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 0 0 0 0 1\n", "seven numbers"),
        ("1 0 0 0 0 x -1\n", "seven numbers"),
        ("1.5 0 0 0 0 1 -1\n", "seven numbers"),
        ("1 0 0 nan 0 1 -1\n", "seven numbers"),
        ("1 0 0 0 0 1 1e300\n", "seven numbers"),
        ("1 0 0 0 0 1 -1\n1 0 0 0 0 1 -1\n", "twice"),
        ("1 0 0 0 0 1 9\n", "parent 9 is missing"),
        ("1 0 0 0 0 1 2\n2 0 0 0 0 1 1\n", "circle"),
    ],
)
def test_broken_files_are_refused_in_words(tmp_path, text, words):
    (tmp_path / "a.swc").write_text(text)
    with pytest.raises(InputError, match=words):
        read_swc(tmp_path / "a.swc")


def test_tables_that_are_no_tree_are_refused():
    with pytest.raises(UsageError, match="before its child"):
        tree([1, -1])
    with pytest.raises(UsageError, match="length"):
        SwcPoints(np.zeros(1), np.zeros((2, 3)), np.zeros(2), np.array([-1, 0]))
    with pytest.raises(UsageError, match="finite"):
        SwcPoints(np.zeros(1, int), np.full((1, 3), np.inf), np.zeros(1), np.array([-1]))
