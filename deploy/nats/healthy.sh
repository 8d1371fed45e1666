#!/bin/sh
# The health check of docker-compose's broker. It also ends a broker that stores nothing, since Compose starts what ended, and not what is
# unhealthy: after one write that failed nats-server refuses the stream, or all of JetStream, until it is started again, even when its disk
# has room. Its health report says so, and fails for other reasons as well (a node catches up), so its words are read; wget shows no words
# of an error.
set -eu
report=$(printf 'GET /healthz HTTP/1.0\r\n\r\n' | nc -w 3 127.0.0.1 8222)
case $report in
*'"status"'*'write error'* | *'"status"'*'JetStream not enabled'*)
    echo "$report" | tail -n 1
    # On a full disk another start would help nobody.
    room_kib=$(df -k -P /data | awk 'END { print $4 }')
    [ "$room_kib" -lt 65536 ] || kill -TERM 1
    exit 1
    ;;
esac
wget -q -O /dev/null "http://127.0.0.1:8222/healthz?js-server-only=true"
