#!/bin/sh
# SPDX-License-Identifier: MIT
# lines-send and lines-recv: what comes out is what went in, and nothing is left.
name=/shmring-lines-$$
tmp=$(mktemp -d "${TMPDIR:-/tmp}/shmring-lines-XXXXXX") || exit 1
pids=
# shellcheck disable=SC2086
trap 'kill -9 $pids 2>/dev/null; rm -rf "$tmp" "/dev/shm$name"' EXIT
trap 'exit 1' HUP INT TERM
limit='timeout 60'
echo 1..20
n=0

case_is() { # description, got, wanted
	n=$((n + 1))
	if [ "$2" = "$3" ]; then echo "ok $n - $1"; else
		echo "not ok $n - $1"
		printf '%s\n' "$2" | sed 's/^/# got:    /'
		printf '%s\n' "$3" | sed 's/^/# wanted: /'
	fi
}

left() { [ ! -e "/dev/shm$name" ] || echo "left behind: /dev/shm$name"; }

await() { # command that comes true within 10 seconds
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ $tries -lt 1000 ] || return 1
		sleep 0.01
	done
}

made() { [ -e "/dev/shm$name" ]; }

receive() { # ... its exit status in recv.status
	$limit ./lines-recv -n "$name" "$@" 2>"$tmp/recv.err"
	echo $? >"$tmp/recv.status"
}

# Both ends: SHA-256, both exit statuses, what they said, what they left.
moves() { # description, file, options of the sender...
	description=$1 file=$2
	shift 2
	receive | sha256sum >"$tmp/recv.sum" &
	$limit ./lines-send -n "$name" "$@" "$file" >"$tmp/send.err" 2>&1
	status=$?
	wait $!
	case_is "$description" \
		"$status $(cat "$tmp/recv.status" "$tmp/recv.sum" "$tmp/send.err" "$tmp/recv.err")$(left)" \
		"0 0
$(sha256sum <"$file")"
}

# The text of this machine, repeated if it is less than 100 MB.
find "${top_srcdir:-.}/lib" "${top_srcdir:-.}/include" /usr/share/common-licenses /usr/share/dict \
	/usr/share/perl* /usr/include -type f -print0 2>/dev/null |
	sort -z | xargs -0 cat 2>/dev/null | head -c 100000000 >"$tmp/text"
size=$(wc -c <"$tmp/text")
echo "# $size bytes of text are here"
while [ "$size" -gt 0 ] && [ "$size" -lt 100000000 ]; do
	cat "$tmp/text" "$tmp/text" >"$tmp/twice" && mv "$tmp/twice" "$tmp/text" || break
	size=$(wc -c <"$tmp/text")
done
echo "# moving $size bytes, $(wc -l <"$tmp/text") lines"
[ "$size" -ge 100000000 ] || echo "# that is less than it should be"
moves "100 MB of text" "$tmp/text"
head -c 3000000 "$tmp/text" >"$tmp/some"
rm "$tmp/text"
moves "3 MB through a ring of 256 bytes" "$tmp/some" -b 256
: >"$tmp/empty"
moves "nothing" "$tmp/empty"
printf 'one\n\ntwo' >"$tmp/open"
moves "a last line without its newline" "$tmp/open"
head -c 5000000 /dev/urandom >"$tmp/random"
moves "5 MB of any bytes" "$tmp/random"
{ head -c 3000000 /dev/zero | tr '\0' x; echo; echo after; } >"$tmp/long"
moves "a line of 3 MB through a ring of 4 KiB" "$tmp/long" --ring=4096

receive "$tmp/out" &
{ cat "$tmp/open"; sleep 0.2; cat "$tmp/some"; } | $limit ./lines-send --name="$name"
status=$?
wait $!
case_is "a pipe that dawdles, to a file" \
	"$status $(cat "$tmp/recv.status") $(sha256sum <"$tmp/out")$(left)" \
	"0 0 $(cat "$tmp/open" "$tmp/some" | sha256sum)"

$limit ./lines-send -n "$name" "$tmp/some" &
await made
sleep 0.1
receive >"$tmp/out"
wait $!
case_is "the receiver may come later" "$? $(cat "$tmp/recv.status") $(sha256sum <"$tmp/out")$(left)" \
	"0 0 $(sha256sum <"$tmp/some")"

# 200 kB lie in the ring; the receiver is stuck in its write, and then dead.
head -c 200000 "$tmp/some" >"$tmp/less"
mkfifo "$tmp/fifo"
$limit ./lines-send -n "$name" "$tmp/less" &
sender=$!
await made
sleep 0.2 # all of it is in the ring
exec 3<>"$tmp/fifo"
./lines-recv -n "$name" "$tmp/fifo" 3>&- &
pids="$pids $!"
$limit dd bs=1 count=1 <&3 >/dev/null 2>&1
kill -9 $!
wait $! 2>/dev/null
exec 3>&-
receive "$tmp/out"
wait "$sender"
case_is "the next receiver is given what a killed one had not written out" \
	"$? $(cat "$tmp/recv.status") $(sha256sum <"$tmp/out")$(left)" \
	"0 0 $(sha256sum <"$tmp/less")"

