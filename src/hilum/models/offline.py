"""Keeping hilum offline: some libraries send telemetry, or write into the user's home, on import.

This is prevented here and nowhere else, so such a library must be imported through this module.
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

    With it, the import alone looks up Google Analytics, sends a report there, and stores a
    client id in the user's home. OpenVINO has a stub for systems without the telemetry package, and
    uses it when the package cannot be imported. The package stays blocked, unless the calling program
    imported it before.

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
    """Import ONNX Runtime without the usage events that its Windows builds report to the system.

    Raises:
        ImportError: ONNX Runtime is not installed.
    """
    onnxruntime = import_module("onnxruntime")
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def redirect_matplotlib_config() -> None:
    """Redirect matplotlib's configuration to a temporary folder, removed when the program ends.

    Its import alone creates a settings folder in the user's home, and drawing writes a font list
    there. For the program only: in a user's own Python session matplotlib keeps the user's settings. A folder
    set with ``MPLCONFIGDIR`` is kept; so are the folders of child processes.
    """
    if os.environ.get("MPLCONFIGDIR"):
        return
    with suppress(OSError, OutputError):  # without a temporary folder matplotlib chooses one itself
        folder = folder_until_exit()
        os.environ["MPLCONFIGDIR"] = str(folder)
        for known in _font_lists():
            shutil.copy(known, folder)


def _font_lists() -> list[Path]:
    """Return existing font lists of matplotlib, so that it need not scan all fonts again."""
    with suppress(RuntimeError):  # no home
        if sys.platform.startswith(("linux", "freebsd")):
            cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "matplotlib"
        else:
            cache = Path.home() / ".matplotlib"
        return sorted(cache.glob("fontlist-*.json"))
    return []
