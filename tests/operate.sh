#!/bin/sh
# SPDX-License-Identifier: MIT
# shmring: segments made, used, saved, mended and removed from a shell.
# shellcheck disable=SC2016
name=/shmring-operate-$$
plan=117
. "${top_srcdir:-.}/tests/tap.sh"
limit='timeout 60'
run() { $limit ./shmring "$@" 2>"$dir/err"; }
dump() { $limit ./shmring-dump "$@" 2>>"$dir/err"; }
# Exit status, and what was said
fails() { $limit ./shmring "$@" >"$dir/out" 2>"$dir/err"; echo $?; cat "$dir/err"; }
# What a record is, without where it lies and who wrote it
essence() { jq -Sc 'del(.position,.member,.version,.generation,.state,.slot)'; }
unnumbered() { essence | jq -c 'del(.sequence)'; }

# --- create
./dump-segment make "$name-src" || exit 1
dump -o json schema "$name-src" >"$dir/all.json"
run create "$name" --ring=plain,capacity=4k,max_record=1000,history=1k \
	--ring="typed,capacity=64k,single_producer,schema=$dir/all.json" \
	--ring=jobs,mode=queue,time,at_most_once --ring=log,mode=overwrite,cursors=3,capacity=4k \
	--ring=many,cursors=4,no_default,sequence --ring=drops,drop_newest,capacity=256 \
	--table="t,slots=5,mode=in-place,key=text,schema=$dir/all.json" \
	--table=blocks,slots=3,record_size=24 --members=7 --mode=0640
