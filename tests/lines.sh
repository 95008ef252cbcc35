#!/bin/sh
# SPDX-License-Identifier: MIT
# lines-send and lines-recv: what comes out is what went in, and nothing is left.
name=/shmring-lines-$$
plan=20
. "${top_srcdir:-.}/tests/tap.sh"
. "${top_srcdir:-.}/tests/processes.sh"
limit='timeout 60'

left() { [ ! -e "/dev/shm$name" ] || echo "left behind: /dev/shm$name"; }

made() { [ -e "/dev/shm$name" ]; }

receive() { # ... its exit status in recv.status
	$limit ./lines-recv -n "$name" "$@" 2>"$dir/recv.err"
	echo $? >"$dir/recv.status"
}

# Both ends: SHA-256, both exit statuses, what they said, what they left.
moves() { # description, file, options of the sender...
	description=$1 file=$2
	shift 2
	receive | sha256sum >"$dir/recv.sum" &
	$limit ./lines-send -n "$name" "$@" "$file" >"$dir/send.err" 2>&1
	status=$?
	wait $!
	is "$description" \
		"$status $(cat "$dir/recv.status" "$dir/recv.sum" "$dir/send.err" "$dir/recv.err")$(left)" \
		"0 0
$(sha256sum <"$file")"
}

# The text of this machine, repeated if it is less than 100 MB.
find "${top_srcdir:-.}/lib" "${top_srcdir:-.}/include" /usr/share/common-licenses /usr/share/dict \
	/usr/share/perl* /usr/include -type f -print0 2>/dev/null |
	sort -z | xargs -0 cat 2>/dev/null | head -c 100000000 >"$dir/text"
size=$(wc -c <"$dir/text")
echo "# $size bytes of text are here"
while [ "$size" -gt 0 ] && [ "$size" -lt 100000000 ]; do
	cat "$dir/text" "$dir/text" >"$dir/twice" && mv "$dir/twice" "$dir/text" || break
	size=$(wc -c <"$dir/text")
done
echo "# moving $size bytes, $(wc -l <"$dir/text") lines"
[ "$size" -ge 100000000 ] || echo "# that is less than it should be"
moves "100 MB of text" "$dir/text"
head -c 3000000 "$dir/text" >"$dir/some"
rm "$dir/text"
moves "3 MB through a ring of 256 bytes" "$dir/some" -b 256
: >"$dir/empty"
moves "nothing" "$dir/empty"
printf 'one\n\ntwo' >"$dir/open"
moves "a last line without its newline" "$dir/open"
head -c 5000000 /dev/urandom >"$dir/random"
moves "5 MB of any bytes" "$dir/random"
{ head -c 3000000 /dev/zero | tr '\0' x; echo; echo after; } >"$dir/long"
moves "a line of 3 MB through a ring of 4 KiB" "$dir/long" --ring=4096

receive "$dir/out" &
{ cat "$dir/open"; sleep 0.2; cat "$dir/some"; } | $limit ./lines-send --name="$name"
status=$?
wait $!
is "a pipe that dawdles, to a file" \
	"$status $(cat "$dir/recv.status") $(sha256sum <"$dir/out")$(left)" \
	"0 0 $(cat "$dir/open" "$dir/some" | sha256sum)"

$limit ./lines-send -n "$name" "$dir/some" &
await made
sleep 0.1
receive >"$dir/out"
wait $!
is "the receiver may come later" "$? $(cat "$dir/recv.status") $(sha256sum <"$dir/out")$(left)" \
	"0 0 $(sha256sum <"$dir/some")"

# 200 kB lie in the ring; the receiver is stuck in its write, and then dead.
head -c 200000 "$dir/some" >"$dir/less"
mkfifo "$dir/fifo"
$limit ./lines-send -n "$name" "$dir/less" &
sender=$!
await made
sleep 0.2 # all of it is in the ring
exec 3<>"$dir/fifo"
./lines-recv -n "$name" "$dir/fifo" 3>&- &
started="$started $!"
$limit dd bs=1 count=1 <&3 >/dev/null 2>&1
kill -9 $!
wait $! 2>/dev/null
exec 3>&-
receive "$dir/out"
wait "$sender"
is "the next receiver is given what a killed one had not written out" \
	"$? $(cat "$dir/recv.status") $(sha256sum <"$dir/out")$(left)" \
	"0 0 $(sha256sum <"$dir/less")"

