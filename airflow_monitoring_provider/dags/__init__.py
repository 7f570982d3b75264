"""From a job definition to an Airflow DAG."""
