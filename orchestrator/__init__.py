"""Exam-lab orchestrator for the practical exam E5B of the BTS NDRC."""

__version__ = "0.1.0"
