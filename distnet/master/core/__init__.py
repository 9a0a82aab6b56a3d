"""The master without I/O: ids, sessions, mailboxes, routing."""
