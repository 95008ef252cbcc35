#!/bin/sh
# SPDX-License-Identifier: MIT
# shmring-dump stat: several segments, again with rates, and as metrics.
# shellcheck disable=SC2016
name=/shmring-dump-stat-$$
plan=47
. "${top_srcdir:-.}/tests/tap.sh"
TZ=UTC
export TZ

printf '%s\n' 'insert web' 'update 0 4' 'insert-stats www' 'add 0 17' | ./dump-tables "$name" >/dev/null || exit 1
./feed send "$name-2" -e 2000 >/dev/null &
feed=$!
started="$started $feed"
soon '[ -e "/dev/shm$name-2" ]'
./feed watch "$name-2" screen --lossy >/dev/null &
screen=$!
started="$started $screen"
soon 'dump stat "$name-2" | grep -q "^cursor ring screen"'
ok "there is a feed and who watches it" $?

# Several segments
is "one segment has no title" "$(dump stat "$name" | head -n 1)" "table services"
is "several have" "$(dump stat "$name" "$name-2" | grep '^segment')" "segment $name
segment $name-2"
is "none named: all" "$(dump stat | grep "^segment $name")" "segment $name
segment $name-2"
dump -o json stat "$name" >"$dir/json"
json "JSON of one is an object" ".segment==\"$name\" and (.counters|length>3) and has(\"time_ns\")==false"
dump -o json stat "$name" "$name-2" >"$dir/json"
json "of several an array" "map(.segment)==[\"$name\",\"$name-2\"] and all(.[]; .v==1)"
dump -o jsonl stat "$name" "$name-2" >"$dir/json"
is "jsonl: a segment a line" "$(wc -l <"$dir/json")" 2
dump stat -l "$name" >"$dir/out"
is "-l: a counter a line" "$(grep ' slot ' "$dir/out" | sed 's/^ *//')" \
	"17  $name slot stats[0] v1: name=\"www\" hits, requests
-3  $name slot stats[0] v1: name=\"www\" level
0  $name slot stats[0] v1: name=\"www\" sizes[0], answers
2  $name slot stats[0] v1: name=\"www\" sizes[1], answers
0  $name slot stats[0] v1: name=\"www\" sizes[2], answers"
is "as many as there are in blocks" "$(wc -l <"$dir/out")" "$(dump stat "$name" | grep -c '^  ')"
is "one that is not there" "$(status stat "$name" "$name-no"; grep -c "^segment $name$" "$dir/out")" "3
1"

# Again, with rates
dump -o jsonl stat -i 0.5 -c 3 "$name-2" >"$dir/json"
is "-c: as many looks" "$(wc -l <"$dir/json")" 3
is "the first has no rates" "$(jq -c '[.counters[].rates|length]|add' <"$dir/json" | head -n 1)" 0
jq -s '.' <"$dir/json" >"$dir/three"
mv "$dir/three" "$dir/json"
json "rates are differences by time" 'def ring: .counters[]|select(.of=="ring");
	[.[1],.[2]] | ((.[1].time_ns|tonumber)-(.[0].time_ns|tonumber)) as $ns |
	((.[1]|ring.counters.written|tonumber)-(.[0]|ring.counters.written|tonumber)) as $bytes |
	(.[1]|ring.rates.written) as $rate | $bytes>0 and $rate>0.7*$bytes*1e9/$ns and $rate<1.3*$bytes*1e9/$ns'
json "numbered records, too" '.[2].counters[]|select(.of=="ring").rates.numbered>20'
json "and what stands still is 0" '.[2].counters[]|select(.of=="member" and .number==1).rates.attaches==0'
dump stat -i 0.2 -c 2 "$name-2" | grep ' written:' | sed -E 's/[0-9.]+/N/g; s/ +/ /g; s/:.*//' >"$dir/out"
is "text: a column of rates" "$(cat "$dir/out")" " N - bytes written
 N N/s bytes written"
