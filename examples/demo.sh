#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The main job, to look at: hostmon's producer and consumer on live data, both
# killed and replaced, and an account at the end that must be exact. Run by
# ./bootstrap demo in the directory where shmring was built.
set -u
name=/hostmon-demo-$$
dir=$(mktemp -d)
running=
[ -t 1 ] && bold=$(printf '\033[1m') && plain=$(printf '\033[0m') || bold= plain=

clean() {
	for pid in $running; do kill -9 "$pid" 2>/dev/null; done
	rm -rf "$dir" "/dev/shm$name"
}
trap clean EXIT
trap 'exit 130' INT TERM

title() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
show() { # a command line as typed, then what it prints
	printf '$ %s\n' "$*"
	"$@"
}
fail() {
	echo "demo: $*" >&2
	exit 1
}
# Each record is a line in the log: written after the commit, or before the release.
start_producer() {
	./hostmon-producer -n "$name" -i 0.1 -v >>"$dir/sent.$1" 2>>"$dir/errors" &
	producer=$!
	running="$running $producer"
}
start_consumer() {
	./hostmon-consumer -n "$name" -v >>"$dir/received.$1" 2>>"$dir/errors" &
	consumer=$!
	running="$running $consumer"
}
kill_it() { # what, pid
	kill -9 "$2"
	wait "$2" 2>/dev/null
	echo "\$ kill -9 $2   # the $1"
}
rounds() { grep -c '^memory ' "$1" 2>/dev/null; }
await_rounds() { # file, so many rounds are in it within 10 s
	tries=0
	until [ "$(rounds "$1")" -ge "$2" ]; do
		tries=$((tries + 1))
		[ $tries -lt 500 ] || fail "nothing arrives: $(cat "$dir/errors")"
		sleep 0.02
	done
}
json() { ./shmring-dump -o json info "$name" | jq -r "$1"; }

echo "hostmon: one process samples /proc/stat and /proc/meminfo ten times a second,"
echo "another reads the samples; both share the segment $name."
start_producer 1
start_consumer 1
await_rounds "$dir/received.1" 5

title "Which segments are there?"
show ./shmring-dump list
title "What is in it?"
show ./shmring-dump schema "$name"
title "Its records, as they are committed"
show ./shmring-dump follow -c 5 "$name" memory 2>&1

title "The producer is killed, and another one goes on"
kill_it producer "$producer"
show ./shmring-dump list
start_producer 2
await_rounds "$dir/sent.2" 5

title "The consumer is killed, and another one goes on"
kill_it consumer "$consumer"
show ./shmring-dump info "$name" | sed -n '1,8p'
start_consumer 2
await_rounds "$dir/received.2" 10
show timeout --preserve-status 1 ./shmring-dump follow -n 1 "$name" cpu 2>&1 | tail -n 4

title "Both end, and the account is drawn"
kill "$producer"
wait "$producer" 2>/dev/null || fail "the producer ended badly"
kill "$consumer"
wait "$consumer" 2>/dev/null || fail "the consumer ended badly"
./hostmon-consumer -n "$name" -d -v >"$dir/received.3" 2>>"$dir/errors" ||
	fail "the last consumer ended badly"

# A record's number is its position / 128, so the tail says how many were sent.
sent=0
received=0
for ring in cpu memory; do
	tail=$(json ".objects[] | select(.name == \"$ring\") | .ring.tail")
	numbers=$(cat "$dir"/received.* | sed -n "s/^$ring \([0-9]*\).*/\1/p" | sort -nu | wc -l)
	sent=$((sent + tail / 128))
	received=$((received + numbers))
done
skipped=$(json '[.objects[].ring.skipped | tonumber] | add')
again=$(json '[.objects[].ring.redelivered | tonumber] | add')
replaced=$(json '[.objects[].ring | (.producer_takeovers, .consumer_takeovers) | tonumber] | add')
lost=$((sent - received - skipped))
rm -f "/dev/shm$name"
printf '%-12s %6d\n' sent "$sent" received "$received" skipped "$skipped" \
	"lost" "$lost"
echo "delivered again after the kill: $again; roles taken over from the dead: $replaced"

left=$(for pid in $running; do
	[ -d "/proc/$pid" ] && echo "$pid"
done)
[ -z "$left" ] || fail "processes are left: $left"
[ ! -e "/dev/shm$name" ] || fail "the segment is left"
[ "$lost" = 0 ] || fail "records were lost"
[ "$sent" -gt 0 ] || fail "nothing was sent"
[ "$replaced" = 4 ] || fail "two rings have a producer and a consumer each that died: that makes 4"
echo "no process and no segment left"
