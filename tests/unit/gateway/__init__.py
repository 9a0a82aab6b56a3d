"""The gateway's logic, without a switch, libslirp or a master."""
