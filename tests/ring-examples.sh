#!/bin/sh
# SPDX-License-Identifier: MIT
# feed, jobs and blackbox: each mode of a ring with its processes killed, as shmring-dump sees it.
name=/shmring-rings-$$
plan=80
. "${top_srcdir:-.}/tests/tap.sh"
. "${top_srcdir:-.}/tests/processes.sh"
TZ=UTC
export TZ

# Without what is another one each time, and what libtool calls a program
mask() {
	sed -E 's/[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}(\.[0-9]{9})?/T/; s/ [0-9:]{8}\.[0-9]{6} / T /
		s/pid [0-9]+/pid P/; s/epoch [0-9a-f]{16}/epoch E/; s/ lt-/ /'
}
dump() { $limit ./shmring-dump "$@" 2>&1; }
info() { dump info "$name" | mask | sed "1,/^members/d"; } # members and objects
members() { dump info "$name" | sed -n 's/^members: //p'; }
counter() { # of, counter: of the first one of that kind
	dump -o json stat "$name" |
		jq -r --arg of "$1" --arg counter "$2" '[.counters[] | select(.of == $of)][0].counters[$counter]'
}

# --- feed: gates, lossy and durable cursors

watch() { $limit ./feed watch "$name" "$@" 2>&1 | mask; }
send() { ./feed send "$name" "$@" </dev/null; }
removed() { $limit ./feed watch "$name" "$1" --remove >/dev/null 2>&1; }
# Exit status, and what is wrong with the numbers in these files, in their order: no gap, and what
# was shown before is marked
in_order() {
	cat "$@" | awk -v next_one=1 '/^#/ {
		number = substr($1, 2) + 0
		if (number < next_one && $NF == "(again)") next
		if (number != next_one) print "#" number " for #" next_one
		next_one = number + 1
	} END { print "up to #" next_one - 1 }'
}

is "a feed that is not there" "$(said ./feed watch "$name" me)" \
	"feed: cannot open /dev/shm$name: No such file or directory
1"
is "quotes are sent with nobody there" "$(send -n 5 -e 0)" "sent 5 quotes from #1 on"
quotes='#1 T USDJPY 100.125 x 200
#2 T GBPUSD 100.250 x 300
#3 T EURUSD 100.375 x 400
#4 T USDJPY 100.500 x 500
#5 T GBPUSD 100.625 x 600'
is "who comes later can have them" "$(watch me --from=oldest -n 5)" "$quotes"
is "and so can others" "$(watch other -f oldest -n 5)" "$quotes"
is "records, with their numbers and times" "$(dump records "$name" | mask)" \
'ring @0 #1 T: price=100.125 size=200 symbol="USDJPY"
ring @48 #2 T: price=100.25 size=300 symbol="GBPUSD"
ring @96 #3 T: price=100.375 size=400 symbol="EURUSD"
ring @144 #4 T: price=100.5 size=500 symbol="USDJPY"
ring @192 #5 T: price=100.625 size=600 symbol="GBPUSD"'
is "and as JSON" "$(dump -o jsonl records -n 1 "$name" |
	jq -c '[.position, .sequence, (.time_ns | length), .state, .fields]')" \
	'["192","5",19,"ready",{"price":100.625,"size":600,"symbol":"GBPUSD"}]'
moment=$(date +%s.%N)
send -n 2 -e 0 >/dev/null
is "from a moment on" "$(watch me --from="$moment" -n 2)" \
	"#6 T EURUSD 100.750 x 700
#7 T USDJPY 100.875 x 800"
start ./feed watch "$name" me -n 1 >"$dir/new"
watcher=$!
joined() { dump info "$name" | grep -q "^    $1: "; }
await joined me
send -n 1 -e 0 >/dev/null
ended $watcher
is "from now on" "$? $(mask <"$dir/new")" "0 #8 T GBPUSD 101.000 x 900"
is "a durable cursor goes on where it was" "$(watch audit -d -f oldest -n 2; watch audit -d -n 1)" \
	"#1 T USDJPY 100.125 x 200
