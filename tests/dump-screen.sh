#!/bin/sh
# SPDX-License-Identifier: MIT
# shmring-dump follow on a terminal, which tmux is: what is on its screen, in which colours,
# and how it is left.
# shellcheck disable=SC2016
name=/screen-$$
plan=37
TZ=UTC
export TZ
command -v tmux >/dev/null || { echo "1..0 # SKIP tmux is not installed"; exit 0; }
. "${top_srcdir:-.}/tests/tap.sh"
. "${top_srcdir:-.}/tests/tmux.sh"
does() { printf '%s\n' "$@" | ./dump-query "$name" || exit 1; }
esc=$(printf '\033')

# A command, between two lines on the screen.
types() {
	: >"$dir/raw"
	keys "clear; echo; echo be''gin; $*; echo en''ded \$?" Enter
	soon 'grep -q "^begin" "$dir/raw"' # it may have left the screen by now
}
follow() { types "./shmring-dump follow $*"; }
# The lines between, on the screen and above its top, as they were before its edge broke
# them, without the time of a record.
between() { awk '/^(\^C)?ended/ { on = 0 } on; /^begin/ { on = 1 }'; }
screen() {
	tm capture-pane "$@" -p -J -S - | between |
		sed -E 's/ *$//; s/ [0-9]{4}(-[0-9]{2}){2}[T ][0-9:.]+Z?( |:)/\2/' >"$dir/screen"
}
on_screen() { soon "screen; $1 \"\$dir/screen\" >/dev/null"; }
last() { on_screen "grep -q \"^orders @[0-9]* #$1[: ]\""; }
ended='^\(\^C\)*ended '
ended() { # its exit status
	soon 'pane; grep -q "$ended" "$dir/pane" && grep -q "$ended" "$dir/raw"'
	screen
	sed -n "s/$ended//p" "$dir/pane"
}
# What was sent to the terminal. No more than the line discipline did is taken back.
raw() { tr -d '\r' <"$dir/raw" | between; }
raw_is_sound() { # text, and whole sequences for colours, which are off at the end of each line
	raw | LC_ALL=C awk -v esc="$esc" '{
		line = $0
		colour = 0
		# The echo of ^C stands anywhere, and what had not been shown by then is dropped.
		torn = sub("(" esc "(\\[[0-9]*)?)?\\^C", "", line)
		while (match(line, esc "\\[(0|1|31|36)m")) {
			colour = substr(line, RSTART + 2, 1) != "0"
			line = substr(line, 1, RSTART - 1) substr(line, RSTART + RLENGTH)
		}
		if (line ~ /[\001-\037\177]/ || (colour && !torn)) print
	}' | cat -v | head -n 5
}
colours() { raw | grep -c "$esc"; } # lines that have some
at_rest() { # other screen, cursor, wrapping; what is not plain in the line of the prompt
	about '#{alternate_on}#{cursor_flag}#{wrap_flag}'
	tm capture-pane -e -p | sed -n '/ready>/p' | tail -n 1 | grep "$esc"
}

# It waits, and shows what comes
terminal 80 24
follow "$name" orders log
on_screen 'grep -q waiting'
is "it waits for a segment" "$(cat "$dir/screen")" "shmring-dump: $name: there is none yet: waiting for it"
does 'orders 1 2' 'order 3 -5 1.5 0.25 three'
last 3
does 'log hello'
on_screen 'grep -q "^log"'
is "and shows what comes, while it is told" "$(cat "$dir/screen")" \
"shmring-dump: $name: there is none yet: waiting for it
orders @0 #1 id=1 delta=0 price=0 ratio=0 levels=[0,0] name=\"mail\" side='S'
orders @64 #2 id=2 delta=0 price=0 ratio=0 levels=[0,0] name=\"dns\" side='S'
orders @128 #3 type 3: id=3 delta=-5 price=1.5 ratio=0.25 levels=[-5,3] name=\"three\" side='B'
log @0 #1: \"hello\""
screen -e
ok "its name is bold" "$(grep -q "^$esc\[1morders$esc\[0m[^ ]* @0 " "$dir/screen"; echo $?)"
ok "those of members have a colour, and nothing else" "$(
	grep -q "3: $esc\[36mid$esc\[[039;]*m=3 $esc\[36mdelta$esc\[[039;]*m=-5 " "$dir/screen"; echo $?)"

# Losses, while the terminal is held by ^S
keys C-s
does 'orders 4 1003'
keys C-q
last 1003
is "what is missing is told in its place, between two records" "$(awk '
	/^orders @/ {
		split($3, number, "[#:]")
		if (number[2] != next_one && next_one) print "not " next_one
		next_one = number[2] + 1
		shown++
	}
	/^orders: [0-9]+ records are missing/ {
		split($6, from, "#")
		split($8, to, "#")
		if (from[2] != next_one || $2 != to[2] - from[2] + 1) print "not in its place"
		next_one = to[2] + 1
		missing += $2
		told++
	}
	END { print (told > 0), shown + missing, next_one }' "$dir/screen")" "1 1003 1004"
screen -e
ok "in red" "$(grep -q "^$esc\[31morders: lost [0-9]* bytes" "$dir/screen" &&
	raw | grep -q "^$esc\[31morders: [0-9]* records are missing, .*$esc\[0m\$"; echo $?)"

# Another segment
rm "/dev/shm$name"
on_screen 'grep -q obsolete'
does 'orders 1 2'
on_screen "awk '/obsolete/ { on = 1 } on && /^orders @[0-9]* #2[: ]/ { is = 1 } END { exit !is }'"
is "what was made anew is followed, after it is told" "$(sed '1,/ #1003 /d' "$dir/screen" | cut -d ' ' -f 1-7)" \
"shmring-dump: $name: the segment is obsolete: it
orders @0 #1 id=1 delta=0 price=0 ratio=0
orders @64 #2 id=2 delta=0 price=0 ratio=0"

# Stopped, and in the foreground again
is "nothing but text and colours was sent" "$(raw_is_sound)" ""
keys C-z
shows "grep -q Stopped"
is "^Z: the terminal is as it was" "$(at_rest)" 011
is "and its modes are" "$(modes)" "$before"
does 'orders 3 4'
keys clear Enter
shows "sh -c '! grep -q Stopped \"\$1\"' sh"
: >"$dir/raw"
keys 'echo; echo be""gin; fg; echo en""ded $?' Enter
last 4
ok "fg: what came meanwhile is shown" "$(grep -q '^orders @[0-9]* #3 ' "$dir/screen"; echo $?)"

# The end
keys C-c
is "^C is no failure" "$(ended)" 0
ok "it says how much there was, last" "$(sed -n '$s/^^*C*//p' "$dir/screen" |
	grep -Eqx 'shmring-dump: [0-9]+ records shown, [0-9]+ bytes lost, [0-9]+ records missing'; echo $?)"
