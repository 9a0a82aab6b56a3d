"""Sockets of the operating system, as master and switch use them alike."""