#2 T GBPUSD 100.250 x 300
#3 T EURUSD 100.375 x 400"
is "it is not opened as something else" "$(said ./feed watch "$name" audit --lossy)" \
	"feed: cursor audit is there, and gates, durable
1"
start ./feed watch "$name" screen --lossy --from=oldest >"$dir/screen"
screen=$!
await lines "$dir/screen" 8
is "info of a stream" "$(info)" "     1  alive    pid P  feed as watch, since T
ring ring: struct quote, single producer, numbered, timed
  capacity     1048576 bytes (1.0 MiB), records up to 262120, history 524288
  written to   384
  released to  144
  kept from    0
  unread       240 bytes, 0% of the capacity
  numbers      next 9, dropped 0
  producer     nobody; died and replaced: 0
  counters     cursors evicted 0, claim locks mended 0
  cursors      2 of 8 places
    audit: gate, durable
      consumer     nobody; died and replaced: 0
      released to  144, unread 240 bytes, 0% of the capacity
      counters     skipped 0, redelivered 0, lost 0 records, 0 bytes
    screen: lossy
      consumer     member 1, alive; died and replaced: 0
      released to  384, unread 0 bytes, 0% of the capacity
      counters     skipped 0, redelivered 0, lost 0 records, 0 bytes"
is "info as JSON" "$(dump -o json info "$name" | jq -c '.objects[0].ring |
	[.mode, .numbered, .timed, .sequence, [.cursors[] | [.name, .lossy, .durable, .position]]]')" \
	'["stream",true,true,"9",[["audit",false,true,"144"],["screen",true,false,"384"]]]'
is "a name is one process's at a time" "$(said ./feed watch "$name" screen --lossy)" \
	"feed: member 1 has it open, and lives
1"
end TERM $screen
is "SIGTERM ends it well, and its name is free" \
	"$? $(dump -o json info "$name" | jq -c '[.objects[0].ring.cursors[].name]')" '0 ["audit"]'
is "a cursor is removed" "$(said ./feed watch "$name" audit --remove; said ./feed watch "$name" audit -r)" \
	"0
feed: the ring has no cursor named audit
1"

anew
send -n 3 -e 0 >/dev/null
start ./shmring-dump follow -n 1 -c 3 "$name" >"$dir/follow" 2>&1
follower=$!
await lines "$dir/follow" 1
send -n 2 -e 0 >/dev/null
ended $follower
is "followed by who has no cursor" "$? $(mask <"$dir/follow")" \
'0 ring @96 #3 T: price=100.375 size=400 symbol="EURUSD"
ring @144 #4 T: price=100.5 size=500 symbol="USDJPY"
ring @192 #5 T: price=100.625 size=600 symbol="GBPUSD"
shmring-dump: 3 records shown, 0 bytes lost'

# A gate that is stopped holds the sender up, until it is killed.
anew
send -b 4096 -n 1 -e 0 >/dev/null
start ./feed watch "$name" slow -f oldest >"$dir/slow"
slow=$!
await lines "$dir/slow" 1
stop $slow
start ./feed send "$name" -e 0 -n 10000 >"$dir/sent" 2>"$dir/err"
sender=$!
await grep -q full "$dir/err"
is "a sender waits for a gate, and says so" "$(cat "$dir/err")" "feed: full, waits for slow, pid $slow, which lives"
is "blame names it" "$(dump blame "$name" | mask)" \
	"ring: full, 4032 bytes unread from position 48: waits for cursor slow, member 1, pid P feed, alive, for at least 0.2 s"
is "blame as JSON" "$(dump -o jsonl blame "$name" | jq -c '.blame[] | [.what, .cursor, .member, .unread_bytes]')" \
	'["consumer","slow",1,"4032"]'
end KILL $slow
killed=$?
ended $sender
is "the gate is killed, and the sender goes on" "$killed $? $(cat "$dir/sent")" \
	"137 0 sent 10000 quotes from #2 on"
is "the gate went with its process, and that is counted" \
	"$(dump -o json info "$name" | jq -c '.objects[0].ring | [.evicted, .sequence, .cursors]'), $(members)" \
	'["1","10002",[]], 1 of 32 slots; died without detaching: 1'

