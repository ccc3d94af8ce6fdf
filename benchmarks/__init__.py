"""Benchmarks: check, then time. See README.md."""
