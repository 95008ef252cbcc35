#!/bin/sh
# SPDX-License-Identifier: MIT
# shmring-dump records: what chooses records, and how they are shown.
# shellcheck disable=SC1003,SC2016
name=/shmring-dump-query-$$
plan=189
. "${top_srcdir:-.}/tests/tap.sh"
TZ=UTC
export TZ
does() { printf '%s\n' "$@" | ./dump-query "$name" || exit 1; }
# The numbers of the orders of which EXPR... are true, or the caret and what it is under.
ids() {
	for expression in "$@"; do
		set -- "$@" -q "$expression"
		shift
	done
	./shmring-dump -o jsonl "$@" records "$name" orders 2>"$dir/err" >"$dir/json" || tail -n 1 "$dir/err"
	jq -r .sequence "$dir/json" | paste -sd ' ' -
}

does 'order 1 -1 0.5 0.1 web' \
	'order 18446744073709551615 -9223372036854775808 9007199254740992 16777216 mail' \
	'order 9007199254740993 9007199254740993 nan nan dns.eu' \
	'order 4 4 -inf inf 1234567' \
	'order 5 0 18446744073709551616 -0.0' \
	'log first' 'log second line' 'service web 7' 'service mail 9'

# Every one: the expression, and the numbers (#1 ... #5) of the orders that it is true of.
while IFS=% read -r expression wanted; do
	is "$expression" "$(ids "$expression")" "$wanted"
done <<'EOT'
id == 1%1
id==0x1%1
1 == id%1
id != 1%2 3 4 5
id < 5%1 4
id <= 5%1 4 5
id > 5%2 3
id >= 5%2 3 5
id == 18446744073709551615%2
id == 0xffffffffffffffff%2
id == -1%
id > -1%1 2 3 4 5
delta == -1%1
delta == 18446744073709551615%
delta < 0%1 2
delta == -9223372036854775808%2
delta < id%1 2 5
delta == id%3 4
id == 9007199254740992.0%
id > 9007199254740992.0%2 3
delta > 9007199254740992.0%3
delta >= -9223372036854775808.0%1 2 3 4 5
delta > -9.3e18%1 2 3 4 5
delta < -0.5%1 2
delta > -1.5 and delta < -0.5%1
delta <= -0.5 and delta >= -1.5%1
id < 1e999%1 2 3 4 5
price == 9007199254740992%2
price == 9007199254740993%
price < 9007199254740993%1 2 4
price == id%
price > id%5
price < id%1 2 4
id == price%
id < price%5
price == 18446744073709551616.0%5
price > 18446744073709551615%5
price != price%3
price == price%1 2 4 5
not price < 1%2 3 5
not price >= 1%1 3 4
price <= -1e999%4
ratio == 0.1%1
ratio > 0.1%2 4
ratio < 0.1%5
ratio == 0%5
ratio == 16777217%
ratio < 16777217%1 2 5
levels[0] == -1%1
levels[1] == 993%3
levels[1] == 4 or levels[0] == 4%4
name == "web"%1
name == 'web'%1
"web" == name%1
name != "web"%2 3 4 5
name < "dns"%4 5
name == ""%5
name >= "mail" and name <= "web"%1 2
name == "1234567"%4
name ~ "^[0-9]+$"%4
name ~ "a|e"%1 2 3
name !~ "a|e"%4 5
name ~ "dns\.eu"%3
name ~ "s.e"%3
name ~ "s\"e"%
name[0] == "w"%1
name[6] == "7"%4
name == "we\x62"%1
side == "B"%1 2 3 4 5
id == 1 or id == 4 or id == 5%1 4 5
id == 1 || id == 4 && delta == 0%1
(id == 1 || id == 4) && delta == 0%
not id == 1 and id < 5%4
not (id == 1 or id == 4)%2 3 5
! id == 1%2 3 4 5
not not id == 1%1
!(!(!(id == 1)))%2 3 4 5
@sequence > 3%4 5
@sequence <= 2 and @object == "orders"%1 2
@type == 4%4
@type == 65535%2
@size == 40%1 2 3 4 5
@size != 40 and id == 1%
@state == "ready"%1 2 3 4 5
@member == 1%1 2 3 4 5
@position > @sequence%2 3 4 5
@time > 1700000000000000000%1 2 3 4 5
EOT
is "several: all of them" "$(ids 'id < 5' 'delta > 0')" "4"
is "a record that is no text, of a ring without a type" \
	"$(dump records -q '@bytes ~ "^se.*e$"' "$name" log)" 'log @24 #2: "second line"'
