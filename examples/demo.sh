#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The main job, to look at: hostmon's producer and consumer on live data, both
# killed and replaced, and an account that must be exact. Then, briefly, the three kinds
# of ring and the tables, each with somebody killed. Run by ./bootstrap demo in the
# directory where shmring was built.
set -u
name=/hostmon-demo-$$
dir=$(mktemp -d)
running=
[ -t 1 ] && bold=$(printf '\033[1m') && plain=$(printf '\033[0m') || bold= plain=

clean() {
	for pid in $running; do kill -9 "$pid" 2>/dev/null; done
	rm -rf "$dir" "/dev/shm$name" "/dev/shm$name"-*
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
await() { # command that comes true within 10 s
	tries=0
	until "$@" >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 500 ] || fail "this does not come true: $*"
		sleep 0.02
	done
}
start() { # a command line that goes on: its process is $started
	printf '$ %s &\n' "$*"
	"$@" >/dev/null 2>>"$dir/errors" &
	started=$!
	running="$running $started"
}
show_killed() { # one that dies by SIGKILL, as it was asked to
	show "$@" 2>/dev/null
	[ $? = 137 ] || fail "$1 should have been killed"
	echo Killed
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

[ "$lost" = 0 ] || fail "records were lost"
[ "$sent" -gt 0 ] || fail "nothing was sent"
[ "$replaced" = 4 ] || fail "two rings have a producer and a consumer each that died: that makes 4"

title "A stream: all get every quote; audit keeps its place when its process is gone"
feed=$name-feed
start ./feed send "$feed" -e 10000
await ./feed watch "$feed" first -n 1
show ./feed watch "$feed" screen --lossy -n 2
show ./feed watch "$feed" audit --durable -n 2
show ./feed watch "$feed" audit --durable -n 1
kill_it sender "$started"

title "A queue: each job is done by one worker, and by another one if that is killed"
jobs=$name-jobs
show ./jobs put "$jobs" sweep cook wash
show_killed ./jobs work "$jobs" --crash-after=1
show ./jobs work "$jobs" -n 2

title "A flight recorder: the last events before the crash"
box=$name-box
start ./blackbox run "$box"
await ./blackbox read "$box" --last=1
kill_it recorder "$started"
show ./blackbox read "$box" --last=2

title "A table: web is killed in the middle of update 5, and leaves that of update 4"
services=$name-services
start ./services run "$services" db -e 50
await ./services list "$services"
show_killed ./services run "$services" web -e 0 --die-in=5
show ./services list "$services"
show ./services run "$services" web -n 1
kill_it daemon "$started"
show ./services clean "$services"

title "Counters: two workers add, one is killed, and a reader tells what and how fast"
statistics=$name-statistics
start ./statistics work "$statistics" http
first=$started
start ./statistics work "$statistics" http
await ./statistics show "$statistics" -n 1
show ./statistics show "$statistics" -n 2 | tail -n 5
kill_it worker "$first"
show ./statistics show "$statistics" -n 2 -e 500000 | tail -n 5
kill_it "other worker" "$started"

rm -f "/dev/shm$name"-*
left=$(for pid in $running; do
	[ -d "/proc/$pid" ] && echo "$pid"
done)
[ -z "$left" ] || fail "processes are left: $left"
for segment in "/dev/shm$name"*; do
	[ ! -e "$segment" ] || fail "a segment is left: $segment"
done
printf '\nno process and no segment left\n'
