"""Tests of the control interface: where its sockets are, how they are found, what is answered."""