anew
send -b 4096 -n 1 -e 0 >/dev/null
watch audit -d -f oldest -n 1 >/dev/null
send -n 50 -e 0 >/dev/null
is "a ring that is half full in its first lap is not" "$(dump blame "$name")" \
	"nobody holds up a ring or a table; for mutexes see locks"

# A durable one is waited for, whoever is killed, and misses nothing.
anew
send -b 4096 -n 1 -e 0 >/dev/null
start ./feed watch "$name" audit -d -f oldest >"$dir/audit-0"
audit=$!
await lines "$dir/audit-0" 1
start ./feed send "$name" -e 20 -n 20000 >"$dir/sent" 2>"$dir/err"
sender=$!
i=0 killed=
while [ $i -lt 5 ]; do
	i=$((i + 1))
	sleep "0.0$(random)"
	end KILL $audit
	killed="$killed$? "
	start ./feed watch "$name" audit -d >"$dir/audit-$i"
	audit=$!
	await lines "$dir/audit-$i" 200
done
end KILL $audit
await grep -q "pid $audit," "$dir/err"
is "a durable watcher killed is waited for" "$killed$(sed -n "s/pid $audit,/pid P,/p" "$dir/err")" \
	"137 137 137 137 137 feed: full, waits for audit, pid P, which is dead"
is "blame says that its owner is dead" "$(dump blame "$name" | mask |
	sed -E 's/position [0-9]+/position P/; s/[0-9]+ bytes/N bytes/; s/member [0-9]+/member M/')" \
	"ring: full, N bytes unread from position P: waits for cursor audit, member M, pid P feed, dead, for at least 0.2 s"
start ./feed watch "$name" audit -d >"$dir/audit-6"
audit=$!
ended $sender
status=$?
await grep -q '^#20001 ' "$dir/audit-6"
end TERM $audit
is "the next one goes on to the end" "$status $? $(cat "$dir/sent")" "0 0 sent 20000 quotes from #2 on"
is "none is missing, and none is twice but marked so" "$(in_order "$dir"/audit-[0-6])" "up to #20001"
is "takeovers are counted" "$(dump info "$name" | sed -n 's/^ *consumer  *//p') $(counter cursor position)" \
	"nobody; died and replaced: 6 $(dump -o json info "$name" | jq -r '.objects[0].ring.tail')"
start ./feed send "$name" -e 0 -n 1000 >"$dir/sent" 2>"$dir/err"
sender=$!
await grep -q full "$dir/err"
is "closed, it is waited for, too" "$(cat "$dir/err"; dump blame "$name" | sed 's/.*: //')" \
	"feed: full, waits for audit, which nobody has open
waits for cursor audit, which nobody has open, for at least 0.2 s"
removed audit
ended $sender
is "removed, it is not waited for any more" "$? $(cat "$dir/sent")" "0 sent 1000 quotes from #20002 on"

# A lossy one is overtaken.
anew
send -b 4096 -n 10 -e 0 >/dev/null
start ./feed watch "$name" screen --lossy -f oldest >"$dir/screen"
screen=$!
await lines "$dir/screen" 10
stop $screen
is "a sender does not wait for a lossy cursor" "$(send -e 0 -n 10000)" "sent 10000 quotes from #11 on"
kill -CONT $screen
await grep -q '^#10010 ' "$dir/screen"
lost=$(sed -n 's/^lost \([0-9]*\) quotes$/\1/p' "$dir/screen")
is "which is told once how many it lost" \
	"$(grep -c lost "$dir/screen") $(($(grep -c '^#' "$dir/screen") + lost)) $(sed -n '10p;11s/ [0-9]* / N /p' "$dir/screen" | mask)" \
	"1 10010 #10 T USDJPY 101.250 x 200
lost N quotes"
is "and so is who looks" "$(counter cursor lost) $(dump info "$name" | sed -n 's/.*redelivered 0, lost \([0-9]* records\).*/\1/p')" \
	"$lost $lost records"
end TERM $screen

