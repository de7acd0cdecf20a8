#!/usr/bin/env bash
# PostgreSQL, S3, MLflow and Prefect as plain processes on 127.0.0.1: the servers of compose.yaml without containers.
#
#   examples/team/local.sh start      start what is not running, and wait until it answers
#   eval "$(examples/team/local.sh env)"    point this shell at them
#   examples/team/local.sh worker     run a Prefect worker for pool `team` here, in the project's folder (ctrl-c ends it)
#   examples/team/local.sh status     tell what runs
#   examples/team/local.sh stop       stop all of it; the databases stay in $TEAM_DIR, S3's content does not
#
# Needs PostgreSQL's programs (apt-get install postgresql), the project's environment with the extras `postgres` and `s3`
# (make setup), and moto's server as S3, in an environment of its own because it is for trials only:
#   uv venv .sightline/moto && uv pip install --python .sightline/moto/bin/python 'moto[server]==5.*'
# Settings: `.env` next to this file (see .env.example), or the environment, which takes precedence. Also:
#   TEAM_DIR     where databases, logs and process ids are       (.sightline/team)
#   MOTO_SERVER  moto's program                                  (.sightline/moto/bin/moto_server)
#   PG_BIN       folder of initdb and pg_ctl                     (the newest of /usr/lib/postgresql)
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROJECT=$(cd "$HERE/../.." && pwd)

settings() {  # defaults, then .env, then the environment: the last one that names a value has it
  local file line name
  for file in "$HERE/.env" "$HERE/.env.example"; do
    [ -f "$file" ] || continue
    while IFS= read -r line; do
      [[ $line =~ ^([A-Z0-9_]+)=(.*)$ ]] || continue
      name=${BASH_REMATCH[1]}
      [ -n "${!name+set}" ] || export "$name=${BASH_REMATCH[2]}"
    done <"$file"
  done
}
settings
TEAM_DIR=${TEAM_DIR:-$PROJECT/.sightline/team}
MOTO_SERVER=${MOTO_SERVER:-$PROJECT/.sightline/moto/bin/moto_server}
PG_BIN=${PG_BIN:-$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)}
S3=http://127.0.0.1:$S3_PORT
MLFLOW=http://127.0.0.1:$MLFLOW_PORT
PREFECT=http://127.0.0.1:$PREFECT_PORT
# Nothing phones home.
export DO_NOT_TRACK=1 MLFLOW_DISABLE_TELEMETRY=true ORT_DISABLE_TELEMETRY=1 PREFECT_SERVER_ANALYTICS_ENABLED=false

fail() { echo "local.sh: $*" >&2; exit 2; }

as_postgres() {  # PostgreSQL refuses to run as root
  if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}

runs() { [ -f "$TEAM_DIR/$1.pid" ] && kill -0 "$(cat "$TEAM_DIR/$1.pid")" 2>/dev/null; }

launch() {  # NAME HEALTH COMMAND...: start in a separate process group, and wait until the page HEALTH answers
  local name=$1 health=$2
  shift 2
  if runs "$name"; then echo "$name: already running"; return; fi
  setsid "$@" >"$TEAM_DIR/$name.log" 2>&1 </dev/null &
  echo $! >"$TEAM_DIR/$name.pid"
  for _ in $(seq 600); do
    if curl --silent --fail --output /dev/null --noproxy '*' "$health"; then echo "$name: ${health%/*}"; return; fi
    runs "$name" || break
    sleep 0.5
  done
  tail -n 5 "$TEAM_DIR/$name.log" >&2
  fail "$name does not respond at $health; see $TEAM_DIR/$name.log"
}

