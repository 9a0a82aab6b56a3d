"""The gateway: a client of a VDE switch behind which libslirp and the master are."""
