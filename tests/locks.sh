#!/bin/sh
# SPDX-License-Identifier: MIT
# shmring-dump locks, info and blame: mutexes and rings that are held up, and by whom.
name=/shmring-locks-$$
plan=16
. "${top_srcdir:-.}/tests/tap.sh"
locks() {
	./shmring-dump locks "$name" | sed -E 's/pid [0-9]+/pid P/g; s/about [0-9.]+ s/about T/; s/ lt-peer / peer /g'
}
json() { # description, jq's condition on the output
	./shmring-dump -o json locks "$name" >"$dir/json"
	jq -e "$2" "$dir/json" >/dev/null
	ok "$1" $?
}
hold() { # file to tell in
	./peer lock "$name" >"$1" &
	holder=$!
	started="$started $holder"
	i=0
	while [ ! -s "$1" ] && [ $i -lt 1000 ]; do sleep 0.01; i=$((i + 1)); done
}
hold "$dir/first"
is "a held mutex" "$(locks)" "mutex[1]: held by member 1, pid P peer
1 of 2 mutexes are held, dirty, or had an owner that died"
json "the same in JSON" '.v==1 and .mutexes=="2" and (.locks|length)==1 and
	(.locks[0]|.state=="held" and .owner==1 and .number==1 and .waiters==false and .deaths==0)'
./peer take "$name" >"$dir/took" 2>&1 & waiter=$!
started="$started $waiter"
i=0
while ! locks | grep -q wait && [ $i -lt 500 ]; do sleep 0.01; i=$((i + 1)); done
is "and waited for" "$(locks | head -n 1)" \
	"mutex[1]: held by member 1, pid P peer; others wait, for about T"
json "the same in JSON" '.locks[0]|.waiters and (.waiting_ns|length)==19'
kill -9 "$holder"
wait "$holder" 2>/dev/null
wait "$waiter"
is "who waited was told" "$(cat "$dir/took")" "owner dead deaths 1"
is "and the death is remembered" "$(locks | head -n 1)" \
	"mutex[1]: free; died inside: 1, the last one member 1, pid P peer"
hold "$dir/second"
kill -9 "$holder"
wait "$holder" 2>/dev/null
locks >"$dir/dead"
is "held by one that is dead, and nobody has noticed" "$(sed 's/;.*//' "$dir/dead" | head -n 1)" \
	"mutex[1]: held by member 1, pid P peer, dead: the next one to lock it gets it and is told"
is "info tells who died" \
	"$(./shmring-dump info "$name" | sed -n 's/pid [0-9]*  [a-z-]*, proved .* by/pid P, proved by/p')" \
	"     1  died     pid P, proved by member 2; deaths in this slot: 1"
is "info has the objects" "$(./shmring-dump info "$name" | grep -E '^(mutex|event)')" \
	"mutex mutex: 2; see shmring-dump locks
event event: 1"
./shmring-dump -o json info "$name" | jq -e '.locks=="word" and .objects[1].kind=="mutex" and
	.objects[1].count==2 and .objects[2].kind=="event"' >/dev/null
ok "info in JSON" $?
./shmring-dump locks "$name-none" >"$dir/out" 2>"$dir/err"
is "no such segment" "$?" 3

# A ring: nobody, a record in work, its owner dead, and full without a consumer.
blame() {
	./shmring-dump blame "$name-ring" | sed -E 's/pid [0-9]+/pid P/; s/ lt-peer,/ peer,/'
}
./peer send "$name-ring" 1 1
is "nobody holds up a ring" "$(blame)" "nobody holds up a ring or a table; for mutexes see locks"
rm -f "/dev/shm$name-ring"
./peer hold "$name-ring" >"$dir/reserved" &
holder=$!
started="$started $holder"
i=0
while [ ! -s "$dir/reserved" ] && [ $i -lt 1000 ]; do sleep 0.01; i=$((i + 1)); done
is "who reserved a record" "$(blame)" \
	"ring: the record at position 4294963200 is reserved and not committed by member 1, pid P peer, alive, for at least 0.2 s"
kill -9 "$holder"
wait "$holder" 2>/dev/null
is "and died" "$(blame)" \
	"ring: the record at position 4294963200 is reserved and not committed by member 1, pid P peer, dead, for at least 0.2 s"
rm -f "/dev/shm$name-ring"
./peer send "$name-ring" 1 1000 2>/dev/null & sender=$!
started="$started $sender"
i=0
while ! blame | grep -q full && [ $i -lt 50 ]; do i=$((i + 1)); done
is "a full ring" "$(blame | sed -E 's/[0-9]+ bytes unread/N bytes unread/')" \
	"ring: full, N bytes unread from position 4294963200: waits for a consumer, and there is none, for at least 0.2 s"
./shmring-dump -o json blame "$name-ring" | jq -e '.blame[0]|.what=="consumer" and .member==0 and
	.position=="4294963200"' >/dev/null
ok "in JSON" $?
kill -9 "$sender"
wait "$sender" 2>/dev/null
exit 0
