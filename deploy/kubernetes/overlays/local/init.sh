#!/bin/sh
# A database and a login for each service, and none may enter another's.
set -eu
for service in booking flight hotel payment; do
    password=$(cat "/run/passwords/$service")
    psql --no-psqlrc -v ON_ERROR_STOP=1 -v name="$service" -v password="$password" --username postgres --dbname postgres <<'SQL'
create role :"name" login password :'password';
create database :"name" owner :"name";
revoke all on database :"name" from public;
SQL
done
