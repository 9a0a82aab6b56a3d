"""All tests: without I/O, with sockets, in guests, and of the tests themselves."""
