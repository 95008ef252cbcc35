#!/bin/sh
# SPDX-License-Identifier: MIT
# shmring(5) is enough to read segments: a reader in Python that was made from the page
# shows what shmring-dump shows, of all kinds of rings and tables, damaged ones, and beside
# processes that write.
src=${top_srcdir:-.}
name=/shmring-format-$$
plan=
. "${top_srcdir:-.}/tests/tap.sh"
python=$(python_with 'json, math, mmap, struct')
if [ -z "$python" ]; then
	echo "1..0 # SKIP no python3"
	exit 0
fi

echo 1..23
reader() { timeout 300 "$python" "$src/tests/format-reader.py" "$@" 2>"$dir/err"; }
read_here() { reader records "/dev/shm$name-$1" | jq -Sc .; }
dump() { ./shmring-dump -o jsonl records "$@" 2>"$dir/dump-err"; }
dump_here() { dump "$name-$1" | jq -Sc .; }
send() { ./shmring send "$@"; }
hold() { # command...: started, given $dir/todo, and killed when it has what it holds
	rm -f "$dir/held"
	"$@" <"$dir/todo" >"$dir/held" &
	holder=$!
	started="$started $holder"
	soon 'grep -q held "$dir/held" 2>/dev/null'
	kill -9 "$holder"
	wait "$holder" 2>/dev/null
}

# The tables of the page as assertions: where each field of format.h is, and how long.
rows() {
	awk '
		$1 == ".Ss" { section = $2; list = 0 }
		$1 == ".Bl" && $2 == "-column" { of = section (++list) }
		$1 != ".It" || $2 !~ /^[0-9]+$/ || $3 != "Ta" { next }
		{
			split("Header1 shm_header Directory1 shm_object Members1 shm_member Schemas1 shm_schema " \
				"Schemas2 shm_field Schemas3 shm_enum_name Mutexes1 shm_mutex Rings1 shm_ring Rings2 shm_cursor " \
				"Tables2 shm_table Tables3 shm_slot", pair, " ")
			type = ""
			for (i = 1; i in pair; i += 2)
				if (pair[i] == of)
					type = pair[i + 1]
			if (!type)
				next
			line = $0
			sub(/^[^T]*Ta /, "", line)
			size = line
			sub(/ Ta .*/, "", size)
			sub(/^.*bytes Ta |^[^T]*Ta /, "", line)
			sub(/^Va /, "", line)
			sub(/^Vt /, "", line)
			name = line
			sub(/[ :].*/, "", name)
			if (type == "shm_member" && $2 >= 128)
				name = "death." name
			if (name == "cursors")
				name = "cursor"
			if (name == "field" || name == "strings" && $2 == 48)
				next
			n = size ~ /^u8/ ? 1 : size ~ /^u16/ ? 2 : size ~ /^u32/ ? 4 : size ~ /^u64/ ? 8 : 0
			many = size
			many = sub(/.*\[/, "", many) ? many + 0 : 1
			if (!n) { # "8 bytes", "28 x 256"
				split(size, word, " ")
				n = word[1]
				many = word[2] == "x" ? word[3] : 1
			}
			print "_Static_assert(offsetof(struct " type ", " name ") == " $2 ", \"" name "\");"
			if (!(type == "shm_slot" && name == "lock"))
				print "_Static_assert(sizeof(((struct " type " *)0)->" name ") == " n * many ", \"" name "\");"
		}' "$src/man/shmring.5"
}
{ echo '#include "format.h"'; rows; } >"$dir/rows.c"
is "each field lies where the page says" \
	"$(${CC:-gcc} -std=c11 -fsyntax-only -I"$src/lib" "$dir/rows.c" 2>&1 | grep error)" ""
is "which are all" "$(grep -c offsetof "$dir/rows.c")" 124

# Rings
./dump-segment make "$name-types" || exit 1
is "all types, texts that are none, a record longer than its type" \
	"$(read_here types)" "$(dump_here types)"
cat >"$dir/schema.json" <<'JSON'
{"name": "named", "version": 1, "size": 16, "fields": [
  {"name": "big", "type": "u64", "offset": 0, "since": 1, "enum": [
    {"name": "first", "value": 1}, {"name": "second", "value": 1},
    {"name": "most", "value": "18446744073709551615"}]},
  {"name": "few", "type": "i16", "offset": 8, "count": 2, "help": "h", "enum": [
    {"name": {"hex": "ff"}, "value": -1}, {"name": "up", "value": 32767}]},
  {"name": "plain", "type": "u32", "offset": 12}
]}
JSON
./shmring create "$name-named" --ring="r,schema=$dir/schema.json,mode=overwrite" 2>/dev/null
for fields in '{"big":1,"few":[-1,32767],"plain":1}' '{"big":"18446744073709551615","few":[0,-1],"plain":2}' \
	'{"big":0,"few":[1,2],"plain":3}'; do
	echo "{\"object\":\"r\",\"fields\":$fields}"
done | ./shmring load "$name-named" 2>/dev/null
is "values that have names" "$(read_here named)" "$(dump_here named)"
is "which are these" "$(read_here named | jq -c .fields)" \
	'{"big":"first","few":[{"hex":"ff"},"up"],"plain":1}
{"big":"most","few":[0,{"hex":"ff"}],"plain":2}
{"big":"0","few":[1,2],"plain":3}'
: >"$dir/todo"
hold ./dump-segment hold "$name-types"
is "a record in work" "$(read_here types | grep -c '"state":"busy"'; read_here types)" \
	"1
$(dump_here types)"
is "the objects" "$(reader list "/dev/shm$name-types" | jq -Sc .)" \
	"$(./shmring-dump -o json info "$name-types" |
		jq -Sc '.objects[] | {name, kind, size, schema}')"
