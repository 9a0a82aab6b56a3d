"""Tests of the switch without I/O."""
