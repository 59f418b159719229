"""Untrusted text files: content beyond the bounds is one sentence, for every reader."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.core.errors import HilumError, InputError, ModelError
from hilum.io.atomic import OutputFolder
from hilum.io.text import (
    DEEPEST,
    parse_toml,
    quoted,
    read_json,
    read_rows,
    read_text,
    read_toml,
    sha256_of,
    shown,
)

JSON = {
    "nested": (b"[" * 100_000, "nested more than"),
    "nested and closed": (b"[" * 40 + b"]" * 40, "nested more than"),
    "tables nested": (b'{"a":' * 40 + b"1" + b"}" * 40, "nested more than"),
    "5000 digits": (b'{"a": ' + b"9" * 5000 + b"}", "more than 20 digits"),
    "NaN": (b'{"a": NaN}', "NaN"),
    "too large for a float": (b"[1e999]", "too large"),
    "cut off": (b'{"a": [1,\n2', "not valid JSON at line 2"),
    "empty": (b"", "not valid JSON"),
    "NUL bytes": (b'{"a"\0: 1}', "not valid JSON"),
    "NUL in a name": (b'{"image": "a\\u0000b"}', "not text"),
    "half a surrogate": (b'{"image": "\\ud800"}', "not text"),
    "half a surrogate as a key": (b'{"\\udfff": 1}', "not text"),
    "Latin-1": ('{"a": "ü"}'.encode("latin-1"), "UTF-8"),
    "UTF-16": ('{"a": "ü"}'.encode("utf-16"), "UTF-8"),
}
TOML = {
    "nested": (b"x = " + b"[" * 1000, "nested more than"),
    "nested and closed": (b"x = " + b"[" * 40 + b"]" * 40, "nested more than"),
    "keys of keys": (b"[" + b"a." * 40 + b"a]", "nested more than"),
    "a key of 50000 parts": (b"[" + b"a." * 50_000 + b"a]", "larger than 64 kB"),
    "a key of 2000 parts": (b"[" + b"a." * 2000 + b"a]", "a line of more than"),
    "5000 digits": (b"seed = " + b"9" * 5000, "a line of more than"),
    "1000 digits": (b"seed = " + b"9" * 1000, "more than 20 digits"),
    "cut off": (b"seed = [1,", "not valid TOML"),
    "NUL bytes": (b"seed = 1\0", "not valid TOML"),
    "Latin-1": ("name = 'ü'".encode("latin-1"), "UTF-8"),
    "too large": (b"# x\n" * 20_000, "larger than 64 kB"),
}
CSV = {
    "field of 200 kB": (b'a,b\n"' + b"x" * 200_000 + b'",1\n', "line 2 has a field of more than 131072"),
    "open quotes": (b'a,b\n"x,1\n', "line 2 is not CSV"),
    "NUL bytes": (b"a,b\n1,\0\n", "NUL"),
    "Latin-1": ("a,ü\n".encode("latin-1"), "UTF-8"),
}
CASES = [
    *((read_json, name, *case) for name, case in JSON.items()),
    *((read_toml, name, *case) for name, case in TOML.items()),
    *((read_rows, name, *case) for name, case in CSV.items()),
]


def one_sentence(error: HilumError) -> None:
    assert "\n" not in error.message
    assert error.message.endswith(".")
    assert len(error.message) < 200
    assert error.hint


@pytest.mark.parametrize(
    ("reader", "name", "content", "words"), CASES, ids=lambda v: getattr(v, "__name__", str(v))[:40]
)
def test_a_text_that_cannot_be_used_is_one_sentence_in_the_kind_of_error_asked_for(
    reader: Callable[..., Any], name: str, content: bytes, words: str, tmp_path: Path
) -> None:
    file = tmp_path / "some.txt"
    file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        reader(file)
    one_sentence(caught.value)
    assert words in caught.value.message
    with pytest.raises(ModelError) as other:
        reader(file, name="card.json of net", hint="Do this.", error=ModelError)
    assert other.value.message == caught.value.message.replace("some.txt", "card.json of net")
    assert other.value.hint == "Do this."


@pytest.mark.parametrize("reader", [read_json, read_toml, read_rows, read_text, sha256_of])
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("pipe", "a pipe, socket or device"),
        ("device", "a pipe, socket or device"),
        ("folder", "is a folder"),
        ("absent", "There is no file"),
        ("loop", "cannot be read"),
    ],
)
def test_a_pipe_a_device_and_a_folder_are_not_text_files(
    reader: Callable[..., Any], kind: str, words: str, tmp_path: Path
) -> None:
    file = tmp_path / "some.txt"
    if kind == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("this system has no named pipes")
        os.mkfifo(file)
    elif kind == "device":
        if not Path("/dev/zero").exists():
            pytest.skip("this system has no /dev/zero")
        file.symlink_to("/dev/zero")
    elif kind == "folder":
        file.mkdir()
    elif kind == "loop":
        file.symlink_to(file)
    with pytest.raises(InputError, match=words) as caught:
        reader(file)
    one_sentence(caught.value)


def test_a_file_may_not_be_larger_than_its_reader_allows(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(b" " * 1000 + b"[1]")
    assert read_json(file, most=1003) == [1]
    with pytest.raises(InputError, match="larger than"):
        read_json(file, most=1002)
    with file.open("r+b") as hole:
        hole.truncate(2**40)
    with pytest.raises(InputError, match="larger than 64 MB"):
        read_json(file)


def test_text_within_the_bounds_is_read_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    value = {"ü": [1, -2.5, True, None, "😀 \\u0000", 2**64], "deep": 0}
    deep: Any = 1
    for _ in range(DEEPEST - 2):
        deep = [deep]
    for ascii_only in (True, False):
        file.write_text(json.dumps({**value, "deep": deep}, ensure_ascii=ascii_only), "utf-8")
        assert read_json(file) == {**value, "deep": deep}
    file.write_text("\ufeff[1]", "utf-8")
    assert read_json(file) == [1]
    assert parse_toml("a.b = [0.5, inf]\r\nc = 'x'\r\n") == {"a": {"b": [0.5, float("inf")]}, "c": "x"}


def test_rows_are_named_by_their_lines_and_fields_may_hold_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes('\ufeffa;b;c,d\r\n\r\n"1\n2";x\u2028y;3\n'.encode())
    assert read_rows(file, delimiters=",;") == [(1, ["a", "b", "c,d"]), (4, ["1\n2", "x\u2028y", "3"])]


def test_values_in_messages_are_short_and_printable() -> None:
    assert shown("x" * 100) == "x" * 57 + "..."
    assert shown("a\x1b[31m\nb") == "a?[31m?b"
    assert quoted("1") == "'1'"
    assert quoted(1) == "1"
    nested: list[Any] = []
    for _ in range(10_000):
        nested = [nested]
    assert shown(nested) == "list"


def test_a_run_json_that_is_not_json_is_not_a_result_of_hilum(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_bytes(b"[" * 100_000)
    with pytest.raises(HilumError, match="no result of hilum"), OutputFolder(tmp_path / "out"):
        pass
    assert (tmp_path / "out" / "run.json").exists()
