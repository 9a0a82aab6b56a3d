"""Tests of sockets, with what can be had without them."""
