"""The wheel in an environment that has nothing but what it asks for, far from the sources."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("build", reason="the extra for developers is not installed")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def run(*words: object, cwd: Path) -> str:
    """Run a program without what points it to the sources; return its output."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HILUM"))}
    done = subprocess.run(
        [str(w) for w in words], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory) -> Path:
    """The sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def bare(dist, tmp_path_factory) -> Path:
    """The programs of an environment in which the wheel alone was installed."""
    folder = tmp_path_factory.mktemp("bare")
    run(sys.executable, "-m", "venv", folder, cwd=folder)
    bin_ = folder / ("Scripts" if os.name == "nt" else "bin")
    (wheel,) = dist.glob("*.whl")
    run(bin_ / "python", "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel, cwd=folder)
    return bin_


def test_the_sdist_holds_what_a_packager_and_a_reader_need(dist):
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "CONTRIBUTING.md", "constraints.txt", "mkdocs.yml", "docs/index.md"} <= names
    assert {"tests/conftest.py", "benchmarks/golden.py", "examples/phantom_study.py"} <= names
    assert not [name for name in names if name.startswith(("site/", "dist/", ".venv/"))]


def test_the_wheel_holds_weights_templates_and_types(dist):
    (path,) = dist.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    assert all(name.startswith(("hilum/", "hilum-")) for name in names)
    assert "hilum/py.typed" in names
    assert [name for name in names if name.endswith(".onnx")]
    assert [name for name in names if name.endswith(".j2")]


def test_the_program_explains_itself(bare, tmp_path):
    assert "segment" in run(bare / "hilum", "--help", cwd=tmp_path)
    assert run(bare / "hilum", "--version", cwd=tmp_path).startswith("hilum ")


def test_the_demo_ends_near_the_truth(bare, tmp_path):
    said = run(bare / "hilum", "demo", "-o", "demo", cwd=tmp_path)
    assert "measured against the truth" in said
    assert (tmp_path / "demo" / "phantom-1" / "report.html").is_file()


def test_a_scan_is_segmented(bare, tmp_path):
    run(bare / "hilum", "phantom", "-o", "pairs", "--spacing", "3,3,3", "-q", cwd=tmp_path)
    run(bare / "hilum", "segment", "pairs/phantom-0_ct.nii.gz", "-o", "results", cwd=tmp_path)
    truth = json.loads((tmp_path / "pairs" / "truth.json").read_text("utf-8"))
    assert truth
    measures = (tmp_path / "results" / "phantom-0_ct" / "measures.csv").read_text("utf-8")
    assert "right_lung,volume," in measures.replace("lungs,right_lung", "right_lung")


def test_no_heavy_library_is_imported(bare, tmp_path):
    listed = json.loads(run(bare / "python", "-m", "pip", "list", "--format", "json", cwd=tmp_path))
    names = {package["name"].lower() for package in listed}
    assert not names & {"torch", "matplotlib", "simpleitk", "onnxruntime"}
