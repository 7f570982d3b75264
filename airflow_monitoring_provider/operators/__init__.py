"""Airflow operators: thin skins over jobs."""