start_postgres() {
  local data=$TEAM_DIR/postgres secret
  [ -x "$PG_BIN/initdb" ] || fail "PG_BIN: no initdb in '$PG_BIN'; apt-get install postgresql"
  if [ ! -f "$data/PG_VERSION" ]; then
    mkdir -p "$data" && chmod 700 "$data"
    secret=$(mktemp) && printf '%s\n' "$POSTGRES_PASSWORD" >"$secret"
    if [ "$(id -u)" = 0 ]; then chown postgres "$data" "$secret"; fi
    as_postgres "$PG_BIN/initdb" --pgdata="$data" --username=postgres --pwfile="$secret" \
      --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 >"$TEAM_DIR/initdb.log" || fail "see $TEAM_DIR/initdb.log"
    rm -f "$secret"
  fi
  if as_postgres "$PG_BIN/pg_ctl" --pgdata="$data" status >/dev/null; then echo "postgres: already running"; return; fi
  as_postgres "$PG_BIN/pg_ctl" --pgdata="$data" --log="$data/server.log" --wait --silent start \
    --options="-c listen_addresses=127.0.0.1 -c port=$POSTGRES_PORT -c unix_socket_directories=''" ||
    fail "PostgreSQL does not start; see $data/server.log"
  echo "postgres: 127.0.0.1:$POSTGRES_PORT"
  for name in mlflow prefect; do
    secret=MLFLOW_DB_PASSWORD
    [ $name = mlflow ] || secret=PREFECT_DB_PASSWORD
    PGPASSWORD=$POSTGRES_PASSWORD "$PG_BIN/psql" --host=127.0.0.1 --port="$POSTGRES_PORT" --username=postgres \
      --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --set=name=$name --set=secret="${!secret}" <"$HERE/database.sql"
  done
}

start_s3() {
  [ -x "$MOTO_SERVER" ] || fail "MOTO_SERVER: no program at $MOTO_SERVER; the head of this file says how to install it"
  launch s3 "$S3/moto-api/data.json" "$MOTO_SERVER" --host 127.0.0.1 --port "$S3_PORT"
  AWS_ENDPOINT_URL=$S3 python "$HERE/buckets.py"
}

start_mlflow() {  # addresses with passwords go through the environment: arguments are seen by every user of the machine
  export MLFLOW_BACKEND_STORE_URI=postgresql+psycopg://mlflow:$MLFLOW_DB_PASSWORD@127.0.0.1:$POSTGRES_PORT/mlflow
  AWS_ENDPOINT_URL=$S3 launch mlflow "$MLFLOW/health" mlflow server --host 127.0.0.1 --port "$MLFLOW_PORT" \
    --workers "${MLFLOW_WORKERS:-2}" --artifacts-destination s3://sightline-mlflow
}

start_prefect() {
  export PREFECT_SERVER_DATABASE_CONNECTION_URL=postgresql+asyncpg://prefect:$PREFECT_DB_PASSWORD@127.0.0.1:$POSTGRES_PORT/prefect
  export PREFECT_SERVER_UI_API_URL=$PREFECT/api PREFECT_HOME=$TEAM_DIR/prefect
  mkdir -p "$PREFECT_HOME"
  launch prefect "$PREFECT/api/health" prefect server start --host 127.0.0.1 --port "$PREFECT_PORT"
}

environment() {
  cat <<TEXT
export MLFLOW_TRACKING_URI=$MLFLOW
export PREFECT_API_URL=$PREFECT/api
export AWS_ENDPOINT_URL=$S3
export AWS_ACCESS_KEY_ID=$AWS_ACCESS_KEY_ID
export AWS_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY
export AWS_DEFAULT_REGION=$AWS_DEFAULT_REGION
TEXT
}

worker() {
  eval "$(environment)"
  cd "$PROJECT"
  prefect --no-prompt work-pool inspect team >/dev/null 2>&1 ||
    prefect --no-prompt work-pool create team --type process --set-as-default
  exec prefect worker start --pool team --type process
}

stop() {
  local name
  for name in prefect mlflow s3; do
    if runs "$name"; then
      kill -- "-$(cat "$TEAM_DIR/$name.pid")"
      for _ in $(seq 20); do runs "$name" || break; sleep 0.5; done
      if runs "$name"; then kill -KILL -- "-$(cat "$TEAM_DIR/$name.pid")"; fi
      echo "$name: stopped"
    fi
    rm -f "$TEAM_DIR/$name.pid"
  done
  if [ -f "$TEAM_DIR/postgres/postmaster.pid" ]; then
    as_postgres "$PG_BIN/pg_ctl" --pgdata="$TEAM_DIR/postgres" --mode=fast --wait --silent stop
    echo "postgres: stopped"
  fi
}

status() {
  local name
  if [ -f "$TEAM_DIR/postgres/postmaster.pid" ]; then echo "postgres: runs"; else echo "postgres: -"; fi
  for name in s3 mlflow prefect; do if runs "$name"; then echo "$name: runs"; else echo "$name: -"; fi; done
}

case "${1:-}" in
  start) mkdir -p "$TEAM_DIR" && start_postgres && start_s3 && start_mlflow && start_prefect ;;
  env) environment ;;
  worker) worker ;;
  status) status ;;
  stop) stop ;;
  *) fail "give start, env, worker, status or stop" ;;
esac
