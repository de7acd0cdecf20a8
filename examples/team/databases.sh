#!/usr/bin/env bash
# Run by PostgreSQL's image at its first start: the databases of MLflow and Prefect.
set -euo pipefail
psql --username=postgres --no-psqlrc --set=ON_ERROR_STOP=1 --set=name=mlflow --set=secret="$MLFLOW_DB_PASSWORD" </team/database.sql
psql --username=postgres --no-psqlrc --set=ON_ERROR_STOP=1 --set=name=prefect --set=secret="$PREFECT_DB_PASSWORD" </team/database.sql