# Nobody is waited for where the ring drops.
anew
send -D -b 4096 -n 1 -e 0 >/dev/null
watch audit -d -f oldest -n 1 >"$dir/audit"
sent=$($limit ./feed send "$name" -n 1000 -e 0 2>/dev/null)
dropped=$(dump -o json info "$name" | jq -r '.objects[0].ring.dropped')
is "a ring that drops makes a sender wait for no gate" "$sent" \
	"sent $((1000 - dropped)) quotes from #2 on, dropped $dropped"
kept=$((1001 - dropped))
watch audit -d -n $((kept - 1)) >>"$dir/audit"
send -n 1 -e 0 >/dev/null
watch audit -d -n 1 >>"$dir/audit"
is "what fits is the oldest, whole" "$(in_order "$dir/audit")" "#1002 for #$((kept + 1))
up to #1002"
is "and a watcher is told how many are missing" "$(sed "1,${kept}d; s/ T .*//" "$dir/audit")" \
	"lost $dropped quotes
#1002"

# --- feed archive: the place is kept with the results

archive() { $limit ./feed archive "$name" "$dir/archive" "$@" 2>&1; echo $?; }
# Lines of the archive; what is wrong with their numbers and losses
archived() {
	awk -v last=0 'NR == 1 { next } { lines++; lost += $8
		if ($3 != last + 1 + $8 || $2 <= position) print "wrong: " $0
		last = $3; position = $2
	} END { print lines + lost }' "$dir/archive"
}
anew
send -n 20 -e 0 >/dev/null
is "an archive begins at the oldest quote" "$(archive -n 7)" "archive goes on behind #0
0"
is "and goes on where it was" "$(archive -n 5)" "archive goes on behind #7
0"
is "with each quote once" "$(cut -d ' ' -f 2,3,5- "$dir/archive" | sed -n '1p;8,9p')" \
	"epoch position time_ns symbol price size lost
336 7 USDJPY 100.875 800 0
384 8 GBPUSD 101.000 900 0"
printf '0123' >>"$dir/archive"
is "a line that was cut by a kill is removed" "$(archive -n 8; archived)" "archive goes on behind #12
0
20"
anew
send -n 5 -e 0 >/dev/null
is "another feed of that name is told from the first" "$(archive -n 5; tail -n 1 "$dir/archive" | cut -d ' ' -f 2,3,8)" \
	"feed: the position is of another segment of that name
archive goes on behind #20
0
240 5 0"
echo "no archive" >"$dir/text"
is "a file that is no archive is left alone" "$(said ./feed archive "$name" "$dir/text"; cat "$dir/text")" \
	"feed: $dir/text is no archive of a feed
1
no archive"
rm "$dir/archive"
anew
send -b 65536 -n 1 -e 0 >/dev/null
archive -n 1 >"$dir/out"
start ./feed send "$name" -e 0 -n 400000 >"$dir/sent" 2>"$dir/err"
sender=$!
i=0 killed=
while [ $i -lt 8 ]; do
	i=$((i + 1))
	start ./feed archive "$name" "$dir/archive" >"$dir/out" 2>&1
	killee=$!
	await grep -q behind "$dir/out"
	sleep "0.0$(random)"
	end KILL $killee
	killed="$killed$? "
done
start ./feed archive "$name" "$dir/archive" >"$dir/out" 2>&1
last=$!
ended $sender
await grep -q behind "$dir/out"
await grep -q '^[^ ]* [^ ]* 400001 ' "$dir/archive"
end TERM $last
is "an archive killed 8 times has each quote once, or counts it lost" "$killed$? $(archived)" \
	"137 137 137 137 137 137 137 137 0 400001"
echo "# $(awk '{ lost += $8 } END { print lost + 0 }' "$dir/archive") of 400001 lost while no archive was there"
start ./feed send "$name" -e 1000 >"$dir/sent" 2>"$dir/err"
sender=$!
start ./feed watch "$name" me >"$dir/screen" 2>&1
watcher=$!
await lines "$dir/screen" 1
anew
ended $sender
status=$?
ended $watcher
is "the segment is removed: sender and watcher end, and say so" "$status $? $(cat "$dir/err") $(tail -n 1 "$dir/screen")" \
	"1 1 feed: the segment is obsolete: it was unlinked or replaced feed: the segment is obsolete: it was unlinked or replaced"
