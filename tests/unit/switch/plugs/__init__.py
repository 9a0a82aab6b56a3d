"""Tests of what plugs into the switch, with what can be had without sockets."""