is "tables" "$(dump records -q 'beats > 7' "$name")" 'services[1] v1: name="mail" beats=9'
is "and their own numbers" "$(dump records -q '@slot == 0 and @version == 1' "$name")" \
	'services[0] v1: name="web" beats=7'
is "a field that several objects have" "$(dump records -q 'name == "web"' "$name" | sed 's/ .*//')" \
	'orders
services[0]'
is "others than ready: what a record has not is not known" \
	"$(dump records -n 0 "$name"; ./dump-segment make "$name-2" && for q in '@state == "skipped"' \
	'@bytes ~ "read" or @state == "skipped"' 'not @bytes == "read" and @size > 0'; do
	dump records -q "$q" "$name-2" plain; done)" \
'plain @16: skipped, member 1, 100 bytes
plain @0: "read"
plain @16: skipped, member 1, 100 bytes
plain @128: "un\x00read\xff"
plain @128: "un\x00read\xff"'
is "bytes behind a zero are matched" "$(dump records -q '@bytes ~ "read.$" and @bytes ~ "^un"' "$name-2" plain)" \
	'plain @128: "un\x00read\xff"'
is "what follows a type is @bytes" "$(dump records -q '@bytes ~ "and"' "$name-2" typed | cut -c 1-17)" \
	'typed @104 type 9'
is "as many as are asked for, of those" "$(dump records -q 'id != 1' -c 2 "$name" orders | grep -o '#.')" \
	'#2
#3'

# Mistakes
while IFS='|' read -r expression caret sentence; do
	is "mistake: $expression" "$(status records -q "$expression" "$name"; cat "$dir/err")" \
"2
shmring-dump: -q: $sentence
  $expression
  $caret"
done <<'EOT'
price > |        ^|a name, a number or a string is missing here
|^|a name, a number or a string is missing here
id = 1|   ^|equal is ==
id|  ^|a comparison is missing here: == != < <= > >= ~ !~
id == 1 id == 2|        ^|and or or is missing here
(id == 1|        ^|and, or or a ) is missing here
id == 1)|       ^|and or or is missing here
id == "1|      ^|a string without an end
id == 1x|      ^|not a number
id == 0x|      ^|not a number
id == 18446744073709551616|      ^|an integer of more than 64 bits
id == -9223372036854775809|      ^|an integer of more than 64 bits
id == 1 and $x|            ^|this has no meaning here
idd == 1|^|no such field
id == 1 and pricee > 2|            ^|no such field
id == 1 and beats == 1|            ^|no such field
@nothing == 1|^|no such field
levels == 1|^|an array: say which element, as in name[0]
levels[2] == 1|^|the array has no such element
id[0] == 1|^|the array has no such element
id == "x"|   ^|text beside a number
name == 1|     ^|text beside a number
id ~ "x"|   ^|only text is matched
name ~ name|       ^|a regular expression in quotes is missing here
name ~ "("|       ^|not a regular expression
EOT
is "mistake: in the second one" "$(status records -q 'id == 1' -q 'grüß == 2' "$name"; cat "$dir/err")" \
'2
shmring-dump: -q: no such field
  grüß == 2
  ^'
is "mistake: after characters of several bytes" "$(status records -q 'name == "grüß" or nome == 1' "$name" orders; tail -n 1 "$dir/err")" \
'2
                    ^'
