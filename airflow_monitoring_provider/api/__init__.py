"""Routes that Airflow's API server serves below /monitoring."""
