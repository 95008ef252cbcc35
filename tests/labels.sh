#!/bin/sh
# SPDX-License-Identifier: MIT
# The labels in the code are those of the tables at the top of each file, and the reverse.
src=${top_srcdir:-.}
cd "$src" || exit 1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
echo 1..5
n=0
same() { # description, sorted files
	n=$((n + 1))
	if cmp -s "$2" "$3" && [ -s "$2" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		diff "$2" "$3" | sed 's/^/# /'
	fi
}
# Kill points: KILL_POINT("member:won") in code; "member:won, :recorded" in a Crash table.
sed -n 's/.*KILL_POINT("\([a-z:-]*\)").*/\1/p' lib/*.c lib/*.h | sort -u >"$dir/code"
sed -n 's/^ \*	\([a-z]*:[a-z-]*\(, [a-z]*:[a-z-]*\)*\)[ 	].*/\1/p; s/^ \*	\([a-z]*:[a-z-]*\(, [a-z]*:[a-z-]*\)*\)$/\1/p' \
	lib/mutex.c lib/member.c lib/event.h \
	lib/claim.c lib/producer.c lib/cursor.c lib/cursors.c lib/clean.c lib/queue.c lib/table.c |
	awk '{gsub(",", ""); for (i = 1; i <= NF; i++) {split($i, part, ":"); if (part[1]) prefix = part[1];
		print prefix ":" part[2]}}' | sort -u >"$dir/table"
same "kill points: code and Crash tables" "$dir/code" "$dir/table"
sed -n '/static const char \*const wanted/,/};/p' tests/torture/*.c | grep -o '"[a-z:-]*"' | tr -d '"' |
	sort -u >"$dir/test"
same "kill points: code and what the torture tests ask for" "$dir/code" "$dir/test"
# Ordering: "unlock:A  lock:A" in a table; /* unlock:A. Release */ at the access.
grep -ho '[a-z]*:[A-Z]\>' lib/mutex.c lib/event.h lib/event.c lib/fence.h | grep -v "^commit:" | sort -u >"$dir/labels"
sed -n '/^ \* Ordering/,/^ \*$/p' lib/mutex.c lib/event.h | grep -o '[a-z]*:[A-Z]\>' | sort -u >"$dir/ordered"
same "ordering of locks and events: code and tables" "$dir/labels" "$dir/ordered"
grep -hE '/\* [a-z]+:[A-Z][.,]|^[[:space:]]*\*? ?[a-z]+:[A-Z]\.' lib/ring.c lib/claim.c lib/producer.c lib/cursor.c \
	lib/cursors.c lib/clean.c lib/queue.c lib/event.c include/shmring/ring.h | grep -o '[a-z]*:[A-Z]\>' | sort -u >"$dir/ring-code"
sed -n '/^ \* Ordering/,/^ \* Progress/p' lib/ring.c | grep -o '[a-z]*:[A-Z]\>' | sort -u >"$dir/ring-table"
missing=$(comm -13 "$dir/ring-code" "$dir/ring-table" | tr '\n' ' ')
n=$((n + 1))
if [ -s "$dir/ring-table" ] && [ -z "$missing" ]; then
	echo "ok $n - ordering of rings: each label of the table is in the code"
else
	echo "not ok $n - ordering of rings: not in the code: $missing"
fi
# In the code: "read:A. Acquire: ...", or "changed:A. It may ..."; what it pairs with is in the table only.
sed -n '/^ \* Ordering/,/^ \* Progress/!p' lib/table.c lib/table_index.c lib/table_counters.c lib/table_watch.c \
	lib/table_read.c |
	grep -o '[a-z]*:[A-Z]\>' | sort -u >"$dir/table-code"
sed -n '/^ \* Ordering/,/^ \* Progress/p' lib/table.c | grep -o '[a-z]*:[A-Z]\>' | sort -u >"$dir/table-table"
same "ordering of tables: code and table" "$dir/table-code" "$dir/table-table"
