#!/bin/sh
# SPDX-License-Identifier: MIT
# hostmon-producer and hostmon-consumer: killed and replaced at will, and the account is exact.
name=/shmring-hostmon-$$
tmp=$(mktemp -d "${TMPDIR:-/tmp}/shmring-hostmon-XXXXXX") || exit 1
pids=
# shellcheck disable=SC2086
trap 'kill -9 $pids 2>/dev/null; rm -rf "$tmp" "/dev/shm$name"' EXIT
trap 'exit 1' HUP INT TERM
limit='timeout 60'
echo 1..16
n=0

case_is() { # description, got, wanted
	n=$((n + 1))
	if [ "$2" = "$3" ]; then echo "ok $n - $1"; else
		echo "not ok $n - $1"
		printf '%s\n' "$2" | sed 's/^/# got:    /'
		printf '%s\n' "$3" | sed 's/^/# wanted: /'
	fi
}

await() { # command that comes true within 10 seconds
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ $tries -lt 1000 ] || return 1
		sleep 0.01
	done
}

lines() { [ "$(wc -l <"$1")" -ge "$2" ]; } # file, at least so many

# Start in the background; $! is it.
produce() { ./hostmon-producer -n "$name" "$@" & pids="$pids $!"; }
consume() { ./hostmon-consumer -n "$name" "$@" & pids="$pids $!"; }
gone() { case $(sed 's/.*) \(.\).*/\1/' "/proc/$1/stat" 2>/dev/null) in Z | '') ;; *) false ;; esac }
ended() { # process: its exit status
	await gone "$1" || kill -9 "$1"
	wait "$1" 2>/dev/null
}
end() { # signal, process: its exit status
	kill "-$1" "$2"
	ended "$2"
}

# Has the process written so many bytes, and then no more?
stuck() {
	before=$(sed -n 's/^wchar: //p' "/proc/$1/io")
	sleep 0.2
	[ "$before" -ge "$2" ] && [ "$before" = "$(sed -n 's/^wchar: //p' "/proc/$1/io")" ]
}

# --- One producer, one consumer

consume -c 3 >"$tmp/got" 2>"$tmp/err"
consumer=$!
await grep -q waiting "$tmp/err"
$limit ./hostmon-producer -n "$name" -i 0.05 -c 3 >"$tmp/sent"
ended $consumer
status=$?
sent=$(sed -n 's/^sent \([0-9]*\) records (cpu [0-9]*, memory 3)$/\1/p' "$tmp/sent")
case_is "a consumer waits for its producer, and a round is a line" \
	"$status $(cat "$tmp/err") $(grep -c '  memory .* GiB  load ' "$tmp/got") $(tail -n 1 "$tmp/got")" \
	"0 hostmon-consumer: waiting for a producer of $name 3 received $sent, redelivered 0, skipped 0, lost 0, repeated 0"
sed 's/^/# /' "$tmp/got"

$limit ./hostmon-producer -n "$name" -i 0 -c 3 >"$tmp/sent"
sent=$(sed -n 's/^sent \([0-9]*\) .*/\1/p' "$tmp/sent")
case_is "a consumer takes no more than its rounds" \
	"$($limit ./hostmon-consumer -n "$name" -c 1 | sed -n 's/^\(received [0-9]*\),.*/\1/p'
	$limit ./hostmon-consumer -n "$name" -d | sed -n 's/^\(received.*\), skipped.*/\1/p')" \
	"received $((sent / 3))
received $((sent / 3 * 2)), redelivered 0"

produce -v -i 0 >"$tmp/sent"
await stuck $! 10000
end TERM $!
case_is "without a consumer the producer waits, and ends when it is told" \
	"$? $(sed -n 's/^sent [0-9]* records .*/sent/p' "$tmp/sent")" "0 sent"
case_is "all that it sent is received, in order and each once" \
	"$($limit ./hostmon-consumer -n "$name" -d | tail -n 1)" \
	"received $(sed -n 's/^sent \([0-9]*\) .*/\1/p' "$tmp/sent"), redelivered 0, skipped 0, lost 0, repeated 0"
rm -f "/dev/shm$name"

# --- Killed and replaced. What a consumer prints is out before it releases.

mkfifo "$tmp/fifo"
exec 3<>"$tmp/fifo"
produce -v -i 0 >"$tmp/sent.1" 3>&-
producer=$!
await lines "$tmp/sent.1" 100
consume -v >"$tmp/fifo" 3>&-
await stuck $! 60000 # the pipe is full
end KILL $!
cat <"$tmp/fifo" >"$tmp/got.1" 3>&- &
exec 3>&-
wait $!
for i in 2 3 4 5 6; do
	consume -v >"$tmp/got.$i"
	consumer=$!
	await lines "$tmp/got.$i" 500
	end KILL $producer
	produce -v -i 0 >"$tmp/sent.$i"
	producer=$!
	await lines "$tmp/sent.$i" 500
	end KILL $consumer
