#!/bin/sh
# SPDX-License-Identifier: MIT
# What README.md shows of the results of a bench:
#
#   report.sh table RESULTS            the table, in Markdown
#   report.sh chart RESULTS FILE.svg   the chart
#   report.sh readme RESULTS README    the table in the place of the one that is there
#
# Needs jq, and the chart gnuplot. Only rows of two cores that share no cache ("far").
set -eu
results=$2

table() {
	jq -r '
	def row($what; $of; $against): first(.rows[] | select(.placement == "far" and
			.name == $of and .against == $against)) as $r |
		first(.rows[] | select(.placement == "far" and .name == $against)) as $a |
		"| \($what) | \($r.value) \($r.unit) | \($against | sub("^.*: "; "") | sub(", size known"; "")), \($a.value) \($a.unit) | \($r.ratio * 100 | round / 100) |";
	def to_one($size; $of; $against): "1 to 1, \($size) bytes: " as $g |
		row("one to one, \($size) bytes"; $g + $of; $g + $against);
	"Medians on an \(.machine | sub(",.*"; "")), two cores that share no cache. Ratio: ours to theirs.\n",
	"| | shmring | beside it | ratio |",
	"|---|---|---|---|",
	(to_one(64; "shmring, inline, size known"; ("boost spsc_queue", "ck_ring", "ideal-dirty, size known"))),
	(to_one(64; "shmring, plain calls, size known"; ("libqb", "pipe", "zmq ipc"))),
	(to_one(4096; "shmring, plain calls, size known"; ("libqb", "pipe"))),
	("2 to 1, 64 bytes: " as $g | row("two to one, 64 bytes"; $g + "shmring, inline";
		($g + "boost message_queue", $g + "POSIX mq"))),
	("round trip, 64 bytes, p50: " as $g |
		row("round trip, busy"; $g + "shmring, busy"; $g + "a line there and back"),
		row("round trip, asleep"; $g + "shmring, _until, asleep"; $g + "futex, asleep")),
	("one thread, write and read, 8 bytes: " as $g |
		row("one thread, write and read, 8 bytes"; $g + "shmring, inline"; $g + "the leanest slot queue")),
	("locks and events: " as $g | row("mutex, lock and unlock"; $g + "shmring mutex, lock and unlock";
		$g + "robust pthread mutex, lock and unlock")),
	("tables, a record of 64 bytes: " as $g | row("table, write a record of 64 bytes"; $g + "shmring, write";
		$g + "robust pthread mutex and memcpy"))
	' "$results"
}

# A column for each queue, a line for each size; "-" where there is none.
numbers() {
	jq -r '
	("shmring, inline, size known", "boost spsc_queue", "ck_ring", "libqb", "zmq ipc", "pipe", "POSIX mq")
		as $queue | "\"" + ($queue | sub(", inline.*"; "")) + "\"",
	((8, 64, 256, 1024, 4096, 65536) as $size | "\($size) \(first(.rows[] |
		select(.placement == "far" and .name == "1 to 1, \($size) bytes: \($queue)") | .value) // "-")"),
	"\n"' "$results"
}

chart() {
	to=$1
	data=$(mktemp)
	trap 'rm -f "$data"' EXIT
	numbers >"$data"
	gnuplot <<-END
	set terminal svg noenhanced size 760,420 font "sans-serif,13" background "white"
	set output "$to"
	set title "One producer, one consumer: million records a second"
	set logscale xy
	set xlabel "bytes a record"
	set xtics (8, 64, 256, "1 Ki" 1024, "4 Ki" 4096, "64 Ki" 65536)
	set format y "%g"
	set grid xtics ytics
	set key outside right top
	set datafile missing "-"
	plot for [i=0:6] "$data" index i using 1:2 with linespoints lw (i == 0 ? 3 : 1) pt i+4 \\
		title columnheader(1)
	END
}

case $1 in
table) table ;;
chart) chart "$3" ;;
readme)
	new=$(mktemp)
	trap 'rm -f "$new"' EXIT
	table >"$new"
	awk -v new="$new" '/^<!-- bench -->$/ { print; while ((getline line <new) > 0) print line; skip = 1; next }
		/^<!-- end of bench -->$/ { skip = 0 } !skip' "$3" >"$new.md"
	cat "$new.md" >"$3"
	rm -f "$new.md"
	;;
*) sed -n '3,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