is "feed: bad options" "$(bad ./feed; bad ./feed send; bad ./feed send a b; bad ./feed watch a
	bad ./feed archive a; bad ./feed nothing a; bad ./feed watch a b --from=yesterday; bad ./feed send a -n x)" \
	"$(for i in 1 2 3 4 5 6 7 8; do echo "usage: feed"; echo 2; done)"

# --- jobs: a queue

put() { $limit ./jobs put "$name" "$@" 2>&1; }
work() { $limit ./jobs work "$name" "$@" 2>&1; }
crash() { # as the one before: 137
	start ./jobs work "$name" "$@" >"$dir/worked"
	ended $!
	echo $?
}
show() { $limit ./jobs show "$name"; }
anew
is "jobs that wait" "$(put sweep cook wash; show)" "put 3, done 0, taken again 0, oldest waits"
is "a worker is killed with a job in its hands" "$(crash -c 1; cat "$dir/worked"; show)" "137
did #1 sweep
put 3, done 1, taken again 0, oldest is taken"
is "records, with what has become of them" "$(dump records "$name" | mask)" \
'ring @0 #1 T done, times 1, member 1: "sweep"
ring @40 #2 T taken, times 1, member 1: "cook"
ring @80 #3 T: "wash"'
is "and as JSON" "$(dump -o jsonl records "$name" | jq -c '[.sequence, .state, .deliveries, .worker, .bytes]')" \
	'["1","done","1",1,"sweep"]
["2","taken","1",1,"cook"]
["3","ready",null,null,"wash"]'
is "info of a queue" "$(info)" "     1  dead     pid P  jobs as work, since T
ring ring: untyped, several producers, queue, numbered, timed
  capacity     65536 bytes (64 KiB), records up to 16352, history 32768
  written to   120
  taken to     80
  done to      40
  kept from    0
  not done     80 bytes, 0% of the capacity
  numbers      next 4, dropped 0
  counters     acknowledged 1, lost 0, skipped 0, redelivered 0, locks mended 0"
is "another worker gets it, and is told the count" "$(work -n 2; show)" "did #2 cook, time 2
did #3 wash
put 3, done 3, taken again 1, oldest none"
is "which stays to be seen" "$(dump records "$name" | mask | sed -n 2p)" \
	'ring @40 #2 T done, times 2, member 1: "cook"'
put trap tidy
is "a job that nobody survives is put aside" "$(crash -c 0; crash -c 0; crash -c 0; crash -c 0; crash -c 0
	work -n 2; show)" "137
137
137
137
137
jobs: #4 is put aside: 5 times taken, never done
did #5 tidy
put 5, done 5, taken again 6, oldest none"
is "stat of a queue" "$(counter ring redelivered) $(counter ring acked) $(counter ring full) $(counter gate position)" \
	"6 5 0 $(dump -o json info "$name" | jq -r '.objects[0].ring.tail')"
is "stat says what is counted" "$(dump stat "$name" | sed -n 's/^ *//; /redelivered: queue/p; /acked/p; /death/p')" \
	"6 records  redelivered: queue: taken once more
5 records  acked: queue: acknowledged, and so all before them
6 times    death.deaths: a process died in it, and that was proven"

# A worker that is stopped does not hold up the others, until the ring is full.
anew
put one two
start ./jobs work "$name" -t 60000
slow=$!
taken() { show | grep -q "is taken"; }
await taken
stop $slow
is "the others go on" "$(work -n 1; show)" "did #2 two
put 2, done 0, taken again 0, oldest is taken"
# shellcheck disable=SC2046
start ./jobs put "$name" $(seq 3000)
putter=$!
filler() { [ "$(counter ring full)" -gt 0 ]; }
await filler
is "blame of a full queue" "$(dump blame "$name" | mask | sed -E 's/[0-9]+ bytes/N bytes/; s/member [0-9]+/member M/')" \
	"ring: full, N bytes unread from position 0: waits for member M, pid P jobs, alive, for at least 0.2 s"
