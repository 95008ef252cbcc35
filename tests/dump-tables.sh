#!/bin/sh
# SPDX-License-Identifier: MIT
# shmring-dump on tables: as they are, changed meanwhile, with dead writers, damaged.
# shellcheck disable=SC2016
name=/shmring-dump-tables-$$
plan=59
. "${top_srcdir:-.}/tests/tap.sh"
TZ=UTC
export TZ
# A member that does lines and ends; and one that holds, in $holder, until it is killed.
does() { printf '%s\n' "$@" | ./dump-tables "$name" >/dev/null || exit 1; }
holds() {
	rm -f "$dir/held"
	printf '%s\n' "$@" hold >"$dir/todo"
	./dump-tables "$name" <"$dir/todo" >"$dir/held" &
	holder=$!
	started="$started $holder"
	soon 'grep -q -e held -e spins -e crawls "$dir/held" 2>/dev/null'
}
# $follow has looked, and sleeps until it looks again.
ready() {
	soon 'ls -l "/proc/$follow/fd" 2>/dev/null | grep -q "$name" &&
		grep -q "^State:.S" "/proc/$follow/status"'
}
kill_holder() {
	kill -9 "$holder"
	wait "$holder" 2>/dev/null
}
anonymous() { sed -E 's/pid [0-9]+/pid P/g; s/thread [0-9]+/thread T/g; s/about [0-9.]+ s/about T/'; }

# As they are
does 'insert web' 'insert mail' 'insert dns' 'update 0 3' 'remove 1' 'insert-block ab' \
	'insert-stats www' 'add 0 17'
services='services[0] v4: name="web" beats=4 load=0.5
services[2] v1: name="dns" beats=1 load=0.25'
blocks='blocks[0] v1: ab00000000000000 0000000000000000 0000000000000000'
stats='stats[0] v1: name="www"
                    17 requests hits: that were answered
                    -3          level
                     0 answers  sizes[0]: small, middle and large
                     2 answers  sizes[1]: small, middle and large
                     0 answers  sizes[2]: small, middle and large'
is "records of all used slots" "$(dump records "$name")" "$services
$blocks
$stats"
is "those of one table" "$(dump records "$name" blocks)" "$blocks"
is "the last one of each" "$(dump records -n 1 "$name" services blocks)" \
	"$(printf '%s\n' "$services" | tail -n 1)
$blocks"
is "the first one" "$(dump records -c 1 "$name")" "$(printf '%s\n' "$services" | head -n 1)"
is "new ones: none" "$(dump records -f new "$name")" ""
is "long bytes are cut" "$(dump records -b 3 "$name" blocks)" "blocks[0] v1: ab0000 and 21 bytes"
dump -o jsonl records "$name" >"$dir/json"
is "jsonl: a slot a line" "$(jq -c '[.object,.slot,.version,.state]' <"$dir/json")" \
	'["services",0,"4","ready"]
["services",2,"1","ready"]
["blocks",0,"1","ready"]
["stats",0,"1","ready"]'
is "fields by their types" "$(jq -c 'select(.object!="blocks") | .fields' <"$dir/json" | sed -n '1p;3p')" \
	'{"name":"web","beats":"4","load":0.5}
{"name":"www","hits":"17","level":-3,"sizes":[0,2,0]}'
dump -o json records "$name" >"$dir/json"
json "json: one array" 'length==4 and .[2].bytes.hex[0:4]=="ab00"'
is "info" "$(dump info "$name" | sed -n '/^table/,$p')" \
'table services: struct service, atomic, key name
  slots        2 of 4 used
  record       32 bytes
  index        16 entries, graves 1, built anew 0
  writers      died and replaced: inside an update 0, inside an insert or remove 0
table blocks: untyped, in-place
  slots        1 of 600 used
  record       24 bytes
  writers      died and replaced: inside an update 0, inside an insert or remove 0
table stats: struct stats, counters, key name
  slots        1 of 2 used
  record       32 bytes
  index        16 entries, graves 0, built anew 0
  writers      died and replaced: inside an update 0, inside an insert or remove 0'
dump -o json info "$name" >"$dir/json"
json "info in JSON" '.objects[0] | .kind=="table" and .schema=="service" and (.table | .mode=="atomic"
	and .slots==4 and .used==2 and .key=="name" and .graves=="1" and .takeovers=="0")'
