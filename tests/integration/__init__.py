"""Tests with real sockets and a master that runs as a process of its own."""
