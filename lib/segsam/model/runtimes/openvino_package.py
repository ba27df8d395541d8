"""The package `openvino`, imported without its reports; all other modules take it from here."""

from __future__ import annotations

from segsam.system.telemetry import block_openvino_reports

block_openvino_reports()

import openvino  # noqa: E402 - what it reports is sent while it is imported

__all__ = ["openvino"]
