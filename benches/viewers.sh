#!/bin/sh
# What N viewers cost the server, on one machine: `benches/viewers.sh N [WORD…]` (the words go to `nowcast bench viewers`).
# A passthrough stream of 720p30 at 2 Mbit/s with audio, 200 ms parts; two renditions for each viewer, keep-alive.
# NOWCAST names the binary, target/release/nowcast by default.
set -eu
cd "$(dirname "$0")/.."
binary=${NOWCAST:-target/release/nowcast}
viewers=${1:?how many viewers?}
shift
folder=$(mktemp -d)
server='' publisher=''
trap 'kill $server $publisher 2>/dev/null || true; wait; rm -rf "$folder"' EXIT

ffmpeg -v error -f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine=440 -t 30 \
    -c:v libx264 -preset ultrafast -tune zerolatency -b:v 2M -maxrate 2M -bufsize 400k -g 60 -sc_threshold 0 \
    -pix_fmt yuv420p -c:a aac -b:a 96k "$folder/source.ts"
cat >"$folder/nowcast.toml" <<END
srt.listen = "127.0.0.1:24900"
http.listen = "127.0.0.1:24080"
ops.listen = "127.0.0.1:24090"
state.dir = "$folder/state"
[[stream]]
name = "live"
open = true
mode = "passthrough"
part = "200ms"
END
playlist=http://127.0.0.1:24080/live/live/index.m3u8

"$binary" --config "$folder/nowcast.toml" serve 2>"$folder/log" &
server=$!
until curl -sf http://127.0.0.1:24090/readyz >"$folder/ready"; do
    kill -0 $server || { cat "$folder/log"; exit 1; }
    sleep 0.1
done
"$binary" publish 'srt://127.0.0.1:24900?streamid=live' "$folder/source.ts" --loop 2>"$folder/publish.log" &
publisher=$!
until curl -sf $playlist >"$folder/ready"; do sleep 0.1; done
# The window is full after a minute and what is kept after two: memory then no longer grows by itself.
sleep "${SETTLE:-5}"

ticks() { awk '{ print $14 + $15 }' /proc/$server/stat; }
resident() { awk '/VmRSS/ { print $2 }' /proc/$server/status; }
before=$(resident)
"$binary" bench viewers $playlist -n "$viewers" --for 12s "$@" >"$folder/report" &
report=$!
sleep 10
from=$(ticks)
sleep 5
to=$(ticks) during=$(resident)
wait $report || true
cat "$folder/report"
awk -v ticks=$((to - from)) -v hz="$(getconf CLK_TCK)" -v grown=$((during - before)) -v viewers="$viewers" 'BEGIN {
    printf "%-28s%.1f %% of a core, %.1f kB a viewer\n", "the server", 100 * ticks / hz / 5, grown / viewers }'
