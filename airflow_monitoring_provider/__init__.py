"""Model monitoring for Apache Airflow: each monitoring job definition becomes a DAG.

Importing this package loads nothing heavy; every room is imported where it is needed.
"""

__version__ = "0.1.0"