ok "create makes rings and tables of all kinds" $?
is "with their options" "$(dump -o json info "$name" | jq -c '[.slots, (.objects[] |
	[.name, .ring.mode // .table.mode, (.ring // .table | .capacity // .slots)])]')" \
	'[7,["plain","stream","4096"],["typed","stream","65536"],["jobs","queue","1048576"],["log","overwrite","4096"],["many","stream","1048576"],["drops","stream","256"],["t","in-place",5],["blocks","atomic",3]]'
is "and permissions" "$(stat -c %a "/dev/shm$name")" 640
is "the schema is the one of the file" \
	"$(dump -o json schema "$name" | jq -c '.objects[] | select(.name=="typed" or .name=="t").schema')" \
	"$(jq -c '.objects[0].schema, .objects[0].schema' "$dir/all.json")"
is "never over another segment" "$(fails create "$name" --ring=r)" "1
shmring: $name: $name exists already"
no() { # description, options of create, sentence
	is "create refuses $1" "$(fails create "$name-no" "$2")" "2
shmring: $3; see shmring --help"
}
no "a key that it does not know" --ring=r,size=4k "r: size is not known"
no "a key without its value" --ring=r,capacity "capacity of r takes a value"
no "a value where there is none" --ring=r,time=1 "time of r takes no value"
no "a number that is none" --ring=r,capacity=4x "r: capacity=4x is no number with k, M, G or nothing behind it, or too large"
no "a mode that is none" --table=t,mode=queue "t: mode=queue is none of atomic, in-place, counters"
no "what the library refuses" --ring=r,capacity=5000 "capacity 5000 of ring r: it must be a power of two from 256 to 2^40"
no "a segment of nothing" --members=3 "create: which --ring or --table"
is "and nothing was made" "$(ls "/dev/shm$name-no" 2>/dev/null)" ""
bad=
schema() { # what, jq program, sentence
	jq ".objects[0].schema | $2" "$dir/all.json" >"$dir/bad.json"
	got=$(fails create "$name-no" --ring="r,schema=$dir/bad.json")
	[ "$got" = "7
shmring: r: schema $dir/bad.json: $3" ] || bad="$bad $1: $got"
}
schema kind '.fields[0].type="u128"' "type u128 is not known: char, i8, u8, i16, u16, i32, u32, i64, u64, f32, f64"
schema overlap '.fields[1].offset=4' "member i64 at 4 overlaps the one before it, which ends at 8"
schema gap '.fields[1].offset=16' "no member describes the bytes 8 to 16 before member i64"
schema end '.size=90' "the members have 96 bytes, and size is 90"
schema size '.size=100' "the members have 96 bytes, and size is 100"
schema hash '.hash="0"' "hash is 0, and that of these members is 2c8595044f22d630"
schema twice '.fields[1].name="u64"' "two members are named u64"
schema key '.fields[1].bits=3' "a member of the schema has bits, which is not known"
schema key '.align=8' "the schema has align, which is not known"
schema name '.name=""' "name of 0 bytes: it has at least 1, and no zero byte"
schema count '.fields[4].count=0' "count is not a number from 1 to 2^32 - 1"
schema array '.fields={}' "fields is no array of 1 to 64 members"
schema type '.version="7"' "version is not a number from 0 to 2^32 - 1"
schema align '.fields=[{name:"a",type:"u8",offset:0},{name:"b",type:"u32",offset:1}] | .size=5' \
	"member b would lie at 1, which is no multiple of its size, 4"
schema since '.fields[0].since=0' "since is not a number from 1 to 2^32 - 1"
schema enum '.fields[0].enum={}' "enum is no array"
schema value '.fields[0].enum=[{name:"a",value:"1x"}]' "a value of an enum is no integer of 64 bits"
schema signed '.fields[1].enum=[{name:"a",value:"9223372036854775808"}]' "a value of an enum is no integer of 64 bits"
schema minus '.fields[0].enum=[{name:"a",value:"1-2"}]' "a value of an enum is no integer of 64 bits"
schema large '.fields[0].enum=[{name:"a",value:"18446744073709551616"}]' "a value of an enum is no integer of 64 bits"
schema digit '.fields[0].enum=[{name:"1",value:1}]' "a value of member u64 has a name that is none: it needs 1 to 63 bytes, the first no digit, sign or point"
schema float '.fields[2].enum=[{name:"a",value:1}]' "member f64 is no integer, whose values have no names"
schema same '.fields[0].enum=[{name:"a",value:1},{name:"a",value:2}]' "two values of member u64 are named a"
schema more '.fields[0].enum=[{name:"a",value:1,text:1}]' "a value of an enum has text, which is not known"
is "a schema that cannot be is refused with a sentence" "$bad" ""

# --- send and recv
is "lines are records, empty ones too" \
	"$(printf 'one\ntwo\n\nlast' | run send "$name" plain && run recv --no-wait --raw "$name" plain)" \
	"$(printf 'one\ntwo\n\nlast')"
printf 'a\nb\0c\0' | run send --null --type=65535 "$name" plain
is "or what zero bytes end; with a type" "$(run recv -W "$name" plain | sed 's/@[0-9]*/@N/')" \
	'plain @N type 65535: "a\nb"
plain @N type 65535: "c"'
is "what was received is gone" "$(run recv -W "$name" plain)" ""
dump -o jsonl records "$name-src" typed >"$dir/typed"
run send -j "$name" typed <"$dir/typed"
ok "send -j takes what shmring-dump prints" $?
is "and it comes out the same, as JSON" "$(dump -o jsonl records "$name" typed)" "$(cat "$dir/typed")"
is "recv shows it as shmring-dump does" "$(run recv -n 2 "$name" typed)" "$(dump records "$name-src" typed)"
is "a record of a queue is received by one" \
	"$(printf '1\n2\n3\n' | run send "$name" jobs
	run recv -n 1 --raw "$name" jobs; run recv -W -o jsonl "$name" jobs | jq -c '[.bytes,.state,.deliveries]')" \
	'1
["2","taken","1"]
["3","taken","1"]'
seq 1000 | run send --no-wait "$name" plain
sent=$(sed -n 's/.* and \([0-9]*\) sent$/\1/p' "$dir/err")
is "what finds the ring full is dropped with --no-wait, and told" "$(cat "$dir/err")" \
	"shmring: $((1000 - sent)) records were dropped, because the ring was full, and $sent sent"
is "without it waits until there is room" \
	"$( (seq 1001 3000 | run send "$name" plain) & run recv -n $((sent + 2000)) --raw "$name" plain | md5sum; wait)" \
	"$( (seq "$sent"; seq 1001 3000) | md5sum)"
# DEL and CSI as one character, which JSON may have as they are
run create "$name-control" --ring=r
printf 'a\177b\302\233c\303\251\302\240d\n' | run send "$name-control" r
control='"a\u007fb\u009bc'
is "no control character comes out of shmring-dump as JSON" \
	"$(dump -o jsonl records "$name-control" r | grep -aoF "$control")" "$control"
run recv -o jsonl -n 1 "$name-control" r >"$dir/control"
is "nor of recv" "$(grep -aoF "$control" "$dir/control")" "$control"
is "and they can be read" "$(jq -r .bytes "$dir/control")" \
	"$(printf 'a\177b\302\233c\303\251\302\240d')"
run rm "$name-control"
seq 100 | run send "$name" drops
sent=$(sed -n 's/.* and \([0-9]*\) sent$/\1/p' "$dir/err")
is "a ring that drops says how many" "$(cat "$dir/err"; dump -o json info "$name" | jq -r '.objects[5].ring.dropped')" \
	"shmring: $((100 - sent)) records were dropped, because the ring was full, and $sent sent
$((100 - sent))"
is "a cursor of one's own" \
	"$(seq 3 | run send "$name" many; run recv --raw --cursor=mine --create -n 2 "$name" many
	run recv --raw -W --cursor=mine "$name" many)" "$(seq 3)"
