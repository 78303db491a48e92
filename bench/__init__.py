"""Timings, which never belong into a test: ``make bench`` prints them with the machine and the date."""
