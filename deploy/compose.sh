#!/bin/sh
# Compose, by whichever name it has here; COMPOSE names another one.
#
#   deploy/compose.sh ARGUMENT...
[ -z "${COMPOSE:-}" ] || exec $COMPOSE "$@"
! docker compose version >/dev/null 2>&1 || exec docker compose "$@"
exec docker-compose "$@"
