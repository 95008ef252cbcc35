#!/bin/sh
# SPDX-License-Identifier: MIT
# shmring load and restore, shmring-dump check and save: how far they are stands on a terminal,
# and nowhere else; and of a save that is interrupted nothing is left.
command -v script >/dev/null || { echo "1..0 # SKIP there is no script(1)"; exit 0; }
name=/shmring-progress-$$
plan=25
. "${top_srcdir:-.}/tests/tap.sh"
to=/dev/shm$name-to
# Not libtool's script: it is to be killed.
dump=$PWD/.libs/shmring-dump
[ -x "$dump" ] || dump=$PWD/shmring-dump
LD_LIBRARY_PATH=$PWD/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
now() { date +%s%N | cut -c 1-13; } # ms
# One every 20 ms, about 1.6 s.
slowly() { i=0; while [ $i -lt 80 ]; do i=$((i + 1)); sleep 0.02; echo '{"object":"t","bytes":"abc"}'; done; }
# A command on a terminal of its own, and what it wrote there, with "<" for "clear the line".
on_terminal() {
	script -qec "$1" /dev/null </dev/null >"$dir/typed"
	tr '\r' '@' <"$dir/typed" | sed 's/@\x1b\[K/</g; s/@$//'
}
lines() { sed 's, records were loaded,,' | grep -o '<shmring: [0-9]* records' | wc -l; }

./shmring create "$name" --table=t,slots=1000,record_size=3 || exit 1
mkfifo "$dir/slow"
slowly >"$dir/slow" &
start=$(now)
on_terminal "./shmring load $name $dir/slow" >"$dir/seen"
ms=$(($(now) - start))
count=$(lines <"$dir/seen")
is "work of more than a second is shown" "$([ "$count" -ge 1 ] && echo yes)" yes
is "at most five times a second, and not in the first" "$([ "$count" -le $((ms / 200 - 4)) ] && echo yes)" yes
is "it is cleared at the end" "$(tail -n 1 "$dir/seen" | sed 's/.*</</')" "<shmring: 80 records were loaded"

slowly >"$dir/slow" &
on_terminal "./shmring load $name $dir/slow >$dir/out" >"$dir/seen"
more=$(lines <"$dir/seen")
is "also in the first where stdout is not the terminal" "$([ "$more" -ge 1 ] && echo yes)" yes
is "and to that nothing is written" "$(wc -c <"$dir/out")" 0

slowly >"$dir/slow" &
./shmring load "$name" "$dir/slow" >"$dir/out" 2>&1
is "without a terminal only what is said at the end" "$(cat "$dir/out")" "shmring: 80 records were loaded"
slowly >"$dir/slow" &
script -qec "./shmring load $name $dir/slow 2>$dir/err" /dev/null </dev/null >"$dir/typed"
is "not on a terminal that is stdout only" "$(wc -c <"$dir/typed"):$(cat "$dir/err")" "0:shmring: 80 records were loaded"

# A message does not stand behind the line.
slowly | sed '75s/.*/{"object":"none"}/' >"$dir/slow" &
on_terminal "./shmring load $name $dir/slow" >"$dir/seen"
is "a message clears it" "$(grep -c '<shmring: line 75: ' "$dir/seen")" 1

# --- What takes long by itself
./dump-big many "$dir/many" || exit 1
./dump-big torn "$dir/torn" || exit 1
mkdir "$to"
shown() { [ "$(grep -c "<$1" "$dir/seen")" -ge 1 ] && echo yes; }
last() { tail -n 1 "$dir/seen" | sed 's/.*<//'; }
on_terminal "./shmring restore $name-2 $dir/many >$dir/out" >"$dir/seen"
is "restore is shown" "$(shown 'shmring: [0-9]* records of rings and 0 of tables<')" yes
is "and cleared at the end" "$(last)" "shmring: 100000 records of rings and 0 of tables restored"
on_terminal "$dump -r $dir/many check >$dir/out" >"$dir/seen"
is "check is shown" "$(shown 'shmring-dump: [0-9]* of 8 MiB<')" yes
is "and cleared at the end" "$(last):$(cat "$dir/out")" ":no damage"
on_terminal "$dump -r $dir/torn save $to/whole >$dir/out" >"$dir/seen"
is "save is shown" "$(shown 'shmring-dump: [0-9]* of [0-9]* MiB<')" yes
is "and cleared at the end" "$(last):$(cat "$dir/out")" ":"
is "what it says is bytes of all, and never less" "$(tr '<' '\n' <"$dir/seen" | awk '
	$4 && ($2 > $4 || $2 < done) { print } { done = $2 }')" ""
