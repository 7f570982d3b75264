"""The only place where an Airflow connection becomes an engine or a filesystem."""
