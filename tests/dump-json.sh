#!/bin/sh
# SPDX-License-Identifier: MIT
# The JSON of every command of shmring-dump obeys shmring-dump.schema.json, and has nothing
# that is not in it.
# shellcheck disable=SC2016
name=/shmring-dump-json-$$
plan=
. "${top_srcdir:-.}/tests/tap.sh"
at_end() { exec 8>&- 9>&-; }
src=${top_srcdir:-.}
schema=$src/tools/shmring-dump.schema.json
python=$(python_with jsonschema)
if [ -z "$python" ]; then
	echo "1..0 # SKIP python3-jsonschema is not installed"
	exit 0
fi
# The output of a command for the file $dir/DEFINITION-WHAT.json or .jsonl
take() { # what, command, arguments
	what=$1 command=$2
	shift 2
	definition=$command
	[ "$command" != follow ] || definition=records
	format=json
	[ "$command" != follow ] && case " $* " in *" -i "*) false ;; esac || format=jsonl
	./shmring-dump -o $format "$command" "$@" >"$dir/$definition-$what.$format" 2>>"$dir/err"
}
all() { # what, segment
	for one in info schema records stat locks blame check; do take "$1" $one "$2"; done
}

# Rings: a stream with a member that lives and holds it up, each mode, an unknown kind
./dump-segment make "$name" || exit 1
./dump-segment hold "$name" >"$dir/held" &
holder=$!
started=$holder
soon '[ -s "$dir/held" ]'
all stream "$name"
ok "a record that is not committed is in" "$(jq -e 'any(.[]; .state=="busy")' \
	"$dir/records-stream.json" >/dev/null; echo $?)"
kill -9 $holder
wait $holder 2>/dev/null
take dead info "$name"
take dead check "$name"
./dump-segment later "$name" "$dir/later"
all later "file:$dir/later"
is "a kind that has no name yet is a number" \
	"$(jq -c '[.objects[].kind]' "$dir/info-later.json" "$dir/schema-later.json" | sort -u)" '["ring","ring",77]'
./shmring create "$name-modes" --ring=jobs,mode=queue,sequence,time --ring=log,mode=overwrite,cursors=3,capacity=4k \
	--ring=many,cursors=4,no_default --ring=full,capacity=256,max_record=64 || exit 1
printf 'one\ntwo\nthree\n' | ./shmring send "$name-modes" jobs
printf '\377\000\n' | ./shmring send "$name-modes" log
./shmring recv -n 2 "$name-modes" jobs >/dev/null
all modes "$name-modes"
is "modes" "$(jq -c '[.objects[].ring.mode]' "$dir/info-modes.json")" '["queue","overwrite","stream","stream"]'

# Tables of each kind, inside an update, torn
mkfifo "$dir/do"
: >"$dir/done"
./dump-tables "$name-tables" <"$dir/do" >>"$dir/done" &
table=$!
started="$started $table"
exec 9>"$dir/do"
do_() { # a line, done
	before=$(wc -l <"$dir/done")
	echo "$*" >&9
	soon '[ "$(wc -l <"$dir/done")" -gt "$before" ]'
}
do_ insert web
do_ insert-block ff
do_ insert-stats all
do_ begin 0
do_ begin-block 0
./shmring-dump -o jsonl follow -f oldest "$name-tables" >"$dir/records-changes.jsonl" 2>>"$dir/err" &
follow=$!
started="$started $follow"
soon '[ -s "$dir/records-changes.jsonl" ]'
do_ insert db
do_ remove 1
soon 'grep -q remove "$dir/records-changes.jsonl"'
kill $follow
wait $follow
all tables "$name-tables"
kill -9 $table
wait $table 2>/dev/null
exec 9>&-
all torn "$name-tables"
is "torn" "$(jq -c '[.locks[] | select(.torn) | .object]' "$dir/locks-torn.json") $(jq -c '[.[].state]' \
	"$dir/records-torn.json")" '["blocks"] ["ready","torn","ready"]'
./dump-segment odd "$name-odd" || exit 1
all odd "$name-odd"
ok "what is no UTF-8 is hex" "$(grep -q '"hex"' "$dir/stat-odd.json"; echo $?)"

