"""Inference tasks: requests, sessions, the engine that holds models and images."""
