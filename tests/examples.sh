#!/bin/sh
# SPDX-License-Identifier: MIT
# The smallest programs, in C and in C++, run one after the other.
name=/shmring-examples-$$
schema=$(mktemp)
trap 'rm -f "/dev/shm$name" "/dev/shm$name-map" "/dev/shm$name-old" "$schema"' EXIT
echo 1..14
n=0
case_is() { # description, got, wanted
	n=$((n + 1))
	if [ "$2" = "$3" ]; then echo "ok $n - $1"; else
		echo "not ok $n - $1"
		printf '%s\n' "$2" | sed 's/^/# got: /'
	fi
}
case_is "no segment is an error with a sentence" \
	"$(./minimal-consumer $name 2>&1; echo $?)" \
	"minimal-consumer: cannot open /dev/shm$name: No such file or directory
1"
case_is "the producer writes" "$(./minimal-producer $name 2>&1; echo $?)" 0
case_is "the consumer prints what it wrote" "$(./minimal-consumer $name 2>&1; echo $?)" \
	"0: 20.5 in the kitchen
1: 21.5 in the kitchen
2: 22.5 in the kitchen
0"
case_is "each record once" "$(./minimal-consumer $name 2>&1; echo $?)" 0
case_is "the C++ one does both" "$(./minimal-cxx $name 2>&1; echo $?)" \
	"0: 20.5 in the kitchen
1: 21.5 in the kitchen
2: 22.5 in the kitchen
0"
./minimal-producer $name
case_is "and reads what C wrote, before its own" "$(./minimal-cxx $name | cut -c1-8 | tr '\n' ' ')" \
	"0: 20.5  1: 21.5  2: 22.5  0: 20.5  1: 21.5  2: 22.5  "
# A struct reading of before there were rooms: what lies behind its record is no room.
if [ -x ./shmring ]; then
	printf '%s\n' '{"name": "reading", "version": 1, "size": 16, "fields": [
		{"name": "number", "type": "u64", "offset": 0},
		{"name": "celsius", "type": "f64", "offset": 8}]}' >"$schema"
	./shmring create --ring="ring,single_producer,schema=$schema" "$name-old"
	printf '{"fields": {"number": "%s", "celsius": 20.5}}\n' 7 8 | ./shmring send -j "$name-old"
	case_is "a shorter, older record" "$(./minimal-consumer "$name-old" 2>&1; echo $?)" \
		"7: 20.5 in the 
8: 20.5 in the 
0"
else
	n=$((n + 1))
	echo "ok $n - a shorter, older record # SKIP built without the tools"
fi
truncate -s 100 "/dev/shm$name"
case_is "a truncated segment is an error with a sentence" \
	"$(./minimal-consumer $name 2>&1; echo $?)" \
	"minimal-consumer: truncated: 100 bytes are too short for a segment
1"
case_is "map alone: created and initialised" "$(./map-share "$name-map")" "run 1, created"
./map-share --wait "$name-map" >waited 2>&1 &
waiter=$!
sleep 0.2
case_is "opened, and not initialised again" "$(./map-share "$name-map")" "run 2, opened"
wait $waiter
case_is "who waited was woken" "$(grep -c 2 waited)" 1
rm -f waited
case_is "removed" "$(./map-share --remove "$name-map" 2>&1; ls "/dev/shm$name-map" 2>&1 | wc -l)" 1
case_is "usage" "$(./map-share >/dev/null 2>&1; echo $?)" 2
# A filesystem of 1 MiB in a mount namespace of its own.
full() {
	unshare -m sh -c "mount -t tmpfs -o size=1m none /dev/shm && ./minimal-producer $name; echo \$?
		ls -A /dev/shm" 2>&1 ||
		unshare -rm sh -c "mount -t tmpfs -o size=1m none /dev/shm && ./minimal-producer $name; echo \$?
			ls -A /dev/shm" 2>&1
}
if unshare -m mount -t tmpfs none /mnt 2>/dev/null || unshare -rm mount -t tmpfs none /mnt 2>/dev/null; then
	case_is "a full /dev/shm is an error with a sentence, and nothing is left" "$(full)" \
		"minimal-producer: cannot reserve 1073152 bytes: No space left on device
1"
else
	n=$((n + 1))
	echo "ok $n - a full /dev/shm # SKIP no right to mount one"
fi
