"""A closed month as files for people and for NetSuite: CSV, REST bodies, workbook, report."""
