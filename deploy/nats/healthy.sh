#!/bin/sh
# The health check of docker-compose's broker. It also ends a broker that stores nothing, since Compose starts what ended, and not what is
# unhealthy: after one write that failed nats-server refuses the stream, or all of JetStream, until it is started again, even when its disk
# has room. Its health report says so, and fails for other reasons as well (a node catches up), so its words are read; wget shows no words
# of an error.
set -eu
report=$(printf 'GET /healthz HTTP/1.0\r\n\r\n' | timeout 2 nc 127.0.0.1 8222) || report=
case $report in
*'write error'* | *'JetStream not enabled'*)
    echo "$report" | tail -n 1
    # On a full disk another start would help nobody; where it does not help, there is a pause between two.
    room_kib=$(df -k -P /data | awk 'END { print $4 }')
    up_s=$(awk '{ up = $1; getline < "/proc/1/stat"; print int(up - $22 / 100) }' /proc/uptime)
    [ "$room_kib" -lt 65536 ] || [ "$up_s" -lt 30 ] || kill -TERM 1
    exit 1
    ;;
esac
timeout 2 wget -q -O /dev/null "http://127.0.0.1:8222/healthz?js-server-only=true"
