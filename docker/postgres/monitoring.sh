#!/bin/bash
# Runs once, when the database server starts on an empty volume: the monitoring store's own login and database.
set -euo pipefail

psql --no-psqlrc --set ON_ERROR_STOP=1 --set password="$MONITORING_STORE_PASSWORD" \
    --username "$POSTGRES_USER" --dbname postgres <<'SQL'
CREATE ROLE monitoring LOGIN PASSWORD :'password';
CREATE DATABASE monitoring OWNER monitoring;
REVOKE CONNECT ON DATABASE monitoring FROM PUBLIC;
REVOKE CONNECT ON DATABASE airflow FROM PUBLIC;
SQL
