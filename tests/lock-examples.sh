#!/bin/sh
# SPDX-License-Identifier: MIT
# ledger: killed at will, and the sum stays. epoll-serve: a ring, a socket and signals in one loop.
name=/shmring-lock-$$
plan=30
. "${top_srcdir:-.}/tests/tap.sh"
. "${top_srcdir:-.}/tests/processes.sh"

asleep() { [ "$(state_of "$1")" = S ]; }

# --- ledger. Its lines, without what libtool calls it

plain() { sed 's/(lt-ledger)/(ledger)/' "$@"; }
show() { $limit ./ledger "$1" --show 2>&1 | plain; }
start() { ./ledger "$@" </dev/null & started="$started $!"; } # $! is it
transfers() { show "$1" | grep '^sum'; }
members() { show "$1" | grep -c '^member'; }
joined() { grep -q 'is member' "$1"; }

start "$name" --transfers=200000 >"$dir/one"
one=$!
start "$name" -t 200000 >"$dir/two"
two=$!
ended $one
status=$?
ended $two
is "two ledgers at a time make all their transfers" "$status $? $(grep -h made "$dir/one" "$dir/two")" \
	"0 0 ledger: pid $one made 200000 transfers
ledger: pid $two made 200000 transfers"
is "and the sum stays" "$(transfers "$name"), $(members "$name") members" \
	"sum 8000 after 400000 transfers, 0 members"

start "$name" >"$dir/one"
one=$!
await joined "$dir/one"
is "a look at a ledger at work" \
	"$(show "$name" | sed "s/-\{0,1\}[0-9]\{1,\} transfers/N transfers/
		s/^balances\( -\{0,1\}[0-9]*\)\{8\}\$/balances/; s/ in the middle of one,//
		s/^sum [0-9]*/sum/; s/^mutex .*, taken [0-9]* times/mutex/")" \
	"balances
sum after N transfers
mutex, 0 died inside
member 1: pid $one (ledger), alive"
start "$name" --die-after=50 >"$dir/two"
two=$!
ended $two
status=$?
await grep -q died "$dir/one"
is "one is killed inside, the other says who and puts it right" \
	"$status $(plain "$dir/one" | sed -n '/died/s/transfer [0-9]*/transfer N/p')" \
	"137 ledger: pid $two (ledger) died inside transfer N; undone, sum 8000"
end TERM $one
is "SIGTERM ends it well" "$? $(sed -n '$s/made [0-9]*/made N/p' "$dir/one")" \
	"0 ledger: pid $one made N transfers"
is "and leaves no member and no wrong sum" \
	"$(show "$name" | sed 's/after [0-9]*/after N/; s/taken [0-9]*/taken N/; /^balances/d')" \
	"sum 8000 after N transfers
mutex free, taken N times, 1 died inside"

rm "/dev/shm$name"
start "$name" --die-after=100 >"$dir/one"
one=$!
ended $one
is "killed inside, with nobody there" "$? $(show "$name" | sed '/^balances/d; s/^sum [0-9]*/sum/')" \
	"137 sum in the middle of one, after 99 transfers
mutex held by member 1 (dead), taken 100 times, 0 died inside
member 1: pid $one (ledger), dead"
is "and the sum is wrong then" "$(transfers "$name" | grep -c 'sum 8000')" 0
$limit ./ledger "$name" --transfers=1 >"$dir/two"
is "the next one that is started puts it right" "$? $(plain "$dir/two" | grep died)" \
	"0 ledger: pid $one (ledger) died inside transfer 100; undone, sum 8000"
is "and has made its own transfer" "$(transfers "$name"), $(members "$name") members" \
	"sum 8000 after 100 transfers, 0 members"

# Two at work, and one after the other is killed and replaced.
start "$name" >"$dir/kill-a"
old=$!
start "$name" >"$dir/kill-b"
new=$!
i=0 killed=
while [ $i -lt 20 ]; do
	i=$((i + 1))
	sleep "0.0$(random)"
	kill -9 $old
	wait $old 2>/dev/null
	killed="$killed$? "
	forget $old
	old=$new
	start "$name" >"$dir/kill-$i"
	new=$!
	await joined "$dir/kill-$i"
done
end TERM $old
status=$?
end TERM $new
is "20 killed at any moment, and the last two end well" "$killed$status $?" \
	"$(i=0; while [ $i -lt 20 ]; do printf '137 '; i=$((i + 1)); done)0 0"
echo "# $(show "$name" | sed -n 's/^mutex.*, //p'), $(cat "$dir"/kill-* | grep -c 'inside transfer') of them in a transfer"
is "the sum stays" "$(cat "$dir"/kill-* | grep died | grep -vc 'sum 8000$') $(transfers "$name" |
	sed 's/[0-9]* transfers/N transfers/'), $(members "$name") members" "0 sum 8000 after N transfers, 0 members"

is "a ledger that is not there" "$(said ./ledger "$name-none" --show)" \
	"ledger: cannot open /dev/shm$name-none: No such file or directory
1"
is "ledger: bad options" \
	"$(bad ./ledger; bad ./ledger "$name" -t 0; bad ./ledger "$name" -d x; bad ./ledger a b
	bad ./ledger --nonsense; bad ./ledger "$name" --show -t 1)" \
	"$(for i in 1 2 3 4 5 6; do echo "usage: ledger"; echo 2; done)"
