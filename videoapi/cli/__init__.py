"""The command line: a client of a server, here or elsewhere, that knows it by its HTTP alone."""