is "a flight recorder is received by a cursor" \
	"$(seq 3 | run send "$name" log; run recv --raw -W --cursor=mine --create "$name" log)" "$(seq 3)"
not() { # description, status and sentence, input, arguments of send
	what=$1 want=$2 input=$3
	shift 3
	is "send refuses $what" "$(printf '%s\n' "$input" | fails send "$@")" "$want"
}
not "text for records with a type" "7
shmring: typed has records of struct all: send JSON, with -j" text "$name" typed
not "what is no JSON" "7
shmring: line 1: no JSON: '[' or '{' expected near 'text'" text -j "$name" typed
bad=
line() { # jq program, sentence
	got=$(head -n 1 "$dir/typed" | jq -c "$1" | fails send -j "$name" typed)
	[ "$got" = "7
shmring: line 1: $2" ] || bad="$bad $1: $got"
}
line 'del(.fields.i64)' "it has no i64"
line '.fields.more=1' "it has 15 fields, and struct all has not all of them"
line '.fields.u8=256' "the value of u8 does not fit its type, u8"
line '.fields.i8=-129' "the value of i8 does not fit its type, i8"
line '.fields.u32=4294967296' "the value of u32 does not fit its type, u32"
line '.fields.u32=1.5' "the value of u32 does not fit its type, u32"
line '.fields.u64="18446744073709551616"' "the value of u64 does not fit its type, u64"
line '.fields.i64="-9223372036854775809"' "the value of i64 does not fit its type, i64"
line '.fields.i64="1 "' "the value of i64 does not fit its type, i64"
line '.fields.f64="nan"' "the value of f64 does not fit its type, f64"
line '.fields.f32=1e39' "the value of f32 does not fit its type, f32"
line '.fields.u16=[1]' "the value of u16 does not fit its type, u16 array"
line '.fields.text="12345678901234567"' "the value of text does not fit its type, char array"
line '.fields.text="a\u0000b"' "the value of text does not fit its type, char array"
line '.fields.odd.hex="1b5"' "the value of odd does not fit its type, char array"
line '.fields.odd.hex="1g"' "the value of odd does not fit its type, char array"
line '.size=97' "it has 96 bytes, and its size is said to be 97"
line '.type=65536' "type is not a number from 0 to 65535"
line 'del(.fields)' "it has no fields, and the records are of struct all"
line '.not_shown="5"' "it has not all of a record"
line '.change="update"' "it is a change that shmring-dump follow printed, not a record"
line '.v=2' "v is not 1: another version printed it"
is "each value that does not fit is refused with a sentence" "$bad" ""
is "and nothing of them was sent" "$(run recv -W "$name" typed)" ""
is "a line that is longer than a record" "$(head -c 1001 /dev/zero | tr '\0' x | fails send "$name" plain)" \
	"1
shmring: $name: line 1: a record of 1001 bytes is over the ring's largest, 1000"
echo kept | run send "$name" plain
./shmring recv -W "$name" plain >/dev/full 2>"$dir/err"
is "what cannot be written" "$?$(cat "$dir/err")" "1shmring: cannot write: No space left on device"
is "is not released" "$(run recv -W "$name" plain | sed 's/@[0-9]*/@N/')" \
	'plain @N delivered again: "kept"'
seq 5 | run send "$name" plain
{
	$limit ./shmring recv --raw "$name" plain 2>"$dir/err"
	echo $? >"$dir/status"
} | head -n 1 >"$dir/out"
is "recv ends without a word when nobody reads it" "$(cat "$dir/out" "$dir/err" "$dir/status")" "1
0"
run recv -W "$name" plain >/dev/null
./shmring recv --raw "$name" plain >"$dir/out" 2>"$dir/err" &
recv=$!
started="$started $recv"
echo late | run send "$name" plain
soon '[ -s "$dir/out" ]'
ok "recv waits for what comes" $?
./shmring rm "$name"
wait $recv
ok "and ends when the segment is gone" $?
is "rm removes what is there, and tells what is not" "$(run create "$name" --ring=r; fails rm "$name-no" "$name")$(ls "/dev/shm$name" 2>/dev/null)" "3
shmring: $name-no: cannot open /dev/shm$name-no: No such file or directory"

# --- load
cat >"$dir/kinds.json" <<'END'
{"name": "kinds", "version": 1, "size": 72, "fields": [
	{"name": "f64", "type": "f64", "offset": 0}, {"name": "f64s", "type": "f64", "offset": 8, "count": 2},
	{"name": "i64", "type": "i64", "offset": 24, "unit": "ns", "help": "since then"},
	{"name": "u64s", "type": "u64", "offset": 32, "count": 1},
	{"name": "f32s", "type": "f32", "offset": 40, "count": 2}, {"name": "i32s", "type": "i32", "offset": 48, "count": 2},
	{"name": "u32", "type": "u32", "offset": 56}, {"name": "i16s", "type": "i16", "offset": 60, "count": 2},
	{"name": "u16", "type": "u16", "offset": 64}, {"name": "i8s", "type": "i8", "offset": 66, "count": 2},
	{"name": "u8", "type": "u8", "offset": 68}, {"name": "char", "type": "char", "offset": 69},
	{"name": "chars", "type": "char", "offset": 70, "count": 2}]}
END
cat >"$dir/kinds" <<'END'
{"fields":{"f64":-0.0,"f64s":[4.9406564584124654e-324,1.7976931348623157e+308],"i64":"-1","u64s":["18446744073709551615"],"f32s":[0.10000000149011612,3.4028234663852886e+38],"i32s":[-2147483648,2147483647],"u32":4294967295,"i16s":[-32768,32767],"u16":65535,"i8s":[-128,127],"u8":255,"char":"x","chars":"ab"},"type":65535}
{"fields":{"f64":"-Infinity","f64s":["NaN","Infinity"],"i64":"9223372036854775807","u64s":["0"],"f32s":["NaN","-Infinity"],"i32s":[0,1],"u32":0,"i16s":[0,-1],"u16":0,"i8s":[0,-1],"u8":0,"char":{"hex":"ff"},"chars":{"hex":"80"}},"bytes":{"hex":"00ff"}}
{"fields":{"f64":0.30000000000000004,"f64s":[0,1],"i64":"0","u64s":["1"],"f32s":[1,2],"i32s":[0,1],"u32":0,"i16s":[0,1],"u16":0,"i8s":[0,1],"u8":0,"char":"","chars":""},"bytes":"a\u0000b"}
{"fields":{"f64":1,"f64s":[0,1],"i64":"0"},"cut_short":true,"size":32,"type":3}
END
make_kinds() {
	run create "$1" --ring="typed,schema=$dir/kinds.json,capacity=4k" --ring=plain,capacity=4k \
		--ring=jobs,mode=queue,capacity=4k --table="t,schema=$dir/kinds.json,slots=9,key=i64" \
		--table=blocks,record_size=12,slots=3,mode=in-place
}
make_kinds "$name" && make_kinds "$name-2"
run send -j "$name" typed <"$dir/kinds"
ok "records of each kind of member" $?
printf 'text\n\n\377\200\n' | run send "$name" plain
printf 'a\nb\0' | run send -0 -t 77 "$name" plain
seq 3 | run send "$name" jobs
run recv -n 1 --raw "$name" jobs >/dev/null
head -n 3 "$dir/kinds" | jq -c '.object="t" | del(.bytes,.type)' | fails load "$name" >"$dir/loaded"
printf '%s\n' '{"object":"blocks","bytes":{"hex":"0001ff"}}' '{"object":"blocks","bytes":"123456789012"}' |
	fails load "$name" - >>"$dir/loaded"
is "tables are loaded, too" "$(cat "$dir/loaded")" "0
shmring: 3 records were loaded
0
shmring: 2 records were loaded"
dump -o jsonl records "$name" >"$dir/saved"
is "what shmring-dump has saved is loaded" "$(fails load "$name-2" "$dir/saved")" "0
shmring: 1 records of queues were done or lost: passed over
shmring: 15 records were loaded"
is "and is the same" "$(dump -o jsonl records "$name-2" | essence)" \
	"$(grep -v '"state":"done"' "$dir/saved" | essence)"
tail -c 8192 "/dev/shm$name" >"$dir/tables" # the last two objects, but for the start of the first
tail -c 8192 "/dev/shm$name-2" >"$dir/tables-2"
is "the memory of tables is the same" \
	"$(cmp "$dir/tables" "$dir/tables-2"; grep -ac 123456789012 "$dir/tables-2")" 1
is "the payloads of rings are the same bytes" \
	"$(run recv -W -0 "$name-2" typed | od -tx1; run recv -W -0 "$name-2" plain | od -tx1)" \
	"$(run recv -W -0 "$name" typed | od -tx1; run recv -W -0 "$name" plain | od -tx1)"
cannot() { # description, line, status and sentence
	is "load refuses $1" "$(printf '%s\n' "$2" | fails load --no-wait "$name-2" | sed '$d')" "$3"
}
cannot "an object that is not there" '{"object":"o","bytes":"a"}' "3
shmring: line 1: the segment has no object named o"
cannot "no object" '{"bytes":"a"}' "7
shmring: line 1: it names no object"
cannot "a record that is too long for a slot" '{"object":"blocks","bytes":"1234567890123"}' "7
shmring: line 1: blocks: a record of 13 bytes is over its 12"
cannot "a key that is there" "$(grep '"object":"t"' "$dir/saved" | head -n 1)" "1
shmring: line 1: t: the key is there already, in slot 0"
cannot "not a record that was torn, but tells" '{"v":1,"object":"blocks","slot":1,"state":"torn"}' "1
shmring: line 1: it has not all of a record, or tells of a loss: passed over"
is "load does not wait for ever with --no-wait" \
	"$(yes '{"object":"plain","bytes":"0123456789012345678901234567890123456789"}' | head -n 100 |
	fails load --no-wait "$name-2" | sed 's/[0-9][0-9]*/N/')" "N
