#!/bin/sh
# SPDX-License-Identifier: MIT
# shmring-dump follow: segments that come and go, and where the last one stopped.
# shellcheck disable=SC2016
name=/shmring-dump-follow-$$
plan=38
. "${top_srcdir:-.}/tests/tap.sh"
does() { printf '%s\n' "$@" | ./dump-query "$name" || exit 1; }
# Runs follow in the background: its output in $dir/out, its messages in $dir/err.
follow() {
	rm -f "$dir/out" "$dir/err"
	./shmring-dump follow "$@" >"$dir/out" 2>"$dir/err" &
	follow=$!
	started="$started $follow"
}
told() { soon "grep -q -- \"$1\" \"\$dir/err\" 2>/dev/null"; }
shown() { soon "[ \"\$(cat \"\$dir/out\" 2>/dev/null | grep -c '^orders @')\" -ge $1 ]"; }
numbers() { sed -n 's/^orders @[0-9]* #\([0-9]*\) .*/\1/p' "$dir/out" | paste -sd ' ' -; }
stop() {
	kill "$follow"
	wait "$follow"
}
run() { timeout 20 ./shmring-dump follow "$@" >"$dir/out" 2>"$dir/err"; echo $?; }

# Segments that come and go
follow "$name" orders
told 'there is none yet'
ok "a segment that is not there is waited for" $?
does 'orders 1 3'
shown 3
is "and all of it is shown" "$(numbers)" "1 2 3"
kill -STOP "$follow"
does 'orders 4 5'
rm "/dev/shm$name"
does 'orders 1 2'
kill -CONT "$follow"
shown 7
is "the last ones of a segment that was replaced, and all of the next" "$(numbers)" "1 2 3 4 5 1 2"
rm "/dev/shm$name"
soon '[ "$(grep -c obsolete "$dir/err")" = 2 ]'
kill -STOP "$follow"
does 'orders 1 1000'
kill -CONT "$follow"
soon 'grep -q "#1000 " "$dir/out"'
is "what is gone of the next one is told" \
	"$(($(sed -n 's/^orders: \([0-9]*\) records are missing, #1 to .*/\1/p' "$dir/out") +
	$(sed '1,/missing/d' "$dir/out" | wc -l)))" 1000
stop
is "a signal is no failure" "$?" 0
is "each is told" "$(sed 's/[0-9]* records missing/N records missing/; s/[0-9]* records shown/N records shown/
	s/[0-9]* bytes/N bytes/' "$dir/err")" \
"shmring-dump: $name: there is none yet: waiting for it
shmring-dump: $name: the segment is obsolete: it was unlinked or replaced
shmring-dump: $name: the segment is obsolete: it was unlinked or replaced
shmring-dump: N records shown, N bytes lost, N records missing"
follow "$name" orders
soon 'ls -l "/proc/$follow/fd" 2>/dev/null | grep -q "$name"'
for i in 1 2 3; do
	rm "/dev/shm$name"
	does "order $i 0 0 0 x"
	shown $i
done
is "only one segment is open at a time" "$(find "/proc/$follow/fd" -lname '/dev/shm/*' | wc -l)" 1
stop
follow "$name"
soon 'ls -l "/proc/$follow/fd" 2>/dev/null | grep -q "$name"'
rm "/dev/shm$name"
does 'service web 1' 'log x'
soon 'grep -q beats "$dir/out" && grep -q "^log" "$dir/out"'
is "tables of the next one, too" "$(sort "$dir/out")" \
'log @0 #1: "x"
services[0] v1: name="web" beats=1'
stop
rm "/dev/shm$name"
is "once: there is none" "$(run --once "$name")" 3
follow "$name"
told waiting
stop
is "it ends while it waits" "$?" 0
does 'orders 1 3'
follow --once -f oldest "$name" orders
shown 3
rm "/dev/shm$name"
wait "$follow"
is "once: it is gone" "$?; $(numbers)" "0; 1 2 3"
does 'orders 1 3'
./shmring-dump follow fd:3 3<"/dev/shm$name" >"$dir/out" 2>"$dir/err" &
follow=$!
started="$started $follow"
soon 'grep -qs shmring-dump "/proc/$follow/comm" && grep -q "^State:.S" "/proc/$follow/status"' # it looks
rm "/dev/shm$name"
soon '! kill -0 "$follow" 2>/dev/null || grep -qs "^State:.Z" "/proc/$follow/status"'
ok "a descriptor leads to no other segment" $?

