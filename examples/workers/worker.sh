#!/bin/sh
# A worker in plain curl and jq: offers the function `resize-image` to workflows over HTTP.
#
#   FLUNQ_API=http://127.0.0.1:PORT FLUNQ_TOKEN=... ./worker.sh [NUMBER OF TASKS]
#
# The token needs the role operator. It is read from a file that only this user can read, so that
# it is on no command line.
set -eu
umask 077

api=${FLUNQ_API:-http://127.0.0.1:8080}
left=${1:-1000000000}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
printf 'header = "authorization: Bearer %s"\n' "$FLUNQ_TOKEN" > "$folder/token"

post() {
    curl --silent --show-error --fail-with-body --max-time 90 --retry 5 --config "$folder/token" \
        --header 'content-type: application/json' --data-binary @- "$api/v1/tasks/$1"
}

while [ "$left" -gt 0 ]; do
    task=$(printf '{"kinds": ["resize-image"], "worker": "sh-%s", "wait": "20s"}' $$ | post poll)
    [ -n "$task" ] || continue
    id=$(printf '%s' "$task" | jq -r .id)
    if answer=$(printf '%s' "$task" | jq -ec '{lease, output: (.arguments
            | if .width > 0 and .height > 0
              then {width: (.width * .scale | round), height: (.height * .scale | round)}
              else error("no image") end)}' 2> "$folder/problem"); then
        printf '%s' "$answer" | post "$id/complete"
    else
        jq -c --rawfile detail "$folder/problem" '{lease, error: {status: 422, detail: $detail}}' \
            <<TASK | post "$id/fail"
$task
TASK
    fi
    left=$((left - 1))
done
