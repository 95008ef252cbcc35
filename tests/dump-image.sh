#!/bin/sh
# SPDX-License-Identifier: MIT
# shmring-dump check, save, and -r: images, standard input, core dumps, damage.
name=/shmring-dump-image-$$
plan=49
. "${top_srcdir:-.}/tests/tap.sh"
top=$PWD
TZ=UTC
export TZ
same() { # description, options and command...: of the segment and of its image
	what=$1
	shift
	is "$what" "$(dump -r "$dir/image" "$@")" "$(dump "$@" "$name")"
}

# --- Images ---------------------------------------------------------------------
./dump-segment make "$name" || exit 1
is "save" "$(status save "$name" "$dir/image"):$(cat "$dir/out" "$dir/err")" "0:"
same "the records of an image, as text" records
same "and as JSON" records -o jsonl
same "and as CSV" records -o csv
same "and in hexadecimal" records -o hex
same "its schema" schema
is "its counters" "$(dump -r "$dir/image" stat -o json | jq -c '.counters[] | select(.object == "plain")')" \
	"$(dump stat -o json "$name" | jq -c '.counters[] | select(.object == "plain")')"
same "its locks" locks
is "records of one object" "$(dump -r "$dir/image" records plain)" "$(dump records "$name" plain)"
is "of an image nobody knows who lives" "$(dump -r "$dir/image" info | grep -c 'alive or dead: cannot be told of an image')" 1
is "from standard input" "$(dump -r - records <"$dir/image")" "$(dump records "$name")"
is "through a pipe" "$(cat "$dir/image" | dump -r - records)" "$(dump records "$name")"
cp "/dev/shm$name" "$dir/copy"
is "a plain copy" "$(dump -r "$dir/copy" records)" "$(dump records "$name")"
is "an image of an image" "$(status -r "$dir/image" save "$dir/again"):$(cmp "$dir/image" "$dir/again" && echo same)" "0:same"
is "save writes over nothing" "$(status save "$name" "$dir/image"):$(cat "$dir/err")" "1:shmring-dump: $dir/image: cannot write it: File exists"
is "no such directory" "$(status save "$name" "$dir/no/image")" 1
is "no such segment, and no file" "$(status save /none "$dir/none"):$(ls "$dir/none" 2>&1 | grep -c 'No such')" "3:1"
is "to a full device" "$(status save "$name" /dev/full)" 1
is "save needs a file" "$(status save "$name")" 2
is "and one only" "$(status save "$name" a b)" 2
is "follow has no image" "$(status -r "$dir/image" follow)" 2
is "list has no image" "$(status -r "$dir/image" list)" 2
is "info needs no segment then" "$(status -r "$dir/image" info "$name")" 2
is "no such image" "$(status -r "$dir/none" info)" 3
is "a directory is no image" "$(status -r "$dir" info | grep -c '[156]')" 1
head -c 5000 "$dir/image" >"$dir/short"
is "an image that is cut short" "$(status -r "$dir/short" info):$(grep -c truncated "$dir/err")" "6:1"
head -c 0 "$dir/image" >"$dir/empty"
is "an empty one" "$(status -r "$dir/empty" info)" 6
echo "this is no segment, and it is long enough" >"$dir/text"
is "a text" "$(status -r "$dir/text" info)" 5
printf '\001\002\003\004' | dd of="$dir/copy" bs=1 seek=8 conv=notrunc 2>/dev/null
is "an image of the other byte order" "$(status -r "$dir/copy" info):$(grep -c 'other byte order' "$dir/err")" "5:1"

# --- Check ----------------------------------------------------------------------
is "no damage" "$(status check "$name"):$(cat "$dir/out")" "0:no damage"
is "none in the image" "$(status -r "$dir/image" check):$(cat "$dir/out")" "0:no damage"
is "as JSON" "$(dump -o json check "$name" | tr -d ' \n')" "{\"v\":1,\"segment\":\"$name\",\"damaged\":\"0\",\"left\":\"0\",\"found\":[]}"
./dump-segment hold "$name" >"$dir/held" &
holder=$!
started="$started $holder"
soon 'grep -q held "$dir/held" 2>/dev/null'
is "a record in work is no damage" "$(status check "$name"):$(cat "$dir/out")" "0:no damage"
kill -9 "$holder"
wait "$holder" 2>/dev/null
is "of the dead it was left" "$(status check "$name"):$(grep -c 'plain: left: a record was not committed by member' "$dir/out"):$(tail -1 "$dir/out")" \
	"0:1:0 damaged, 1 left by the dead, which the next one to come mends"
