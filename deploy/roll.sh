#!/usr/bin/env bash
# Replaces the running replicas of services by ones of the images that are there now, one after the other, so that no request fails:
# each drains, leaves, and its successor has to be healthy, and in the load balancer, before the next one goes.
#
#   deploy/roll.sh [SERVICE...]        booking, flight and hotel, where none is named
#
# COMPOSE names the Compose command where it is neither `docker compose` nor `docker-compose`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATIENCE=${PATIENCE:-120}

# How many replicas of a service the load balancer sends requests to and has found ready: in its own table column 18 is the state and 37
# the last check's result. The state alone won't do: a replica that the name server has just named is taken for up before its first check.
serving() {
    exec 3<>"/dev/tcp/127.0.0.1/${HAPROXY_PORT:-8404}"
    printf 'GET /;csv HTTP/1.0\r\n\r\n' >&3
    awk -F, -v service="$1" '$1 == service && $2 != "BACKEND" && $18 ~ /^UP/ && $37 == "L7OK" { up++ } END { print up + 0 }' <&3
    exec 3>&-
}

# How many containers of a service have passed their own health check.
healthy() { deploy/compose.sh ps -q "$1" | xargs -r docker inspect --format '{{.State.Health.Status}}' | grep -cx healthy || true; }

until_serving() { # SERVICE COUNT
    local until=$((SECONDS + PATIENCE))
    while [ "$(healthy "$1")" -lt "$2" ] || [ "$(serving "$1")" -lt "$2" ]; do
        [ $SECONDS -lt $until ] || { echo "error: $1 has not $2 replicas ready after $PATIENCE s; nothing more is replaced" >&2; exit 1; }
        sleep 0.3
    done
}

[ $# -gt 0 ] || set -- booking flight hotel
for service in "$@"; do
    replicas=$(deploy/compose.sh ps -q "$service")
    count=$(wc -w <<<"$replicas")
    [ "$count" -ge 2 ] || { echo "error: $service has $count replicas: another one is needed to take its place" >&2; exit 1; }
    until_serving "$service" "$count"
    for replica in $replicas; do
        echo "== $service: replacing ${replica:0:12}"
        # Longer than a drain may take.
        docker stop --time 45 "$replica" >/dev/null
        docker rm "$replica" >/dev/null
        deploy/compose.sh up -d --no-deps --no-recreate --scale "$service=$count" "$service" >/dev/null 2>&1
        until_serving "$service" "$count"
    done
done
echo "== done after $SECONDS s"
