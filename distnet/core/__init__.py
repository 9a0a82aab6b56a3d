"""The master without I/O: wire, ids, sessions, mailboxes, routing."""