./dump-tables "$name" >"$dir/did" <<'END' &
insert-stats ftp
hold
END
holder=$!
started="$started $holder"
soon 'grep -q held "$dir/did"'
mkfifo "$dir/pipe"
./shmring-dump stat -i 60 -l "$name" >"$dir/out" &
stat=$!
started="$started $stat"
soon 'grep -q "slot stats.1" "$dir/out"'
kill -INT "$stat"
wait "$stat"
is "a signal ends it well" "$?" 0
./shmring-dump stat -i 0.05 "$name-3" "$name" >"$dir/out" 2>"$dir/err" &
stat=$!
started="$started $stat"
./minimal-producer "$name-3" >/dev/null
soon 'grep -q "^segment $name-3$" "$dir/out"'
ok "one that comes later is shown" $?
rm "/dev/shm$name-3"
kill "$stat"
wait "$stat"
./minimal-producer "$name-3" >/dev/null
./shmring-dump stat -i 0.05 "$name-3" >"$dir/out" 2>"$dir/err" &
stat=$!
started="$started $stat"
soon '[ -s "$dir/out" ]'
rm "/dev/shm$name-3"
wait "$stat"
is "it ends when the only one is gone" $? 3
is "json with an interval never ends" "$(status stat -o json -i 1 "$name")" 2
is "metrics have no interval" "$(status stat -o prometheus -i 1 "$name")" 2
is "no interval" "$(status stat -i 0 "$name")$(status stat -i 1x "$name")$(status stat -i -1 "$name")$(status stat -i nan "$name")" 2222
is "only stat has metrics" "$(status info -o prometheus "$name")$(status list -o openmetrics)$(status -o prometheus)" 222

# Metrics. What a line may be, and that families are together and metrics there once, is
# looked at here; the parsers of others, where they are installed.
sound() { # file; format: prints what is wrong
	LC_ALL=C awk -v format="$2" '
	function family(name) { if (format=="openmetrics" && type[name]=="") sub(/_total$/, "", name); return name }
	/^# (TYPE|UNIT|HELP) [a-z_][a-z0-9_]* ./ {
		if ($2=="TYPE" && $4!="counter" && $4!="gauge") print "type: " $0
		if ($2=="TYPE") { if ($3 in type) print "again: " $0; type[$3]=$4 }
		if ($2=="HELP") { if ($3 in help) print "again: " $0; help[$3]=1 }
		if ($2=="UNIT" && substr($3, length($3)-length($4))!="_" $4) print "unit: " $0
		if ($2=="UNIT" && format!="openmetrics") print "no such line: " $0
		if ($2=="HELP") now=$3
		next
	}
	/^# EOF$/ { eof++; end=NR; next }
	/^[a-z_][a-z0-9_]*\{[a-z]+="([^"\\]|\\[n"\\])*"(,[a-z]+="([^"\\]|\\[n"\\])*")*\} -?[0-9.e+-]+$/ {
		name=$0; sub(/\{.*/, "", name); metric=$0; sub(/ [^ ]*$/, "", metric)
		if (metric in seen) print "twice: " metric
		seen[metric]=1
		if (family(name)!=now) print "not in its family " now ": " $0
		count++
		next
	}
	{ print "no line of the format: " $0 }
	END {
		if (format=="openmetrics" && (eof!=1 || end!=NR)) print "no EOF"
		if (format!="openmetrics" && eof) print "EOF"
		if (count<2) print "empty"
	}' "$1"
	LC_ALL=C tr -d '\n -~\200-\377' <"$1" | head -c 20
	iconv -f utf-8 -t utf-8 "$1" >/dev/null 2>&1 || echo "no UTF-8"
}
metric() { # name and labels, without the segment: value
	sed 's/segment="[^"]*",*//' "$dir/metrics" | awk -v m="$1" 'index($0, m " ")==1 {print $NF}'
}
python=$(python_with prometheus_client.openmetrics.parser)
# promtool is where ./bootstrap check puts it, if nowhere else.
promtool=${PROMTOOL:-$(command -v promtool || echo "${top_srcdir:-.}/build-aux/promtool")}
theirs() { # what others say of $1.prometheus and $1.openmetrics
	if [ -x "$promtool" ]; then
		is "promtool: $2" "$("$promtool" check metrics <"$1.prometheus" 2>&1; echo $?)" 0
	else
		skip "promtool: $2" "promtool is not installed"
	fi
	if [ -n "$python" ]; then
		is "prometheus_client: $2" "$("$python" -c 'import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
print(sum(len(f.samples) for f in parse(sys.stdin.read())))' <"$1.openmetrics" 2>&1 | tail -n 1)" \
			"$(grep -vc '^#' "$1.openmetrics")"
	else
		skip "prometheus_client: $2" "prometheus_client is not installed"
	fi
}
./jobs put "$name-3" sweep cook >/dev/null
./ledger "$name-4" --transfers=3 >/dev/null
kill -STOP "$feed"
for format in prometheus openmetrics; do
	dump -o $format stat "$name" "$name-2" "$name-3" "$name-4" >"$dir/all.$format"
	is "$format: its lines" "$(sound "$dir/all.$format" $format)" ""
