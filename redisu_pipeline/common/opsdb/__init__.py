"""The operations database: what must outlive a process but is not the lake's (leases, later orders and jobs).

The only place that imports SQLAlchemy besides the service. SQLite on one machine, PostgreSQL across several.
"""
