"""Timings of the parts whose speed is promised, each an importable function."""
