#!/bin/sh
# SPDX-License-Identifier: MIT
# shmring-dump top: on a terminal of several sizes, which tmux is, and once as text.
# shellcheck disable=SC2016
name=/top-$$
plan=76
. "${top_srcdir:-.}/tests/tap.sh"
. "${top_srcdir:-.}/tests/tmux.sh"
status() { ./shmring-dump "$@" >"$dir/out" 2>"$dir/err" </dev/null; echo $?; }
TZ=UTC
export TZ

./feed send "$name" -e 2000 -b 16777216 >/dev/null &
feed=$!
started="$started $feed"
soon '[ -e "/dev/shm$name" ]'
./feed watch "$name" screen --lossy >/dev/null &
screen=$!
started="$started $screen"
soon 'dump info "$name" | grep -q "^ *screen: lossy"'
./feed watch "$name" audit --durable -n 1 >/dev/null
./services run "$name-2" web -e 10 >/dev/null &
started="$started $!"
soon '[ -e "/dev/shm$name-2" ]'
./services run "$name-2" db -e 1 -d 3 >/dev/null 2>&1
./dump-segment odd "$name-3" || exit 1

# Once, as text
dump top --once -i 1 "$name" "$name-2" "$name-3" "$name-no" >"$dir/out"
is "a segment that is not there is told" "$?$(grep -c "^$name-no .*No such file" "$dir/out")" 31
row() { sed -n "s,^$1  *,,p" "$dir/out" | sed -E 's/  +/ /g'; }
between() { # value, least, most
	echo "$1 $2 $3" | awk '{exit !($1>=$2 && $1<=$3)}'
}
# About 500 a second, of 48 bytes; a busy machine makes that less.
set -- $(row "$name ring")
ok "records a second: $1" "$(between "$1" 20 510; echo $?)"
bytes=$(echo "$2" | awk '{k=sub(/k/,""); print $0*(k?1000:1)}')
ok "bytes a second: $2, 48 for each" "$(between "$bytes" "$(echo "$1" | awk '{print $1*46}')" "$(echo "$1" | awk '{print $1*50}')"; echo $?)"
is "who produces" "$7 $8 $9 ${10}" "feed $feed as send"
set -- $(row "  > screen")
ok "a consumer reads as fast: $1" "$(between "$1" 20 510; echo $?)"
is "and is that process" "$8" "$screen"
set -- $(row "  > audit")
ok "one that is away stands still, and falls behind: $1, lag $3" "$([ "$1" = 0.0 ] && [ "$3" != 0 ]; echo $?)"
set -- $(row "$name-2 table")
ok "changes a second of a table: $1" "$(between "$1" 1 110; echo $?)"
is "its slots" "$2 $3 $4" "2 64 3%"
is "one of counters has no changes" "$(row "$name-3 table" | sed 's/ [^ ]* counters/ B counters/')" "1 3 33% ###....... B counters"
is "members" "$(sed -n 's/^\/top-[0-9]*-2 [0-9][0-9]* *//p' "$dir/out" | sed 's/pid [0-9]*/pid P/' | sort)" \
	"alive pid P services as web
dead pid P services as db"
is "no control character" "$(LC_ALL=C tr -d '\n -~\200-\377' <"$dir/out" | wc -c)" 0
./services run "$name-2" db -e 1 -n 2 >/dev/null
dump top --once -i 0.1 "$name-2" >"$dir/out"
set -- $(row "$name-2 table")
is "who died inside and was replaced" "$6" 1
./blackbox run "$name-4" 1000 >/dev/null
dump top --once -i 0.1 "$name-4" >"$dir/out"
is "a flight recorder has no lag" "$(row "$name-4 ring" | sed 's/ .*//')" "0.0"
is "and no fill" "$(grep -c '%' "$dir/out")" 0
rm "/dev/shm$name-4"

