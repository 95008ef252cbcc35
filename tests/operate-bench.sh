#!/bin/sh
# SPDX-License-Identifier: MIT
# shmring bench: it has a figure for everything, and leaves nothing, however it ends. No
# figure is judged.
# shellcheck disable=SC2016
name=/shmring-operate-bench-$$
plan=46
. "${top_srcdir:-.}/tests/tap.sh"
bench() { timeout 60 ./shmring bench "$@" >"$dir/out" 2>"$dir/err"; }
gone() { [ -z "$(find /dev/shm -name "*${name#/}*")" ]; }
ours() { find /dev/shm -name 'shmring-bench-*'; }
ours >"$dir/before"

# --- Text
bench -n 0.3 "$name"
is "bench succeeds" "$?:$(grep -v 'one cpu only' "$dir/err")" 0:
gone
ok "the segment is gone" $?
is "each line has what, a figure above 0 and its unit" "$(sed '/^$/,$d' "$dir/out" |
	awk '{ line = substr($0, 1, 40); sub(/ *$/, "", line); unit = $0
		sub(/^.* [0-9.]+ /, "", unit); print line ":", (substr($0, 42) + 0 > 0), unit }')" \
	"one way, 8 bytes: 1 million records/s
one way, 64 bytes: 1 million records/s
one way, 256 bytes: 1 million records/s
one way, 1024 bytes: 1 million records/s
one way, 4096 bytes: 1 million records/s
round trip of 64 bytes, busy, p50: 1 ns
round trip of 64 bytes, busy, p99: 1 ns
round trip of 64 bytes, asleep, p50: 1 ns
round trip of 64 bytes, asleep, p99: 1 ns
table, write a record of 64 bytes: 1 ns
table, read a record of 64 bytes: 1 ns"
is "aligned" "$(sed '/^$/,$d' "$dir/out" | grep -vcE '^.{40} [ 0-9.]{10} [a-z]')" 0
grep -q 'what else runs' "$dir/out" && grep -q '"make bench"' "$dir/out"
ok "and a note on what they depend on" $?

# --- JSON
bench -n 0.3 --sizes=64k,8,24 -o json "$name"
is "bench -o json succeeds" "$?:$(grep -v 'one cpu only' "$dir/err")" 0:
gone
ok "the segment is gone" $?
is "it is one document of known form" "$(jq -cn '[inputs] | length, (.[0] |
	[.v, .version, .seconds == 0.3, (.cpus | type), (.one_way | map(.size)), .round_trip.size,
	.table.slots, .table.size])' "$dir/out" | tr '\n' ' ')" \
	"1 [1,\"$(./shmring --version | cut -d' ' -f2)\",true,\"array\",[65536,8,24],64,1024,64] "
is "each figure is above 0" "$(jq -c '[(.one_way[].records_per_second), (.round_trip |
	.busy, .asleep | .p50_ns, .p99_ns), (.table | .write_ns, .read_ns) | . > 0]' "$dir/out")" \
	"[true,true,true,true,true,true,true,true,true]"
is "no p99 is below its p50" "$(jq -c '.round_trip | [.busy, .asleep | .p99_ns >= .p50_ns]' \
	"$dir/out")" "[true,true]"

is "the part of the time that it waited is one, if it is known" \
	"$(jq -c '.waited | . == null or (. >= 0 and . <= 1)' "$dir/out")" true
if chrt -i 0 true && [ -e /proc/self/schedstat ] && [ "$(jq -c .cpus "$dir/out")" != '[]' ]; then
	for cpu in $(jq '.cpus[]' "$dir/out"); do
		chrt -i 0 taskset -c "$cpu" sh -c 'while :; do :; done' &
		started="$started $!"
		chrt -i 0 taskset -c "$cpu" sh -c 'while :; do :; done' &
		started="$started $!"
	done
	timeout 60 chrt -i 0 ./shmring bench -n 1 -s 8 >"$dir/out" 2>"$dir/err"
	is "that others had the cpus is told" \
		"$(grep -c '^They waited for their cpus, which others had, [0-9]*% of the time' "$dir/out")" 1
	for pid in $started; do kill -9 "$pid"; done
	started=
else
	n=$((n + 1))
	echo "ok $n # SKIP no chrt, no schedstat or cpus not to be chosen"
fi