./shmring create "$name-rings" --ring=queue,mode=queue,time,capacity=4k --ring=once,mode=queue,at_most_once \
	--ring=box,mode=overwrite,capacity=1k --ring=box-one,mode=overwrite,single_producer,time,capacity=1k \
	--ring=many,cursors=3,sequence,time --ring=drops,drop_newest,capacity=512 \
	--ring=one,single_producer --ring=empty || exit 1
for ring in queue once many one; do
	seq 1 40 | sed 's/$/ bottles/' | send --type=7 "$name-rings" $ring
done
for ring in box box-one; do seq 1 1000 | send "$name-rings" $ring; done
seq 1 100 | send --no-wait "$name-rings" drops 2>/dev/null
./shmring recv -n 20 "$name-rings" drops >/dev/null
seq 101 110 | send --no-wait "$name-rings" drops 2>/dev/null
./shmring recv -n 3 "$name-rings" queue >/dev/null
./shmring recv -n 3 "$name-rings" one >/dev/null
is "rings of each mode, with sequences, times and tokens" "$(read_here rings)" "$(dump_here rings)"
is "of which each has some" "$(read_here rings | jq -s -c 'group_by(.object) | map([.[0].object, (length > 10)])')" \
	'[["box",true],["box-one",true],["drops",true],["many",true],["once",true],["one",true],["queue",true]]'
is "some are done" "$(read_here rings | grep -c '"state":"done"')" 3
is "some were dropped" "$(read_here rings | jq -s 'map(.lost_records // 0 | tonumber) | add > 0')" true
is "one object alone" "$(reader records "/dev/shm$name-rings" many | wc -l)" 40

# Tables
does() { printf '%s\n' "$@" | ./dump-tables "$name-tables" >/dev/null || exit 1; }
does 'insert web' 'insert mail' 'insert dns' 'update 0 3' 'remove 1' 'update 2 2' 'insert-block ab' \
	'insert-block cd' 'insert-stats www' 'add 0 17'
is "tables: atomic, in place, counters" "$(read_here tables)" "$(dump_here tables)"
printf '%s\n' 'begin-block 0' hold >"$dir/todo"
hold ./dump-tables "$name-tables"
does sweep
is "a torn record" "$(read_here tables | grep -c torn; read_here tables)" "1
$(dump_here tables)"
cat >"$dir/named.json" <<'EOF'
{"name": "named", "version": 1, "size": 48, "fields": [
 {"name": "name", "type": "char", "count": 40, "offset": 0}, {"name": "id", "type": "u64", "offset": 40}]}
EOF
./shmring create "$name-keys" --table="long,slots=100,key=name,schema=$dir/named.json" \
	--table="number,slots=100,mode=in-place,key=id,schema=$dir/named.json" || exit 1
for table in long number; do
	for i in $(seq 1 90); do
		echo "{\"v\":1,\"object\":\"$table\",\"fields\":{\"name\":\"a name of some length $i\",\"id\":\"$i\"}}"
	done
