"""Tests without sockets or waiting: C{trial tests.unit}."""
