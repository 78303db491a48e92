"""What must hold of the tables in the lake: pure rules over Arrow columns, each with a verdict that names its evidence.

No Dagster here; ``assets.checks`` shows the verdicts. Nothing reads `_raw`.
"""
