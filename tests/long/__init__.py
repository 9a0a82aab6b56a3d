"""Long random runs of the switch: C{python -m tests.long}, and shorter ones in the suites."""
