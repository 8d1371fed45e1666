#!/usr/bin/env bash
# A login and a database for each service, and a login that may read them all. Run once by the image on an empty volume, and again by
# hand, harmlessly, when a service has been added or a password changed:
#   docker-compose exec postgres bash /docker-entrypoint-initdb.d/10-databases.sh
set -euo pipefail

sql() { psql --no-psqlrc --quiet --username "${POSTGRES_USER:-postgres}" -v ON_ERROR_STOP=1 "$@"; }

login() { # NAME PASSWORD
    sql --dbname postgres -v name="$1" -v password="$2" <<'SQL'
select format('create role %I login', :'name') where not exists (select from pg_roles where rolname = :'name') \gexec
alter role :"name" with nosuperuser nocreatedb nocreaterole password :'password';
SQL
}

# Nobody connects anywhere unless it is granted.
sql --dbname postgres -c 'revoke connect, temporary on database postgres, template1 from public'
login auditor "$POSTGRES_AUDITOR_PASSWORD"
sql --dbname postgres -c 'grant pg_read_all_data, pg_read_all_stats to auditor'

for service in booking flight hotel payment; do
    password=POSTGRES_${service^^}_PASSWORD
    login "$service" "${!password}"
    sql --dbname postgres -v name="$service" <<'SQL'
select format('create database %I owner %I', :'name', :'name')
where not exists (select from pg_database where datname = :'name') \gexec
revoke all on database :"name" from public;
grant connect on database :"name" to auditor;
SQL
    sql --dbname "$service" -v name="$service" <<'SQL'
revoke all on schema public from public;
alter schema public owner to :"name";
grant usage on schema public to auditor;
SQL
done
