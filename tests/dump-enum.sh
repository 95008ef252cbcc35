#!/bin/sh
# SPDX-License-Identifier: MIT
# Values that have names: how shmring-dump prints, finds and counts them, and shmring takes them.
# shellcheck disable=SC2016
name=/shmring-dump-enum-$$
plan=40
src=${top_srcdir:-.}
. "$src/tests/tap.sh"
dump() { # and the exit status, if that is not 0
	./shmring-dump "$@" 2>&1 || echo "$?"
}

cat >"$dir/schema.json" <<'JSON'
{"name": "order", "version": 2, "size": 24, "fields": [
  {"name": "id", "type": "u64", "offset": 0, "enum": [
    {"name": "none", "value": "0"}, {"name": "last", "value": "18446744073709551615"}]},
  {"name": "delta", "type": "i64", "offset": 8, "unit": "ticks", "since": 2, "enum": [
    {"name": "least", "value": "-9223372036854775808"}, {"name": "two words", "value": 2}]},
  {"name": "side", "type": "u8", "offset": 16, "help": "who", "enum": [
    {"name": "buy", "value": 0}, {"name": "sell", "value": 1}, {"name": "short", "value": 1},
    {"name": "a,\"b\"\u001b[2J", "value": 3}, {"name": {"hex": "ff"}, "value": 4}]},
  {"name": "sides", "type": "i8", "offset": 17, "count": 3, "enum": [
    {"name": "no", "value": -1}, {"name": "maybe", "value": 0}, {"name": "yes", "value": 1}]},
  {"name": "plain", "type": "u32", "offset": 20, "since": 2}
]}
JSON
cat >"$dir/in" <<'JSON'
{"object":"orders","fields":{"id":"none","delta":"least","side":"buy","sides":["no","maybe","yes"],"plain":1}}
{"object":"orders","fields":{"id":"last","delta":"two words","side":"short","sides":[-1,5,"yes"],"plain":2}}
{"object":"orders","fields":{"id":"18446744073709551614","delta":"-1","side":"a,\"b\"\u001b[2J","sides":[0,0,0],"plain":3}}
{"object":"orders","fields":{"id":7,"delta":3,"side":{"hex":"ff"},"sides":[1,1,1],"plain":4}}
{"object":"orders","fields":{"id":7,"delta":3,"side":200,"sides":[1,1,1],"plain":5}}
JSON
./shmring create "$name" --ring="orders,schema=$dir/schema.json,capacity=4k,mode=overwrite" || exit 1

