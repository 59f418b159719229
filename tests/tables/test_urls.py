"""Tables of results at URLs: those of the same results in folders."""

from __future__ import annotations

import pytest

from hilum.cli.app import run
from hilum.core.errors import OutputError, UsageError
from hilum.tables import read_results, write_tables
from hilum.tables.remote import WRITING
from support.index_page import data_of

fsspec = pytest.importorskip("fsspec")

#: What both have, byte for byte; the workbook holds when it was made.
SAME = ("scans.csv", "measures_long.csv", "index.html")


@pytest.fixture
def bucket(results):
    """A file system in memory with the results."""
    files = fsspec.filesystem("memory")
    files.put(str(results), "/results", recursive=True)
    yield files
    files.rm("/", recursive=True)


def links(page: bytes) -> list[str]:
    return data_of(page.decode())["links"]


def test_tables_of_results_at_a_url_are_those_of_the_folder_and_go_there(results, bucket):
    table = write_tables("memory://results/")
    write_tables(results)
    assert table.rows == read_results(results).rows == read_results("memory://results").rows
    for name in SAME:
        assert bucket.cat_file(f"/results/{name}") == (results / name).read_bytes()
    assert {path.rpartition("/")[2] for path in bucket.find("/results", maxdepth=1)} == {
        path.name for path in results.iterdir() if path.is_file()
    }
    assert links(bucket.cat_file("/results/index.html")) == ["a", "b/ct-2", "b/ct-10"]


def test_several_urls_and_folders_are_put_together_anywhere(results, bucket, tmp_path):
    for out in (tmp_path / "both", "memory://both"):
        table = write_tables(out, ["memory://results/b", results / "a"])
        assert table.column("scan") == ["a", "ct-2", "ct-10"]
        assert table.column("results") == ["a", "b", "b"]
    assert links(bucket.cat_file("/both/index.html")) == ["", "", ""]  # reports are not where the page is
    assert links((tmp_path / "both" / "index.html").read_bytes())[1:] == ["", ""]
    assert not bucket.exists("/both/failed.csv")


def test_results_that_are_being_sent_to_a_url_are_left_out(bucket):
    bucket.pipe_file(f"/results/a/{WRITING}", b"[]")
    assert read_results("memory://results").column("scan") == ["b/ct-2", "b/ct-10"]


def test_files_of_others_at_a_url_are_not_replaced_and_the_url_is_named(bucket):
    bucket.pipe_file("/results/scans.csv", b"mine")
    with pytest.raises(OutputError, match=r"^memory://results/scans.csv is not a file of hilum"):
        write_tables("memory://results")
    assert bucket.cat_file("/results/scans.csv") == b"mine"
    assert not bucket.exists("/results/index.html")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["memory://none"], "No results were found in memory://none"),
        (["memory://results", "memory://results/"], "memory://results/ is named twice"),
        (["nobody://a"], "Protocol not known"),
    ],
)
def test_urls_without_results_are_refused_by_their_names(given, words, bucket):
    with pytest.raises(UsageError, match=words):
        read_results(given)


def test_the_command_takes_a_url_and_names_it(bucket, tmp_path, capsys):
    assert run(["table", "memory://results"]) == 0
    assert "3 scans, 2 failed -> memory://results/index.html" in capsys.readouterr().out
    assert run(["table", "memory://results", "-o", str(tmp_path / "here")]) == 0
    assert (tmp_path / "here" / "scans.csv").read_bytes() == bucket.cat_file("/results/scans.csv")