is "schema has units" "$(dump schema "$name" | grep hits)" \
	"      8  u64         hits, requests: that were answered"
is "list" "$(dump list | awk -v n="$name" '$1 == n {show = 1; sub(/.*:[0-9][0-9]  /, "")}
	/^[^ ]/ && $1 != n && $1 != "services" {show = 0} show {$1 = $1; print}')" \
"services table service/2 2 of 4
blocks table untyped 1 of 600
stats table stats/1 1 of 2"
dump stat "$name" >"$dir/out"
is "stat: what is counted of a table" "$(sed -n '/^table services/,/^table blocks/p' "$dir/out" | sed 's/:.*//')" \
'table services
                     2 slots    used
                     1 entries  graves
                     0 times    rebuilds
                     0 times    repairs
                     0 times    takeovers
                     4 times    lock.acquired
                     0 times    lock.waited
                     3 times    commits
table blocks'
is "stat: and the program's own counters" "$(sed -n '/^slot/,/sizes.2/p' "$dir/out")" "slot $stats"
dump -o json stat "$name" >"$dir/json"
json "stat in JSON" '(.counters[0]|.of=="table" and .object=="services" and .counters.commits=="3") and
	(.counters[]|select(.of=="slot")|.labels.name=="www" and .counters.hits=="17" and
	.counters.level==-3) and .meanings.slot.stats.hits.unit=="requests" and
	.meanings.table.takeovers.unit=="times"'
is "locks: none" "$(dump locks "$name")" \
	"0 of 609 locks of tables are held, dirty, or had an owner that died"

# Nothing is written, and nothing could be
cp "/dev/shm$name" "$dir/before"
./shmring-dump follow -f oldest "$name" >"$dir/oldest" 2>"$dir/told" &
follow=$!
started="$started $follow"
soon 'grep -qs level "$dir/oldest"'
ok "follow begins with what is there" $?
is "its descriptors of the segment cannot write" \
	"$(find "/proc/$follow/fd" -lname "/dev/shm$name" -printf '%m\n' | sort -u)" 500
is "and it does not map it" "$(grep -c "$name" "/proc/$follow/maps")" 0
for how in list "info $name" "schema $name" "locks $name" "blame $name" "stat $name" "records $name"; do
	# shellcheck disable=SC2086
	dump $how >/dev/null
done
kill "$follow"
wait "$follow"
ok "not a byte of the segment changed" "$(cmp "$dir/before" "/dev/shm$name"; echo $?)"

# Follow
./shmring-dump follow "$name" >"$dir/follow" 2>"$dir/err" &
follow=$!
started="$started $follow"
ready
told() { soon "[ \"\$(wc -l <\"$dir/follow\")\" -ge $1 ]"; }
does 'update 2'
told 1
does 'insert mail'
told 2
kill -STOP "$follow"
does 'update 0 3' 'remove 1' 'insert mail' 'update 1'
kill -CONT "$follow"
told 4
does 'remove 2'
told 5
does 'begin-block 0' 'commit-block 0'
told 6
is "follow tells changes, or how many" "$(cat "$dir/follow")" \
'services[2] update v2: name="dns" beats=2 load=0.5
services[1] insert v3: name="mail" beats=1 load=0.25
services[0] update v7, 3 changes since v4: name="web" beats=7 load=0.5
services[1] insert v6, 3 changes since v3: name="mail" beats=2 load=0.5
services[2] remove v3
blocks[0] update v2: 7878787878787878 7878787800000000 0000000000000000'
kill "$follow"
wait "$follow"
is "and what it did not show" "$(cat "$dir/err")" \
	"shmring-dump: 6 records shown, 0 bytes lost, 4 changes told with a later one"

# Faster than anybody looks
rm -f "$dir/json"
./shmring-dump -o jsonl follow "$name" services >"$dir/json" 2>"$dir/err" &
follow=$!
started="$started $follow"
ready
holds 'spin 0'
sleep 0.5
kill_holder
last=$(dump -o jsonl records "$name" services | jq -r 'select(.slot==0).version')
soon 'tail -n 1 "$dir/json" | grep -q "\"version\":\"$last\""'
ok "the last change is told" $?
kill "$follow"
wait "$follow"
is "changes told and counted are all that there were" \
	"$(jq -s 'map(.changes|tonumber)|add' <"$dir/json")" "$((last - 7))"