shmring: line N: plain is full
shmring: N records were loaded"
# --- restore
rm -f "/dev/shm$name"
run create "$name" --ring="typed,schema=$dir/kinds.json,capacity=4k" --ring=many,cursors=5,capacity=4k \
	--ring=jobs,mode=queue,capacity=4k,sequence --ring=log,mode=overwrite,cursors=2,capacity=1k,time \
	--ring=full,capacity=256,single_producer,max_record=32 --table="t,schema=$dir/kinds.json,slots=9,key=i64" \
	--table=blocks,record_size=12,slots=300,mode=in-place --members=5
run send -j "$name" typed <"$dir/kinds"
run recv -n 1 --raw "$name" typed >"$dir/out"
seq 6 | run send "$name" many
run recv --cursor=a --create -n 2 --raw "$name" many >"$dir/out"
run recv --cursor=b --create -n 5 --raw "$name" many >"$dir/out"
run recv --cursor=c --create --raw -W "$name" many >"$dir/out"
run recv -n 4 --raw "$name" many >"$dir/out"
seq 5 | run send -t 9 "$name" jobs
run recv -n 2 --raw "$name" jobs >"$dir/out"
seq 200 | run send "$name" log
seq 100 | run send --no-wait "$name" full
run recv -n 3 --raw "$name" full >"$dir/out"
seq 1000 1100 | run send --no-wait "$name" full
head -n 3 "$dir/kinds" | jq -c '.object="t" | del(.bytes,.type)' | run load "$name"
seq 280 | jq -c '{object: "blocks", bytes: "\(.)"}' | run load "$name"
cp "/dev/shm$name" "$dir/image"
got=$(fails restore "$name-3" "$dir/image")
unread=$(( $(dump -o jsonl records -f unread "$name" | grep -c '"state":"ready"') + $(dump records "$name" log | wc -l) ))
unread=$((unread - $(dump records -f unread "$name" log | wc -l) - 283))
is "an image is restored" "$got" "0
shmring: $unread records of rings and 283 of tables restored"
is "restore leaves nothing beside it" "$(find /dev/shm -name '*restore*')" ""
for object in typed many jobs full t blocks; do
	is "unread records of $object are there" "$(dump -o jsonl records "$name-3" $object | unnumbered)" \
		"$(dump -o jsonl records -f unread "$name" $object | grep '"ready"' | unnumbered)"