is "ledger: help" "$($limit ./ledger --help 2>/dev/null | head -n 1; bad ./ledger --help)" \
	"usage: ledger NAME [-t N] [-d N]
0"

# --- epoll-serve

name2=$name-ring socket=$dir/socket
# $server, when it has done all it could do at once
serve() {
	{ ./epoll-serve "$name2" "$socket" </dev/null 3>&- & } >"$dir/out" 2>"$dir/err"
	server=$!
	started="$started $server"
	await serving
}
serving() { grep -q "go to" "$dir/out" && asleep "$server"; }
client() { ./epoll-serve --client "$socket" "$@" </dev/null 3>&- & started="$started $!"; }
send() { seq "$1" "$2" | $limit ./epoll-serve --send "$name2"; }
counts() { echo stats | $limit ./epoll-serve --client "$socket" 1; }
clients() { case $(counts) in *" clients $(($1 + 1)) "*) ;; *) false ;; esac } # are so many there?

send 1 50
serve
client 100 >"$dir/lines"
client=$!
await lines "$dir/lines" 50
send 51 100
ended $client
is "lines from before and after its start come in order" "$? $(cksum <"$dir/lines")" \
	"0 $(seq 1 100 | cksum)"
is "a client is told how it goes" "$(counts)" "received 100 clients 1 skipped 0 redelivered 0"

ticks() { sed 's/.*) //' "/proc/$1/stat" | cut -d ' ' -f 12,13 | tr ' ' +; } # of the processor
await asleep "$server"
before=$(($(ticks "$server")))
sleep 1
spent=$(($(ticks "$server") - before))
is "it sleeps when there is nothing to do" "$([ $spent -le 2 ] || echo "$spent ticks in a second")" ""

# Two clients, one of which is stopped; more than a socket takes.
client >/dev/null
slow=$!
client 100000 >"$dir/lines"
client=$!
await clients 2
kill -STOP $slow
send 1 100000
ended $client
status=$?
await grep -q dropped "$dir/err"
is "a slow client is dropped, the other has it all" \
	"$status $(cksum <"$dir/lines") $(sed 's/client [0-9]*/client N/' "$dir/err")" \
	"0 $(seq 1 100000 | cksum) epoll-serve: client N is dropped: it is slow"
end KILL $slow

is "the socket of a server that lives is not taken" \
	"$(said ./epoll-serve "$name-other" "$socket") $([ -S "$socket" ] || echo gone)" \
	"epoll-serve: cannot listen on $socket: Address already in use
1 "
is "nor is its ring" "$(said ./epoll-serve "$name2" "$dir/socket2")" \
	"epoll-serve: member 1 has it open, and lives
1"
is "nor is it a ledger" "$(said ./ledger "$name2")" "ledger: the segment has no object named mutex
1"

# Killed, and the next one too, when it holds lines for which there is no client.
end KILL "$server"
is "killed, it leaves its socket" "$? $([ -S "$socket" ] && echo there)" "137 there"
send 1 3
serve
end KILL "$server"
serve
client 3 >"$dir/lines"
ended $!
is "the next server has the lines that were not out" "$? $(cat "$dir/lines")" "0 1
2
3"
is "and knows it" "$(counts)" "received 3 clients 1 skipped 0 redelivered 3"

client >"$dir/lines"
client=$!
await clients 1
end TERM "$server"
status=$?
ended $client
is "SIGTERM ends it well, and its clients" "$status $? $(ls "$socket" 2>/dev/null)$(cat "$dir/err")" "0 0 "

# lines-send makes a ring of its own, and removes it.
rm "/dev/shm$name2"
mkfifo "$dir/fifo"
exec 3<>"$dir/fifo"
seq 1 50 >&3
timeout 20 ./lines-send -n "$name2" "$dir/fifo" 3>&- &
sender=$!
started="$started $sender"
there() { [ -e "/dev/shm$name2" ]; }
await there
serve
client >"$dir/lines"
client=$!
await lines "$dir/lines" 50
seq 51 100 >&3
await lines "$dir/lines" 100
exec 3>&-
ended $sender
status=$?
ended $client
is "lines-send feeds it" "$status $? $(cksum <"$dir/lines")" "0 0 $(seq 1 100 | cksum)"
ended "$server"
is "it ends when the ring is removed, and says so" "$? $(cat "$dir/err")$(ls "$socket" 2>/dev/null)" \
	"1 epoll-serve: the segment is obsolete: it was unlinked or replaced"

is "epoll-serve: bad options" \
	"$(bad ./epoll-serve; bad ./epoll-serve a; bad ./epoll-serve a b c; bad ./epoll-serve -c a x
	bad ./epoll-serve --send; bad ./epoll-serve -c -s a; bad ./epoll-serve --nonsense)" \
	"$(for i in 1 2 3 4 5 6 7; do echo "usage: epoll-serve"; echo 2; done)"
is "epoll-serve: help" "$($limit ./epoll-serve --help 2>/dev/null | head -n 1; bad ./epoll-serve --help)" \
	"usage: epoll-serve NAME SOCKET
0"
