from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.results import write_result
from support.results import chest, make_result  # noqa: F401

MakeScan = Callable[..., Path]


@pytest.fixture(scope="session")
def template(chest, tmp_path_factory) -> Path:  # noqa: F811
    """The folder of one real result."""
    return write_result(chest, tmp_path_factory.mktemp("template") / "chest")


@pytest.fixture(scope="session")
def make_scan(template) -> MakeScan:
    """Write the folder of a scan whose lungs have another size, with other flags, under any name."""
    measures = json.loads((template / "measures.json").read_text())
    run = json.loads((template / "run.json").read_text())
    picture = (template / "thumbnail.png").read_bytes()

    def make(
        folder: Path,
        *,
        scale: float = 1.0,
        flags: tuple[tuple[str, str], ...] = (),
        report: bool = True,
        **about: Any,
    ) -> Path:
        folder.mkdir(parents=True)
        own, told = copy.deepcopy(measures), copy.deepcopy(run)
        for values in own["tasks"]["lungs"]["regions"].values():
            for value in values.values():
                if value["value"] is not None:
                    value["value"] *= scale
        own["quality"] = [
            {"code": code, "severity": kind, "message": f"Said of {code}."} for code, kind in flags
        ]
        told["fingerprint"] = str(folder)
        told["input"].update(about)
        (folder / "measures.json").write_text(json.dumps(own))
        (folder / "run.json").write_text(json.dumps(told))
        if report:
            (folder / "report.html").write_text("<p>report</p>")
            (folder / "thumbnail.png").write_bytes(picture)
        return folder

    return make


@pytest.fixture
def results(tmp_path, make_scan) -> Path:
    """Three scans and two failures."""
    out = tmp_path / "results"
    make_scan(out / "b" / "ct-10", scale=1.1, flags=(("few_slices", "error"), ("thick_slices", "warning")))
    make_scan(out / "b" / "ct-2", scale=0.5, kernel="B70f", contrast=True)
    make_scan(out / "a", flags=(("calibration_unknown", "info"),))
    (out / "failed.csv").write_text(
        "scan,code,message,hint,path\n"
        "bad,3,bad.nii.gz is truncated.,Get the file again.,/home/Miller Ann/scans/bad.nii.gz\n"
        '"worse",6,"/home/Miller Ann/scans/out holds the results, of /data/x/other scan.",,'
        "/home/Miller Ann/scans/w\n"
    )
    return out