is "in JSON" "$(dump -o json check "$name" | jq -c '[.damaged, .left, .found[0].code, .found[0].damage]')" '["0","1","left",false]'
# The first word of the ring named plain: more bytes than a record can have.
# It is the second object of the directory, which is at 256: 128 bytes each, its place at 56.
at=$(od -An -tu8 -j$((256 + 128 + 56)) -N8 "/dev/shm$name" | tr -d ' ')
cp "/dev/shm$name" "$dir/bad"
printf '\377\377\377\177' | dd of="$dir/bad" bs=1 seek=$((at + 8192)) conv=notrunc 2>/dev/null
is "an impossible record" "$(status -r "$dir/bad" check):$(grep -c '^plain: record: ' "$dir/out")" "6:1"
# Its tail, a number of 8 bytes from byte 8 on.
cp "/dev/shm$name" "$dir/bad"
printf '\377\377' | dd of="$dir/bad" bs=1 seek=$((at + 8)) conv=notrunc 2>/dev/null
is "an impossible position" "$(status -r "$dir/bad" check):$(grep -c '^plain: position: ' "$dir/out")" "6:1"
# A byte where nothing was written yet, at 3000 of 4096.
cp "/dev/shm$name" "$dir/bad"
printf '\377' | dd of="$dir/bad" bs=1 seek=$((at + 8192 + 3000)) conv=notrunc 2>/dev/null
is "bytes that should be zero" "$(status -r "$dir/bad" check):$(grep -c '^plain: zero: ' "$dir/out")" "6:1"
# The claim lock is held by member 900 of 3.
cp "/dev/shm$name" "$dir/bad"
printf '\204\003' | dd of="$dir/bad" bs=1 seek="$at" conv=notrunc 2>/dev/null
is "an impossible owner" "$(status -r "$dir/bad" check):$(grep -c '^plain: owner: ' "$dir/out")" "6:1"
is "in JSON, too" "$(dump -o json -r "$dir/bad" check | jq -c '[.damaged, .found[0].code, .found[0].damage]')" '["1","owner",true]'

# Whatever a few bytes are, all commands end with a sentence.
bad=0
for seed in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	./dump-segment damage "$name" $seed "$dir/damaged"
	for command in info schema stat locks check records; do
		timeout 20 ./shmring-dump -r "$dir/damaged" $command >"$dir/out" 2>"$dir/err"
		result=$?
		case $result in 0 | 5 | 6) ;; *) bad=$((bad + 1)) && echo "# seed $seed, $command: $result" ;; esac
		if LC_ALL=C grep -q '[[:cntrl:]]' "$dir/out"; then bad=$((bad + 1)); fi
	done
	rm -f "$dir/resaved"
	timeout 20 ./shmring-dump -r "$dir/damaged" save "$dir/resaved" 2>/dev/null
	case $? in 0 | 5 | 6) ;; *) bad=$((bad + 1)) && echo "# seed $seed, save" ;; esac
done
is "damaged images" $bad 0

# --- Core dumps -----------------------------------------------------------------
case $(cat /proc/sys/kernel/core_pattern) in
\|* | */*) cores= ;;
*) cores=1 ;;
esac
core_of() { # filter, arguments of dump-segment: a core in $dir/core.d
	rm -rf "$dir/core.d"
	mkdir "$dir/core.d"
	filter=$1
	shift
	rm -f "$dir/held"
	(
		cd "$dir/core.d" || exit 1
		ulimit -c unlimited
		echo "$filter" >/proc/self/coredump_filter
		exec "$top/dump-segment" "$@" >"$dir/held"
	) &
	holder=$!
	started="$started $holder"
	soon 'grep -q held "$dir/held" 2>/dev/null'
	wanted=$(dump records "$name")
	kill -ABRT "$holder"
	wait "$holder" 2>/dev/null
	mv "$dir"/core.d/core* "$dir/core" 2>/dev/null
}
core_is() { # description, got, wanted
	if [ "$cores" ]; then is "$@"; else n=$((n + 1)) && echo "ok $n # SKIP cores go to a program here"; fi
}
[ "$cores" ] && core_of 0x3b hold "$name"
core_is "a segment in a core dump" "$(dump -r "core:$dir/core" records)" "$wanted"
core_is "by its name" "$(dump -r "core:$dir/core#$name" records)" "$wanted"
core_is "no other" "$(status -r "core:$dir/core#other" records)" 3
core_is "saved out of it" "$(status -r "core:$dir/core" save "$dir/cored"):$(dump -r "$dir/cored" records)" "0:$wanted"
head -c 100 "$dir/core" >"$dir/cut" 2>/dev/null
core_is "a core that is cut short" "$(status -r "core:$dir/cut" info | grep -c '[156]')" 1
[ "$cores" ] && core_of 0x31 hold "$name"
core_is "shared memory was not dumped" "$(status -r "core:$dir/core" info):$(grep -c coredump_filter "$dir/err")" "3:1"
is "no core" "$(status -r "core:$dir/image" info):$(grep -c 'not a core dump' "$dir/err")" "5:1"
is "no such core" "$(status -r "core:$dir/none" info)" 3
exit 0