# The schema
is "schema" "$(dump schema "$name")" 'ring orders: struct order, version 2, 24 bytes, layout '"$(
	dump -o json schema "$name" | jq -r '.objects[0].schema.hash')"'
      0  u64         id
                     0 none, 18446744073709551615 last
      8  i64         delta, ticks, since version 2
                     -9223372036854775808 least, 2 two words
     16  u8          side: who
                     0 buy, 1 sell, 1 short, 3 a,"b"\x1b[2J, 4 \xff
     17  i8[3]       sides
                     -1 no, 0 maybe, 1 yes
     20  u32         plain, since version 2'
is "schema as JSON has what it was made from, values as strings" \
	"$(dump -o json schema "$name" | jq -S '.objects[0].schema | del(.hash)')" \
	"$(jq -S '(.fields[] | select(.enum).enum[].value) |= tostring' "$dir/schema.json")"
dump -o json schema "$name" >"$dir/again.json"
./shmring create "$name-again" --ring="orders,schema=$dir/again.json,capacity=4k,mode=overwrite"
is "and makes the same segment" "$(dump -o json schema "$name-again" | jq .objects)" \
	"$(dump -o json schema "$name" | jq .objects)"
is "diff says that they are the same" "$(dump schema --diff="$name-again" "$name")" \
	"ring orders: struct order version 2"

jq '.fields[2].enum[1].name = "sold" | .fields[3].enum[0].value = 7 | del(.fields[0].enum) |
	.fields[4].enum = [{name: ("a" * 27), value: 7}, {name: ("b" * 27), value: 8}]' "$dir/schema.json" >"$dir/other.json"
./shmring create "$name-other" --ring="orders,schema=$dir/other.json,capacity=4k,mode=overwrite"
is "and which names and values are others" "$(dump schema --diff="$name-other" "$name")" \
	'ring orders: struct order version 2
  ~ id: u64 at 0, 0 none, 18446744073709551615 last; now u64 at 0
  ~ side: u8 at 16, 0 buy, 1 sell, 1 short, 3 a,"b"\x1b[2J, 4 \xff; now u8 at 16, 0 buy, 1 sold, 1 short, 3 a,"b"\x1b[2J, 4 \xff
  ~ sides: i8[3] at 17, -1 no, 0 maybe, 1 yes; now i8[3] at 17, 7 no, 0 maybe, 1 yes
  ~ plain: u32 at 20; now u32 at 20, 7 aaaaaaaaaaaaaaaaaaaaaaaaaaa, 8 bbbbbbbbbbbbbbbbbbbbbbbbbbb'
is "lines are no longer than a terminal is wide" "$(dump schema "$name-other" | tail -n 3)" \
	'     20  u32         plain, since version 2
                     7 aaaaaaaaaaaaaaaaaaaaaaaaaaa,
                     8 bbbbbbbbbbbbbbbbbbbbbbbbbbb'
is "as JSON" "$(dump -o json schema --diff="$name-other" "$name" |
	jq -c '.together, (.differences[] | [.change, .field, .was.enum[1].name, .is.enum[1].name])')" \
	'true
["changed","id","last",null]
["changed","side","sell","sold"]
["changed","sides","maybe","maybe"]
["changed","plain",null,"bbbbbbbbbbbbbbbbbbbbbbbbbbb"]'

# As C, by which another program makes the same
{
	dump schema --as=c "$name"
	cat <<'C'
#include <shmring/shmring.h>
int main(int argc, char **argv)
{
	struct shr_ring_options ring = {.struct_size = sizeof(ring), .mode = SHR_RING_OVERWRITE,
					.capacity = 4096, .schema = SHR_SCHEMA_OF(order)};
	struct shr_segment *segment = NULL;
	struct shr_object object;

	return argc != 2 || shr_ring_describe(&object, "orders", &ring) ||
	       shr_segment_create(&segment, argv[1], &object, 1, NULL);
}
C
} >"$dir/make.c"
# shellcheck disable=SC2086
${CC:-cc} -std=c11 -Wall -Wextra -Wpedantic -Werror -I"$src/include" -o "$dir/make" "$dir/make.c" \
	.libs/libshmring.so 2>"$dir/err"
is "schema --as=c compiles" "$(cat "$dir/err")" ""
LD_LIBRARY_PATH=.libs "$dir/make" "$name-c"
is "and a program of it makes the same schema" "$(dump -o json schema "$name-c" | jq .objects)" \
	"$(dump -o json schema "$name" | jq .objects)"

# Records, in
./shmring load "$name" <"$dir/in" 2>"$dir/err"
ok "load takes names and numbers" $?
is "and says nothing more" "$(cat "$dir/err")" "shmring: 5 records were loaded"
bad() { # fields
	printf '{"object":"orders","fields":{"id":0,"delta":0,"side":0,"sides":[0,0,0],"plain":0} * %s}\n' "$1" >/dev/null
	jq -cn '{object: "orders", fields: ({"id":0,"delta":0,"side":0,"sides":[0,0,0],"plain":0} + '"$1"')}' |
		./shmring load "$name-again" 2>&1 | sed 's/^[^:]*: *//;q'
}
for value in '{side:"bye"}' '{side:""}' '{side:"bu"}' '{side:256}' '{side:{"hex":"fe"}}' \
	'{plain:"buy"}' '{id:"nonesuch"}' '{sides:["no","no","two"]}'; do
	case $(bad "$value") in
	*"does not fit its type"*) ;;
	*) wrong="$wrong $value: $(bad "$value")" ;;
	esac
done
is "names that no value has are refused" "$wrong" ""
is "and nothing was stored" "$(dump records "$name-again")" ""

# Records, out
is "text" "$(dump -F id,delta,side,sides,plain records "$name" | sed 's/.*) //;s/^[^ ]* *//' | sed 's/.* id=/id=/')" \
	'id=none delta=least side=buy sides=[no,maybe,yes] plain=1
id=last delta=two words side=sell sides=[no,5,yes] plain=2
id=18446744073709551614 delta=-1 side=a,"b"\x1b[2J sides=[maybe,maybe,maybe] plain=3
id=7 delta=3 side=\xff sides=[yes,yes,yes] plain=4
id=7 delta=3 side=200 sides=[yes,yes,yes] plain=5'
is "JSON" "$(dump -o jsonl records "$name" | jq -c .fields)" \
	'{"id":"none","delta":"least","side":"buy","sides":["no","maybe","yes"],"plain":1}
{"id":"last","delta":"two words","side":"sell","sides":["no",5,"yes"],"plain":2}
{"id":"18446744073709551614","delta":"-1","side":"a,\"b\"\u001b[2J","sides":["maybe","maybe","maybe"],"plain":3}
{"id":"7","delta":"3","side":{"hex":"ff"},"sides":["yes","yes","yes"],"plain":4}
{"id":"7","delta":"3","side":200,"sides":["yes","yes","yes"],"plain":5}'
is "csv" "$(dump -o csv -F id,delta,side,sides,plain records "$name")" \
	'id,delta,side,sides,plain
"none","least","buy","[no,maybe,yes]",1
"last","two words","sell","[no,5,yes]",2
"18446744073709551614","-1","a,""b""\x1b[2J","[maybe,maybe,maybe]",3
"7","3","\xff","[yes,yes,yes]",4
"7","3","200","[yes,yes,yes]",5'
is "which another program reads" "$(dump -o csv -F side,sides records "$name" |
	"$(python_with csv)" -c 'import csv, sys; print([r for r in csv.reader(sys.stdin)][3])')" \
	"['a,\"b\"\\\\x1b[2J', '[maybe,maybe,maybe]']"
