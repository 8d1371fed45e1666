# Stands in for nats:2.15.1-alpine: the server, and busybox for a shell and wget.
FROM debian:bookworm-slim AS busybox
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends busybox-static >/dev/null
WORKDIR /root-fs/bin
RUN cp /bin/busybox . && for name in $(busybox --list); do [ "$name" = busybox ] || ln -s busybox "$name"; done

FROM scratch
COPY --from=busybox /root-fs/ /
COPY nats-server /usr/local/bin/nats-server
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
EXPOSE 4222 6222 8222
CMD ["nats-server", "--config", "/etc/nats/nats-server.conf"]