json "and no record is half of one" 'select(.state=="ready") | .fields | .name=="web" and .load==0.5'
holds 'spin 0'
is "a loss with --fail-on-loss is its exit status" \
	"$(status follow -c 50 --fail-on-loss "$name" services)" 8
kill_holder
does 'update 0' # it may have been killed inside one

holds 'crawl 0'
quiet=1
for i in 1 2 3 4 5; do
	[ "$(dump blame "$name")" = "nobody holds up a ring or a table; for mutexes see locks" ] && quiet=0
done
ok "a lock that is held all the time, but never long, holds nobody up" $quiet
kill_holder
does 'update 0'
takeovers=$(dump -o json info "$name" | jq -r '.objects[0].table.takeovers')

# Killed inside an update of an atomic table
version=$(dump -o jsonl records "$name" services | jq -r 'select(.slot==1).version')
before=$(dump records "$name" services | grep '\[1\]')
holds 'begin 1'
is "a record that is being changed is as it was" "$(dump records "$name" services | grep '\[1\]')" "$before"
member=$(dump -o json locks "$name" | jq '.locks[] | select(.kind=="slot" and .number==1).owner')
is "who is inside" "$(dump locks "$name" | grep '\[1\]' | anonymous)" \
	"services[1]: held by member $member, pid P dump-tables"
is "and holds it up" "$(dump blame "$name" | anonymous)" \
	"services[1]: an update by member $member, pid P dump-tables, alive, for at least 0.2 s"
dump -o json blame "$name" >"$dir/json"
json "the same in JSON" ".blame==[{object:\"services\",what:\"update\",slot:1,member:$member,
	waiters:false,held_ns:\"200000000\"}]"
kill_holder
is "a dead one is told" "$(dump locks "$name" | grep '\[1\]' | anonymous)" \
	"services[1]: held by member $member, pid P dump-tables, dead: the next one to lock it takes it over"
is "the record is as it was" "$(dump records "$name" services | grep '\[1\]')" "$before"
does 'sweep'
is "swept: dirty, and who died" "$(dump locks "$name" | grep '\[1\]' | anonymous)" \
	"services[1]: dirty: the next one to begin takes it over; died inside: 1, the last one member $member, pid P dump-tables"
does 'update 1'
is "the next one goes on from there" \
	"$(dump -o jsonl records "$name" services | jq -r 'select(.slot==1).version')" $((version + 1))
is "and that is counted" "$(dump -o json info "$name" | jq -r '.objects[0].table.takeovers')" $((takeovers + 1))

# Killed inside an update in place
holds 'begin-block 0'
member=$(dump -o json locks "$name" | jq '.locks[] | select(.object=="blocks").owner')
is "one that is being changed" "$(dump records "$name" blocks)" \
	"blocks[0] v2: being changed, member $member"
rm -f "$dir/json"
./shmring-dump -o jsonl follow "$name" blocks >"$dir/json" 2>"$dir/told" &
follow=$!
started="$started $follow"
ready
is "is no change yet" "$(wc -l <"$dir/json")" 0
kill_holder
is "one that is torn" "$(dump records "$name" blocks)" \
	"blocks[0] v2: torn: member $member died inside an update"
dump -o jsonl records "$name" blocks >"$dir/torn"
is "in JSON, and without contents" "$(jq -c . <"$dir/torn")" \
	"{\"v\":1,\"object\":\"blocks\",\"slot\":0,\"version\":\"2\",\"generation\":\"1\",\"state\":\"torn\",\"member\":$member}"
soon '[ "$(wc -l <"$dir/json")" -ge 1 ]'
does 'sweep'
is "locks: the record, too" "$(dump locks "$name" | grep '^blocks' | sed 's/;.*died/; died/' | anonymous)" \
	"blocks[0]: dirty: the next one to begin takes it over; died inside: 1, the last one member $member, pid P dump-tables"
is "records: still torn" "$(dump records "$name" blocks)" \
	"blocks[0] v2: torn: member $member died inside an update"
ok "and what is to be done" "$(dump locks "$name" | grep -q 'torn: the next one to begin is told and repairs it'; echo $?)"
is "blame: nobody can read it" "$(dump blame "$name")" \
	"blocks[0]: torn: member $member died inside an update; readers get nothing until it is repaired, for at least 0.2 s"
does 'begin-block 0' 'commit-block 0'
soon '[ "$(wc -l <"$dir/json")" -ge 2 ]'
is "follow tells of both" "$(jq -c '[.change,.changes,.version,.state]' <"$dir/json")" \
	'["torn","0","2","torn"]
