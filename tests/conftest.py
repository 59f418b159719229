"""Held for all tests: they call nobody either, also where a test asks whether OpenVINO is installed."""

from __future__ import annotations

import sys

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
