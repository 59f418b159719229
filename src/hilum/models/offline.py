"""What keeps hilum offline: some libraries call home, or write into the user's home, when they are imported.

Each is kept from it here and nowhere else, so such a library must be imported through this module.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from hilum.core.errors import OutputError
from hilum.io.temporary import folder_until_exit

__all__ = ["import_onnxruntime", "import_openvino", "redirect_matplotlib_config"]

_TELEMETRY = "openvino_telemetry"


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry.

    With it, the import alone asks for an address of Google Analytics, reports itself there, and keeps a
    client id in the user's home. OpenVINO has a stub of its own for where the package is not installed, and
    takes it when the package cannot be imported. The package stays blocked, unless the program that uses
    hilum had imported it before.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    loaded = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # makes `import` raise ImportError
    try:
        return import_module("openvino")
    finally:
        if loaded is not None:
            sys.modules[_TELEMETRY] = loaded


def import_onnxruntime() -> Any:
    """Import ONNX Runtime without the usage events that its builds for Windows hand to the system.

    Raises:
        ImportError: ONNX Runtime is not installed.
    """
    onnxruntime = import_module("onnxruntime")
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def redirect_matplotlib_config() -> None:
    """Give matplotlib a folder in the temporary one, removed when the program ends.

    Its import alone makes a folder for settings in the user's home, and drawing writes a list of fonts
    there. For the program only: in a user's own Python the settings of matplotlib are the user's. A folder
    that was chosen with ``MPLCONFIGDIR`` stays; so do the folders of child processes.
    """
    if os.environ.get("MPLCONFIGDIR"):
        return
    with suppress(OSError, OutputError):  # without a temporary folder matplotlib finds a place of its own
        folder = folder_until_exit()
        os.environ["MPLCONFIGDIR"] = str(folder)
        for known in _font_lists():
            shutil.copy(known, folder)


def _font_lists() -> list[Path]:
    """Lists of fonts that matplotlib made earlier, so that it need not look through all fonts again."""
    with suppress(RuntimeError):  # no home
        if sys.platform.startswith(("linux", "freebsd")):
            cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "matplotlib"
        else:
            cache = Path.home() / ".matplotlib"
        return sorted(cache.glob("fontlist-*.json"))
    return []
