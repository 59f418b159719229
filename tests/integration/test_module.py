"""``python -m hilum`` is the program."""

from __future__ import annotations

import subprocess
import sys

import hilum


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "hilum", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"hilum {hilum.__version__}\n")