# Losses, numbers, groups, chosen fields
mkfifo "$dir/orders"
./dump-query "$name-orders" <"$dir/orders" &
started="$started $!"
exec 8>"$dir/orders"
echo "orders 1 3" >&8
soon './shmring-dump records "$name-orders" orders 2>/dev/null | grep -q "#3 "'
./shmring-dump -o jsonl follow -f oldest "$name-orders" >"$dir/records-loss.jsonl" 2>>"$dir/err" &
follow=$!
started="$started $follow"
soon '[ -s "$dir/records-loss.jsonl" ]'
kill -STOP $follow
echo "orders 4 2000" >&8
echo "log done" >&8
soon './shmring-dump records "$name-orders" log | grep -q done'
kill -CONT $follow
soon 'grep -q lost_bytes "$dir/records-loss.jsonl" && grep -q "\"2000\"" "$dir/records-loss.jsonl"'
kill $follow
wait $follow
ok "a loss is in" "$(grep -q lost_bytes "$dir/records-loss.jsonl"; echo $?)"
all orders "$name-orders"
take group records -g name "$name-orders"
take fields records -F id,price,@time,name "$name-orders"

# Several segments, twice, all; what cannot be read
take several stat "$name" "$name-odd"
take twice stat -i 0.01 -c 2 "$name-orders"
head -c 5000 "/dev/shm$name" >"/dev/shm$name-cut"
take all list
ok "a segment that cannot be read is in" "$(jq -e 'any(.[]; .error)' "$dir/list-all.json" >/dev/null; echo $?)"
./shmring-dump -o jsonl list >"$dir/list-lines.jsonl"
# Obsolete, and an image
exec 3<"/dev/shm$name-modes"
./shmring rm "$name-modes"
take obsolete info fd:3
exec 3<&-
is "obsolete" "$(jq -c .obsolete "$dir/info-obsolete.json")" true
./shmring-dump save "$name" "$dir/image" 2>>"$dir/err"
./shmring-dump -o json -r "$dir/image" info >"$dir/info-image.json"
is "an image" "$(jq -c '[.life, .members[].state]' "$dir/info-image.json")" '["image","unknown"]'

./shmring-dump -o json --diff="$name-tables" schema "$name" >"$dir/diff-objects.json"
./shmring-dump -o json schema "$name" | jq '.objects[0].schema | del(.hash) | .fields[1].unit = "ns" |
	.fields[3].type = "u64" | .version = 8' >"$dir/other"
./shmring create "$name-other" --ring=typed,capacity=4k,schema="$dir/other"
./shmring-dump -o jsonl --diff="$name-other" schema "$name" >"$dir/diff-fields.jsonl"
is "what differs" "$(jq -c '[.differences[].change] | unique' "$dir/diff-objects.json" "$dir/diff-fields.jsonl")" \
'["added","removed"]
["changed","removed"]'

# What must not pass
jq '.more = 1' "$dir/info-stream.json" >"$dir/info-more.json.bad"
jq '.size = 1' "$dir/info-stream.json" >"$dir/info-number.json.bad"
jq '.v = 2' "$dir/info-stream.json" >"$dir/info-version.json.bad"
jq 'del(.members)' "$dir/info-stream.json" >"$dir/info-less.json.bad"
jq '.objects[0].kind = "heap"' "$dir/info-stream.json" >"$dir/info-kind.json.bad"
jq -c '.[0] | .fields.u64 = 4294967296' "$dir/records-stream.json" >"$dir/records-long.jsonl.bad"
jq -c '.differences[0].change = "moved"' "$dir/diff-fields.jsonl" >"$dir/diff-moved.jsonl.bad"
jq -c '.[0]' "$dir/records-stream.json" | sed 's/"NaN"/NaN/' >"$dir/records-nan.jsonl.bad"
"$python" "$src/tests/dump-json.py" "$schema" $((n + 1)) "$dir"/*-*.json "$dir"/*-*.jsonl "$dir"/*.bad || exit 1
set -- "$dir"/*-*.json "$dir"/*-*.jsonl "$dir"/*.bad
n=$((n + $#))
is "as many as were asked for" "$#" 71
echo "1..$n"