# Nothing is trusted
odd=$(printf 'file:%s/\033[2J\177\302\233x' "$dir")
is "an odd name" "$(status top --once -i 0.01 "$odd"; sed 's/ .*//' "$dir/out")" "3
file:$dir/\\x1b[2J\\x7f\\xc2\\x9bx"
i=0
set --
while [ $i -lt 60 ]; do
	i=$((i + 1))
	./dump-segment damage "$name-2" $i "$dir/bad-$i" || exit 1
	set -- "$@" "file:$dir/bad-$i"
done
timeout 60 ./shmring-dump top --once -i 0.1 "$@" >"$dir/out" 2>"$dir/err"
case $? in 0 | 1 | 5 | 6) got=0 ;; *) got=1 ;; esac
ok "damaged segments are shown or told, never a crash" $got
is "each of them" "$(sed -n 's/^file:.*bad-\([0-9]*\) .*/\1/p' "$dir/out" | sort -nu | wc -l)" 60
is "and no control character" "$(LC_ALL=C tr -d '\n -~\200-\377' <"$dir/out" | wc -c)" 0

# Where it refuses
is "no terminal" "$(status top "$name"; cat "$dir/err")" "2
shmring-dump: top needs a terminal; see --once, and stat -i"
is "no JSON" "$(status top --once -o json "$name")" 2

if ! command -v tmux >/dev/null; then
	while [ $n -lt $((plan - 1)) ]; do
		n=$((n + 1))
		echo "ok $n - on a terminal # SKIP tmux is not installed"
	done
	is "the plan" "$n" $((plan - 1))
	exit
fi

