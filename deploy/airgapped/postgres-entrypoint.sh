#!/usr/bin/env bash
# What the public image's entry point does, as far as Roundtrip uses it: POSTGRES_USER, _PASSWORD, _DB, _INITDB_ARGS, PGDATA and
# /docker-entrypoint-initdb.d, and everything as the user postgres.
set -euo pipefail

if [ "${1:-}" != postgres ]; then exec "$@"; fi

if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chown -R postgres:postgres "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$BASH_SOURCE" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    user=${POSTGRES_USER:-postgres}
    : "${POSTGRES_PASSWORD:?set POSTGRES_PASSWORD to the password of the superuser}"
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    # shellcheck disable=SC2086 # several arguments
    initdb --username="$user" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") --encoding=UTF8 ${POSTGRES_INITDB_ARGS:-} --pgdata="$PGDATA"
    printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
    # Out of reach until it is set up: on a socket only.
    pg_ctl --pgdata="$PGDATA" --options="-c listen_addresses=''" --wait --log=/dev/stderr start
    export PGUSER=$user PGDATABASE=${POSTGRES_DB:-$user}
    [ "$PGDATABASE" = postgres ] || psql --no-psqlrc -v ON_ERROR_STOP=1 --dbname=postgres -c "create database \"$PGDATABASE\""
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
        *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
        *.sql) psql --no-psqlrc -v ON_ERROR_STOP=1 --file="$file" ;;
        esac
    done
    pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop
fi
exec "$@"
