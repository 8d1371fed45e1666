# Stands in for gcr.io/distroless/cc-debian12:nonroot: the C library, time zones, authorities, no shell, user 65532.
FROM debian:bookworm-slim AS unpacked
WORKDIR /packages
# The authorities' bundle is put together by their package's script, so it is installed here and only its result is taken.
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends ca-certificates >/dev/null \
    && apt-get download -qq base-files libc6 libgcc-s1 libssl3 netbase tzdata \
    && for package in *.deb; do dpkg-deb -x "$package" /root-fs; done \
    && mkdir -p /root-fs/etc/ssl/certs /root-fs/home/nonroot /root-fs/tmp \
    && cp /etc/ssl/certs/ca-certificates.crt /root-fs/etc/ssl/certs/ \
    && printf 'root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >/root-fs/etc/passwd \
    && printf 'root:x:0:\nnogroup:x:65534:\nnonroot:x:65532:\n' >/root-fs/etc/group \
    && chown 65532:65532 /root-fs/home/nonroot && chmod 700 /root-fs/home/nonroot && chmod 1777 /root-fs/tmp \
    && rm -rf /root-fs/usr/share/doc /root-fs/usr/share/man /root-fs/usr/share/lintian

FROM scratch
COPY --from=unpacked /root-fs/ /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
WORKDIR /home/nonroot
USER 65532
