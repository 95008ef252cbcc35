#!/bin/sh
# SPDX-License-Identifier: MIT
# shmring-dump on live, odd, damaged and foreign segments.
# shellcheck disable=SC2016
name=/shmring-dump-$$
plan=75
. "${top_srcdir:-.}/tests/tap.sh"
TZ=UTC
export TZ
lines() { # the same for JSON lines: some line gives true
	ok "$1" "$(jq -es "any(.[] | ($2); .)" <"$dir/json" >"$dir/jq" 2>&1; echo $?)"
}

# Text
./dump-segment make "$name" || exit 1
is "records of every type, by name" "$(dump records "$name" typed)" \
'typed @0: u64=18446744073709551615 i64=-9223372036854775808 f64=0.1 nan=NaN inf=[Infinity,-Infinity] u32=4294967295 i32=-2147483648 f32=0.25 u16=[1,65535] i16=-32768 u8=255 i8=-128 text="grüß \"dich\"\n" odd="\x1b[2J\x80\xff"
typed @104 type 9: u64=1 i64=0 f64=0 nan=0 inf=[0,0] u32=0 i32=0 f32=0 u16=[0,0] i16=0 u8=0 i8=0 text="longer" odd="" and "and\tmore"'
./dump-segment hold "$name" >"$dir/held" &
holder=$!
started="$started $holder"
soon '[ -s "$dir/held" ]'
plain='plain @0: "read"
plain @16: skipped, member 1, 100 bytes
plain @128: "un\x00read\xff"
plain @144: ""
plain @152: not committed yet, member 1, 24 bytes'
is "read, skipped, unread and uncommitted records" "$(dump records "$name" plain)" "$plain"
is "long bytes are cut" "$(dump records -b 2 "$name" plain | sed -n '1p;3p')" \
	'plain @0: "re" and 2 bytes
plain @128: "un" and 6 bytes'
is "unread ones" "$(dump records -f unread "$name" plain)" "$(printf '%s\n' "$plain" | tail -n 3)"
is "new ones: none" "$(dump records --from=new "$name")" ""
is "the last two" "$(dump records -n 2 "$name" plain)" "$(printf '%s\n' "$plain" | tail -n 2)"
is "the first two" "$(dump records -c 2 "$name" plain)" "$(printf '%s\n' "$plain" | head -n 2)"
is "no control character in any output" \
	"$(dump records "$name" | LC_ALL=C tr -d '\n -~\200-\377' | wc -c)" 0
is "schema" "$(dump schema "$name")" \
'ring typed: struct all, version 7, 96 bytes, layout 2c8595044f22d630
      0  u64         u64
      8  i64         i64
     16  f64         f64
     24  f64         nan
     32  f64[2]      inf
     48  u32         u32
     52  i32         i32
     56  f32         f32
     60  u16[2]      u16
     64  i16         i16
     66  u8          u8
     67  i8          i8
     68  char[16]    text
     84  char[12]    odd
ring plain: untyped
bytes blob: untyped'
is "info: members and rings" \
	"$(dump info "$name" | sed -E '1s/epoch .*/epoch E/; s/pid [0-9]+/pid P/; s/[0-9-]{10} [0-9:]{8}/T/')" \
"$name: 40960 bytes (40 KiB), format 0.2, epoch E
made T by pid P; current
alive or dead: by locks on the segment itself
members: 1 of 3 slots; died without detaching: 0
     1  alive    pid P  dump-segment as holder, since T
ring typed: struct all, single producer
  capacity     4096 bytes (4.0 KiB), records up to 1016, history 2048
  written to   216
  released to  0
  kept from    0
  unread       216 bytes, 5% of the capacity
  producer     nobody; died and replaced: 0
  consumer     nobody; died and replaced: 0
  counters     skipped 0, redelivered 0, claim locks mended 0
ring plain: untyped, several producers
  capacity     4096 bytes (4.0 KiB), records up to 1016, history 2048
  written to   184
  released to  128
  kept from    0
  unread       56 bytes, 1% of the capacity
  consumer     nobody; died and replaced: 0
  counters     skipped 1, redelivered 0, claim locks mended 0