is "nothing is shown then" "$(cat "$dir/out")" ""
deep=$(printf '%101s' '' | tr ' ' '(')
is "mistake: too deep" "$(status records -q "$deep" "$name"; head -n 1 "$dir/err")" \
'2
shmring-dump: -q: this is too deep'
long="id == 1$(printf '%10000s' '' | sed 's/ / or id == 4/g')"
is "but any number of ors" "$(ids "$long")" "1 4"
for command in records follow; do
	is "$command: an object that was not asked for has the field" \
		"$(status $command -q 'id == 1' "$name" services)" 2
done

# Fields
is "a name that none has is a mistake" "$(status records -F name,id,levels[1],nothing,@type "$name"; cat "$dir/err")" \
'2
shmring-dump: -F: no such field
  name,id,levels[1],nothing,@type
                    ^'
is "only these fields" "$(dump records -F name,id,levels[1],levels,beats,@type "$name" | sed 's/ #\([0-9]\) .*: / #\1: /')" \
'orders @0 #1: name="web" id=1 levels[1]=1 levels=[-1,1] @type=1
orders @64 #2: name="mail" id=18446744073709551615 levels[1]=615 levels=[0,615] @type=65535
orders @128 #3: name="dns.eu" id=9007199254740993 levels[1]=993 levels=[1,993] @type=1
orders @192 #4: name="1234567" id=4 levels[1]=4 levels=[4,4] @type=4
orders @256 #5: name="" id=5 levels[1]=5 levels=[0,5] @type=5
log @0 #1: @type=0
log @24 #2: @type=0
services[0] v1: name="web" beats=7
services[1] v1: name="mail" beats=9'
dump -o jsonl records -F price,@sequence,ratio,name[0],@bytes -q 'id != 18446744073709551615' -c 2 \
	"$name" orders >"$dir/json"
is "in JSON" "$(jq -c .fields "$dir/json")" \
'{"price":0.5,"@sequence":"1","ratio":0.10000000149011612,"name[0]":"w","@bytes":""}
{"price":"NaN","@sequence":"3","ratio":"NaN","name[0]":"d","@bytes":""}'
is "an element that there is not" "$(status records -F 'levels[2]' "$name" orders; tail -n 2 "$dir/err")" \
'2
  levels[2]
  ^'
is "not a name" "$(status records -F 'id, name' "$name"; cat "$dir/err")" \
'2
shmring-dump: -F: not the name of a field
  id, name
     ^'
is "the fields of records that have no contents" "$(dump records -F @size,@bytes "$name-2" plain | sed -n '1,2p')" \
'plain @0: @size=4 @bytes="read"
plain @16: skipped, member 1, 100 bytes'

# Groups
does 'orders 10 59'
is "records by a value" "$(dump records -g name "$name" orders)" \
'        18  "mail"
        17  "dns"
        17  "web"
         1  ""
         1  "1234567"
         1  "dns.eu"'
is "of several objects" "$(dump records -g name -q 'name != "mail"' -k 2 "$name")" \
'        18  "web"
        17  "dns"'
is "the most frequent ones" "$(dump records -g side -k 1 "$name")" '        50  "S"'
is "an array" "$(dump records -g levels -k 2 "$name")" \
'        50  [0,0]
         1  [-1,1]'
is "an element" "$(dump records -g 'levels[0]' "$name")" \
'        52  0
         1  -1
         1  1
         1  4'
is "those that have no value" "$(dump records -g @bytes "$name-2" plain)" \
'         1  ""
         1  "read"
         1  "un\x00read\xff"
         1  none'
dump -o json records -g id -k 2 "$name" >"$dir/json"
is "in JSON" "$(jq -c . "$dir/json")" \
'[{"v":1,"field":"id","value":"1","records":"1"},{"v":1,"field":"id","value":"10","records":"1"}]'
dump -o jsonl records -g name "$name" services >"$dir/json"
is "in JSON lines" "$(jq -c . "$dir/json")" \
'{"v":1,"field":"name","value":"mail","records":"1"}
{"v":1,"field":"name","value":"web","records":"1"}'
is "not of two" "$(status records -g id,name "$name"; tail -n 1 "$dir/err")" \
'2
     ^'