kill -9 $slow
ended $slow
is "it is killed, and its job is another's" "$? $(work -n 3001 >"$dir/worked"; grep -c did "$dir/worked") $(
	grep time "$dir/worked")" "137 3001 did #1 one, time 2"
ended $putter
is "all are put, and done" "$? $(show)" "0 put 3002, done 3002, taken again 1, oldest none"

# Three at work, and one after the other is killed and replaced.
anew
# shellcheck disable=SC2046
put $(seq 1000)
start ./jobs work "$name" -t 1 >"$dir/work-a"
one=$!
start ./jobs work "$name" -t 1 >"$dir/work-b"
two=$!
start ./jobs work "$name" -t 1 >"$dir/work-c"
three=$!
i=0 killed=
while [ $i -lt 10 ]; do
	i=$((i + 1))
	sleep "0.0$(random)"
	end KILL $one
	killed="$killed$? "
	one=$two two=$three
	start ./jobs work "$name" -t 1 >"$dir/work-$i"
	three=$!
done
all_done() { show | grep -q '^put 1000, done 1000,'; }
await all_done
three_alive() { [ "$(dump info "$name" | grep -c ' alive ')" = 3 ]; }
await three_alive
end TERM $one
status=$?
end TERM $two
status="$status $?"
end TERM $three
is "ten workers are killed, three end well" "$killed$status $?" "137 137 137 137 137 137 137 137 137 137 0 0 0"
is "each job is done, and twice only if its worker was killed" "$(cat "$dir"/work-* |
	awk '/^did/ { did[$2]++; if (/time/) again[$2] = 1 } END {
		for (job in did) { jobs++; if (did[job] > 1 && !again[job]) print job }
		print jobs }')" 1000
# Where a job is done at most once, it is lost with its worker.
anew
put -o sweep cook wash
is "at most once: a worker is killed with a job in its hands" "$(crash -c 1; show)" "137
put 3, done 1, taken again 0, oldest is taken"
is "that job is nobody's any more" "$(work -n 1; show)" "did #3 wash
put 3, done 2, taken again 0, lost 1, oldest none"
is "which stays to be seen, too" "$(dump records "$name" | mask | sed -n 2p)" \
	'ring @40 #2 T lost, times 1, member 1: "cook"'

is "jobs: bad options" "$(bad ./jobs; bad ./jobs put a; bad ./jobs work; bad ./jobs work a b; bad ./jobs show a b
	bad ./jobs nothing a; bad ./jobs work a -c x)" "$(for i in 1 2 3 4 5 6 7; do echo "usage: jobs"; echo 2; done)"

# --- blackbox: overwrite

box() { $limit ./blackbox read "$name" "$@" 2>&1; }
# That the numbers that were read and missed are all there are; the last line
counted() { sed -n 's/^\([0-9]*\) events: \([0-9]*\) read, \([0-9]*\) missed$/\1 \2 \3/p' "$1" |
	awk '{ print $1 == $2 + $3 ? "all" : $0 }'; tail -n 1 "$1" | mask; }
# Events without a gap but those that are told
steps() { awk '/^missed/ { missed = $2 } /^#/ { number = substr($1, 2) + 0
	if ((last && number != last + 1 + missed) || $3 + 0 != number) print "wrong: " $0
	last = number; missed = 0; seen++ } END { print last, seen }' "$1"; }
anew
is "a recorder waits for nobody" "$($limit ./blackbox run "$name" -b 4096 100000)" \
	"logged 100000 events from #1 on"
box >"$dir/box"
is "what is left is read, the rest is counted" "$(counted "$dir/box") $(steps "$dir/box" | cut -d ' ' -f 1)" \
	"all
the recorder has ended 100000"
is "the last two" "$(box --last=2 | head -n 2)" "#99999 step 99999: descend at 3999 m, 239 m/s
#100000 step 100000: climb at 4000 m, 240 m/s"
is "info of a ring that overwrites" "$(info | sed -E 's/(kept from  *).*/\1K/')" \
	"ring ring: struct event, single producer, overwrite, numbered, timed
  capacity     4096 bytes (4.0 KiB), records up to 1000, history 0
  written to   $(dump -o json info "$name" | jq -r ".objects[0].ring.tail")
  kept from    K
  numbers      next 100001, dropped 0
  producer     nobody; died and replaced: 0
  counters     cursors evicted 0, claim locks mended 0
  cursors      0 of 4 places"
