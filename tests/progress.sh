#!/bin/sh
# SPDX-License-Identifier: MIT
# shmring load and restore: how far they are stands on a terminal, and nowhere else.
name=/shmring-progress-$$
dir=$(mktemp -d)
trap 'rm -rf "$dir" "/dev/shm$name" "/dev/shm$name-2"' EXIT
trap 'exit 1' INT TERM
command -v script >/dev/null || { echo "1..0 # SKIP there is no script(1)"; exit 0; }
echo 1..8
n=0
is() { # description, got, wanted
	n=$((n + 1))
	if [ "$2" = "$3" ]; then echo "ok $n - $1"; else
		echo "not ok $n - $1"
		printf '%s\n' "$2" | sed 's/^/# got:    /'
		printf '%s\n' "$3" | sed 's/^/# wanted: /'
	fi
}
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
exit 0
