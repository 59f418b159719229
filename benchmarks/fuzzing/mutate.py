"""What is done to an input: which of its files is changed, and in which of the ways that fit it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fuzzing import headers, texts
from fuzzing.raw import BYTES, Mutation, Rng


def mutate(folder: Path, rng: Rng) -> list[str]:
    """Change the files of an input in one to three places, in place; return what was done."""
    done = []
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != ".kind")
        file = files[int(rng.integers(len(files)))]
        ways = _ways(file)
        name = str(rng.choice(list(ways)))
        before = file.read_bytes()
        after = ways[name](before, rng)
        if len(files) > 1 and rng.random() < 0.3 and file.suffix == ".dcm":  # the same fault in all slices
            for other in files:
                other.write_bytes(
                    ways[name](other.read_bytes(), np.random.default_rng(int(rng.integers(2**31))))
                )
        else:
            file.write_bytes(after)
        done.append(f"{file.relative_to(folder)}: {name}")
    return done


def _ways(file: Path) -> dict[str, Mutation]:
    """The mutations for a kind of file; those that know it stand there several times."""
    name = file.name.lower()
    own: dict[str, Mutation] = {}
    if name.endswith(".json"):
        own = {"tree": texts.tree, "tree again": texts.tree, "tree twice": texts.tree}
    if name.endswith((".json", ".toml", ".csv", ".txt")):
        own |= {"number": texts.number, "line": texts.line, "word": texts.word}
    elif name.endswith((".mhd", ".mha", ".nhdr", ".nrrd")):
        own = {
            "header line": headers.header_line,
            "header number": texts.number,
            "header value": headers.header_value,
        }
        own |= {"header value again": headers.header_value}
    elif name.endswith((".nii", ".hdr", ".img", ".nii.gz")):
        own = {"field": headers.nifti_field, "field again": headers.nifti_field}
    elif name.endswith(".dcm"):
        own = {"element": headers.element, "element again": headers.element, "length": headers.length}
    elif name.endswith((".tif", ".tiff")):
        own = {"tag": headers.tag, "tag again": headers.tag}
    elif name.endswith(".zip"):
        own = {"entry": headers.zip_entry, "entry again": headers.zip_entry}
    return {**own, **BYTES}
