"""Tests of the transports with what can be had without sockets."""