"$dump" -r "$dir/many" check >"$dir/out" 2>"$dir/err"
is "without a terminal check says nothing of it" "$(cat "$dir/out" "$dir/err")" "no damage"
"$dump" -r "$dir/many" save "$to/many" >"$dir/out" 2>"$dir/err"
is "nor does save" "$(cat "$dir/out" "$dir/err")" ""

# --- A save that is interrupted
mkfifo "$dir/keys"
# Save on a terminal, until it is shown and then $1 is done: its exit status. Where the tests
# run in the background ^C is ignored, but for this.
heard=
env --default-signal=INT true 2>/dev/null && heard="env --default-signal=INT"
interrupted() {
	rm -f "$dir/typed" "$dir/pid" "$to/cut"
	{
		soon 'grep -q MiB "$dir/typed" 2>/dev/null' && eval "$1"
		soon '[ -e "$dir/ended" ]'
	} >"$dir/keys" &
	script -qec "echo \$\$ >$dir/pid; exec $heard $dump -r $dir/torn save $to/cut >$dir/out" /dev/null \
		<"$dir/keys" >"$dir/typed"
	echo $?
	: >"$dir/ended"
	wait
	rm "$dir/ended"
	tr '\r' '@' <"$dir/typed" | sed 's/@\x1b\[K/</g; s/@$//' >"$dir/seen"
}
is "^C ends it as it ends others" "$(interrupted "printf '\\003'")" 130
is "and nothing is left, of the file or on the terminal" "$(ls "$to/cut" 2>&1 | grep -c 'No such'):$(last)" 1:
is "SIGKILL ends it" "$(interrupted 'kill -9 "$(cat "$dir/pid")"')" 137
is "and of the file nothing is left" "$(ls "$to/cut" 2>&1 | grep -c 'No such')" 1

# --- Beside what others write
if command -v strace >/dev/null && strace -o "$dir/trace" true 2>/dev/null; then
	whole() { # a program, its arguments: lines, and writes that are not one
		strace -qq -s 9999 -o "$dir/trace" -e trace=write -e write=none "$@" >/dev/null 2>"$dir/err"
		echo "$(wc -l <"$dir/err") $(grep '^write(2, ' "$dir/trace" | grep -cv '\\n", [0-9]*) *= ')"
	}
	is "what shmring-dump says comes in whole lines" \
		"$(whole "$dump" records "$name" --query 'x ==')" "3 0"
	is "what shmring says does" "$(whole "${dump%-dump}" send "$name" none)" "1 0"
else
	for i in 1 2; do n=$((n + 1)) && echo "ok $n # SKIP strace may not trace here"; done
fi

# --- Where the filesystem has no files without a name
command -v strace >/dev/null && strace -qq -o "$dir/trace" -e inject=openat:error=EOPNOTSUPP true 2>/dev/null
if ! grep -q INJECTED "$dir/trace" 2>/dev/null; then
	for i in 1 2; do n=$((n + 1)) && echo "ok $n # SKIP strace may not change what happens here"; done
	exit 0
fi
named() { # a command, with no such file in $to
	strace -f -qq -o "$dir/trace" -P "$to" -e trace=openat -e inject=openat:error=EOPNOTSUPP "$@"
}
named "$dump" -r "$dir/many" save "$to/named"
is "it has its name from the beginning" \
	"$(grep -c 'O_TMPFILE.*INJECTED' "$dir/trace"):$(cmp "$to/named" "$to/many" && echo same)" 1:same
named sh -c "echo \$\$ >$dir/pid; exec $dump -r $dir/torn save $to/cut" 2>/dev/null &
soon '[ -e "$to/cut" ]' || echo "# there was no file"
kill -TERM "$(cat "$dir/pid")"
wait $! 2>/dev/null
is "and loses it when it is interrupted" "$?:$(ls "$to/cut" 2>&1 | grep -c 'No such')" 143:1
exit 0
