"""Closing a month of one account: reading the lake, deriving, controlling, writing; and comparing with the old report."""
