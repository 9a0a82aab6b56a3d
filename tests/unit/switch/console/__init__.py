"""Tests of the switch's console."""