done >"$dir/rows"
./shmring load "$name-keys" "$dir/rows" 2>/dev/null
is "a key longer than a slot has room for" "$(read_here keys)" "$(dump_here keys)"
is "by which the index finds each record" \
	"$(seq 1 90 | sed 's/^/a name of some length /' | tr '\n' '\0' |
		xargs -0 "$python" "$src/tests/format-reader.py" find "/dev/shm$name-keys" long |
		jq -r .fields.id)" "$(seq 1 90)"
is "and not what is not there" "$(reader find "/dev/shm$name-keys" long "a name of some length"; echo $?)" 1
is "a key of a number" "$(reader find "/dev/shm$name-keys" number "$(printf 'M')" | jq -r .fields.id)" 77

# What is no segment, or not whole
head -c 3000 "/dev/shm$name-types" >"$dir/part"
head -c 5000 "/dev/shm$name-types" >"$dir/truncated"
head -c 9000 /dev/zero >"$dir/zeroes"
printf x | dd of="$dir/truncated" bs=1 seek=300 conv=notrunc 2>/dev/null
cp "/dev/shm$name-types" "$dir/spoilt"
printf x | dd of="$dir/spoilt" bs=1 seek=300 conv=notrunc 2>/dev/null
is "what is no segment is told" "$(for file in part truncated zeroes spoilt; do
	reader list "$dir/$file"
	cat "$dir/err"
done)" "format-reader: truncated
format-reader: the schemas lie outside the file
format-reader: not a segment
format-reader: the checksum is wrong"
differ=
for seed in $(seq 1 12); do
	for of in types rings tables; do
		./dump-segment damage "$name-$of" "$seed" "$dir/damaged"
		dump "file:$dir/damaged" >"$dir/wanted"
		wanted=$?
		reader records "$dir/damaged" >"$dir/got"
		got=$?
		if [ $wanted -eq 0 ] && [ $got -eq 0 ]; then
			[ "$(jq -Sc . "$dir/got")" = "$(jq -Sc . "$dir/wanted")" ] || differ="$differ $of/$seed"
		else
			[ $wanted -ne 0 ] && [ $got -eq 2 ] || differ="$differ $of/$seed:$wanted/$got"
		fi
	done
done
is "damaged ones are shown as shmring-dump does, or refused" "$differ" ""

# Beside who writes
./dump-segment pour "$name-pour" >/dev/null &
pour=$!
started="$started $pour"
soon '[ -e "/dev/shm$name-pour" ]'
passes() { for _ in 1 2 3 4 5 6; do reader records "$@" || echo "failed: $(cat "$dir/err")"; echo pass; done; }
# "number N" is followed by "number N + 1", but where it was overtaken.
poured() {
	awk -F'"' '
		BEGIN { any = 1 }
		/^pass/ || /lost_bytes/ { any = 1; next }
		/^failed/ { print; next }
		{
			match($0, /"bytes": "[^"]*"/)
			text = substr($0, RSTART + 10, RLENGTH - 11)
			match($0, /"size": [0-9]*/)
			size = substr($0, RSTART + 8, RLENGTH - 8)
			split(text, word, " ")
			if (word[1] != "number" || length(text) != size + 0 || (!any && word[2] != last + 1))
				print
			last = word[2]
			any = 0
			records++
		}
		END { print (records > 1000 ? "many" : records + 0) }
	'
}
passes "/dev/shm$name-pour" >"$dir/poured"
kill -9 "$pour"
is "beside a writer: no record is torn or missing" "$(poured <"$dir/poured")" many
is "that overtakes the reader" "$(grep -q lost_bytes "$dir/poured" && echo yes)" yes
printf '%s\n' 'spin 0' >"$dir/todo"
./dump-tables "$name-spin" >/dev/null <<'EOF'
insert web
EOF
./dump-tables "$name-spin" <"$dir/todo" >/dev/null &
spin=$!
started="$started $spin"
soon '[ "$(reader records "/dev/shm$name-spin" services | jq -r .version)" -gt 1000 ]'
i=0
while [ $i -lt 10 ]; do
	reader checks "/dev/shm$name-spin" 50
	i=$((i + 1))
done >"$dir/spun"
kill -9 "$spin"
# Each commit adds one to both.
is "the version of a slot is the record's" "$(jq -s -c 'map(select(.state == "ready")) |
	[length > 100, all(.version == .fields.beats), (map(.version) | unique | length > 50)]' "$dir/spun")" \
	"[true,true,true]"
