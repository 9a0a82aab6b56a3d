"""The control interface: where its socket is, what answers there, and how to ask."""
