"""Command `segsam demo`: organs of a real CT, segmented by a real server and checked."""

from __future__ import annotations

from segsam.demo.report import DemoReport
from segsam.demo.run import run_demo

__all__ = ["DemoReport", "run_demo"]
