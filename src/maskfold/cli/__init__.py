"""The command line. Commands read and check their arguments first, and import what does the work after that."""
