"""The folder of a training: what a killed run left in it, and whose it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock

from hilum.core.errors import OutputError
from hilum.training.run_folder import alone, begin, setting_up, tidy


def tree(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def test_a_run_that_was_killed_before_its_first_file_resumes(tmp_path):
    begin(tmp_path / "run")
    (tmp_path / "run" / ".setup.lock").touch()
    (tmp_path / "run" / ".hilum-0123456789ab-0.toml").touch()
    begin(tmp_path / "run")


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "mine.ckpt").touch()
    with pytest.raises(OutputError, match="no training of hilum"):
        begin(tmp_path / "run")


def test_files_that_a_killed_run_did_not_complete_are_removed_and_no_lock_stays(tmp_path):
    begin(tmp_path)
    for name in (".hilum-0123456789abcdef.png", "checkpoints/.hilum-0123456789ab-0.ckpt"):
        (tmp_path / name).touch()
    with setting_up(tmp_path):
        pass
    with alone(tmp_path):
        assert tree(tmp_path) == [".lock", "checkpoints"]
    assert tree(tmp_path) == ["checkpoints"]


def test_helpers_of_a_training_touch_nothing_that_the_first_process_writes(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    (tmp_path / ".hilum-0123456789ab-0.png").touch()
    with alone(tmp_path):
        assert tree(tmp_path) == [".hilum-0123456789ab-0.png"]


def test_a_complete_run_is_tidied_unless_another_process_is_at_it(tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "hu.bin").touch()
    (tmp_path / ".hilum-0123456789ab-0.png").touch()
    with FileLock(tmp_path / ".lock"):
        with pytest.raises(OutputError, match="Another process is training"):
            alone(tmp_path).__enter__()
        tidy(tmp_path)
        assert (tmp_path / "cache" / "hu.bin").exists()
    tidy(tmp_path)
    assert tree(tmp_path) == []
