#!/bin/sh
# SPDX-License-Identifier: MIT
# services: daemons that are killed in the middle of an update, and proven dead. statistics:
# sums that are exact, and a reader that changes nothing.
name=/shmring-tables-$$
plan=41
. "${top_srcdir:-.}/tests/tap.sh"
. "${top_srcdir:-.}/tests/processes.sh"

# --- services: a registry

list() { $limit ./services list "$name" 2>&1; }
service() { list | grep "^$1 "; }
beats() { service "$1" | sed -n 's/.* \([0-9]*\) beats$/\1/p'; }
beats_from() { [ "$(beats "$1")" -ge "$2" ] 2>/dev/null; } # service, at least so many
taken() { list | sed -n 's/.*from the dead: //p'; }
# Lines of services: those whose members do not go together, or whose beats go back
whole() {
	awk '{ sub(/^[=+] /, "") } / beats$/ {
		beats = $(NF - 1); sub(/,$/, "", beats)
		load = $0; sub(/.*load /, "", load); sub(/,.*/, "", load)
		state = $0; sub(/.*: /, "", state); sub(/,.*/, "", state)
		if (load * 8 != beats % 8 || (beats > 0 && state != (beats % 2 ? "busy" : "idle")) ||
		    beats + 0 < last[$1]) print "wrong: " $0
		last[$1] = beats + 0; seen++
	} END { print (seen > 0 ? "whole" : "none") }' "$@"
}

is "a registry that is not there" "$(said ./services list "$name")" \
	"services: cannot open /dev/shm$name: No such file or directory
1"
start ./services run "$name" web -n 3 -e 0 >"$dir/web"
web=$!
ended $web
is "a daemon registers, beats and deregisters" "$? $(cat "$dir/web"; list)" \
	"0 web: pid $web is registered
web: 3 beats, and deregistered
0 of 64 slots used; locks taken over from the dead: 0"

start ./services run "$name" db -e 5 >"$dir/db"
db=$!
await beats_from db 1
start ./services watch "$name" >"$dir/watch" 2>&1
watcher=$!
await lines "$dir/watch" 1
start ./services run "$name" web -e 0 --die-in=5 >"$dir/web"
web=$!
ended $web
is "one is killed in the middle of update 5: its record is that of update 4" "$? $(service web)" \
	"137 web pid $web, killed inside an update: idle, load 0.500, 4 beats"
now=$(beats db)
await beats_from db $((now + 5))
is "the others go on" "$? $(service db | sed 's/: .*//')" "0 db pid $db, alive"
await grep -q died "$dir/watch"
await grep -q '^[+=] web .* 4 beats' "$dir/watch"
is "a watcher is told who died" "$(grep died "$dir/watch")" "! pid $web died, as web"
is "and saw its last commit, and no half update" \
	"$(grep '^[+=-] web' "$dir/watch" | tail -n 1 | cut -c 3-; whole "$dir/watch")" \
	"web pid $web: idle, load 0.500, 4 beats
whole"
is "a name is one process's at a time" "$(said ./services run "$name" db)" \
	"services: db is there, and its pid $db lives
1"
start ./services run "$name" web -n 3 -e 0 >"$dir/next"
next=$!
ended $next
is "the next one of that name goes on where the dead one was" "$? $(cat "$dir/next")" \
	"0 web: pid $next goes on for pid $web, which is gone, after 4 beats
web: 3 beats, and deregistered"
await grep -q '^- web' "$dir/watch"
is "which a watcher sees" "$(grep '^[+=-] web' "$dir/watch" | tail -n 1; whole "$dir/watch")" "- web
whole"
is "that a lock was taken over is counted" "$(taken)" 1
end TERM $db
is "SIGTERM ends a daemon well, and it is deregistered" \
	"$? $(sed 's/[0-9]* beats/N beats/' "$dir/db"; list | sed 's/;.*//')" \
	"0 db: pid $db is registered
db: N beats, and deregistered
0 of 64 slots used"
await grep -q '^- db' "$dir/watch"
end TERM $watcher
is "and a watcher" "$? $(tail -n 1 "$dir/watch")" "0 - db"