is "the terminal is as it was" "$(at_rest)" 011
is "and its modes are" "$(modes)" "$before"
is "and nothing else was sent" "$(raw_is_sound)" ""

# Where there are colours
follow -f oldest -c 4 "$name" orders
is "on a terminal" "$(ended) $(colours)" "0 4"
follow -f oldest -c 4 "$name" orders '| cat'
is "not into a pipe" "$(ended) $(colours) $(grep -c '^orders' "$dir/screen")" "0 0 4"
follow -f oldest -c 4 "$name" orders ">$dir/file"
is "nor into a file" "$(ended) $(colours) $(grep -c "$esc" "$dir/file") $(grep -c '^orders' "$dir/file")" "0 0 0 4"
follow -f oldest -c 4 --color=never "$name" orders
is "not with --color=never" "$(ended) $(colours)" "0 0"
types NO_COLOR=1 ./shmring-dump follow -f oldest -c 4 "$name" orders
is "nor with NO_COLOR" "$(ended) $(colours)" "0 0"
follow -f oldest -c 4 --color=always "$name" orders '| cat'
is "with --color=always into a pipe" "$(ended) $(colours)" "0 4"
follow -f oldest -c 4 -o jsonl "$name" orders
is "none in JSON" "$(ended) $(colours)" "0 0"
tm kill-session

# A narrow one, and what would move the cursor, clear the screen, or give the window a name
terminal 40 10
title=$(about '#{pane_title}')
does "$(printf 'order 5 -1 0.1 0.5 \033[2Jx\177\233')" \
	"$(printf 'log a\033[2J\033[3;1H\033[31mb\302\233c\033]0;gotcha\007\rd\177\342\200\256e')"
follow -f oldest -c 6 "$name" orders log
is "40 columns: it ends" "$(ended)" 0
is "lines are as they are on a wide one" "$(cat "$dir/screen")" \
	"$(./shmring-dump follow -f oldest -c 6 "$name" orders log 2>&1 |
		sed -E 's/ [0-9]{4}(-[0-9]{2}){2}[T ][0-9:.]+Z?( |:)/\2/')"
is "and control characters are seen" "$(sed -n 's/.* name=\("[^ ]*x[^ ]*\) .*/\1/p; s/^log.*: //p' "$dir/screen")" \
'"\x1b[2Jx\x7f\x9b"
"a\x1b[2J\x1b[3;1H\x1b[31mb\xc2\x9bc\x1b]0;gotcha\x07\rd\x7f\xe2\x80\xaee"'
is "nothing but text and colours was sent" "$(raw_is_sound)" ""
screen -e
is "all of its lines are in colour" "$(grep -c "$esc\[36m" "$dir/screen")$(grep -c "$esc\[1mlog" "$dir/screen")" 51
keys "odd=\$(printf 'file:$dir/\\033]0;gotcha\\007\\033[2J')" Enter
follow '"$odd"'
on_screen 'grep -q waiting'
is "an odd name" "$(cat "$dir/screen")" \
	"shmring-dump: file:$dir/\\x1b]0;gotcha\\x07\\x1b[2J: there is none yet: waiting for it"
keys C-c
is "^C while it waits" "$(ended)" 0
is "the window has the name it had" "$(about '#{pane_title}')" "$title"

# More than a terminal can show
echo 'orders 1 1000000000' | ./dump-query "$name" &
producer=$!
started="$started $producer"
follow "$name" orders
on_screen '[ 100 -lt "$(grep -c ^orders "$dir/screen")" ] && cat'
keys C-c
is "^C in a flood" "$(ended)" 0
kill $producer
wait $producer 2>/dev/null
is "leaves the terminal as it was" "$(at_rest)" 011
is "and whole lines on it" "$(raw_is_sound)" ""

# Without its terminal
follow "$name" orders
soon '[ "$(in_pane)" ] && ls -l "/proc/$(in_pane)/fd" 2>/dev/null | grep -q "$name"'
follow=$(in_pane)
started="$started $follow"
tm kill-server
soon '! kill -0 "$follow" 2>/dev/null'
ok "it ends with its terminal" $?
is "all that was waited for came" "$vain" ""
is "the plan" "$n" $((plan - 1))