done
is "all of a flight recorder" "$(dump -o jsonl records "$name-3" log | jq -r .bytes)" \
	"$(dump -o jsonl records "$name" log | jq -r .bytes)"
for cursor in a b c; do
	is "cursor $cursor goes on at its place" "$(run recv -W --raw --cursor=$cursor "$name-3" many)" \
		"$(run recv -W --raw --cursor=$cursor "$name" many)"
done
is "and the default one" "$(run recv -W --raw "$name-3" many)" "$(seq 5 6)"
is "the objects are the same" "$(dump -o json schema "$name-3" | jq .objects)" "$(dump -o json schema "$name" | jq .objects)"
shape='[.slots, (.objects[] | [.name, .kind, .count, (.ring, .table | objects | [.mode, .capacity,
	.max_record, .history, .cursor_places, .single_producer, .slots, .key, .record_size])])]'
is "and their options" "$(dump -o json info "$name-3" | jq -c "$shape")" "$(dump -o json info "$name" | jq -c "$shape")"
is "restore never replaces a segment" "$(fails restore "$name-3" "$dir/image")" \
	"1
shmring: /dev/shm$name-3 is there already: restore makes new segments only"
ln -s nothing "/dev/shm$name-4"
is "nor what was not seen before" "$(fails restore "$name-4" "$dir/image"; readlink "/dev/shm$name-4")" "1
shmring: /dev/shm$name-4 is there already: restore makes new segments only
nothing"
rm "/dev/shm$name-4"
head -c 9000 "$dir/image" >"$dir/cut"
is "nothing is made of a truncated image" "$(fails restore "$name-4" "$dir/cut" | head -n 1)" 6
is "or of a file of another kind" "$(fails restore "$name-4" ./shmring | head -n 1)" 5
is "nothing at all" "$(find /dev/shm -name '*restore*' -o -name "${name#/}-4")" ""
bad=
./dump-segment make "$name-5"
i=0
while [ $i -lt 60 ]; do
	i=$((i + 1))
	./dump-segment damage "$name-5" $i "$dir/bad"
	rm -f "/dev/shm$name-6"
	timeout 20 ./shmring restore "$name-6" "$dir/bad" >"$dir/out" 2>&1
	got=$?
	case $got in 0 | 1 | 2 | 5 | 6 | 7) ;; *) bad="$bad $i:$got" ;; esac
	if [ $got = 0 ]; then dump info "$name-6" >"$dir/out" || bad="$bad $i:info"; fi
	[ $got = 0 ] || [ ! -e "/dev/shm$name-6" ] || bad="$bad $i:left"