# For so long, and so many
is "without a record for a time, and no segment" "$(run -t 0.2 "$name"; sed -n "s/.*: \(cannot open [^:]*\).*/\1/p" "$dir/err")" \
"3
cannot open /dev/shm$name"
does 'orders 1 3'
is "without a record for a time" "$(run -t 0.2 -f oldest "$name" orders; numbers)" "0
1 2 3"
is "without one that is asked for" "$(run --timeout=0.1 -f oldest -q 'id == 2' "$name"; numbers)" "0
2"
is "no seconds" "$(run -t -1 "$name")$(run -t 1x "$name")$(run -t on "$name")" 222
follow -R 5 "$name" orders
soon 'ls -l "/proc/$follow/fd" 2>/dev/null | grep -q "$name"'
sleep 0.1
does 'orders 10 49'
told 'more records'
is "at most so many in a second" "$(numbers); $(cat "$dir/err")" \
	"4 5 6 7 8; shmring-dump: 35 more records, not shown: -R"
sleep 1
does 'orders 50 52'
shown 8
is "and in the next" "$(numbers)" "4 5 6 7 8 44 45 46"
stop
is "and are counted" "$(tail -n 1 "$dir/err")" "shmring-dump: 8 records shown, 0 bytes lost, 35 held back"
is "records has no such options" \
	"$(./shmring-dump records -R 1 "$name" 2>"$dir/err"; echo $?; cat "$dir/err")" \
"2
shmring-dump: records does not have this option: --rate; see shmring-dump --help"

# Where it stopped
rm "/dev/shm$name"
does 'orders 1 6' 'log a' 'log b' 'service web 1'
cursor=$dir/cursor
is "a first time" "$(run --cursor-file="$cursor" -f oldest -c 4 "$name" orders; numbers)" "0
1 2 3 4"
is "it goes on" "$(run --cursor-file="$cursor" -t 0.1 "$name" orders; numbers)" "0
5 6"
is "nothing new" "$(run --cursor-file="$cursor" -t 0.1 "$name" orders; numbers; echo .)" "0

."
does 'orders 7 8'
is "a ring that is new to it begins as without" \
	"$(run --cursor-file="$cursor" -t 0.1 -f oldest "$name"; cut -d ' ' -f 1-3 "$dir/out")" \
'0
orders @384 #7
orders @448 #8
log @0 #1:
log @24 #2:
services[0] v1: name="web"'
does 'orders 9 1008'
is "what was overwritten meanwhile is lost" \
	"$(run --fail-on-loss --cursor-file="$cursor" -t 0.1 "$name" orders
	missing=$(sed -n 's/^orders: \([0-9]*\) records are missing, #9 to .*/\1/p' "$dir/out")
	bytes=$(sed -n 's/^orders: lost \([0-9]*\) bytes.*/\1/p' "$dir/out")
	echo $((missing + $(grep -c '^orders @' "$dir/out"))) $((bytes - 64 * missing)))" "8
1000 0"
is "the file is JSON" "$(jq -r '.v, .rings.orders.sequence, .rings.log.position' "$cursor")" "1
1009
48"
is "and nothing is beside it" "$(find "$dir" -name 'cursor*' | wc -l)" 1

ln "$cursor" "$dir/linked"
does 'orders 1009 1010'
./shmring-dump follow --cursor-file="$cursor" -t 0.1 "$name" orders >/dev/full 2>"$dir/err"
is "what could not be written is not noted as shown" "$?; $(run --cursor-file="$cursor" -t 0.1 "$name" orders
	numbers)" "1; 0
