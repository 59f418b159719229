"""The dictionary of subjects: short numbers for long names, kept outside the dataset."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from hilum.core.errors import InputError
from hilum.core.sentences import Sentence
from hilum.io.atomic import atomic_file
from hilum.io.text import read_json

__all__ = ["assign", "read_dictionary"]

_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")


def read_dictionary(path: Path) -> dict[int, str]:
    """Read number and name of each subject; empty where there is no file.

    Raises:
        InputError: The file is not a dictionary of subjects.
    """
    if not path.exists():
        return {}
    hint = Sentence("Give another file{with:subjects}.")
    content = read_json(path, hint=hint)
    if not isinstance(content, dict) or not all(
        _NUMBER.fullmatch(key) and isinstance(value, str) and value for key, value in content.items()
    ):
        raise InputError(f"{path.name} is not a dictionary of subjects: each number needs a name.", hint)
    out = {int(key): value for key, value in content.items()}
    if len(set(out.values())) < len(out):
        raise InputError(f"{path.name} names a subject twice.", "Correct it, or give another file.")
    return out


def assign(path: Path, names: Iterable[str]) -> dict[str, int]:
    """Assign each name its existing number, or the next free number in the order given.

    The file is readable by its owner only. It is written before anything else, so that a run that was killed
    finds the same numbers.

    Args:
        path: The dictionary; created if it does not exist.
        names: Long names in a stable order.

    Returns:
        Number by name, of all names in the dictionary.

    Raises:
        InputError: The file is not a dictionary of subjects.
        OutputError: It cannot be written.
    """
    known = read_dictionary(path)
    numbers = {name: number for number, name in known.items()}
    free = max(known, default=-1) + 1
    for name in names:
        if name not in numbers:
            numbers[name] = free
            free += 1
    if len(numbers) > len(known) or not path.exists():
        table = {str(number): name for name, number in sorted(numbers.items(), key=lambda item: item[1])}
        with atomic_file(path, private=True) as part:
            part.write_text(json.dumps(table, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return numbers