# One that nobody receives from, and that is killed: its segment stays.
./lines-send -n "$name" "$tmp/some" &
pids="$pids $!"
await made
case_is "a second sender is refused, and the first not harmed" \
	"$($limit ./lines-send -n "$name" "$tmp/open" 2>&1; echo $?) $(left)" \
	"lines-send: member 1 has it open, and lives
1 left behind: /dev/shm$name"
kill -9 $!
wait $! 2>/dev/null
old=$(stat -c %i "/dev/shm$name")
swept() { new=$(stat -c %i "/dev/shm$name" 2>/dev/null) && [ "$new" != "$old" ]; }
$limit ./lines-send -n "$name" "$tmp/open" &
await swept
receive >"$tmp/out"
wait $!
case_is "the next sender sweeps away what a killed one left" \
	"$? $(cat "$tmp/recv.status") $(sha256sum <"$tmp/out")$(left)" \
	"0 0 $(sha256sum <"$tmp/open")"

# A sender that is killed in the middle: its input dawdles.
mkfifo "$tmp/never"
exec 3<>"$tmp/never"
./lines-send -n "$name" "$tmp/never" 3>&- &
sender=$!
pids="$pids $sender"
receive >"$tmp/out" 3>&- &
cat "$tmp/open" >&3
await grep -q one "$tmp/out"
kill -9 $sender
wait $! $sender 2>/dev/null
exec 3>&-
case_is "the receiver tells when the sender was killed" "$(cat "$tmp/recv.status" "$tmp/recv.err")$(left)" \
	"1
lines-recv: the sender ended before its stream did"

$limit ./lines-send -n "$name" "$tmp/some" 2>"$tmp/send.err" &
await made
kill $!
wait $!
case_is "a sender that is stopped says so" "$? $(cat "$tmp/send.err")$(left)" \
	"1 lines-send: stopped by signal 15"

fails_with() { # description, file to write to, sentence of the receiver
	$limit ./lines-send -n "$name" "$tmp/some" 2>"$tmp/send.err" &
	receive "$2"
	wait $!
	case_is "$1" "$? $(cat "$tmp/send.err" "$tmp/recv.status" "$tmp/recv.err")$(left)" \
		"1 lines-send: the receiver gave up: $stale
1
lines-recv: cannot write: $3"
}
stale="the segment is obsolete: it was unlinked or replaced"
fails_with "a full disk is an error at both ends" /dev/full "No space left on device"

{ $limit ./lines-send -n "$name" "$tmp/some" 2>"$tmp/send.err"; echo $? >"$tmp/send.status"; } &
receive | head -c 10 >"$tmp/out"
wait $!
case_is "so is a pipe that nobody reads any more" \
	"$(cat "$tmp/send.status" "$tmp/send.err" "$tmp/recv.status" "$tmp/recv.err")$(left)" \
	"1
lines-send: the receiver gave up: $stale
1
lines-recv: cannot write: Broken pipe"

case_is "without a sender the receiver waits no longer than it is told" \
	"$($limit ./lines-recv -n "$name" -w 0.1 2>&1; echo $?)" \
	"lines-recv: cannot open /dev/shm$name: No such file or directory
1"
case_is "an input that is not there" "$($limit ./lines-send -n "$name" "$tmp/none" 2>&1; echo $?)$(left)" \
	"lines-send: cannot open $tmp/none: No such file or directory
1"
case_is "an input that cannot be read" "$($limit ./lines-send -n "$name" "$tmp" 2>&1; echo $?)$(left)" \
	"lines-send: cannot read: Is a directory
1"
case_is "a ring of 1000 bytes" "$($limit ./lines-send -n "$name" -b 1000 "$tmp/some" 2>&1; echo $?)$(left)" \
	"lines-send: capacity 1000 of ring ring: it must be a power of two from 256 to 2^40
1"
bad() { "$@" 2>&1 >/dev/null | sed -n 's/^\(usage: [^ ]*\).*/\1/p'; "$@" >/dev/null 2>&1; echo $?; }
case_is "bad options" \
	"$(bad ./lines-send --nonsense; bad ./lines-send -b 4k; bad ./lines-send a b
	bad ./lines-recv --nonsense; bad ./lines-recv -w soon)" \
	"$(for i in send send send recv recv; do echo "usage: lines-$i"; echo 2; done)"
