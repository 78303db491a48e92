"""Accounting as pure functions: rows of the lake in, journal lines with their sources out. Reads and writes nothing."""