# On a terminal
start() { # columns, rows, command
	terminal "$1" "$2"
	keys "$3; echo status \$?" Enter
	shows "grep -q '^shmring t'"
}
# What went to the terminal: text at places, and nothing but what top has to say.
raw_is_sound() { # columns
	LC_ALL=C.UTF-8 awk -v columns="$1" 'BEGIN { RS="\033"; on=0 }
	/^\[\?1049h/ { on=1 }
	/^\[\?1049l/ { on=0 }
	!on { next }
	!/^\[(\?(1049|25|7)[hl]|[0-9]+;[0-9]+H|[01]m|31m|[2]?J|K)/ { print "no sequence of ours: " $0 }
	{ sub(/^\[[?0-9;]*[a-zA-Z]/, "") }
	/[\001-\037\177]/ { print "control character: " $0 }
	length($0) > columns { print "too long: " $0 }' "$dir/raw" | head -n 5
}
for size in 80x24 40x10 200x50 10x3; do
	columns=${size%x*}
	rows=${size#*x}
	unset before_is
	start "$columns" "$rows" "./shmring-dump top -i 0.2 $name $name-2 $name-3"
	soon 'pane; sed -n 3p "$dir/pane" | grep -q ^/top-'
	ok "$size: the other screen, without a cursor" "$([ "$(about '#{alternate_on}#{cursor_flag}')" = 10 ]; echo $?)"
	if [ "$rows" = 3 ]; then
		is "$size: what there is room for" "$(cut -c -4 "$dir/pane")" "shmr
RING
/top"
	else
		is "$size: the first and last line" "$(sed -n '1s/top.*/top/p; $s/pause.*/pause/p' "$dir/pane")" "shmring top
q quit  space pause"
		is "$size: rings and their cursors in order" "$(sed -n '2,5p' "$dir/pane" | sed 's/^  > /> /; s/^\(> \)*\([^ ]*\).*/\1\2/')" \
			"RING
$name
> screen
> audit"
	fi
	is "$size: lines" "$(wc -l <"$dir/pane")" "$rows"
	case $columns in
	80) ok "$size: bars and lags" "$(sed -n 3p "$dir/pane" | grep -Eq ' [0-9]+% [#.]{10} '; echo $?)" ;;
	200) ok "$size: who" "$(grep -q "^$name ring .* feed $feed as send" "$dir/pane"; echo $?)" ;;
	40)
		soon 'pane; sed -n 3p "$dir/pane" | grep -Eq " +[0-9.]+ +[0-9]+%$"'
		ok "$size: rate and fill" $?
		;;
	esac
	keys q
	shows "grep -q '^status 0'"
	[ "$rows" = 3 ] || before_is='^before'
	ok "$size: q ends it, and the screen is as it was" "$(grep -q "${before_is-^status}" "$dir/pane" &&
		[ "$(about '#{alternate_on}#{cursor_flag}#{wrap_flag}')" = 011 ]; echo $?)"
	is "$size: and its modes are" "$(modes)" "$before"
	is "$size: nothing else was sent" "$(raw_is_sound "$columns")" ""
	tm kill-session
done

# Keys
start 60 10 "./shmring-dump top -i 0.2 $name $name-2 $name-3"
keys Space
shows "grep -q 'top [0-9:]* PAUSED'"
one=$(sed 1d "$dir/pane")
sleep 0.7
pane
is "space: nothing moves" "$(sed 1d "$dir/pane")" "$one"
keys Space
soon 'pane; [ "$(sed 1d "$dir/pane")" != "$one" ]'
ok "space again: it does" $?
keys j
soon 'pane; sed -n 2p "$dir/pane" | grep -q "^$name ring"'
ok "j: a line down" $?
keys Down
soon 'pane; sed -n 2p "$dir/pane" | grep -q "> screen"'
ok "down: another" $?
keys NPage
soon 'pane; sed -n 9p "$dir/pane" | grep -q "^$name-2 1"'
ok "page down: to the end, and no further" $?
keys PPage k Up k
soon 'pane; sed -n 2p "$dir/pane" | grep -q "^RING"'
ok "page up, k, up: back" $?
keys s
shows "grep -q 'by rate'"
soon 'pane; sed -n 7p "$dir/pane" | grep -q "^$name-2 table"'
ok "s: by rate, the table that changes first" $?
keys s
soon 'pane; grep -q "by fill" "$dir/pane" && sed -n 7p "$dir/pane" | grep -q "^$name-3 table"'
ok "s again: by fill, the fullest first" $?
keys + + +
soon 'pane; grep -q "every 2 s" "$dir/pane"'
ok "+: a longer interval" $?
keys - - - - -
soon 'pane; grep -q "every 0.1 s" "$dir/pane"'
ok "-: a shorter one" $?

# Sizes, signals, segments that come and go. When it pauses it must not wait for an interval.
keys Space
shows "grep -q PAUSED"
tm resize-window -x 100 -y 40
soon 'pane; [ "$(wc -l <"$dir/pane")" = 40 ] && sed -n 40p "$dir/pane" | grep -q "^q quit" && grep -q "^$name-2 1" "$dir/pane"'
ok "a larger window is filled" $?
tm resize-window -x 30 -y 6
soon 'pane; sed -n 6p "$dir/pane" | grep -q "^q quit"'
ok "a smaller one, too" $?
keys Space
tm resize-window -x 100 -y 40
pane
rm "/dev/shm$name-3"
soon 'pane; grep -q "^$name-3 .*No such file" "$dir/pane"'
ok "a segment that goes is told" $?
./dump-segment odd "$name-3"
soon 'pane; grep -q "^$name-3 table" "$dir/pane"'
ok "and shown when it comes again" $?
kill -9 "$screen"
wait "$screen" 2>/dev/null
soon 'pane; grep -q "^  > screen .* dead: feed" "$dir/pane" && grep -q "^$name [0-9]* *dead pid $screen feed" "$dir/pane"'
ok "a consumer that died is told" $?
top=$(in_pane)
started="$started $top"
keys C-z
shows "grep -q Stopped"
ok "^Z: the screen is as it was" "$([ "$(about '#{alternate_on}#{cursor_flag}')" = 01 ] && grep -q ^before "$dir/pane"; echo $?)"
is "and its modes are" "$(modes)" "$before"
keys "fg; echo status \$?" Enter
soon 'pane; sed -n 1p "$dir/pane" | grep -q "shmring top"'
ok "fg: it goes on" "$([ "$(about '#{alternate_on}#{cursor_flag}')" = 10 ]; echo $?)"
for signal in INT TERM; do
	kill -$signal "$top"
	shows "grep -q '^status 0'"
	is "SIG$signal ends it well, the screen is as it was" "$? $(about '#{alternate_on}#{cursor_flag}')" "0 01"
	is "SIG$signal: and its modes are" "$(modes)" "$before"
	keys "clear; ./shmring-dump top -i 0.2 $name; echo status \$?" Enter
	shows "grep -q '^shmring top'"
	top=$(in_pane)
	started="$started $top"
done
keys Space
shows "grep -q PAUSED"
tm kill-server
soon '! kill -0 "$top" 2>/dev/null'
ok "it ends with its terminal" $?
is "all that was waited for came" "$vain" ""
is "the plan" "$n" $((plan - 1))