bytes blob: untyped, 64 bytes"
dump list | awk -v n="$name" '$1 == n {show = 1} /^[^ ]/ && $1 != n {show = 0} show' >"$dir/list"
is "list" "$(awk '{$1 = $1} NR == 1 {$1 = $5 = $6 = $7 = "-"} {print}' "$dir/list")" \
"- 40960 1 0 - - - typed ring all/7 @216 216 default
plain ring untyped @184 56 default
blob bytes untyped"
is "list: the owner" "$(awk 'NR == 1 {print $5}' "$dir/list")" "$(id -un)"
is "list: columns" "$(dump list | awk 'NR == 1 {$1 = $1; print}')" \
	"SEGMENT BYTES ALIVE DEAD OWNER MADE OBJECT KIND SCHEMA NEWEST LAG"
is "list: one under the other" "$(awk 'NR == 1 {print index($0, " ring "), index($0, "all/7")}
	NR == 2 {print index($0, " ring "), index($0, "untyped")}' "$dir/list" | sort -u | wc -l)" 1
head -c 5000 "/dev/shm$name" >"/dev/shm$name-2"
is "list: what cannot be read says why" "$(dump list | sed -n "s,^$name-2  *,,p")" \
	"truncated: the file ends before byte 8728"
dump -o jsonl list >"$dir/json"
lines "and in JSON" "select(.segment==\"$name-2\").error==\"truncated: the file ends before byte 8728\""
chmod 0 "/dev/shm$name-2"
as= # root may read all
[ "$(id -u)" = 0 ] && as="setpriv --reuid 65534 --clear-groups"
if $as ./shmring-dump -V >/dev/null 2>&1; then
	is "and what may not be read" "$($as ./shmring-dump list | sed -n "s,^$name-2  *,,p")" \
		"may be a segment, and may not be read"
else
	n=$((n + 1))
	echo "ok $n - and what may not be read # SKIP nobody may not run shmring-dump here"
fi
rm -f "/dev/shm$name-2"
is "list: names" "$(dump -o names list | grep "^$name")" "$name"
is "names are of list" "$(status -o names info "$name"; cat "$dir/err")" "2
shmring-dump: only list has this format; not: info; see shmring-dump --help"
is "without a command: list" "$(dump | grep -c "^$name ")" 1

# JSON
dump -o jsonl records "$name" >"$dir/json"
is "jsonl: a record a line" "$(wc -l <"$dir/json")" 7
lines "64-bit integers are strings" \
	'select(.position=="0" and .object=="typed") | .v==1 and .fields.u64=="18446744073709551615" and .fields.i64=="-9223372036854775808"'
lines "other integers are numbers" \
	'select(.position=="0" and .object=="typed") | .fields.u32==4294967295 and .fields.i8==-128 and .fields.u16==[1,65535]'
lines "NaN and infinities are strings" \
	'select(.position=="0" and .object=="typed") | .fields.nan=="NaN" and .fields.inf==["Infinity","-Infinity"] and .fields.f64==0.1'
lines "text is text, or hex" \
	'select(.position=="0" and .object=="typed") | .fields.text=="grüß \"dich\"\n" and .fields.odd.hex=="1b5b324a80ff"'
lines "what follows the type" 'select(.position=="104") | .type==9 and .bytes=="and\tmore"'
lines "states" 'select(.position=="16").state=="skipped"'
lines "untyped bytes" 'select(.position=="128") | .bytes.hex=="756e0072656164ff" and .state=="ready"'
dump -o json records "$name" >"$dir/json"
json "json: one array" 'length==7 and .[0].fields.u8==255'
dump -o json records "$name" typed --from new >"$dir/json"
json "json: an empty array" '.==[]'
dump -o json info "$name" >"$dir/json"
json "info" '.v==1 and .slots==3 and (.members[0]|.state=="alive" and .role=="holder")
	and (.objects[1].ring|.skipped=="1" and .unread_bytes=="56" and .single_producer==false)'
dump -o json schema "$name" >"$dir/json"
json "schema" '.objects[0].schema|.name=="all" and .hash=="2c8595044f22d630" and .size==96
	and .fields[12]=={name:"text",type:"char",offset:68,count:16}'
