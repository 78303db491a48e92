"""Tax by jurisdiction: from the report and the invoices to one table, and what must hold of it. See model.py."""
