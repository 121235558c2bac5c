"""Measurements: run each as `python -m benchmarks.NAME` on a quiet machine; ratios hold within one run."""
