"""The commands of airflow monitoring."""
