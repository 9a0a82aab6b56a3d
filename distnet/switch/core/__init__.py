"""The switch, without I/O: frames and times in, decisions and frames out."""