["update","1","3","ready"]'
kill "$follow"
wait "$follow"
is "repaired" "$(dump records "$name" blocks)" \
	"blocks[0] v3: 7878787878787878 7878787800000000 0000000000000000"

# Many slots, and the last change before the end
rm -f "$dir/follow"
./shmring-dump follow --once "$name" blocks >"$dir/follow" 2>"$dir/err" &
follow=$!
started="$started $follow"
ready
does 'fill'
soon '[ "$(grep -c insert "$dir/follow")" -ge 599 ]'
is "each of many slots is told" "$(sed -n 's/^blocks\[\([0-9]*\)\] insert v1: .*/\1/p' "$dir/follow" | sort -nu | wc -l)" 599
is "and shown" "$(dump records "$name" blocks | sed 's/.*\[\([0-9]*\)\] v.*/\1/')" "$(seq 0 599)"
is "the last three" "$(dump records -n 3 "$name" blocks | sed 's/ v.*//')" \
	'blocks[597]
blocks[598]
blocks[599]'
is "the first 300" "$(dump records -c 300 "$name" blocks | tail -n 1 | sed 's/ v.*//')" 'blocks[299]'
kill -STOP "$follow"
cp "/dev/shm$name" "$dir/saved"
does 'begin-block 599' 'commit-block 599'
rm "/dev/shm$name"
kill -CONT "$follow"
wait "$follow"
ok "follow ends when the segment is gone" $?
is "after the last change" "$(tail -n 1 "$dir/follow" | sed 's/:.*//')" 'blocks[599] update v2'
cp "$dir/saved" "/dev/shm$name"

# Damage
slot=$(($(grep -abo 'mail' "/dev/shm$name" | head -n 1 | cut -d: -f1) - 96))
cp "/dev/shm$name" "$dir/spoilt"
printf '\000\074' | dd of="$dir/spoilt" bs=1 seek=$slot conv=notrunc 2>/dev/null
is "a spoilt lock is named" "$(status locks "file:$dir/spoilt"; sed 's/: the mutex is corrupt.*//' "$dir/err")" \
	"6
shmring-dump: file:$dir/spoilt: services[1]"
is "and disturbs no record" "$(dump records "file:$dir/spoilt" services)" "$(dump records "$name" services)"
head -c 13000 "/dev/shm$name" >"$dir/cut"
is "a truncated one" "$(status records "file:$dir/cut")" 6
bad=
shown=0
i=0
while [ $i -lt 60 ]; do
	i=$((i + 1))
	./dump-segment damage "$name" $i "$dir/bad" || bad="$bad $i:make"
	for how in info schema locks stat records "-o jsonl info" "-o jsonl records" "-o json stat"; do
		# shellcheck disable=SC2086
		timeout 10 ./shmring-dump $how "file:$dir/bad" >"$dir/out" 2>"$dir/err"
		got=$?
		case $got in 0 | 1 | 5 | 6) ;; *) bad="$bad $i:$how:$got" ;; esac
		[ $got = 0 ] || [ -s "$dir/err" ] || bad="$bad $i:$how:silent"
		[ $got = 0 ] && shown=$((shown + 1))
		[ "$(LC_ALL=C cat "$dir/out" "$dir/err" | LC_ALL=C tr -d '\n -~\200-\377' | wc -c)" = 0 ] ||
			bad="$bad $i:$how:control"
		case $how in *json*) jq . <"$dir/out" >/dev/null 2>&1 || bad="$bad $i:$how:jq" ;; esac
	done
	[ $((i % 10)) = 0 ] || continue
	timeout 10 ./shmring-dump blame "file:$dir/bad" >"$dir/out" 2>&1
	case $? in 0 | 1 | 5 | 6) ;; *) bad="$bad $i:blame" ;; esac
	timeout -s INT 0.5 ./shmring-dump follow -f oldest "file:$dir/bad" >"$dir/out" 2>&1
	case $? in 0 | 1 | 5 | 6 | 124) ;; *) bad="$bad $i:follow" ;; esac
done
is "damaged images are shown or refused with a sentence, never a crash" "$bad" ""
ok "and many of them shown ($shown of 480)" "$([ $shown -gt 48 ]; echo $?)"
is "the plan" "$n" $((plan - 1))