# Not time, but a lock of the kernel says who is gone.
start ./services run "$name" slow -e 0 >"$dir/slow"
slow=$!
await beats_from slow 10
stop $slow
is "one that is stopped lives" "$(service slow | sed 's/:.*//')" "slow pid $slow, alive"
is "so it is not removed" "$(said ./services clean "$name"; service slow | sed 's/:.*//')" "0
slow pid $slow, alive"
end KILL $slow
is "killed, it is gone, and its record is whole" \
	"$? $(service slow | sed 's/:.*//; s/killed inside an update/gone/'; list | whole)" \
	"137 slow pid $slow, gone
whole"
is "and removed" "$(said ./services clean "$name"; list | sed 's/;.*//')" \
	"removed slow of pid $slow, which is gone
0
0 of 64 slots used"
is "once" "$(said ./services clean "$name")" 0
start ./services run "$name" early -d 1 >"$dir/early"
early=$!
ended $early
start ./services run "$name" idle -e 1000000 >"$dir/idle"
idle=$!
await beats_from idle 1
is "what a dead one left is its own, whoever has its number now" \
	"$(service early; service idle | sed 's/:.*//')" \
	"early pid $early, killed inside an update: new, load 0.000, 0 beats
idle pid $idle, alive"
end TERM $idle

start ./services watch "$name" --remove >"$dir/watch" 2>&1
watcher=$!
await grep -q '^removed early' "$dir/watch"
is "a watcher removes who died before it came" "$(grep removed "$dir/watch")" \
	"removed early of pid $early, which is gone"
start ./services run "$name" web -e 1 >"$dir/web"
web=$!
await grep -q '^+ web' "$dir/watch"
end KILL $web
await grep -q '^- web' "$dir/watch"
is "and who dies while it watches" "$(grep -v '^[=+]' "$dir/watch"; whole "$dir/watch")" \
	"removed early of pid $early, which is gone
- early
! pid $web died, as web
removed web of pid $web, which is gone
- web
whole"
end TERM $watcher

# One after the other is killed at any instruction, and replaced.
inside=$(taken)
i=0 killed='' took=''
while [ $i -lt 20 ]; do
	i=$((i + 1))
	start ./services run "$name" db -e 0 >"$dir/db"
	db=$!
	await grep -q 'registered\|goes on' "$dir/db"
	[ $i = 1 ] || took="$took$(sed 's/.*\(goes on for pid [0-9]*\), .*/\1/' "$dir/db" | grep -cx "goes on for pid $before")"
	sleep "0.0$(random)"
	end KILL $db
	killed="$killed$? "
	before=$db
	service db >>"$dir/states"
done
is "20 are killed at some instruction, each goes on for the one before" "$killed$took" \
	"137 137 137 137 137 137 137 137 137 137 137 137 137 137 137 137 137 137 137 137 1111111111111111111"
is "with whole records, whose beats never go back" "$(whole "$dir/states")" whole
echo "# $(beats db) beats, $(($(taken) - inside)) of 19 killed inside an update"

# Two at a time for one dead one's name
i=0
while [ $i -lt 10 ]; do
	i=$((i + 1))
	start ./services run "$name" db -e 5 >"$dir/one" 2>&1
	one=$!
	start ./services run "$name" db -e 5 >"$dir/two" 2>&1
	two=$!
	await lines "$dir/one" 1
	await lines "$dir/two" 1
	cat "$dir/one" "$dir/two" >>"$dir/both"
	kill -9 $one $two 2>/dev/null
	ended $one
	ended $two
done
is "of two that want the name of a dead one, one gets it" \
	"$(grep -c 'goes on for' "$dir/both") $(grep -c 'is there, and its pid' "$dir/both")" "10 10"
is "a name is shown without what moves a terminal" \
	"$($limit ./services run "$name" "$(printf 'a\033b')" -d 1 >/dev/null 2>&1; service 'a?b' | sed 's/pid [0-9]*/pid P/')" \
	"a?b pid P, killed inside an update: new, load 0.000, 0 beats"
