"""The report of one scan: a self-contained HTML file."""

from __future__ import annotations

from hilum.report.html import render_report

__all__ = ["render_report"]
