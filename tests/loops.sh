#!/bin/sh
# SPDX-License-Identifier: MIT
# A ring in other libraries' event loops: each gets every record once and in order, sleeps
# while there is none, and so does the sender while the ring is full.
name=/shmring-loops-$$
tmp=$(mktemp -d "${TMPDIR:-/tmp}/shmring-loops-XXXXXX") || exit 1
pids=
# shellcheck disable=SC2086
trap 'kill -9 $pids 2>/dev/null; rm -rf "$tmp" "/dev/shm$name"' EXIT
trap 'exit 1' HUP INT TERM
limit='timeout 60'
cases=6
echo 1..$((3 * cases))
n=0
case_is() { # description, got, wanted
	n=$((n + 1))
	if [ "$2" = "$3" ]; then echo "ok $n - $1"; else
		echo "not ok $n - $1"
		printf '%s\n' "$2" | head -n 20 | sed 's/^/# got:    /'
		printf '%s\n' "$3" | head -n 20 | sed 's/^/# wanted: /'
	fi
}
await() { # command that comes true within 20 seconds
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ $tries -lt 2000 ] || return 1
		sleep 0.01
	done
}
send() { $limit ./epoll-serve --send "$name"; }

# Of the thread that runs the loop: how often it went to sleep; it sleeps now.
sleeps_of() { sed -n 's/^voluntary_ctxt_switches:[[:space:]]*//p' "/proc/$1/status"; }
ended() { ! grep -q '^State:[[:space:]]*[^Z]' "/proc/$1/status" 2>/dev/null; }
is_asleep() { grep -q '^State:[[:space:]]*S' "/proc/$1/status"; }
# Of all its threads: hundredths of a second on a cpu.
ticks_of() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }
lines() { wc -l <"$1"; }
has_lines() { [ "$(lines "$1")" -ge "$2" ]; }
at_most() { [ "$1" -le "$2" ] && echo "at most $2" || echo "$1"; }
at_least() { [ "$1" -ge "$2" ] && echo "at least $2" || echo "$1"; }

some=20      # records that come one by one, to a loop that sleeps
all=300000   # with these, more than the ring holds
loop_works() { # program
	./"$1" "$name" "$all" >"$tmp/got" 2>"$tmp/said" &
	loop=$!
	pids="$pids $loop"
	await [ -e "/dev/shm$name" ]
	seq 1 | send
	await has_lines "$tmp/got" 1
	await is_asleep $loop
	ticks=$(ticks_of $loop) sleeps=$(sleeps_of $loop)
	sleep 1
	case_is "$1: it sleeps while there is nothing" \
		"$(at_most $(($(sleeps_of $loop) - sleeps)) 0) $(at_most $(($(ticks_of $loop) - ticks)) 10)" \
		"at most 0 at most 10"
	for i in $(seq 2 $some); do
		await is_asleep $loop
		echo "$i" | send
		await has_lines "$tmp/got" "$i" || break
	done
	case_is "$1: each record wakes it" \
		"$(lines "$tmp/got") $(at_least $(($(sleeps_of $loop) - sleeps)) $((some - 1)))" \
		"$some at least $((some - 1))"
	kill -STOP $loop
	seq $((some + 1)) "$all" >"$tmp/rest"
	./epoll-serve --send "$name" <"$tmp/rest" &
	sender=$!
	pids="$pids $sender"
	sleep 1 # more than it takes to fill the ring
	ticks=$(ticks_of $sender)
	sleep 1
	case_is "$1: the sender sleeps while the ring is full" \
		"$(ended $sender && echo ended) $(at_most $(($(ticks_of $sender) - ticks)) 10)" " at most 10"
	kill -CONT $loop
	await ended $sender || kill -9 $sender
	wait $sender
	case_is "$1: the sender has sent all" $? 0
	await ended $loop || kill -9 $loop
	wait $loop
	case_is "$1: it ends by itself when it has its count" "$? $(cat "$tmp/said")" "0 "
	case_is "$1: every record, once, in order" "$(lines "$tmp/got") $(cksum <"$tmp/got")" \
		"$all $(seq "$all" | cksum)"
	rm -f "/dev/shm$name"
}
for program in loop-epoll loop-glib loop-uv; do
	if [ -x ./$program ]; then
		loop_works $program
	else
		for i in $(seq $cases); do
			n=$((n + 1))
			echo "ok $n - $program # SKIP its library was not found"
		done
	fi
done