dump -o json list >"$dir/json"
json "list" "map(select(.segment==\"$name\"))[0] | .alive==1 and .uid==$(id -u) and .user==\"$(id -un)\" and (.objects|map(.name))==[\"typed\",\"plain\",\"blob\"]
	and (.objects[0]|.schema.name==\"all\" and .schema.version==7 and .tail==\"216\" and .lag_bytes==\"216\" and .slowest==\"default\")
	and .objects[1].lag_bytes==\"56\" and .objects[2].schema==null"
dump -o jsonl list >"$dir/json"
lines "list, a segment a line" "select(.segment==\"$name\").size==\"40960\""

# Death is seen
kill -9 "$holder"
wait "$holder" 2>/dev/null
soon '[ "$(dump list | awk -v n="$name" '"'"'$1==n {print $3 $4}'"'"')" = 01 ]'
ok "a killed member is dead in the list" $?
is "and in info" "$(dump info "$name" | sed -n '4,5s/  *pid.*//p')" \
	"     1  dead"
is "and in the count of those that died" "$(dump info "$name" | sed -n 4p)" \
	"members: 1 of 3 slots; died without detaching: 1"

# Colours
ok "no colours into a pipe" "$(dump info "$name" | grep -c "$(printf '\033')")"
ok "colours always" "$(dump --color=always info "$name" | grep -q "$(printf '\033')"; echo $?)"

# Follow
./dump-segment pour "$name-2" 2>"$dir/pour" &
pour=$!
started="$started $pour"
soon '[ -e "/dev/shm$name-2" ]'
is "follow shows new records" "$(dump follow -c 3 "$name-2" | grep -c '^ring @[0-9]*: "number [0-9]*"$')" 3
dump follow -f oldest -c 300 --fail-on-loss "$name-2" >"$dir/out"
got=$?
if grep -q lost "$dir/out"; then want=8; else want=0; fi
is "follow: exit status is the loss's with --fail-on-loss" $got $want
dump follow -f oldest -c 300 "$name-2" >"$dir/out"
ok "follow: else success" $?
ok "numbers only ever grow" "$(sed -n 's/.*"number \([0-9]*\)"/\1/p' "$dir/out" | sort -nuc 2>/dev/null; echo $?)"
dump -o jsonl follow -c 500 "$name-2" >"$dir/json"
json "follow in JSON: records and losses" 'has("lost_bytes") or (.bytes|startswith("number "))'
rm -f "$dir/out"
./shmring-dump follow "$name-2" >"$dir/out" 2>"$dir/err" &
follow=$!
started="$started $follow"
soon '[ -s "$dir/out" ]'
kill $follow
wait $follow
ok "follow ends well at a signal" $?
ok "and tells how much it has shown" "$(grep -q 'records shown, [0-9]* bytes lost$' "$dir/err"; echo $?)"
kill -9 $pour
wait $pour 2>/dev/null
rm -f "$dir/out"
./shmring-dump follow --once "$name-2" >"$dir/out" 2>"$dir/err" &
follow=$!
started="$started $follow"
soon "ls -l /proc/$follow/fd | grep -q \"$name-2\""
rm "/dev/shm$name-2"
wait $follow
ok "follow ends when the segment is gone" $?
ok "and says so" "$(grep -q obsolete "$dir/err"; echo $?)"

# Bad input
is "unknown command" "$(status frobnicate)" 2
is "no segment" "$(status info)" 2
is "unknown option" "$(status --frobnicate)" 2
is "unknown format" "$(status -o xml list)" 2
is "not a number" "$(status -n many records "$name")" 2
is "follow has no json" "$(status -o json follow "$name")" 2
is "no such segment" "$(status info "$name-no"; cat "$dir/err")" \
	"3
shmring-dump: $name-no: cannot open /dev/shm$name-no: No such file or directory"
is "no such object" "$(status records "$name" nothing; cat "$dir/err")" \
	"3
shmring-dump: $name: the segment has no object named nothing"
is "a foreign file" "$(status info "file:./shmring-dump")" 5
head -c 5000 "/dev/shm$name" >"$dir/cut"
is "a truncated one" "$(status info "file:$dir/cut")" 6
cp "/dev/shm$name" "$dir/other"
printf '\377' | dd of="$dir/other" bs=1 seek=12 conv=notrunc 2>/dev/null
is "another format" "$(status info "file:$dir/other"; cat "$dir/err")" \
	"5
shmring-dump: file:$dir/other: made by format 255.2, this library reads 0.x"
./shmring-dump records "$name" >/dev/full 2>"$dir/err"
is "a full disk" "$?" 1
bad=
i=0
while [ $i -lt 60 ]; do
	i=$((i + 1))
	./dump-segment damage "$name" $i "$dir/bad" || bad="$bad $i:make"
	for how in info schema locks records "-o jsonl info" "-o jsonl records"; do
		# shellcheck disable=SC2086
		timeout 10 ./shmring-dump $how "file:$dir/bad" >"$dir/out" 2>&1
		got=$?
		case $got in 0 | 1 | 5 | 6) ;; *) bad="$bad $i:$how:$got" ;; esac
		[ "$(LC_ALL=C tr -d '\n -~\200-\377' <"$dir/out" | wc -c)" = 0 ] || bad="$bad $i:$how:control"
		case $how in *jsonl*)
			grep -v '^shmring-dump: ' "$dir/out" | jq . >/dev/null 2>&1 || bad="$bad $i:$how:jq"
			;;
		esac
	done