done
is "damaged images are restored or refused, never a crash" "$bad" ""
# --- repair
rm -f "/dev/shm$name"-*
plainly() { sed -E 's/pid [0-9]+/pid P/; s/ at [0-9]+/ at N/'; }
repair() { fails repair "$@"; plainly <"$dir/out"; }
./dump-segment make "$name-r"
./dump-segment hold "$name-r" >"$dir/held" &
holder=$!
started="$started $holder"
soon '[ -s "$dir/held" ]'
kill -STOP $holder
is "who is stopped is alive" "$(repair "$name-r")" "0
nothing to repair: nobody is dead, 1 live"
owners='member 1, pid P dump-segment as holder: alive
  has a record of plain, reserved at N, 24 bytes'
is "who holds what" "$(repair --owners "$name-r")" "0
$owners"
kill -9 $holder
wait $holder 2>/dev/null
is "--dry-run tells of the dead" "$(repair --dry-run "$name-r")" "0
$(echo "$owners" | sed s/alive/dead/)
would mend what 1 dead members left"
is "and changes nothing" "$(dump records "$name-r" plain | tail -n 1 | sed 's/@[0-9]*/@N/')" \
	"plain @N: not committed yet, member 1, 24 bytes"
is "repair mends, and tells what" "$(repair "$name-r")" "0
$(echo "$owners" | sed s/alive/dead/)
mended what 1 of 1 dead members left
  1 records that were never committed are skipped"
