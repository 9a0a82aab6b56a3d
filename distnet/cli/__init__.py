"""The command line: distnet and what it can do."""