is "one element of an array" "$(dump -F 'sides[0]' -o csv records "$name" | tr '\n' ' ')" \
	'sides[0] "no" "no" "maybe" "yes" "yes" '
dump -o jsonl records "$name" | ./shmring load "$name-c" 2>/dev/null
is "what was printed loads byte for byte" "$(dump -o hex -F id records "$name-c" | sed 's/^ring.*//')" \
	"$(dump -o hex -F id records "$name" | sed 's/^ring.*//')"

# Found
plain() { # expression
	dump -q "$1" -F plain records "$name" | sed 's/.*plain=//' | tr '\n' ' '
}
is "==" "$(plain 'side == "buy"')" "1 "
is "== the other way round" "$(plain '"sell" == side')" "2 "
is "== of a second name" "$(plain 'side == "short"')" "2 "
is "!=" "$(plain 'side != "buy"')" "2 3 4 5 "
is "of 64 bits, unsigned" "$(plain 'id == "last"')" "2 "
is "of 64 bits, signed" "$(plain 'delta == "least"')" "1 "
is "of an element" "$(plain 'sides[0] == "no"')" "1 2 "
is "~" "$(plain 'side ~ "^(s|b)"')" "1 2 "
is "!~" "$(plain 'side !~ "^(s|b)"')" "3 4 5 "
is "~ of a value without a name is of its digits" "$(plain 'delta ~ "^-1$" or side ~ "^200$"')" "3 5 "
is "numbers are compared as before" "$(plain 'side >= 3 and id < 0xffffffffffffffff')" "3 4 5 "
is "with an escape" "$(plain 'side == "\xff"')" "4 "
is "a name that no value has" "$(dump -q 'plain > 0 and side == "bye"' records "$name")" \
	'shmring-dump: -q: no value of the field has this name
  plain > 0 and side == "bye"
                        ^
2'
is "the beginning of a name" "$(dump -q 'side == "bu"' records "$name")" \
	'shmring-dump: -q: no value of the field has this name
  side == "bu"
          ^
2'
is "an order of names" "$(dump -q 'side < "sell"' records "$name")" \
	'shmring-dump: -q: names have no order: compare with a number
  side < "sell"
       ^
2'
is "a name of what has none" "$(dump -q 'plain == "buy"' records "$name")" \
	'shmring-dump: -q: text beside a number
  plain == "buy"
        ^
2'

# Counted
is "-g" "$(dump -g sides[1] records "$name")" "$(printf '%s\n' '         2  maybe' '         2  yes' '         1  5')"
is "-g as JSON" "$(dump -o jsonl -g side -q 'plain < 3' records "$name" | jq -c .value)" \
	'"buy"
"sell"'

# Tables: a key, and no counter
cat >"$dir/table.json" <<'JSON'
{"name": "count", "version": 1, "size": 16, "fields": [
  {"name": "hits", "type": "u64", "offset": 0},
  {"name": "side", "type": "u32", "offset": 8, "enum": [{"name": "buy \"}", "value": 1}]},
  {"name": "state", "type": "u32", "offset": 12, "enum": [{"name": "up", "value": 1}]}
]}
JSON
./shmring create "$name-table" --table="t,schema=$dir/table.json,key=side,slots=4,mode=counters"
echo '{"object":"t","fields":{"hits":"3","side":"buy \"}","state":"up"}}' | ./shmring load "$name-table" 2>"$dir/err"
is "a key with a name" "$(dump -F side,state records "$name-table" | sed 's/.* side/side/')" 'side=buy "} state=up'
is "stat: what has names is no counter" "$(dump stat "$name-table" | grep -c -e '^ *1 .*state' -e 'state$')" 0
is "openmetrics names the key" \
	"$(dump -o openmetrics stat "$name-table" | grep '^shmring_slot_count_' | sed 's/.*key=//')" \
	'"buy \"}"} 3'