# One that nobody receives from, and that is killed: its segment stays.
./lines-send -n "$name" "$dir/some" &
started="$started $!"
await made
is "a second sender is refused, and the first not harmed" \
	"$($limit ./lines-send -n "$name" "$dir/open" 2>&1; echo $?) $(left)" \
	"lines-send: member 1 has it open, and lives
1 left behind: /dev/shm$name"
kill -9 $!
wait $! 2>/dev/null
old=$(stat -c %i "/dev/shm$name")
swept() { new=$(stat -c %i "/dev/shm$name" 2>/dev/null) && [ "$new" != "$old" ]; }
$limit ./lines-send -n "$name" "$dir/open" &
await swept
receive >"$dir/out"
wait $!
is "the next sender sweeps away what a killed one left" \
	"$? $(cat "$dir/recv.status") $(sha256sum <"$dir/out")$(left)" \
	"0 0 $(sha256sum <"$dir/open")"

# A sender that is killed in the middle: its input dawdles.
mkfifo "$dir/never"
exec 3<>"$dir/never"
./lines-send -n "$name" "$dir/never" 3>&- &
sender=$!
started="$started $sender"
receive >"$dir/out" 3>&- &
cat "$dir/open" >&3
await grep -q one "$dir/out"
kill -9 $sender
wait $! $sender 2>/dev/null
exec 3>&-
is "the receiver tells when the sender was killed" "$(cat "$dir/recv.status" "$dir/recv.err")$(left)" \
	"1
lines-recv: the sender ended before its stream did"

$limit ./lines-send -n "$name" "$dir/some" 2>"$dir/send.err" &
await made
kill $!
wait $!
is "a sender that is stopped says so" "$? $(cat "$dir/send.err")$(left)" \
	"1 lines-send: stopped by signal 15"

fails_with() { # description, file to write to, sentence of the receiver
	$limit ./lines-send -n "$name" "$dir/some" 2>"$dir/send.err" &
	receive "$2"
	wait $!
	is "$1" "$? $(cat "$dir/send.err" "$dir/recv.status" "$dir/recv.err")$(left)" \
		"1 lines-send: the receiver gave up: $stale
1
lines-recv: cannot write: $3"
}
stale="the segment is obsolete: it was unlinked or replaced"
fails_with "a full disk is an error at both ends" /dev/full "No space left on device"

{ $limit ./lines-send -n "$name" "$dir/some" 2>"$dir/send.err"; echo $? >"$dir/send.status"; } &
receive | head -c 10 >"$dir/out"
wait $!
is "so is a pipe that nobody reads any more" \
	"$(cat "$dir/send.status" "$dir/send.err" "$dir/recv.status" "$dir/recv.err")$(left)" \
	"1
lines-send: the receiver gave up: $stale
1
lines-recv: cannot write: Broken pipe"

is "without a sender the receiver waits no longer than it is told" \
	"$($limit ./lines-recv -n "$name" -w 0.1 2>&1; echo $?)" \
	"lines-recv: cannot open /dev/shm$name: No such file or directory
1"
is "an input that is not there" "$($limit ./lines-send -n "$name" "$dir/none" 2>&1; echo $?)$(left)" \
	"lines-send: cannot open $dir/none: No such file or directory
1"
is "an input that cannot be read" "$($limit ./lines-send -n "$name" "$dir" 2>&1; echo $?)$(left)" \
	"lines-send: cannot read: Is a directory
1"
is "a ring of 1000 bytes" "$($limit ./lines-send -n "$name" -b 1000 "$dir/some" 2>&1; echo $?)$(left)" \
	"lines-send: capacity 1000 of ring ring: it must be a power of two from 256 to 2^40
1"
bad() { "$@" 2>&1 >/dev/null | sed -n 's/^\(usage: [^ ]*\).*/\1/p'; "$@" >/dev/null 2>&1; echo $?; }
is "bad options" \
	"$(bad ./lines-send --nonsense; bad ./lines-send -b 4k; bad ./lines-send a b
	bad ./lines-recv --nonsense; bad ./lines-recv -w soon)" \
	"$(for i in send send send recv recv; do echo "usage: lines-$i"; echo 2; done)"