is "as many as are asked for" "$(dump records -g side -c 3 "$name")" '         3  "B"'
is "none" "$(dump records -g name -q 'id == 77' "$name"; dump -o json records -g name -q 'id == 77' "$name")" '[]'

rm "/dev/shm$name-2"
./dump-segment pour "$name-2" &
pour=$!
until [ -e "/dev/shm$name-2" ]; do sleep 0.01; done
dump follow -f oldest -g @position -k 0 -c 70000 "$name-2"
kill $pour
is "there are only so many" "$(head -n 1 "$dir/err")" \
"shmring-dump: -g: only the first 65536 values are told apart; 4464 records have others"

# From when to when
rm -f "/dev/shm$name"
does 'orders 1 3' 'sleep 300' 'log x' 'orders 4 6' 'sleep 300' 'orders 7 9'
numbers() { dump records "$@" "$name" orders | sed -n 's/^orders @[0-9]* #\([0-9]*\) .*/\1/p' | paste -sd ' ' -; }
is "from a number on" "$(numbers --since=7)" "7 8 9"
is "up to a number" "$(numbers --until 2)" "1 2"
is "between two" "$(numbers --since=3 --until=5)" "3 4 5"
is "with a query" "$(numbers --since=3 --until=5 -q 'id != 4')" "3 5"
is "rings without times and tables are left out" "$(dump records --since=-1h "$name" | sed 's/ .*//' | uniq)" orders
is "all are: a mistake" "$(status records --since=-1h "$name" log services; cat "$dir/err")" \
"2
shmring-dump: none of the rings has what --since and --until ask for; see shmring-dump --help"
fourth=$(dump -o jsonl records "$name" orders | jq -r 'select(.sequence=="4").time_ns')
fifth=$(dump -o jsonl records "$name" orders | jq -r 'select(.sequence=="6").time_ns')
unix() { echo "@$(echo "$1" | sed 's/.........$/.&/')"; }
iso() { date -u -d "@$(echo "$1" | sed 's/.........$/.&/')" +%Y-%m-%dT%H:%M:%S.%N; }
is "from a time on" "$(numbers --since="$(unix "$fourth")")" "4 5 6 7 8 9"
is "up to a time" "$(numbers --until="$(unix "$fifth")")" "1 2 3 4 5 6"
is "as a date" "$(numbers --since="$(iso "$fourth")Z" --until "$(iso "$fifth")")" "4 5 6"
is "in UTC" "$(TZ=XXX-2; export TZ; numbers --since="$(iso "$fourth")Z")" "4 5 6 7 8 9"
is "that is local" "$(TZ=XXX-2; export TZ; numbers --since="$(iso $((fourth + 7200000000000)))")" "4 5 6 7 8 9"
is "without the time of day" "$(numbers --since=2020-01-01 --until="2020-01-02 00:00:00")" ""
is "times ago" "$(numbers --since=-1d; numbers --since=-2h --until=-5m; numbers --since=-100s --until=-0s)" \
"1 2 3 4 5 6 7 8 9

1 2 3 4 5 6 7 8 9"
is "as a string in an expression" "$(numbers -q "@time >= '$(iso "$fourth")Z' and @time < '$(unix "$fifth")'" | cut -c 1-3)" "4 5"
is "mistake: in an expression" "$(status records -q 'id == 1 and @time > "now"' "$name"; tail -n 3 "$dir/err")" \
'2
shmring-dump: -q: not a time
  id == 1 and @time > "now"
                      ^'