is "a name of 24 bytes" "$($limit ./services run "$name" 123456789-123456789-1234 -n 1 | sed "s/pid [0-9]*/pid P/")" \
	"123456789-123456789-1234: pid P is registered
123456789-123456789-1234: 1 beats, and deregistered"

start ./services run "$name" web -e 5 >"$dir/web" 2>&1
web=$!
await beats_from web 1
start ./services watch "$name" >"$dir/watch" 2>&1
watcher=$!
await lines "$dir/watch" 1
anew
ended $web
status=$?
ended $watcher
is "the segment is removed: daemon and watcher end, and say so" \
	"$status $? $(tail -n 1 "$dir/web") $(tail -n 1 "$dir/watch")" \
	"1 1 services: the segment is obsolete: it was unlinked or replaced services: the segment is obsolete: it was unlinked or replaced"
is "services: bad options" "$(bad ./services; bad ./services run a; bad ./services run a ''
	bad ./services run a 123456789-123456789-12345; bad ./services list; bad ./services list a b
	bad ./services nothing a; bad ./services run a b -n x)" \
	"$(for i in 1 2 3 4 5 6 7 8; do echo "usage: services"; echo 2; done)"

# --- statistics: counters

show() { $limit ./statistics show "$name" -n 1 2>&1; }
work() { $limit ./statistics work "$name" "$@" 2>&1; }
# Row, field: its number
number() { show | awk -v row="$1" -v field="$2" '/^[^ ]/ { in_row = $0 == row } in_row && $1 == field { print $2 }'; }
number_from() { [ "$(number "$1" "$2")" -ge "$3" ] 2>/dev/null; } # row, field, at least so much
anew
is "statistics that are not there" "$(said ./statistics show "$name")" \
	"statistics: cannot open /dev/shm$name: No such file or directory
1"
start ./statistics work "$name" http -e 0 -n 200000 >"$dir/one"
one=$!
start ./statistics work "$name" http -e 0 -n 200000 >"$dir/two"
two=$!
start ./statistics work "$name" smtp -e 0 -n 1000 >"$dir/three"
three=$!
ended $one
status=$?
ended $two
status="$status $?"
ended $three
is "three workers end well" "$status $? $(cat "$dir/one" "$dir/two" "$dir/three")" \
	"0 0 0 http: answered 200000 requests
http: answered 200000 requests
smtp: answered 1000 requests"
# Which row is the first depends on who came first.
rows() { awk '/^[^ ]/ { row = $0 } { print row ":" $0 }' | LC_ALL=C sort -s -t : -k 1,1 | sed 's/[^:]*://; s/  */ /g'; }
is "the sums are exact; names, units and help are the segment's" "$(show | rows)" \
	"http
 requests 400000 requests answered, well or not
 bytes 199800000 bytes sent to clients
 errors 4000 requests answered with an error
 workers 2 times a worker began
smtp
 requests 1000 requests answered, well or not
 bytes 499500 bytes sent to clients
 errors 10 requests answered with an error
 workers 1 times a worker began"
before=$(cksum <"/dev/shm$name")
is "of who does not work the rate is zero" \
	"$($limit ./statistics show "$name" -n 2 -e 10000 | grep -c ' 0\.0/s ')" 8
is "looking changes nothing" "$(cksum <"/dev/shm$name")" "$before"

# The rate of requests is what was added, by the time between the looks: at least 0.1 s, and not
# more than both of them took.
rate() {
	began=$(date +%s.%N)
	$limit ./statistics show "$name" -n 2 -e 100000 >"$dir/looks"
	awk -v took="$(echo "$(date +%s.%N) $began" | awk '{ print $1 - $2 }')" '/^[^ ]/ { in_row = $0 == "live" }
		in_row && $1 == "requests" { look++; before = now; now = $2; rate = $4 + 0 }
		END { if (look == 2 && now > before && rate > 0)
			print ((now - before) / rate > 0.099 && (now - before) / rate <= took ? "right" : "wrong") }' "$dir/looks"
}
has_rate() { rate >"$dir/rate" && [ -s "$dir/rate" ]; }
start ./statistics work "$name" live -e 0 >"$dir/live"
live=$!
await number_from live requests 1
await has_rate
is "of one that works it is what it added a second" "$(cat "$dir/rate")" right
end TERM $live
is "SIGTERM ends a worker well, and what it added is there" \
	"$? $(sed -n 's/.*answered \([0-9]*\) .*/\1/p' "$dir/live")" "0 $(number live requests)"

