#!/bin/sh
# SPDX-License-Identifier: MIT
# What shmring-dump shows of segments with fixed contents is as it was: tests/golden has a
# file for each command and format. "make golden" writes them anew, to be looked at before
# they are committed.
src=$(cd "${top_srcdir:-.}" && pwd)
build=$(pwd)
golden=$src/tests/golden
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
TZ=UTC
export TZ
unset NO_COLOR
if [ "$(getconf PAGESIZE)" != 4096 ]; then
	echo "1..0 # SKIP sizes are those with pages of 4096 bytes"
	exit 0
fi

# The segments: a stream, a queue, a flight recorder, tables of counters and of records
mkdir "$dir/run" "$dir/out"
cd "$dir/run" || exit 1
"$build/minimal-producer" file:./reading >/dev/null &&
	"$build/jobs" put file:./jobs sweep cook >/dev/null &&
	"$build/blackbox" run file:./box -b 4096 5 >/dev/null &&
	"$build/statistics" work file:./statistics http -n 5 -e 0 >/dev/null || exit 1
# It dies inside its third update.
{ "$build/services" run file:./services web -e 0 --die-in=3; } >/dev/null 2>&1
segments="box jobs reading services statistics"

dump() { # file, arguments: adds to it what is shown, and the exit status
	out=$dir/out/$1
	shift
	"$build/shmring-dump" -d . "$@" >"$dir/shown" 2>&1
	status=$?
	sed -E -f "$src/tests/golden.sed" "$dir/shown" >>"$out"
	[ $status = 0 ] || echo "exit status $status" >>"$out"
}
dump list.names -o names list
for format in text json jsonl; do
	dump list.$format -o $format list
	for command in blame check info locks records schema; do
		for segment in $segments; do
			dump $command.$format -o $format $command $segment
		done
	done
	dump stat.$format -o $format stat
	[ $format = json ] || for segment in $segments; do
		dump follow.$format -o $format follow -f oldest -c 1 $segment
	done
done
for segment in $segments; do dump records.csv -o csv records $segment; done
# A service has its pid in its record.
for segment in box jobs reading statistics; do dump records.hex -o hex records $segment; done
for segment in $segments; do dump schema.c --as=c schema $segment; done
dump schema.diff schema --diff=services statistics
dump schema.diff.json -o json schema --diff=services statistics
for format in openmetrics prometheus; do dump stat.$format -o $format stat; done
dump records.group -g name records services
dump records.raw --raw records jobs
dump help.text --help

cd "$dir/out" || exit 1
if [ "${1:-}" = regenerate ]; then
	mkdir -p "$golden" && rm -f "$golden"/* && cp ./* "$golden"
	exit
fi
set -- *
echo "1..$(($# + 1))"
n=0
for file in "$@"; do
	n=$((n + 1))
	if diff -u "$golden/$file" "$file" >"$dir/diff" 2>&1; then echo "ok $n - $file"; else
		echo "not ok $n - $file"
		sed 's/^/# /' "$dir/diff" | head -n 40
	fi
done
n=$((n + 1))
if [ "$(ls "$golden")" = "$(ls)" ]; then echo "ok $n - nothing else was there"; else
	echo "not ok $n - nothing else was there"
fi
