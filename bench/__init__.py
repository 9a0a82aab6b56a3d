"""Benchmarks, each run by python -m."""