# Killed between two additions, each number is one or the other.
i=0 killed=''
while [ $i -lt 10 ]; do
	i=$((i + 1))
	start ./statistics work "$name" "row-$i" -e 0 >/dev/null
	pid=$!
	await number_from "row-$i" requests 1
	sleep "0.0$(random)"
	end KILL $pid
	killed="$killed$? "
done
sums() { # rows whose bytes and errors are not those of as many requests, or of one more
	show | awk 'function bytes(n) { return int(n / 1000) * 499500 + (n % 1000) * (n % 1000 + 1) / 2 }
		/^[^ ]/ { row = $0 } $1 == "requests" { n = $2 }
		$1 == "bytes" && /clients/ && $2 != bytes(n) && $2 != bytes(n + 1) { bad[row] }
		$1 == "errors" && $2 != int(n / 100) && $2 != int((n + 1) / 100) { bad[row] }
		/^row/ { seen++ } END { for (row in bad) if (row ~ /^row/) print row; print seen }'
}
is "ten workers are killed, and their numbers are whole" "$killed$(sums)" \
	"137 137 137 137 137 137 137 137 137 137 10"
is "services are no counters" "$(anew; $limit ./services run "$name" web -n 1 -e 0 >/dev/null
	said ./statistics show "$name")" "statistics: $name is no table of counters
1"
is "statistics are no services" "$(anew; work http -n 1 >/dev/null; said ./services list "$name")" \
	"services: the records are service here, statistics in the segment
1"
start ./statistics work "$name" http -e 0 >"$dir/live" 2>&1
live=$!
await number_from http workers 2
start ./statistics show "$name" -e 10000 >"$dir/show" 2>&1
shower=$!
await lines "$dir/show" 10
anew
ended $live
status=$?
ended $shower
is "the segment is removed: worker and reader end, and say so" \
	"$status $? $(tail -n 1 "$dir/live") $(tail -n 1 "$dir/show")" \
	"1 1 statistics: the segment is obsolete: it was unlinked or replaced statistics: the segment is obsolete: it was unlinked or replaced"
is "statistics: bad options" "$(bad ./statistics; bad ./statistics work a; bad ./statistics work a ''
	bad ./statistics work a 123456789-1234567; bad ./statistics show; bad ./statistics show a b
	bad ./statistics nothing a; bad ./statistics show a -e x)" \
	"$(for i in 1 2 3 4 5 6 7 8; do echo "usage: statistics"; echo 2; done)"
is "help" "$(for i in services statistics; do $limit ./$i --help | head -n 1; done)" \
	"usage: services run SEGMENT NAME [-e MS] [-n N] [-d N]
usage: statistics work SEGMENT SERVICE [-e US] [-n N]"

# The examples of the man page, each in a function; not the last one, which is a terminal
{
	echo '#include <shmring/shmring.h>
#include <err.h>
#include <errno.h>
extern struct shr_table *table;
extern uint32_t slot;
extern size_t offset;
extern uint64_t value;
void show(struct shr_table *, uint32_t);'
	awk '/^\.Bd -literal/ { on = ++count < 4; if (on) print "void example_" count "(void); void example_" count "(void) {" }
		/^\.Ed/ && on { print "}"; on = 0 } on && !/^\.Bd/ { gsub(/\\e/, "\\"); print }' "${top_srcdir:-.}/lib/shmring-table.7"
} >"$dir/page.c"
is "the examples of shmring-table(7) compile" "$(grep -c '^void example' "$dir/page.c") $(
	${CC:-cc} -std=c11 -Wall -Wextra -Werror -fsyntax-only -I"${top_srcdir:-.}/include" "$dir/page.c" 2>&1)" "3 "
