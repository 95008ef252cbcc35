#!/bin/sh
# SPDX-License-Identifier: MIT
# hostmon-producer and hostmon-consumer: killed and replaced at will, and the account is exact.
name=/shmring-hostmon-$$
plan=16
. "${top_srcdir:-.}/tests/tap.sh"
. "${top_srcdir:-.}/tests/processes.sh"
limit='timeout 60'

# Start in the background; $! is it.
produce() { ./hostmon-producer -n "$name" "$@" & started="$started $!"; }
consume() { ./hostmon-consumer -n "$name" "$@" & started="$started $!"; }

# Has the process written so many bytes, and then no more?
stuck() {
	before=$(sed -n 's/^wchar: //p' "/proc/$1/io")
	sleep 0.2
	[ "$before" -ge "$2" ] && [ "$before" = "$(sed -n 's/^wchar: //p' "/proc/$1/io")" ]
}

# --- One producer, one consumer

consume -c 3 >"$dir/got" 2>"$dir/err"
consumer=$!
await grep -q waiting "$dir/err"
$limit ./hostmon-producer -n "$name" -i 0.05 -c 3 >"$dir/sent"
ended $consumer
status=$?
sent=$(sed -n 's/^sent \([0-9]*\) records (cpu [0-9]*, memory 3)$/\1/p' "$dir/sent")
is "a consumer waits for its producer, and a round is a line" \
	"$status $(cat "$dir/err") $(grep -c '  memory .* GiB  load ' "$dir/got") $(tail -n 1 "$dir/got")" \
	"0 hostmon-consumer: waiting for a producer of $name 3 received $sent, redelivered 0, skipped 0, lost 0, repeated 0"
sed 's/^/# /' "$dir/got"

$limit ./hostmon-producer -n "$name" -i 0 -c 3 >"$dir/sent"
sent=$(sed -n 's/^sent \([0-9]*\) .*/\1/p' "$dir/sent")
is "a consumer takes no more than its rounds" \
	"$($limit ./hostmon-consumer -n "$name" -c 1 | sed -n 's/^\(received [0-9]*\),.*/\1/p'
	$limit ./hostmon-consumer -n "$name" -d | sed -n 's/^\(received.*\), skipped.*/\1/p')" \
	"received $((sent / 3))
received $((sent / 3 * 2)), redelivered 0"

produce -v -i 0 >"$dir/sent"
await stuck $! 10000
end TERM $!
is "without a consumer the producer waits, and ends when it is told" \
	"$? $(sed -n 's/^sent [0-9]* records .*/sent/p' "$dir/sent")" "0 sent"
is "all that it sent is received, in order and each once" \
	"$($limit ./hostmon-consumer -n "$name" -d | tail -n 1)" \
	"received $(sed -n 's/^sent \([0-9]*\) .*/\1/p' "$dir/sent"), redelivered 0, skipped 0, lost 0, repeated 0"
rm -f "/dev/shm$name"

# --- Killed and replaced. What a consumer prints is out before it releases.

mkfifo "$dir/fifo"
exec 3<>"$dir/fifo"
produce -v -i 0 >"$dir/sent.1" 3>&-
producer=$!
await lines "$dir/sent.1" 100
consume -v >"$dir/fifo" 3>&-
await stuck $! 60000 # the pipe is full
end KILL $!
cat <"$dir/fifo" >"$dir/got.1" 3>&- &
exec 3>&-
wait $!
for i in 2 3 4 5 6; do
	consume -v >"$dir/got.$i"
	consumer=$!
	await lines "$dir/got.$i" 500
	end KILL $producer
	produce -v -i 0 >"$dir/sent.$i"
	producer=$!
	await lines "$dir/sent.$i" 500
	end KILL $consumer