bad=
for limit in '' x 1x -5 -5x -5mm - @ @x 2026-13-01 2026-02-30 2026-1-1 2026-01-01T 2026-01-01T25:00:00 \
	2026-01-01T10:00 2026-01-01T10:00:00x 2026-01-01T10:00:61 2026-01-0110:00:00 99999999999999999999 \
	@18446744073709551615 @18446744073 1900-01-01 ' 1' '+2026-01-1'; do
	[ "$(status records --since="$limit" "$name")" = 2 ] || bad="$bad [$limit]"
done
is "what is no limit" "$bad" ""
is "what comes before the first that is asked for is not missed" "$(dump records --since=2 "$name" orders | grep -c missing)" 0
does 'orders 1000 1999'
first=$(dump records -c 1 "$name" orders | sed 's/.*#\([0-9]*\) .*/\1/')
is "what is asked for and gone is" "$(dump records --since=$((first - 5)) "$name" orders | head -n 1)" \
	"orders: 5 records are missing, #$((first - 5)) to #$((first - 1))"
dump -o jsonl records --since=$((first - 5)) -q 'id == 1999' "$name" orders >"$dir/json"
is "and is told in JSON with the next record that is shown" "$(jq -r .lost_records "$dir/json")" 5
is "a loss, for --fail-on-loss" "$(status records --fail-on-loss --since=$((first - 5)) "$name" orders)" 8
is "follow begins with what is there" "$(timeout 10 ./shmring-dump follow --since=1000 -c 2 "$name" orders 2>"$dir/err" |
	sed 's/.*#\([0-9]*\) .*/\1/')" "1000
1001"
timeout 10 ./shmring-dump follow --since=1006 --until=1008 "$name" orders >"$dir/out" 2>"$dir/err"
is "and ends behind the last" "$?; $(sed 's/.*#\([0-9]*\) .*/\1/' "$dir/out"; cat "$dir/err")" "0; 1006
1007
1008
shmring-dump: 3 records shown, 0 bytes lost"
is "or when it is too late" "$(timeout 10 ./shmring-dump follow --until=-1s "$name" orders 2>&1; echo $?)" \
	"shmring-dump: 0 records shown, 0 bytes lost
0"
last=$(dump -o jsonl records -n 1 "$name" orders | jq -r .time_ns)
shown() { dump records --time="$1" -n 1 "$name" orders | sed 's/.*#[0-9]* \(.*\): id.*/\1/'; }
is "times in UTC" "$(TZ=XXX-2; export TZ; shown utc)" "$(iso "$last" | tr T ' ')Z"
is "local ones" "$(TZ=XXX-2; export TZ; shown local)" "$(iso $((last + 7200000000000)) | tr T ' ')"
is "seconds since 1970" "@$(shown unix)" "$(unix "$last")"

