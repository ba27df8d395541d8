"""`segsam demo`: organs of a real CT, prompted over HTTP in a real server, checked and shown."""

from __future__ import annotations

from segsam.demo.report import DemoReport
from segsam.demo.run import run_demo

__all__ = ["DemoReport", "run_demo"]
