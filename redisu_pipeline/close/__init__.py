"""Closing a month of one account: read the lake, derive, control, write; compare with the old report."""
