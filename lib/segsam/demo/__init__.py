"""`segsam demo`: organs of a real CT, prompted over HTTP in a real server, checked and shown."""

from __future__ import annotations

from .report import DemoReport
from .run import run_demo

__all__ = ["DemoReport", "run_demo"]