done
is "but for EOF, units and names of families they are the same" \
	"$(grep -v '^#' "$dir/all.openmetrics")" "$(grep -v '^#' "$dir/all.prometheus")"
theirs "$dir/all" "it is sound"
dump -o json stat "$name" >"$dir/json"
dump -o prometheus stat "$name" >"$dir/metrics"
is "every counter in JSON is a metric" "$(jq -r '.counters[]|select(.of!="slot")|.of as $of|.object as $o|
	(.number//"")as $n|.counters|to_entries[]|"\($of) \($o//"") \($n) \(.value)"' <"$dir/json" | sort)" \
	"$(sed -E -n '/_(capacity|fill|alive|up)[_{]/d; /^shmring_(table|member)/s/^shmring_([a-z]*)_[^{]*\{segment="[^"]*",(object="([^"]*)"|member="([^"]*)")\} (.*)/\1 \3 \4 \5/p' "$dir/metrics" | sort)"
is "a program's own counters" "$(grep '^shmring_slot' "$dir/metrics" | sed 's/segment="[^"]*",//' | grep www)" \
	'shmring_slot_stats_hits_requests{object="stats",key="www"} 17
shmring_slot_stats_level{object="stats",key="www"} -3
shmring_slot_stats_sizes_answers{object="stats",key="www",index="0"} 0
shmring_slot_stats_sizes_answers{object="stats",key="www",index="1"} 2
shmring_slot_stats_sizes_answers{object="stats",key="www",index="2"} 0'
is "fill" "$(metric 'shmring_table_fill_ratio{object="services"}')$(metric 'shmring_table_fill_ratio{object="stats"}')" 0.251
is "members alive" "$(metric 'shmring_segment_attached_members{state="alive"}')$(metric 'shmring_segment_attached_members{state="dead"}')" 10
kill -9 "$holder"
wait "$holder" 2>/dev/null
soon 'dump -o prometheus stat "$name" >"$dir/metrics"; [ "$(metric "shmring_segment_attached_members{state=\"alive\"}")" = 0 ]'
is "and dead" "$(metric 'shmring_segment_attached_members{state="dead"}')$(metric 'shmring_segment_died_members_total{}')$(
	sed -n 's/^shmring_member_alive.*command="dump-tables".* //p' "$dir/metrics")" 110
dump -o prometheus stat "$name-2" >"$dir/metrics"
dump -o json info "$name-2" >"$dir/json"
is "a ring is written to where it is" "$(metric 'shmring_ring_written_bytes_total{object="ring"}') $(metric 'shmring_ring_numbered_records_total{object="ring"}')" \
	"$(jq -r '.objects[0].ring|"\(.tail) \((.sequence|tonumber)-1)"' <"$dir/json")"
kill -STOP "$screen"
kill -CONT "$feed"
sleep 0.2
kill -STOP "$feed"
dump -o prometheus stat "$name-2" >"$dir/metrics"
dump -o json info "$name-2" >"$dir/json"
dump -o json stat "$name-2" >"$dir/counters"
is "lag in bytes" "$(metric 'shmring_cursor_lag_bytes{object="ring",cursor="screen"}')" \
	"$(jq -r '.objects[0].ring|(.tail|tonumber)-(.cursors[0].position|tonumber)' <"$dir/json")"
is "and in records" "$(metric 'shmring_cursor_lag_records{object="ring",cursor="screen"}')" \
	"$(jq -r --slurpfile c "$dir/counters" '(.objects[0].ring.sequence|tonumber)-
		($c[0].counters[]|select(.of=="cursor").counters.sequence|tonumber)' <"$dir/json")"
ok "which is some" "$([ "$(metric 'shmring_cursor_lag_records{object="ring",cursor="screen"}')" -gt 2 ]; echo $?)"
is "whose lag it is" "$(sed -n 's/^shmring_cursor_consumer_alive.*,cursor="screen",.*,command="feed"} //p' "$dir/metrics")" 1
is "one that is not there is down" "$(status -o prometheus stat "$name-no"; grep -v '^#' "$dir/out")" \
	"3
shmring_segment_up{segment=\"$name-no\"} 0"

# Names that are made to spoil the format, and damaged segments
rm "/dev/shm$name-3"
./dump-segment odd "$name-3"
for format in prometheus openmetrics; do
	dump -o $format stat "$name-3" >"$dir/odd.$format"
done
is "odd names: lines" "$(sound "$dir/odd.prometheus" prometheus; sound "$dir/odd.openmetrics" openmetrics)" ""
is "and none is left out" "$(sed -n 's/^shmring_slot_odd.* //p' "$dir/odd.prometheus" | sort -n | tr '\n' ' ')" \
	"1 2 3 4 5 6 7 8 10 11 12 13 14 12345678901.23456789 "
theirs "$dir/odd" "odd names are sound"
bad=
i=0
set --
while [ $i -lt 60 ]; do
	i=$((i + 1))
	./dump-segment damage "$name" $i "$dir/bad-$i" || bad="$bad $i:make"
	set -- "$@" "file:$dir/bad-$i"
	for how in "-o openmetrics stat" "stat -l" "-o jsonl stat -i 0.01 -c 2"; do
		# shellcheck disable=SC2086
		timeout 10 ./shmring-dump $how "file:$dir/bad-$i" >"$dir/out" 2>"$dir/err"
		got=$?
		case $got in 0 | 1 | 5 | 6) ;; *) bad="$bad $i:$how:$got" ;; esac
		[ "$(LC_ALL=C cat "$dir/out" "$dir/err" | LC_ALL=C tr -d '\n -~\200-\377' | wc -c)" = 0 ] ||
			bad="$bad $i:$how:control"
		case $how in *openmetrics*) up=$(sed -n 's/^shmring_segment_up.* //p' "$dir/out") ;; esac
		case $how:$up:$got in
		*openmetrics*:1:0 | *openmetrics*:0:[156]) ;;
		*openmetrics*) bad="$bad $i:$how:up $up" ;;
		esac
	done
done
is "damaged segments are shown or refused, never a crash" "$bad" ""
dump -o prometheus stat "$@" >"$dir/bad.prometheus"
dump -o openmetrics stat "$@" >"$dir/bad.openmetrics"
is "all of them in one text" "$(sound "$dir/bad.prometheus" prometheus; sound "$dir/bad.openmetrics" openmetrics)" ""
if [ -x "$promtool" ]; then # which ends with 3 if it has opinions on odd names
	"$promtool" check metrics <"$dir/bad.prometheus" >"$dir/out" 2>&1
	case $? in 0 | 3) : >"$dir/out" ;; esac
	is "promtool: they can be parsed" "$(cat "$dir/out")" ""
else
	skip "promtool: they can be parsed" "promtool is not installed"
fi
is "the plan" "$n" $((plan - 1))
