"""The tables of a batch, when several processes keep them."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock

from hilum.batch import ledger as module
from hilum.batch.ledger import Ledger
from hilum.core.errors import OutputError
from hilum.io.sources import Source


def source(name: str, **fields) -> Source:
    return Source(name, Path(f"/scans/{name}.nii"), **fields)


def note(ledger: Ledger, name: str) -> None:
    ledger.done(source(name), series_uid="", fingerprint="0" * 64)


def test_a_table_that_another_part_writes_is_left_for_later(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_EVERY_S", -1.0)
    with Ledger(tmp_path) as ledger:
        with FileLock(tmp_path / ".hilum-tables.lock"):
            note(ledger, "a")
            assert not (tmp_path / "sources.csv").exists()
        note(ledger, "b")
        assert len((tmp_path / "sources.csv").read_text().splitlines()) == 3


def test_the_last_write_waits_and_then_says_who_is_in_the_way(tmp_path, monkeypatch):
    monkeypatch.setattr(module.Ledger._write, "__defaults__", (0.1,))
    with (
        FileLock(tmp_path / ".hilum-tables.lock"),
        pytest.raises(OutputError, match="keeps"),
        Ledger(tmp_path) as ledger,
    ):
        note(ledger, "a")


def test_parts_merge_their_rows(tmp_path):
    with Ledger(tmp_path) as one, Ledger(tmp_path) as two:
        note(one, "s10")
        note(two, "s2")
    rows = (tmp_path / "sources.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["s2", "s10"]


def test_numbers_of_many_scans_are_given_at_once(tmp_path, monkeypatch):
    calls = []
    real = module.assign
    monkeypatch.setattr(module, "assign", lambda path, keys: calls.append(1) or real(path, keys))
    ledger = Ledger(tmp_path / "out", code_ids=True)
    known = [source(f"s{n}") for n in range(50)]
    ledger.coded(known)
    assert [ledger.coded([one])[0].name for one in known] == [str(n) for n in range(50)]
    assert calls == [1]