done
end KILL $producer
$limit ./hostmon-producer -n "$name" -v -i 0 -c 10 >"$dir/sent.7"
$limit ./hostmon-consumer -n "$name" -v -d >"$dir/got.7"
is "the last consumer ends well" \
	"$? $(sed -n 's/^received [0-9]*, redelivered [0-9]*, //p' "$dir/got.7")" \
	"0 skipped 0, lost 0, repeated 0"

numbers() { sed -n "s/^$1 \([0-9]*\)\( redelivered\)\{0,1\}\$/\1/p" $2; } # ring, files
for ring in cpu memory; do
	sent=$(($(numbers $ring "$dir/sent.7" | tail -n 1) + 1))
	numbers $ring "$dir/got.?" | sort -nu >"$dir/all"
	again=$(($(numbers $ring "$dir/got.?" | wc -l) - $(wc -l <"$dir/all")))
	marked=$(cat "$dir"/got.? | grep -c "^$ring .* redelivered")
	echo "# $ring: $sent sent by 7 producers; to 7 consumers $again came again, $marked are marked"
	is "every number of $ring was received, from 0 to the last" \
		"$(seq 0 $((sent - 1)) | cmp - "$dir/all" 2>&1)" ""
	is "every one of $ring that came again is marked" \
		"$(cat "$dir"/got.? | sed -n "s/^$ring \([0-9]*\)\$/\1/p" | sort | uniq -d)" ""
	# One that is killed before it prints what it sent: a number less at each of 6 kills.
	numbers $ring "$dir/sent.?" | sort -n >"$dir/told"
	is "no number of $ring was sent twice, and none left out" \
		"$(uniq -d "$dir/told")$([ $((sent - $(wc -l <"$dir/told"))) -le 6 ] || echo "$sent sent")" ""
done
is "what a killed consumer was stuck with came again" \
	"$(grep -c 'memory .* redelivered' "$dir/got.2")" 1

# --- Roles, replacement of the segment, and errors

produce -i 0.02 >"$dir/sent"
producer=$!
consume >>"$dir/follows"
consumer=$!
await lines "$dir/follows" 3
is "a second producer and a second consumer are refused" \
	"$($limit ./hostmon-producer -n "$name" 2>&1 | sed 's/[0-9][0-9]*/N/'; $limit ./hostmon-consumer -n "$name" 2>&1 | sed 's/[0-9][0-9]*/N/')" \
	"hostmon-producer: member N has it open, and lives
hostmon-consumer: member N has it open, and lives"

# What shr_segment_unlink() does first; who finds it so does the rest.
old=$(stat -c %i "/dev/shm$name")
printf '\001' | dd of="/dev/shm$name" bs=1 seek=128 conv=notrunc 2>/dev/null
swept() { new=$(stat -c %i "/dev/shm$name" 2>/dev/null) && [ "$new" != "$old" ]; }
await swept || echo "# no new segment"
: >"$dir/follows"
await lines "$dir/follows" 5
went=$?
end TERM $producer
status=$?
sleep 0.3
end TERM $consumer
is "both go over to the segment that replaces theirs" \
	"$went $status $? $(tail -n 1 "$dir/follows" | sed -n 's/.*, skipped/skipped/p')" \
	"0 0 0 skipped 0, lost 0, repeated 0"

$limit ./hostmon-producer -n "$name" -i 0 -c 3 >"$dir/sent"
is "an output that fails ends the consumer" \
	"$($limit ./hostmon-consumer -n "$name" -d 2>&1 >/dev/full; echo $?)" \
	"hostmon-consumer: cannot write
1"
bad() { "$@" 2>&1 >/dev/null | sed -n 's/^\(usage: [^ ]*\).*/\1/p'; "$@" >/dev/null 2>&1; echo $?; }
is "bad options" \
	"$(bad ./hostmon-producer --nonsense; bad ./hostmon-producer -i -1; bad ./hostmon-producer -c 0
	bad ./hostmon-consumer --nonsense; bad ./hostmon-consumer -c x)" \
	"$(for i in producer producer producer consumer consumer; do echo "usage: hostmon-$i"; echo 2; done)"
