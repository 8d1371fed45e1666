# Stands in for haproxy:2.6: Debian's, with that image's user, paths and entry point.
FROM debian:bookworm-slim
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends haproxy >/dev/null \
    && rm -rf /var/lib/apt/lists/* \
    && usermod --uid 99 haproxy && groupmod --gid 99 haproxy \
    && mkdir -p /usr/local/etc/haproxy && chown -R haproxy:haproxy /var/lib/haproxy \
    && ln -s /usr/sbin/haproxy /usr/local/sbin/haproxy
STOPSIGNAL SIGUSR1
USER haproxy
WORKDIR /var/lib/haproxy
# -W -db: as a master with workers, in the foreground, as the public image's entry point has it.
ENTRYPOINT ["haproxy", "-W", "-db"]
CMD ["-f", "/usr/local/etc/haproxy/haproxy.cfg"]
