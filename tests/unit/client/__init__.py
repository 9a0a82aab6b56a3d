"""Tests of the clients, in memory."""
