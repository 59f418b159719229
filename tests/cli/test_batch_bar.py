"""How far a batch is, in words, on a terminal and in a pipe."""

from __future__ import annotations

import time

import pytest

from hilum.batch import Counts
from hilum.cli import batch_bar
from hilum.cli.batch_bar import BatchBar, words


@pytest.mark.parametrize(
    ("counts", "seconds", "said"),
    [
        (Counts(300), 0.0, "0 of 300 scans"),
        (Counts(300, 35, 0, 2), 370.0, "37 of 300 scans, 2 failed, 360 an hour, 44 min left"),
        (Counts(300, 1, 200, 0), 60.0, "201 of 300 scans, 60 an hour, 1 h 39 min left"),
        (Counts(300, 0, 200, 0), 60.0, "200 of 300 scans"),
        (Counts(3, 2, 0, 0), 20.0, "2 of 3 scans, 360 an hour, less than a minute left"),
        (Counts(3, 3, 0, 0), 20.0, "3 of 3 scans, 540 an hour"),
    ],
)
def test_the_words_count_what_is_done_and_reckon_with_what_took_time(counts, seconds, said):
    assert words(counts, seconds) == said


def until_said(capsys) -> str:
    end, said = time.monotonic() + 60, ""
    while not said:
        assert time.monotonic() < end
        time.sleep(0.01)
        said = capsys.readouterr().err
    return said


def test_without_a_terminal_lines_are_printed_of_several_scans_only(capsys):
    counts = Counts(1)
    with BatchBar(counts, quiet=False, every_s=0.01):
        time.sleep(0.2)
        assert capsys.readouterr().err == ""
        counts.total = 5
        assert until_said(capsys).startswith("0 of 5 scans\n")
    with BatchBar(counts, quiet=True, every_s=0.01):
        time.sleep(0.2)
    capsys.readouterr()


def test_on_a_terminal_a_bar_shows_the_scan_and_the_counts_and_goes_away_for_lines(capsys, monkeypatch):
    monkeypatch.setattr(batch_bar, "on_terminal", lambda stream: True)
    counts = Counts(4, measured=1, failed=1)
    with BatchBar(counts, quiet=False) as bar:
        with bar.scan("case\x1b[31m") as progress:
            assert progress is not None
            progress(0.5, "segment")
            (task,) = bar._bar.tasks
            assert task.completed == 2.5
            assert task.total == 4
            assert task.fields["what"].startswith("2 of 4 scans, 1 failed")
            assert "\x1b" not in task.description
        with bar.paused():
            assert not bar._bar.live.is_started
        assert bar._bar.live.is_started
    assert not bar._bar.live.is_started
