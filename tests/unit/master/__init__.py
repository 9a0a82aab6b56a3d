"""Tests of the master, without sockets."""
