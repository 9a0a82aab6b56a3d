"""Tests of the master without I/O."""
