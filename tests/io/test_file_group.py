"""Results that share a folder appear whole or not at all, also when their writer is killed anywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from hilum.core.errors import OutputError
from hilum.io.file_group import finish_moves, output_files

OLD, NEW = {"a_x": "old", "a_y": "old", "a_gone": "old"}, {"a_x": "new", "a_y": "new", "a_z": "new"}
OTHER = {"b_x": "of another scan"}


def write(folder: Path, files: dict[str, str], former: dict[str, str] | None = None) -> None:
    with output_files(folder, "a", former or ()) as out:
        for name, text in files.items():
            (out / name).write_text(text)


def read(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def break_off(folder: Path) -> None:
    with output_files(folder, "a", OLD) as out:
        (out / "a_x").write_text("half")
        raise KeyboardInterrupt


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "sub-01" / "ct"
    place.mkdir(parents=True)
    for name, text in OTHER.items():
        (place / name).write_text(text)
    write(place, OLD)
    return place


def test_new_files_replace_the_former_ones_and_leave_those_of_others(folder: Path) -> None:
    write(folder, NEW, OLD)
    assert read(folder) == {**OTHER, **NEW}


def test_an_error_changes_nothing_and_removes_the_folders_that_were_made(folder: Path) -> None:
    for place in (folder, folder.parent.parent / "sub-02" / "ct"):
        with pytest.raises(KeyboardInterrupt):
            break_off(place)
    assert read(folder) == {**OTHER, **OLD}
    assert [path.name for path in folder.parent.parent.iterdir()] == ["sub-01"]


def test_a_file_that_hilum_did_not_write_is_not_replaced(folder: Path) -> None:
    (folder / "a_z").write_text("mine")
    with pytest.raises(OutputError, match=r"did not write \(a_z\)"):
        write(folder, NEW, OLD)
    assert read(folder) == {**OTHER, **OLD, "a_z": "mine"}


def test_two_processes_do_not_write_one_result(folder: Path) -> None:
    with (
        output_files(folder, "a", OLD),
        pytest.raises(OutputError, match="Another process"),
        output_files(folder, "a", OLD),
    ):
        pass
    with output_files(folder, "a", OLD), output_files(folder, "c") as out:  # other results of the folder
        (out / "c_x").write_text("new")
    assert read(folder) == {**OTHER, "c_x": "new"}


_KILLED = """
import os, signal, sys
from pathlib import Path
from hilum.io import file_group

folder, event, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
count = 0

def kill_at(name, args):
    global count
    if name == event and (name != "open" or ".part" in str(args[0])):
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

with file_group.output_files(folder, "a", ["a_x", "a_y", "a_gone"]) as out:
    for name in ("a_x", "a_y", "a_z"):
        (out / name).write_text("new")
    sys.addaudithook(kill_at)
"""
#: What the writer is about to do when it is killed, and whether the result is then the new one.
KILLS = [
    ("os.rename", 1, False),  # the staging folder, when it is complete
    ("os.remove", 1, True),  # the former file without a successor
    ("os.rename", 2, True),
    ("os.rename", 3, True),
    ("os.rename", 4, True),
    ("shutil.rmtree", 1, True),
]


@pytest.mark.parametrize(("event", "number", "new"), KILLS)
@pytest.mark.parametrize("again", [False, True], ids=["next-batch", "next-write"])
def test_after_a_kill_the_next_process_finds_one_result_whole(
    folder: Path, event: str, number: int, new: bool, again: bool
) -> None:
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(folder), event, str(number)], check=False)
    assert killed.returncode == -9
    finish_moves(folder.parent.parent)
    expected = NEW if new else OLD
    assert {name: text for name, text in read(folder).items() if name[0] != "."} == {**OTHER, **expected}
    if again:
        write(folder, NEW, expected)
        assert read(folder) == {**OTHER, **NEW}
        assert not [path for path in folder.iterdir() if path.is_dir()]


def test_what_another_process_is_moving_is_left_to_it(folder: Path) -> None:
    done = folder / ".hilum-0123456789ab.done"
    done.mkdir()
    (done / "c_x").write_text("new")
    with FileLock(folder / ".hilum-0123456789ab.lock"):
        finish_moves(folder)
        assert done.is_dir()
    finish_moves(folder)
    assert read(folder)["c_x"] == "new"