anew
start ./blackbox run "$name"
recorder=$!
at_work() { [ "$(counter ring sequence 2>/dev/null)" -gt 100000 ] 2>/dev/null; }
await at_work
box >"$dir/box"
is "read while it is written" "$(counted "$dir/box"; steps "$dir/box" | grep -c wrong)" \
	"all
the recorder, pid P, is at work
0"
dump -o jsonl follow -c 1000 "$name" >"$dir/follow"
is "followed while it is written" "$(jq -s '[.[] | select(.sequence)] |
	[length, all(.[]; .fields.step == .sequence)]' -c "$dir/follow")" '[1000,true]'
end KILL $recorder
killed=$?
before=$(cksum <"/dev/shm$name")
box >"$dir/box"
is "after it was killed" "$killed $(counted "$dir/box"; steps "$dir/box" | grep -c wrong)" \
	"137 all
the recorder, pid P, was killed
0"
is "reading changes nothing" "$(cksum <"/dev/shm$name")" "$before"
last=$(sed -n 's/^\([0-9]*\) events:.*/\1/p' "$dir/box")
is "the next recorder goes on behind the last event" "$($limit ./blackbox run "$name" 3; box -n 4 | cut -d ' ' -f 1 | sed 4q)" \
	"logged 3 events from #$((last + 1)) on
#$last
#$((last + 1))
#$((last + 2))
#$((last + 3))"
is "the death of the one before is seen" "$(dump info "$name" | mask | sed -n 's/, proved.*//p; /producer/p')" \
	"     1  died     pid P  blackbox as recorder
ring ring: struct event, single producer, overwrite, numbered, timed
  producer     nobody; died and replaced: 1"
# A small ring is lapped while its end is looked for: that is no damage.
anew
start ./blackbox run "$name" -b 4096
recorder=$!
await at_work
looked() { i=0; while [ $i -lt 100 ]; do i=$((i + 1)); box; done | grep -c corrupt; }
is "none of a hundred readers is told that it is corrupt" "$(looked)" 0
end KILL $recorder
anew
$limit ./blackbox run "$name" 3 >/dev/null
is "nor is it a queue" "$(said ./jobs show "$name")" \
	"jobs: the records are untyped here, event in the segment
1"
is "a feed is not a box" "$(said ./feed watch "$name" me)" \
	"feed: the records are quote here, event in the segment
1"
is "blackbox: bad options" "$(bad ./blackbox; bad ./blackbox run; bad ./blackbox run a x; bad ./blackbox read a 1
	bad ./blackbox nothing a; bad ./blackbox run a -b x)" "$(for i in 1 2 3 4 5 6; do echo "usage: blackbox"; echo 2; done)"
is "help" "$(for i in feed jobs blackbox; do $limit ./$i --help | head -n 1; done)" \
	"usage: feed send SEGMENT [-n N] [-e US] [-b RING_BYTES] [-D]
usage: jobs put SEGMENT [-o] TEXT...
usage: blackbox run SEGMENT [-b RING_BYTES] [N]"

# The examples of the man page, each in a function
{
	echo '#include <shmring/shmring.h>
#include <err.h>
extern struct shr_ring *ring;
void show(const struct shr_record *);
void work(const struct shr_record *);'
	awk '/^\.Bd -literal/ { print "void example_" ++count "(void); void example_" count "(void) {"; on = 1; next }
		/^\.Ed/ && on { print "}"; on = 0 } on { gsub(/\\e/, "\\"); print }' "${top_srcdir:-.}/lib/shmring-ring.7"
} >"$dir/page.c"
is "the examples of shmring-ring(7) compile" "$(grep -c '^void example' "$dir/page.c") $(
	${CC:-cc} -std=c11 -Wall -Wextra -Werror -fsyntax-only -I"${top_srcdir:-.}/include" "$dir/page.c" 2>&1)" "3 "
