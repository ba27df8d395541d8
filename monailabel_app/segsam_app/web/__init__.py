"""Middleware: access, body limits, request log, counters, request queue, error replies."""
