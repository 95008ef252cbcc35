#!/bin/sh
# SPDX-License-Identifier: MIT
# Programs of 32 and of 64 bits share one segment: records, locks, tables, death.
src=${top_srcdir:-.}
name=/shmring-word-size-$$
plan=
. "${top_srcdir:-.}/tests/tap.sh"
case $(uname -m) in x86_64) ;; *)
	echo "1..0 # SKIP: only an x86-64 kernel runs both"
	exit 0
	;;
esac
if ! command -v i686-linux-gnu-gcc >/dev/null; then
	echo "1..0 # SKIP: no i686-linux-gnu-gcc"
	exit 0
fi
# Some machines, guests of a host that runs 64 bits only, start no program of 32 bits.
echo 'int main(void) { return 0; }' >"$dir/runs.c"
i686-linux-gnu-gcc -static -o "$dir/runs" "$dir/runs.c"
by=
if ! "$dir/runs" 2>/dev/null; then
	by=qemu-i386
	if ! $by "$dir/runs" 2>/dev/null; then
		echo "1..0 # SKIP: this kernel runs no program of 32 bits, and there is no qemu-i386"
		exit 0
	fi
	echo "# by qemu-i386: the kernel runs no program of 32 bits"
fi
echo 1..36
built=0
options="-std=c11 -O2 -Wall -Wextra -Werror -Wno-psabi -static -pthread -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64"
compile32() { # what it is made into, options and files
	to=$1
	shift
	# shellcheck disable=SC2086
	i686-linux-gnu-gcc $options -I"$src/include" -I"$src/lib" "$@" -o "$to" 2>>"$dir/log" || return
	case $to in *.o) return ;; esac
	[ "$by" ] || return 0
	mv "$to" "$to.bin"
	printf '#!/bin/sh\nexec %s "%s" "$@"\n' "$by" "$to.bin" >"$to"
	chmod +x "$to"
}
mkdir "$dir/lib"
for file in "$src"/lib/*.c; do
	compile32 "$dir/lib/$(basename "$file" .c).o" -c "$file" || built=1
done
compile32 "$dir/peer32" "$dir"/lib/*.o "$src/tests/peer.c" || built=1
compile32 "$dir/random32" "$dir"/lib/*.o "$src/tests/torture/ring-random.c" || built=1
compile32 "$dir/table32" "$dir"/lib/*.o "$src/tests/torture/table-random.c" || built=1
sed 's/^/# /' "$dir/log"
ok "the library builds for 32 bits without a warning" $built
[ $built = 0 ] || exit 1
compile32 "$dir/far32" "$dir"/lib/*.o "$src/tests/far-offset.c"
truncate -s 4G "$dir/far"
is "a window beyond 4 GiB from 32 bits" "$("$dir/far32" "file:$dir/far" 2>&1)" \
	"32 bits: far away, object of 5368710115 bytes"
a32=$dir/peer32
a64=./peer

"$a32" send "$name" 1 200000 & started=$!
is "32 to 64 bits" "$("$a64" receive "$name" 200000 1 2>&1)" "received 200000 skipped 0"
wait "$started"
ok "the sender of 32 bits ended well" $?
is "64 bits attach to what 32 made; members" \
	"$(./shmring-dump -o json info "$name" | jq -c '[.members[].state]|unique')" '["free"]'
rm -f "/dev/shm$name"
"$a64" send "$name" 1 200000 & one=$!
"$a32" send "$name" 2 200000 & two=$!
started="$one $two"
is "64 and 32 bits to 32" "$("$a32" receive "$name" 400000 2 2>&1)" "received 400000 skipped 0"
wait $one
first=$?
wait $two
ok "both senders ended well" $((first + $?))
rm -f "/dev/shm$name"
died() { # who is killed while a record is reserved, who sends, who receives
	"$1" hold "$name" >"$dir/held" &
	holder=$!
	started="$started $holder"
	i=0
	while [ ! -s "$dir/held" ] && [ $i -lt 1000 ]; do sleep 0.01; i=$((i + 1)); done
	"$2" send "$name" 1 10
	kill -9 $holder
	wait $holder 2>/dev/null
	"$3" receive "$name" 10 1 2>&1
	rm -f "$dir/held" "/dev/shm$name"
}
is "32 bits die, 64 mend" "$(died "$a32" "$a64" "$a64")" "received 10 skipped 1"
is "64 bits die, 32 mend" "$(died "$a64" "$a32" "$a32")" "received 10 skipped 1"
"$a32" send "$name" 1 1
is "the tool reads what 32 bits wrote" "$(./shmring-dump records "$name" | cut -d' ' -f1-7)" \
	"ring @4294963200: sequence=0 half=0 producer=1 size=32 minus=0"
rm -f "/dev/shm$name"
locked() { # who is killed inside the mutex, who takes it over
	"$1" lock "$name" >"$dir/held" &
	holder=$!
	started="$started $holder"
	i=0
	while [ ! -s "$dir/held" ] && [ $i -lt 1000 ]; do sleep 0.01; i=$((i + 1)); done
	kill -9 $holder
	wait $holder 2>/dev/null
	"$2" take "$name" 2>&1
	"$1" take "$name" 2>&1
	rm -f "$dir/held" "/dev/shm$name"
}
is "a mutex: 32 bits die inside, 64 mend" "$(locked "$a32" "$a64")" "owner dead deaths 1
clean deaths 1"
is "a mutex: 64 bits die inside, 32 mend" "$(locked "$a64" "$a32")" "owner dead deaths 1
clean deaths 1"
"$a64" await "$name" 100000 >"$dir/sum64" 2>&1 & w64=$!
"$a32" await "$name" 100000 >"$dir/sum32" 2>&1 & w32=$!
"$a32" count "$name" 50000 & c32=$!
started="$started $w64 $w32 $c32"
"$a64" count "$name" 50000
wait $c32 $w64 $w32
is "both count under one mutex, both are woken" "$(cat "$dir/sum64" "$dir/sum32")" "sum 100000
sum 100000"
rm -f "/dev/shm$name"
"$a64" pthread "$name" >"$dir/first"
is "pthread mutexes of 64 bits: for 64, not for 32" \
	"$(cat "$dir/first"; "$a64" pthread "$name"; "$a32" pthread "$name")" "locked
locked
refused"
rm -f "/dev/shm$name"
is "pthread mutexes of 32 bits: for 32, not for 64" \
	"$("$a32" pthread "$name"; "$a32" pthread "$name"; "$a64" pthread "$name")" "locked
locked
refused"
rm -f "/dev/shm$name"
# Of each mode: both change it, both look on; who dies inside is taken over by the other.
inside() { # who is killed inside an update, who mends it, the mode
	"$1" inside "$name" "$3" >"$dir/held" &
	holder=$!
	started="$started $holder"
	i=0
	while [ ! -s "$dir/held" ] && [ $i -lt 1000 ]; do sleep 0.01; i=$((i + 1)); done
	kill -9 $holder
	wait $holder 2>/dev/null
	"$2" mend "$name" "$3" 2>&1
	"$1" mend "$name" "$3" 2>&1
	rm -f "$dir/held" "/dev/shm$name"
}
for mode in 0 1 2; do
	what=$(echo "an atomic table,a table in place,a table of counters" | cut -d, -f$((mode + 1)))
	for maker in "$a64" "$a32"; do # who makes it
		"$maker" table "$name" $mode 0 0
		"$a64" table "$name" $mode 1 20000 & one=$!
		"$a32" table "$name" $mode 2 20000 & two=$!
		"$a32" look "$name" $mode 40000 >"$dir/look32" 2>&1 & three=$!
		started="$one $two $three"
		"$a64" look "$name" $mode 40000 >"$dir/look64" 2>&1
		wait $one
		first=$?
		wait $two
		ok "$what: 32 and 64 bits change it" $((first + $?))
		wait $three
		is "$what: 32 and 64 bits read it" "$(cat "$dir/look32" "$dir/look64")" "total 40000 by 20000 20000
total 40000 by 20000 20000"
		rm -f "/dev/shm$name"
	done
done
is "an atomic table: who dies inside an update changes nothing" \
	"$(inside "$a32" "$a64" 0; inside "$a64" "$a32" 0)" "whole, clean, takeovers 1
whole, clean, takeovers 1
whole, clean, takeovers 1
whole, clean, takeovers 1"
is "a table in place: 32 bits die inside, 64 are told and mend" "$(inside "$a32" "$a64" 1)" \
	"torn, owner dead, takeovers 1
whole, clean, takeovers 1"
is "a table in place: 64 bits die inside, 32 are told and mend" "$(inside "$a64" "$a32" 1)" \
	"torn, owner dead, takeovers 1
whole, clean, takeovers 1"
# These fork: a child would have what the library says that it has not, and each call is slow.
emulated() { # description
	[ "$by" ] || return
	n=$((n + 1))
	echo "ok $n # SKIP by $by: $1"
}
killed_at_points() { # description, source of the torture
	emulated "$1" && return
	compile32 "$dir/points32" -DSHR_KILL_POINTS "$src"/lib/*.c "$2"
	"$dir/points32" >"$dir/points" 2>&1
	points=$?
	grep -v '^ok' "$dir/points" | sed 's/^/# /'
	ok "$1" $points
}
killed_at_points "32 bits killed at each kill point" "$src/tests/torture/kill.c"
killed_at_points "32 bits killed at each kill point of tables" "$src/tests/torture/table.c"
at_random() { # description, who kills and looks in the end, half of the others, seed
	emulated "$1" && return
	"$2" 960 "$4" "$3" >"$dir/random" 2>&1
	status=$?
	grep -v '^ok\|^1\.\.' "$dir/random" | sed 's/^# */# /'
	ok "$1" $status
}
at_random "rings of every mode: 64 and 32 bits killed at random, 64 have the account" \
	./torture-ring-random "$dir/random32" 3
at_random "rings of every mode: 64 and 32 bits killed at random, 32 have the account" \
	"$dir/random32" ./torture-ring-random 4
at_random "tables of every mode: 64 and 32 bits killed at random, 64 have the account" \
	./torture-table-random "$dir/table32" 5
at_random "tables of every mode: 64 and 32 bits killed at random, 32 have the account" \
	"$dir/table32" ./torture-table-random 6
