"""Sockets: thin adapters between Twisted's transports and the sans-IO core."""
