"""Tests of the tests: named mistakes in the code, each of which some test must notice."""