done
is "damaged images are shown or refused, never a crash" "$bad" ""

# Other backends
sysv=sysv:0x$(printf '%08x' $((0x56000000 + $$)))
./minimal-producer "$sysv" >/dev/null
is "records of a System V segment" "$(dump records -n 1 "$sysv")" \
	'ring @80: number=2 celsius=22.5 room="kitchen"'
is "info tells how its members prove that they live" "$(dump info "$sysv" | sed -n 3p)" \
	"alive or dead: by locks on its companion in /dev/shm"
is "and it is in the list" "$(dump list | awk -v n="$sysv" '$1==n {print $8, $9, $10, $12, $13}')" "ring ring reading/1 120 default"
life=/dev/shm/.shmring-life-$(dump -o json info "$sysv" | jq -r .epoch)
ok "by the name of its epoch" "$([ -s "$life" ]; echo $?)"
ipcrm -M "${sysv#sysv:}"
rm -f "$life"
./minimal-producer "$name-2" >/dev/null
is "a segment of a descriptor" "$(dump records -n 1 fd:3 3<"/dev/shm$name-2")" \
	'ring @80: number=2 celsius=22.5 room="kitchen"'
# Another directory
mkdir "$dir/run"
cp "/dev/shm$name" "$dir/run/one"
cp "/dev/shm$name-2" "$dir/run/two"
is "-d: list is of the directory" "$(dump -d "$dir/run" -o names list)" \
	"file:$dir/run/one
file:$dir/run/two"
is "-d: bare names are of files there, others are not" \
	"$(dump -d "$dir/run" -o json info one | jq -r .segment) $(
		dump --directory="$dir/run" -o json info /two | jq -r .segment) $(
		dump -d "$dir" -o json info "file:$dir/run/two" | jq -r .segment)" \
	"file:$dir/run/one file:$dir/run/two file:$dir/run/two"
is "-d: stat of all, or of several" "$(dump -d "$dir/run" -o jsonl stat | jq -r .segment; dump -d "$dir/run" -o jsonl stat two one |
	jq -r .segment)" "file:$dir/run/one
file:$dir/run/two
file:$dir/run/two
file:$dir/run/one"
is "-d: top" "$(dump -d "$dir/run" -i 0.01 --once top | grep -c "^file:$dir/run/two ring ")" 1
is "-d: records, follow and --diff" "$(dump -d "$dir/run" -n 1 records two ring) $(
	dump -d "$dir/run" -n 1 -c 1 follow two ring) $(dump -d "$dir/run" schema --diff=two two)" \
	'ring @80: number=2 celsius=22.5 room="kitchen" ring @80: number=2 celsius=22.5 room="kitchen" ring ring: struct reading version 1'
is "-d: nothing there" "$(status -d "$dir/none" list; cat "$dir/err"; mkdir "$dir/empty"; status -d "$dir/empty" list; cat "$dir/err")" \
	"3
shmring-dump: $dir/none: cannot list $dir/none: No such file or directory
0
shmring-dump: no segments in $dir/empty"

# Documentation
man=${top_srcdir:-.}/tools/shmring-dump.1
is "the man pages pass mandoc's lint" \
	"$(mandoc -T lint -W warning "$man" "${top_srcdir:-.}/lib/shmring-map.7" \
		"${top_srcdir:-.}/lib/shmring-lock.7" 2>&1)" ""
missing=
for option in $(./shmring-dump --help | sed -n 's/^  \(-., \|    \)--\([a-z-]*\).*/\2/p'); do
	grep -q -- "Fl -$option" "$man" || missing="$missing $option"
done
is "each option of --help is in the man page" "$missing" ""
is "the plan" "$n" $((plan - 1))