is "so it is" "$(dump records "$name-r" plain | tail -n 1 | sed 's/@[0-9]*/@N/')" \
	"plain @N: skipped, member 1, 24 bytes"
is "and then there is nothing to do" "$(repair "$name-r"; repair --owners "$name-r")" "0
nothing to repair: nobody is dead, 0 live
0"
mkfifo "$dir/orders" "$dir/pipe"
./dump-tables "$name-t" <"$dir/orders" >"$dir/told" &
tables=$!
started="$started $tables"
exec 7>"$dir/orders"
printf '%s\n' 'insert web' 'insert-block 01' 'begin 0' 'begin-block 0' >&7
soon 'grep -q begin-block "$dir/told"'
kill -9 $tables
exec 7>&-
wait $tables 2>/dev/null
is "updates of a dead one are told and ended" "$(repair "$name-t")" "0
member 1, pid P dump-tables: dead
  has an update of services[0]
  has an update of blocks[0]
mended what 1 of 1 dead members left
  2 updates of slots are over; in place the next writer repairs"
run create "$name-q" --ring=jobs,mode=queue --ring=s,cursors=2
for i in $(seq 50); do head -c 2000 /dev/zero | tr '\0' x; echo; done | run send "$name-q" jobs
# shellcheck disable=SC2217 # it has the pipe open, and reads nothing
sleep 60 <"$dir/pipe" &
reader=$!
./shmring recv --raw "$name-q" jobs >"$dir/pipe" &
worker=$!
started="$started $reader $worker"
soon '[ "$(dump records "$name-q" jobs | grep -c " done")" -gt 20 ]'
sleep 0.3 # until the pipe is full
cp "/dev/shm$name-q" "$dir/image"
left=$((50 - $(dump records "$name-q" jobs | grep -c ' done')))
is "a job that is taken and not done is restored" "$(fails restore "$name-q2" "$dir/image")" "0
shmring: $left records of rings and 0 of tables restored"
kill -9 $worker $reader
wait $worker $reader 2>/dev/null
is "a job of a dead worker is given back" "$(repair "$name-q")" "0
member 1, pid P shmring as shmring recv: dead
  has a record of jobs, taken at N
mended what 1 of 1 dead members left
  1 records of queues are given back, or lost where it is at most once"
rm -f "$dir/held"
./peer lock "$name-l" >"$dir/held" &
holder=$!
started="$started $holder"
soon 'grep -q held "$dir/held" 2>/dev/null'
kill -9 $holder
wait $holder 2>/dev/null
./peer lose "$name-l"
run repair "$name-l" >/dev/null
lost="nothing to repair: nobody is dead, 0 live
mutex mutex[1] is lost: an owner died, and the next one gave it up"
is "a lost mutex is told" "$(repair "$name-l")" "0
$lost
1 lost mutexes are left alone: --reset-lost makes them usable"
is "--dry-run resets nothing" "$(repair --reset-lost --dry-run "$name-l")" "0
$lost
would reset 1 lost mutexes"
is "so it is lost still" "$(dump check -o jsonl "$name-l" | jq -c '[.found[] | .code, .number]')" '["lost",1]'
is "--reset-lost resets it" "$(repair --reset-lost "$name-l")" "0
$lost
reset 1 lost mutexes: the next one to lock each is told to repair"
is "the next one is told to repair" "$(./peer take "$name-l" | sed 's/ deaths.*//')" "owner dead"
is "and then all is well" "$(./peer take "$name-l" | sed 's/ deaths.*//'; dump check "$name-l")" "clean
no damage"
./peer pthread-lose "$name-lp"
run repair "$name-lp" >/dev/null
lost="nothing to repair: nobody is dead, 0 live
mutex mutex[0] is lost: an owner died, and the next one gave it up"
is "one of pthread is told, too" "$(repair "$name-lp")" "0
$lost
1 lost mutexes are left alone: those of pthread cannot be reset"
is "and not promised to be reset" "$(repair --reset-lost --dry-run "$name-lp" | tail -n 1)" \
	"1 lost mutexes are left alone: those of pthread cannot be reset"
is "--reset-lost refuses it" "$(fails repair --reset-lost "$name-lp")" "1
shmring: $name-lp: a pthread mutex cannot be reset while others may use it"
is "so it is lost still" "$(dump locks -o jsonl "$name-lp" | jq -c '[.locks[].state]')" '["lost"]'
is "repair of no segment" "$(repair "$name-no" | head -n 1)" 3

