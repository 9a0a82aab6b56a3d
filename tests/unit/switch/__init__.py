"""Tests of the switch, without sockets."""