1009 1010"
is "the file was replaced, not written to" "$(jq -r .rings.orders.sequence "$dir/linked" "$cursor" |
	paste -sd ' ' -)" "1009 1011"

# Killed at any time
rm "/dev/shm$name"
rm -f "$cursor" "$dir/all"
does 'log x'
mkfifo "$dir/todo"
./dump-query "$name" <"$dir/todo" &
producer=$!
started="$started $producer"
exec 9>"$dir/todo"
# Forty at a time, and no more ahead of what was shown than the ring holds.
fed=0
feed() {
	[ $fed -lt 400 ] && [ $((fed - $1)) -lt 40 ] || return 0
	for i in 1 2 3 4; do
		printf 'orders %d %d\nsleep 20\n' $((fed + 1)) $((fed + 10)) >&9
		fed=$((fed + 10))
	done
}
soon 'feed $(jq -r ".rings.orders.sequence // 1" "$cursor" 2>/dev/null || echo 1)
	[ "$fed $(jq -r ".rings.orders.sequence" "$cursor" 2>/dev/null)" = "400 401" ] || {
	follow -f oldest --cursor-file="$cursor" "$name" orders
	sleep 0.$((tries % 5 + 1))
	kill -9 $follow
	wait $follow 2>/dev/null
	numbers | tr " " "\n" | grep . >>"$dir/all"
	false; }'
exec 9>&-
wait $producer
is "killed and begun again, it leaves none out" "$(sort -nu "$dir/all" | wc -l)" 400
ok "and goes on where it was" "$([ "$(wc -l <"$dir/all")" -lt 4000 ]; echo $?)"
rm -f "$cursor".*.tmp

# Another segment, and files that are none
run --cursor-file="$cursor" -t 0.1 "$name" orders >/dev/null
rm "/dev/shm$name"
does 'orders 1 3'
is "another segment" "$(run --cursor-file="$cursor" -t 0.1 "$name" orders; numbers; head -n 1 "$dir/err")" \
"0
1 2 3
shmring-dump: $name: the cursor file is of an earlier segment of this name: beginning anew"
follow --cursor-file="$cursor" "$name" orders
soon 'ls -l "/proc/$follow/fd" 2>/dev/null | grep -q "$name"'
rm "/dev/shm$name"
does 'orders 1 2'
shown 2
stop
does 'orders 3 3'
is "one that came while it ran" "$(run --cursor-file="$cursor" -t 0.1 "$name" orders; numbers)" "0
3"
cp "$cursor" "$dir/good"
jq -c '.rings.orders.position = "800000"' "$dir/good" >"$cursor"
is "beyond the end" "$(run --cursor-file="$cursor" -t 0.1 "$name" orders; numbers; head -n 1 "$dir/err")" \
"0

shmring-dump: orders: the cursor file is beyond the end of it: going on with new records"
bad=
for json in '' '{' '[]' '{"v":2}' '{"v":1,"epoch":"12","rings":[]}' '{"v":1,"epoch":"x","rings":{}}' \
	'{"v":1,"epoch":"12","rings":{"orders":{"position":1,"sequence":"1"}}}' \
	'{"v":1,"epoch":"12","rings":{"orders":{"position":"-8","sequence":"1"}}}' \
	'{"v":1,"epoch":"12","rings":{"orders":{"position":"4","sequence":"1"}}}' \
	'{"v":1,"epoch":"12","rings":{"orders":7}}'; do
	echo "$json" >"$cursor"
	[ "$(run --cursor-file="$cursor" "$name")" = 1 ] && grep -q 'not a cursor file' "$dir/err" ||
		bad="$bad [$json]"
	[ "$(cat "$cursor")" = "$json" ] || bad="$bad [$json: written]"
done
is "files that are none are left alone" "$bad" ""
is "a directory that is not there" "$(run --cursor-file="$dir/no/cursor" -t 0.1 "$name"; cut -d : -f 3 "$dir/err" |
	sed -n 1p)" "1
 No such file or directory"
is "all that was waited for came" "$vain" ""
is "the plan" "$n" $((plan - 1))