done
end KILL $producer
$limit ./hostmon-producer -n "$name" -v -i 0 -c 10 >"$tmp/sent.7"
$limit ./hostmon-consumer -n "$name" -v -d >"$tmp/got.7"
case_is "the last consumer ends well" \
	"$? $(sed -n 's/^received [0-9]*, redelivered [0-9]*, //p' "$tmp/got.7")" \
	"0 skipped 0, lost 0, repeated 0"

numbers() { sed -n "s/^$1 \([0-9]*\)\( redelivered\)\{0,1\}\$/\1/p" $2; } # ring, files
for ring in cpu memory; do
	sent=$(($(numbers $ring "$tmp/sent.7" | tail -n 1) + 1))
	numbers $ring "$tmp/got.?" | sort -nu >"$tmp/all"
	again=$(($(numbers $ring "$tmp/got.?" | wc -l) - $(wc -l <"$tmp/all")))
	marked=$(cat "$tmp"/got.? | grep -c "^$ring .* redelivered")
	echo "# $ring: $sent sent by 7 producers; to 7 consumers $again came again, $marked are marked"
	case_is "every number of $ring was received, from 0 to the last" \
		"$(seq 0 $((sent - 1)) | cmp - "$tmp/all" 2>&1)" ""
	case_is "every one of $ring that came again is marked" \
		"$(cat "$tmp"/got.? | sed -n "s/^$ring \([0-9]*\)\$/\1/p" | sort | uniq -d)" ""
	# One that is killed before it prints what it sent: a number less at each of 6 kills.
	numbers $ring "$tmp/sent.?" | sort -n >"$tmp/told"
	case_is "no number of $ring was sent twice, and none left out" \
		"$(uniq -d "$tmp/told")$([ $((sent - $(wc -l <"$tmp/told"))) -le 6 ] || echo "$sent sent")" ""
done
case_is "what a killed consumer was stuck with came again" \
	"$(grep -c 'memory .* redelivered' "$tmp/got.2")" 1

# --- Roles, replacement of the segment, and errors

produce -i 0.02 >"$tmp/sent"
producer=$!
consume >>"$tmp/follows"
consumer=$!
await lines "$tmp/follows" 3
case_is "a second producer and a second consumer are refused" \
	"$($limit ./hostmon-producer -n "$name" 2>&1 | sed 's/[0-9][0-9]*/N/'; $limit ./hostmon-consumer -n "$name" 2>&1 | sed 's/[0-9][0-9]*/N/')" \
	"hostmon-producer: member N has it open, and lives
hostmon-consumer: member N has it open, and lives"

# What shr_segment_unlink() does first; who finds it so does the rest.
old=$(stat -c %i "/dev/shm$name")
printf '\001' | dd of="/dev/shm$name" bs=1 seek=128 conv=notrunc 2>/dev/null
swept() { new=$(stat -c %i "/dev/shm$name" 2>/dev/null) && [ "$new" != "$old" ]; }
await swept || echo "# no new segment"
: >"$tmp/follows"
await lines "$tmp/follows" 5
went=$?
end TERM $producer
status=$?
sleep 0.3
end TERM $consumer
case_is "both go over to the segment that replaces theirs" \
	"$went $status $? $(tail -n 1 "$tmp/follows" | sed -n 's/.*, skipped/skipped/p')" \
	"0 0 0 skipped 0, lost 0, repeated 0"

$limit ./hostmon-producer -n "$name" -i 0 -c 3 >"$tmp/sent"
case_is "an output that fails ends the consumer" \
	"$($limit ./hostmon-consumer -n "$name" -d 2>&1 >/dev/full; echo $?)" \
	"hostmon-consumer: cannot write
1"
bad() { "$@" 2>&1 >/dev/null | sed -n 's/^\(usage: [^ ]*\).*/\1/p'; "$@" >/dev/null 2>&1; echo $?; }
case_is "bad options" \
	"$(bad ./hostmon-producer --nonsense; bad ./hostmon-producer -i -1; bad ./hostmon-producer -c 0
	bad ./hostmon-consumer --nonsense; bad ./hostmon-consumer -c x)" \
	"$(for i in producer producer producer consumer consumer; do echo "usage: hostmon-$i"; echo 2; done)"
