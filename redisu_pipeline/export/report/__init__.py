"""close_report.html: the pages that a controller reads, prints and signs."""
