#!/bin/sh
# SPDX-License-Identifier: MIT
# Images of 10 GB, nearly all of it holes: no command of shmring-dump is slow, or large.
name=/shmring-dump-big-$$
dir=$(mktemp -d)
trap 'rm -rf "$dir" "/dev/shm$name"' EXIT
trap 'exit 1' INT TERM
seconds=10    # of processor time
memory=262144 # KiB of address space
dump=$PWD/.libs/shmring-dump # not libtool's script
[ -x "$dump" ] || dump=$PWD/shmring-dump
LD_LIBRARY_PATH=$PWD/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
# With a sanitizer nothing fits, and all is slow.
(ulimit -v $memory && "$dump" --version >/dev/null 2>&1) || { memory=unlimited; seconds=60; }
n=0
within() { # description, exit status, arguments of shmring-dump
	what=$1 wanted=$2
	shift 2
	n=$((n + 1))
	rm -f "$dir/saved"
	(
		ulimit -t $seconds
		ulimit -v $memory
		exec "$dump" "$@"
	) >"$dir/out" 2>"$dir/err"
	result=$?
	size=$(wc -c <"$dir/out")
	if [ $result = "$wanted" ] && [ "$size" -lt 1000000 ]; then echo "ok $n - $what"; else
		echo "not ok $n - $what"
		echo "# status $result, not $wanted; $size bytes of output"
		head -n 5 "$dir/err" | sed 's/^/# /'
	fi
}

echo 1..50
for kind in several single overwrite table; do
	./dump-big $kind "$dir/image" || exit 1
	for command in info schema locks stat blame check records; do
		within "$command of $kind" 0 -r "$dir/image" $command
	done
	within "metrics of $kind" 0 -r "$dir/image" -o openmetrics stat
	within "save of $kind" 0 -r "$dir/image" save "$dir/saved"
	n=$((n + 1))
	used=$(du -k "$dir/saved" | cut -f 1) # KiB
	if [ "$used" -lt 4096 ]; then echo "ok $n - and its holes are holes"; else
		echo "not ok $n - and its holes are holes"
		echo "# $used KiB"
	fi
done
# Far behind holes of some GiB.
finds() { # description, kind, what
	n=$((n + 1))
	./dump-big "$2" "$dir/image" || exit 1
	head -c 4096 /dev/zero | tr '\0' '\377' |
		dd of="$dir/image" bs=4096 seek=$((3 << 18)) conv=notrunc 2>/dev/null
	got=$("$dump" -r "$dir/image" check | grep -c "^[a-z]*: $3: ")
	if [ "$got" -gt 0 ]; then echo "ok $n - $1"; else echo "not ok $n - $1"; fi
}
finds "check finds what should be zero" several zero
finds "check finds an impossible owner" table owner
./dump-big claims "$dir/image" || exit 1
for command in info schema locks stat blame check records; do
	within "$command of an image that only says it is so big" 6 -r "$dir/image" $command
done
within "save of it" 6 -r "$dir/image" save "$dir/saved"
exit 0