# --- Without a name, and on one cpu
first=$(sed -n 's/^Cpus_allowed_list:[^0-9]*\([0-9]*\).*/\1/p' /proc/self/status)
if taskset -c "$first" true 2>/dev/null; then
	timeout 60 taskset -c "$first" ./shmring bench -n 0.3 -s 8 -o json >"$dir/out" 2>"$dir/err"
	is "one cpu is told, and no failure" "$?:$(cat "$dir/err")" \
		"0:shmring: there is one cpu only: the figures mean little"
	is "its figures are above 0" "$(jq -c '[.cpus, (.one_way[].records_per_second, (.round_trip |
		.busy, .asleep | .p50_ns, .p99_ns), (.table | .write_ns, .read_ns) | . > 0)]' "$dir/out")" \
		"[[],true,true,true,true,true,true,true]"
else
	n=$((n + 2))
	echo "ok $((n - 1)) # SKIP no taskset"
	echo "ok $n # SKIP no taskset"
fi
ours | cmp -s - "$dir/before"
ok "a segment without a given name is gone, too" $?

# --- Refused
./dump-segment make "$name" || exit 1
cp "/dev/shm$name" "$dir/copy"
bench -n 0.3 "$name"
is "a name that exists is refused" "$?:$(cat "$dir/err")" \
	"1:shmring: $name: $name exists already"
cmp -s "/dev/shm$name" "$dir/copy"
ok "and what is there stays as it is" $?
rm "/dev/shm$name"
for sizes in '' 7 65537 '64,' ',64' 8,,8 12x -8 64m 8,8,8,8,8,8,8,8,8,8,8,8,8,8,8,8,8; do
	bench -n 0.3 -s "$sizes" "$name"
	is "sizes \"$sizes\" are a usage error" "$?:$(grep -c '^shmring: .*--help$' "$dir/err")" 2:1
done
for seconds in '' 0 -1 nan 1s inf 3601; do
	bench -n "$seconds" "$name"
	is "$seconds seconds are a usage error" "$?:$(grep -c '^shmring: .*--help$' "$dir/err")" 2:1
done
bench -o jsonl "$name"
is "so is another format" "$?" 2
bench -n 0.3 "$name" more
is "and a second argument" "$?" 2
if unshare -rm true 2>/dev/null; then
	unshare -rm sh -c 'mount -t tmpfs -o size=64k none /dev/shm && timeout 60 ./shmring bench "$1"
		echo $?; ls -A /dev/shm' sh "$name" >"$dir/out" 2>"$dir/err"
	is "a full /dev/shm is told, and nothing is left" \
		"$(cat "$dir/out"):$(grep -c "^shmring: $name: .*\(full\|space\|room\)" "$dir/err")" 1:1
else
	n=$((n + 1))
	echo "ok $n # SKIP no namespaces"
fi

# --- Ended before its time. In the last phase nothing is received from the child.
start() { # bench of 60 s: $pid, and its child $child
	./shmring bench -n 60 "$name" >"$dir/out" 2>"$dir/err" &
	pid=$!
	started="$started $pid"
	child=
	soon '[ -e "/dev/shm$name" ] && child=$(pgrep -P $pid) && [ "$child" ] &&
		[ "$(./shmring-dump -o json info "$name" 2>/dev/null | jq ".members | length")" = 2 ]'
	started="$started $child"
}
ended() { # wait for $pid, not for ever: its status
	soon 'case $(ps -o stat= -p $pid) in Z* | "") ;; *) false ;; esac' || kill -9 $pid
	wait $pid
}
for signal in TERM INT; do
	start
	ok "it runs, as two members of its segment" $?
	kill -$signal $pid
	ended
	is "SIG$signal ends it" "$?:$(cat "$dir/err"):$(cat "$dir/out")" "1:shmring: ended by a signal:"
	gone && ! kill -0 "$child" 2>/dev/null
	ok "without a segment or a process" $?
done
start
kill -9 "$child"
ended
is "it ends when its child is killed" "$?:$(cat "$dir/err"):$(cat "$dir/out")" \
	"1:shmring: the other process was ended by signal 9:"
gone
ok "without a segment" $?
start
kill -9 $pid
soon 'gone && ! kill -0 "$child" 2>/dev/null'
ok "when it is killed itself its child removes the segment, and ends" $?
exit 0