# --- gc
make_one() { run create "$name-g" --ring=r,cursors=2 --ring=q,mode=queue --ring=o,mode=overwrite --table=t,record_size=8 --members="$1"; }
gc() { fails gc "$@" "$name-g"; plainly <"$dir/out" | sed "s,$name,NAME,"; }
make_one 9
is "gc --dry-run tells what would go" "$(gc -n)" "0
would remove NAME-g
1 segments would be removed, 0 kept"
is "gc removes what nobody uses" "$(gc; ls "/dev/shm$name-g" 2>/dev/null)" "0
removed NAME-g
1 segments removed, 0 kept"
stay() { # description, sentence; with --force it goes
	is "gc keeps $1" "$(gc)" "0
kept NAME-g: $2
0 segments removed, 1 kept"
	is "but not with --force" "$(gc --force)" "0
removed NAME-g
1 segments removed, 0 kept"
	make_one 3
}
make_one 1022
echo unread | run send "$name-g" r
stay "unread records" "ring r has 16 bytes that cursor default has not read"
echo unread | run send "$name-g" r
run recv --raw --cursor=mine --create -W "$name-g" r >"$dir/out"
run recv --raw -W "$name-g" r >"$dir/out"
echo unread | run send "$name-g" r
run recv --raw -W "$name-g" r >"$dir/out"
stay "what a durable cursor has not read" "ring r has 16 bytes that cursor mine has not read"
echo job | run send "$name-g" q
stay "jobs" "queue q has 24 bytes that are not done"
echo crash | run send "$name-g" o
stay "a flight recorder" "flight recorder o has records"
echo '{"object":"t","bytes":"a"}' | run load "$name-g"
stay "used slots" "table t has 1 used slots"
./shmring recv --raw "$name-g" r >"$dir/out" 2>&1 &
recv=$!
started="$started $recv"
soon 'dump info "$name-g" | grep -q alive\ \ '
is "gc keeps what has a living member, with --force too" "$(gc; gc --force)" "0
kept NAME-g: member 1, pid P shmring, is alive
0 segments removed, 1 kept
0
kept NAME-g: member 1, pid P shmring, is alive
0 segments removed, 1 kept"
kill -9 $recv
wait $recv 2>/dev/null
is "but not of the dead" "$(gc)" "0
removed NAME-g
1 segments removed, 0 kept"
sysv=sysv:0x$(printf '%08x' $((0x57000000 + $$)))
run create "$sysv" --ring=r
is "never a System V segment" "$(fails gc --force "$sysv"; cat "$dir/out")" "0
kept $sysv: a System V segment, left to ipcrm
0 segments removed, 1 kept"
run rm "$sysv"
ok "which rm removes" $?
cp ./shmring "$dir/foreign"
is "nor a foreign file" "$(fails gc --force "file:$dir/foreign"; tail -n 1 "$dir/out"; ls "$dir/foreign")" "0
0 segments removed, 1 kept
$dir/foreign"
is "no such segment" "$(fails recv "$name-no")" "3
shmring: $name-no: cannot open /dev/shm$name-no: No such file or directory"
is "a foreign file" "$(fails send file:./shmring-dump </dev/null | head -n 1)" 5
is "unknown command" "$(fails frobnicate)" "2
shmring: unknown command frobnicate; see shmring --help"

# --- Documentation
man=${top_srcdir:-.}/tools/shmring.1
is "the man page passes mandoc's lint" "$(mandoc -T lint -W warning "$man" 2>&1)" ""
missing=
for command in $(run --help | sed -n 's/^  \([a-z]*\)  .*/\1/p'); do
	grep -q "^.It Cm $command$" "$man" || missing="$missing $command"
	for option in $(run "$command" --help | sed -n 's/^  \(-., \|    \)--\([a-z-]*\).*/\2/p'); do
		grep -q -- "Fl -$option" "$man" || missing="$missing $command:$option"
	done
	for key in $(run "$command" --help | sed -n '/^After NAME/,$s/^  \([a-z_]*\).*/\1/p'); do
		grep -q -- "$key" "$man" || missing="$missing $command:$key"
	done
done
is "each command, option and key of --help is in the man page" "$missing" ""
is "the plan" "$n" $((plan - 1))
