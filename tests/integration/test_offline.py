"""No command opens a connection or leaves anything in the user's home.

The commands run in processes of their own whose sockets raise, also in their children. Every attempt is noted
before it raises, since a library may catch what it raises.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import pytest

import hilum
from hilum.core.label_volume import LabelVolume
from hilum.datasets.prepare import prepare
from hilum.io import write_labels
from support.plain_chest import build_chest

PRELUDE = """
import os, sys

def calls_nobody(event, arguments):
    # A socket alone calls nobody. urllib3, which pydicom loads where it is installed, binds one to its own
    # machine to see whether there is IPv6.
    # So do the processes of Ray, which look up no name but that of an address they have.
    home = ("::1", "127.0.0.1")
    bound = event == "socket.bind" and arguments[-1][0] in home
    looked_up = event == "socket.getaddrinfo" and arguments[0] in home
    return event in ("socket.gethostname", "socket.__new__") or bound or looked_up

def refuse(event, arguments):
    if event.startswith("socket.") and not calls_nobody(event, arguments):
        log = os.open(os.environ["ATTEMPTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(log, f"{event} {arguments[-3:]}\\n".encode())
        os.close(log)
        raise OSError(101, "Network is unreachable")

sys.addaudithook(refuse)
"""
NEEDS_TRAINING = pytest.mark.skipif(
    not all(find_spec(name) for name in ("torch", "monai", "lightning", "onnxscript", "tensorboard")),
    reason="the extra for training is not installed",
)
NEEDS_OPENVINO = pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")
NEEDS_RAY = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
TINY = ["size=[64,64]", "batch=2", "threads=1", "validate_every=2", "networks.unet_widths=[4,8,8]"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    chest = build_chest(spacing=(5.0, 5.0, 6.0))
    nib.save(nib.Nifti1Image(chest.volume.hu, chest.volume.affine), folder / "chest.nii.gz")
    write_labels(folder / "mask.nii.gz", LabelVolume.on_grid_of(chest.volume, chest.lungs), chest.volume)
    return folder


class Away:
    """Runs Python without a network, in an empty home, and returns what it tried."""

    def __init__(self, folder: Path) -> None:
        self.home, self.folder, self._log = folder / "home", folder, folder / "attempts"
        prelude = folder / "prelude"
        for new in (self.home, prelude):
            new.mkdir()
        (prelude / "sitecustomize.py").write_text(PRELUDE)
        telling = ("CI", "TF_BUILD", "JENKINS_URL", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
        self.environment = {key: value for key, value in os.environ.items() if key not in telling} | {
            "HOME": str(self.home),
            "USERPROFILE": str(self.home),
            "ATTEMPTS": str(self._log),
            "PYTHONPATH": os.pathsep.join([str(prelude), str(Path(hilum.__file__).parents[1])]),
        }

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
        )

    @property
    def attempts(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    @property
    def left_at_home(self) -> list[str]:
        return sorted(str(path.relative_to(self.home)) for path in self.home.rglob("*"))


@pytest.fixture
def away(tmp_path) -> Away:
    return Away(tmp_path)


def test_the_watch_sees_what_children_try_and_what_is_caught(away):
    code = """
import multiprocessing, socket

def call():
    try:
        socket.getaddrinfo("localhost", 80)
    except OSError:
        pass

if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=call)
    child.start()
    child.join()
"""
    (away.folder / "call.py").write_text(code)
    assert away.python("call.py").returncode == 0
    assert "socket.getaddrinfo" in away.attempts


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["segment", "chest.nii.gz", "-o", "out"], marks=NEEDS_OPENVINO),
        ["measure", "chest.nii.gz", "mask.nii.gz", "-o", "out"],
        ["check", "chest.nii.gz"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_command_opens_no_connection_and_writes_nothing_to_home(away, inputs, arguments):
    given = [str(inputs / word) if word.endswith(".gz") else word for word in arguments]
    done = away.python("-m", "hilum", *given)
    assert done.returncode == 0, done.stderr
    assert "-o" not in arguments or (away.folder / "out" / "chest" / "report.html").exists()
    assert (away.attempts, away.left_at_home) == ("", [])


@pytest.mark.slow
@NEEDS_RAY
def test_ray_on_this_machine_opens_no_connection_and_writes_nothing_to_home(away, inputs):
    scans = ["segment", str(inputs / "chest.nii.gz"), "-o", "out", "--model", "classic", "--on", "ray"]
    done = away.python("-m", "hilum", *scans)
    assert done.returncode == 0, done.stderr
    assert (away.folder / "out" / "chest" / "report.html").exists()
    assert (away.attempts, away.left_at_home) == ("", [])


@pytest.mark.slow
@NEEDS_TRAINING
@NEEDS_OPENVINO
def test_training_opens_no_connection_and_writes_nothing_to_home(away, tmp_path):
    for seed in range(4):
        chest = build_chest(spacing=(9.0, 9.0, 30.0), noise=8.0 + seed)
        nib.save(nib.Nifti1Image(chest.volume.hu, chest.volume.affine), tmp_path / f"s{seed}_ct.nii.gz")
        write_labels(
            tmp_path / f"s{seed}_lungs.nii.gz",
            LabelVolume.on_grid_of(chest.volume, chest.lungs),
            chest.volume,
        )
    prepare(tmp_path, tmp_path / "dataset", plane="axial")
    choices = [word for choice in [*TINY, "test_share=0.25"] for word in ("--set", choice)]
    done = away.python(
        "-m", "hilum", "train", "dataset", "--model", "unet", "--steps", "2", "-o", "run", *choices
    )
    assert done.returncode == 0, done.stderr
    assert {"model.onnx", "curves.png", "logs"} <= {path.name for path in (tmp_path / "run").iterdir()}
    assert (away.attempts, away.left_at_home) == ("", [])


def test_a_font_list_that_matplotlib_made_before_is_read_and_not_touched(away):
    cache = away.home / (".cache/matplotlib" if sys.platform.startswith("linux") else ".matplotlib")
    cache.mkdir(parents=True)
    (cache / "fontlist-v1.json").write_text("{}")
    code = (
        "import os; from hilum.models.offline import redirect_matplotlib_config as go; go();"
        "print(os.environ['MPLCONFIGDIR'], os.listdir(os.environ['MPLCONFIGDIR']))"
    )
    place, names = away.python("-c", code).stdout.split()
    assert names == "['fontlist-v1.json']"
    assert not Path(place).exists()
    assert (cache / "fontlist-v1.json").read_text() == "{}"


@NEEDS_OPENVINO
def test_openvino_that_a_user_loaded_with_its_telemetry_stays_as_it_was(away):
    code = (
        "import sys, types; own = types.ModuleType('openvino_telemetry');"
        "sys.modules['openvino_telemetry'] = own;"
        "from hilum.models.offline import import_openvino; print(import_openvino().__name__);"
        "assert sys.modules['openvino_telemetry'] is own"
    )
    done = away.python("-c", code)
    assert (done.stdout, done.stderr, away.attempts) == ("openvino\n", "", "")


def test_libraries_that_call_home_are_imported_in_one_place_only():
    source = Path(hilum.__file__).parent
    importing = [
        path.name
        for path in source.rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if line.split()[:1] in (["import"], ["from"])
        and line.split()[1].split(".")[0] in ("openvino", "onnxruntime", "ray")
    ]
    assert importing == []