# Other formats
rm -f "/dev/shm$name" "/dev/shm$name-2"
does 'order 1 -1 0.5 0.1 a,b' 'order 2 7 nan -inf "q"' 'log he said "no"' "log $(printf 'tab\there')" 'service web 7'
is "csv: all that is known" "$(dump records -o csv "$name" | sed 's/^\("orders",[0-9]*,[0-9]*\),[0-9]*,/\1,T,/')" \
'@object,@position,@sequence,@time,@type,@slot,@version,@state,id,delta,price,ratio,levels,name,side,beats,@bytes
"orders",0,1,T,1,,,"ready",1,-1,0.5,0.1,"[-1,1]","a,b","B",,""
"orders",64,2,T,2,,,"ready",2,7,NaN,-Infinity,"[7,2]","""q""","B",,""
"log",0,1,,0,,,"ready",,,,,,,,,"he said ""no"""
"log",32,2,,0,,,"ready",,,,,,,,,"tab\there"
"services",,,,,0,1,"ready",,,,,,"web",,7,""'
is "csv: what is asked for" "$(dump records -o csv -F name,id,levels[1] "$name")" \
'name,id,levels[1]
"a,b",1,1
"""q""",2,2
"web",,'
is "csv: of one that is chosen" "$(dump records -o csv -F id -q 'name ~ "q"' "$name")" 'id
2'
is "csv: of none" "$(dump records -o csv -F id -q 'id == 3' "$name")" id
./dump-segment make "$name-2"
is "csv: all kinds of fields, and control characters" "$(dump records -o csv "$name-2" typed | sed -n 2p)" \
'"typed",0,0,"ready",18446744073709551615,-9223372036854775808,0.1,NaN,"[Infinity,-Infinity]",4294967295,-2147483648,0.25,"[1,65535]",-32768,255,-128,"grüß ""dich""\n","\x1b[2J\x80\xff"'
is "csv: what has no contents" "$(dump records -o csv "$name-2" plain | sed -n '2,3p')" \
'"plain",0,0,"ready","read"
"plain",16,0,"skipped",'
is "csv: follow has its line of names once, whatever comes" "$(
	./shmring-dump follow -t 1 -o csv -F id,beats -f oldest "$name" 2>"$dir/err" |
	while read -r line; do
		echo "$line"
		[ "$line" = ,7 ] && rm "/dev/shm$name" && does "order 3 0 0 0 x"
	done)" \
'id,beats
1,
2,
,7
3,'
does 'orders 1000 1999'
is "csv: losses are told beside it" "$(dump records -o csv --since=1 -F id "$name" orders | grep -c -v '^[0-9]*$'
	sed 's/[0-9]* records/N records/; s/[0-9]*$/N/' "$dir/err")" \
'1
orders: N records are missing, #1 to #N'
rm "/dev/shm$name"
does 'log 0123456789abcdefXYZ' 'log second'
is "hex" "$(dump records -o hex "$name")" \
'log @0 #1:
00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|
00000010  58 59 5a                                          |XYZ|
log @40 #2:
00000000  73 65 63 6f 6e 64                                 |second|'
is "hex: so many" "$(dump records -o hex -b 16 -c 1 "$name" | tail -n 2)" \
'00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|
and 3 bytes'
is "hex: no control characters" "$(dump records -o hex "$name-2" | LC_ALL=C tr -d '\n -~' | wc -c)" 0
is "raw" "$(dump records --raw "$name")" '0123456789abcdefXYZsecond'
dump records --raw "$name-2" plain >"$dir/out"
is "raw: all bytes" "$(od -An -c "$dir/out" | tr -s ' ')" ' r e a d u n \0 r e a d 377'
is "raw: not to a terminal" "$(script -qec "./shmring-dump records --raw $name" /dev/null | tr -d '\r')" \
	"shmring-dump: --raw does not write to a terminal; see shmring-dump --help"
is "formats of records only" "$(status -o csv info "$name")$(status -o hex list)$(status --raw schema "$name"
	)$(status -o csv -g id records "$name")" 2222

# Nonsense is an error or not, but never a crash
seed=1
random() { seed=$(((seed * 1103515245 + 12345) % 2147483648)); echo $((seed / 65536 % $1)); }
bad=
i=0
while [ $i -lt 300 ]; do
	i=$((i + 1))
	expression=
	j=$(random 12)
	while [ "$j" -gt 0 ]; do
		j=$((j - 1))
		set -- id price name levels '[0]' '[99999999999]' '(' ')' '!' not and or '==' '<' '~' '!~' '"a"' '"' \
			"'" '\' '1' '-' '0x' '1e9' '.' '@time' '@' 'x' '&&' '|' '$' '"(["' ' '
		shift "$(random $#)"
		expression="$expression$1 "
	done
	./shmring-dump records -q "$expression" "$name" >"$dir/out" 2>"$dir/err"
	got=$?
	case $got in
	0) ;;
	2) tail -n 1 "$dir/err" | grep -q '^ *^$' || bad="$bad
$expression:silent" ;;
	*) bad="$bad
$expression:$got" ;;
	esac
done
is "nonsense is refused or not, and never a crash" "$bad" ""
is "the plan" "$n" $((plan - 1))
