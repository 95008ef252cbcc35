#!/bin/sh
# SPDX-License-Identifier: MIT
# Search the models: run.sh [quick|full]. What they say is in README.md.
here=$(cd "$(dirname "$0")" && pwd) || exit 1
mode=${1:-quick}
case $mode in
quick) optimise=-O0 megabytes=2000 ;;
full) optimise=-O2 megabytes=7000 ;;
*)
	echo "usage: run.sh [quick|full]" >&2
	exit 2
	;;
esac
if ! command -v spin >/dev/null 2>&1; then
	echo "1..0 # SKIP no spin"
	exit 0
fi

# When | model | what the search must say | its macros | title
#	passes		no assertion fails, and nobody sleeps for ever
#	ends		no cycle without progress
#	assertion	a mutant that breaks an assertion
#	sleeps		a mutant that has a process sleep for ever
#	cycle		a mutant that goes round for ever
cases() {
	cat <<'END'
both|lock|passes|N=3 FIRST=2 SLICES=NEVER|3 processes, no deaths, no slices
both|lock|passes|N=3 FIRST=2 SLICES=NEVER GIVE_UP|3 processes, no deaths, no slices, giving up
full|lock|passes|N=3 FIRST=2 SLICES=NEVER FENCE=UNLOCKER|3 processes, no deaths, no slices, fence in unlock
both|lock|passes|N=3 KILLS=1 SLICES=NEVER ORDERLY|3 processes, 1 kill of an owner that comes back, no slices
both|lock|passes|N=2 ROUNDS=2 KILLS=2|2 processes, 2 kills
full|lock|passes|N=3 KILLS=1|3 processes, 1 kill
both|lock|ends|N=2 FIRST=2 KILLS=2 SLICES=REST|2 processes, 2 kills: all come to an end
both|lock|ends|N=2 ROUNDS=2 SLICES=REST FENCE=NOBODY|2 processes, no deaths, no membarrier: all come to an end
full|lock|passes|N=3 ROUNDS=2 SLICES=NEVER GIVE_UP|3 processes, no deaths, no slices, giving up, 2 rounds
full|lock|passes|N=3 KILLS=2 SLICES=NEVER ORDERLY GIVE_UP RESET|3 processes, 2 kills of owners that come back, no slices, giving up, reset
full|lock|passes|N=3 KILLS=2 SLICES=NEVER ORDERLY GIVE_UP RESET NOT_SET_AGAIN QUIT_QUIETLY LOST_WAKES_ONE|the same without what is not needed
full|lock|passes|N=2 ROUNDS=3 KILLS=5|2 processes, 5 kills
full|lock|passes|N=3 ROUNDS=2 KILLS=1|3 processes, 1 kill, 2 rounds
full|lock|passes|N=3 FIRST=2 KILLS=2|3 processes, 2 kills
full|lock|passes|N=3 KILLS=1 FENCE=UNLOCKER|3 processes, 1 kill, fence in unlock
full|lock|passes|N=3 KILLS=2 GIVE_UP RESET|3 processes, 2 kills, giving up, reset
full|lock|ends|N=3 KILLS=2 SLICES=REST|3 processes, 2 kills: all come to an end
both|lock|sleeps|KILLS=1 SLICES=NEVER|no slices, with deaths
full|lock|cycle|KILLS=1 SLICES=REST WITHOUT_LOOK|no look at the owner before a sleep
both|lock|assertion|KILLS=1 STEAL_WITHOUT_BYTE|steal without the byte
full|lock|assertion|KILLS=1 RELEASE_BEFORE_CAS|the byte released before the CAS
both|lock|assertion|N=3 SLICES=NEVER WORD_BEFORE_BYTE|steal with the word seen before the byte was won
full|lock|sleeps|SLICES=NEVER FENCE=NOBODY|no fence on either side
both|lock|sleeps|SLICES=NEVER LOOK_BEFORE_STORE|unlock looks at sleepers before its store
full|lock|sleeps|SLICES=NEVER KEY_AFTER_LOOK|the key read after the look at the word
full|lock|sleeps|FIRST=2 SLICES=NEVER WAIT_ON_WORD|sleep on the word and not on the sequence
both|lock|assertion|KILLS=1 ATTACH_WITHOUT_SWEEP|attach without a sweep
full|lock|assertion|KILLS=1 SWEEP_WITHOUT_DIRTY|the sweep forgets D
both|lock|sleeps|KILLS=1 SLICES=NEVER ORDERLY SWEEP_WITHOUT_WAKE|the sweep wakes nobody
full|lock|sleeps|N=3 KILLS=1 SLICES=NEVER ORDERLY LOST_QUIETLY|who leaves a lost mutex does not pass its wake on
both|member|passes|N=2 KILLS=2 LIVES=3|2 slots, 2 processes, 2 kills, 3 attaches
full|member|passes|N=2 KILLS=4 LIVES=5|2 slots, 2 processes, 4 kills, 5 attaches
full|member|passes|N=3 KILLS=2 LIVES=4|2 slots, 3 processes, 2 kills, 4 attaches
both|member|assertion|KILLS=1 ATTACH_WITHOUT_SWEEP|attach without a sweep
full|member|assertion|KILLS=2 FREE_BEFORE_SWEEP|FREE before the sweep is complete
both|member|assertion|KILLS=1 TAKE_OVER_WITHOUT_BYTE|take over without the byte
full|member|assertion|KILLS=1 TAKE_OVER_WITHOUT_RECORD|take over without recording the death
full|member|assertion|KILLS=1 RELEASE_BEFORE_THINGS|the byte released before the things are swept
both|member|assertion|KILLS=1 FREE_BEFORE_GIVE_BACK|detach stores FREE before things are given back
full|member|assertion|KILLS=2 COUNT_BY_INCREMENT|deaths counted by increment
both|member|assertion|KILLS=1 RECORD_ALWAYS|a death recorded without looking at the counters
full|member|assertion|KILLS=1 INTRODUCE_BEFORE_SWEEP|identity and attaches before the sweep
both|member|assertion|KILLS=1 USED_LAST|USED after attaches + 1
full|member|assertion|KILLS=1 IDENTITY_LAST|identity after attaches + 1
both|event|passes|SLICES=NEVER|fence in the publisher, no deaths, no slices
full|event|passes|SLICES=NEVER FENCE=SLEEPER|membarrier in the sleeper, no deaths, no slices
full|event|passes|KILLS=2 ONLY_SLEEPERS_DIE SLICES=NEVER|fence in the publisher, sleepers die, no slices
full|event|passes|KILLS=2 ONLY_SLEEPERS_DIE SLICES=NEVER FENCE=SLEEPER|membarrier, sleepers die, no slices
full|event|passes|KILLS=4|fence in the publisher, any deaths
full|event|passes|KILLS=4 FENCE=SLEEPER DEPTH=3|membarrier in the sleeper, any deaths, 3 stores buffered
full|event|ends|KILLS=4 SLICES=REST|fence in the publisher, any deaths: no sleep without end
full|event|ends|KILLS=4 SLICES=REST FENCE=SLEEPER|membarrier in the sleeper, any deaths: no sleep without end
both|event|sleeps|KILLS=1 SLICES=NEVER|no slices, with deaths
full|event|sleeps|KILLS=1 SLICES=NEVER FENCE=SLEEPER|no slices, with deaths, membarrier
full|event|cycle|KILLS=1 SLICES=REST SLICE_WITHOUT_LOOK|no look after a slice
both|event|sleeps|SLICES=NEVER FENCE=NOBODY|no fence on either side
full|event|sleeps|SLICES=NEVER CLEAR_AFTER_WAKE|the bit cleared after the wake
both|event|sleeps|SLICES=NEVER SEQUENCE_STAYS|the sequence not moved
full|event|sleeps|SLICES=NEVER BIT_AFTER_LOOK|the bit set after the second look
both|event|sleeps|SLICES=NEVER KEY_AFTER_LOOK|the key read after the second look
full|event|assertion|KILLS=2 LEAKING_COUNT|a count of sleepers instead of a bit
both|ring|passes|P=1 KILLS=1 RECORDS=3|1 producer, 1 kill, the consumer cleans
full|ring|passes|KILLS=1 RECORDS=2|2 producers, 1 kill, the consumer cleans
full|ring|passes|KILLS=1 RECORDS=2 CAP=5 HISTORY=1|2 producers, 1 kill, the consumer cleans, history
both|ring|passes|KILLS=1 RECORDS=2 CAP=5 SEQUENCE DROPS|2 producers, 1 kill, numbers, drop newest
both|ring|passes|P=1 KILLS=1 RECORDS=4 CAP=5 SEQUENCE DROPS AHEAD|1 producer, 1 kill, numbers, drop newest, the producer cleans
full|ring|passes|KILLS=2 RECORDS=2|2 producers, 2 kills, the consumer cleans
full|ring|passes|KILLS=3 RECORDS=2 CAP=5 SEQUENCE DROPS|2 producers, 3 kills, numbers, drop newest
full|ring|passes|KILLS=1 RECORDS=3 AHEAD|2 producers, 1 kill, producers clean
full|ring|passes|P=1 KILLS=2 RECORDS=5|1 producer, 2 kills, 5 records
full|ring|passes|P=1 KILLS=2 RECORDS=6 CAP=5 SEQUENCE DROPS AHEAD|1 producer, 2 kills, 6 records, numbers, drop newest, the producer cleans
full|ring|passes|KILLS=1 RECORDS=3 LOOKALIKE|2 producers, 1 kill, a payload that looks like a BUSY word
full|ring|assertion|KILLS=1 RECORDS=3 LOOKALIKE SWEEP_LOOKS_AGAIN|the sweep mends the word that is there when it looks again
both|ring|assertion|KILLS=1 RECORDS=3 TAIL_BEFORE_WORD|the tail stored before the word
full|ring|assertion|KILLS=1 RECORDS=3 CLEAN_EXACTLY_AT_TAIL|clean exactly at tail
full|ring|assertion|KILLS=1 RECORDS=3 MEND_WITHOUT_ZERO|the lock mended, the word at tail left
both|ring|assertion|KILLS=2 RECORDS=2 RECORDS_BEFORE_LOCK|a record mended before the lock
full|ring|assertion|KILLS=1 RECORDS=3 CLEAN_BEFORE_POSITION|cleaned before position is stored
full|ring|assertion|KILLS=1 RECORDS=3 PAD_BEFORE_TAIL|PAD final before the tail store
full|ring|assertion|KILLS=1 RECORDS=3 TWO_WORDS_ONE_TAIL|one tail store for PAD and record
both|ring|sleeps|KILLS=1 RECORDS=3 ATTACH_WITHOUT_SWEEP|attach without a sweep
full|ring|assertion|KILLS=1 RECORDS=3 RELEASE_WITHOUT_JOURNAL|skipped without a journal
both|ring|assertion|KILLS=1 RECORDS=3 CAP=5 SEQUENCE NUMBER_NOT_GIVEN_BACK|the number of an undone claim is not given back
full|ring|assertion|KILLS=1 RECORDS=3 CAP=5 SEQUENCE DROPS DROP_WITHOUT_JOURNAL|a drop without a journal
both|join|passes|KILLS=1|1 gate that joins, 1 kill
both|join|passes|KILLS=2 DURABLE JOINS=2|1 durable gate that joins, 2 kills
both|join|passes|KILLS=2 FIRST_GATE|2 gates, 2 kills
full|join|passes|KILLS=2 JOINS=2 CAP=4 RECORDS=7|1 gate that joins twice, 2 kills, 4 places, 7 records
full|join|passes|KILLS=3 JOINS=2 FIRST_GATE|2 gates, 3 kills, joins twice
full|join|passes|KILLS=3 JOINS=2 FIRST_GATE DURABLE|2 durable gates, 3 kills, joins twice
both|join|assertion|KILLS=1 SECOND_LOOK_FROM_CLEAN|the second look at gates counts those below the old reclaim
full|join|assertion|WITHOUT_SECOND_LOOK|no second look at the gates
both|join|assertion|JOINER_WITHOUT_FENCE|no fence in the joiner
full|join|assertion|CLEANER_WITHOUT_FENCE|no fence in the cleaner
both|join|assertion|ZERO_BEFORE_RECLAIM|zeroes before reclaim
full|join|assertion|KILLS=1 SUCCESSOR_WITHOUT_GATES|a successor zeroes up to reclaim without looking at gates
both|join|assertion|KILLS=1 DURABLE EVICT_DURABLE|a durable gate evicted
full|join|assertion|KILLS=1 EVICT_WITHOUT_BYTE|a gate evicted without its owner's byte
both|queue|passes|KILLS=1 RECORDS=1|2 workers, 1 record, 1 kill
both|queue|passes|RECORDS=2 AT_MOST_ONCE|2 workers, 2 records, no deaths, at most once
full|queue|passes|KILLS=1 RECORDS=2|2 workers, 2 records, 1 kill
full|queue|passes|KILLS=1 RECORDS=2 AT_MOST_ONCE|2 workers, 2 records, 1 kill, at most once
full|queue|passes|KILLS=2 RECORDS=1|2 workers, 1 record, 2 kills
full|queue|passes|RECORDS=3|2 workers, 3 records in 2 places, no deaths
both|queue|ends|KILLS=1 RECORDS=1|2 workers, 1 record, 1 kill: all is found
full|queue|ends|KILLS=1 RECORDS=2|2 workers, 2 records, 1 kill: all is found
full|queue|ends|KILLS=1 RECORDS=2 WITHOUT_REWIND|the same without rewind, which is a hint
both|queue|assertion|KILLS=1 RECORDS=2 TAKEN_BEFORE_TOKEN|TAKEN before the token
full|queue|assertion|KILLS=1 RECORDS=2 REDELIVER_WITHOUT_BYTE|redelivered without the byte, and acknowledged by who had it
both|queue|cycle|RECORDS=2 WITHOUT_REWIND WITHOUT_LOOK|no rewind and no look for what came back
full|queue|cycle|KILLS=1 RECORDS=1 WITHOUT_LOOK|no look for what came back, with deaths
both|queue|cycle|KILLS=1 RECORDS=1 NACKS=2 WITHOUT_LOOK MEND_LEAVES_TAKE|nor back to the gate when the take lock is mended
full|queue|assertion|KILLS=1 RECORDS=2 GATE_WITHOUT_JOURNAL|the gate moved without a journal
both|queue|sleeps|KILLS=1 RECORDS=2 ATTACH_WITHOUT_SWEEP|attach without a sweep
full|queue|sleeps|KILLS=1 RECORDS=3 SWEEP_WITHOUT_GATE|the sweep ends at a word that was cleaned under it
both|overwrite|passes|RECORDS=3|no deaths
full|overwrite|passes|RECORDS=4|no deaths, 4 records
full|overwrite|passes|KILLS=1 RECORDS=3|1 kill
full|overwrite|passes|KILLS=1 RECORDS=3 OBSERVER|1 kill, the reader only observes
full|overwrite|passes|KILLS=1 RECORDS=4|1 kill, 4 records
full|overwrite|assertion|READER_WITHOUT_FENCE|no fence in the reader
both|overwrite|assertion|LOOK_BEFORE_COPY|the look at reclaim before the copy
full|overwrite|assertion|CLEANER_WITHOUT_FENCE|no fence in the cleaner
both|overwrite|assertion|ZERO_BEFORE_RECLAIM|zeroes before reclaim
full|overwrite|assertion|PASS_BUSY|a record in work is passed
both|table|passes|KILLS=2|a record in two copies, 2 writers, 1 reader, 2 kills
both|table|passes|IN_PLACE KILLS=2|a record in place, 2 writers, 1 reader, 2 kills
both|table|assertion|NO_FENCE|no fence between the lock and the stores to the copy
full|table|assertion|ACCEPT_ONE_STEP|a reader accepts a sequence that moved by one
both|table|assertion|CURRENT_COPY|written to the current copy
full|table|assertion|NOT_BROUGHT_UP|the other copy is not brought up to date
both|table|assertion|IN_PLACE KILLS=1 NOT_TOLD|in place, torn, and the next owner is not told
full|table|assertion|IN_PLACE ODD_LATE|in place, odd after the first store
both|table|assertion|IN_PLACE ACCEPT_ODD|in place, a reader accepts an odd sequence
both|table|passes|INDEX OPERATIONS=2 KILLS=1|the index, 2 operations, 1 kill
full|table|passes|INDEX OPERATIONS=3 KILLS=1|the index, 3 operations, 1 kill
full|table|assertion|INDEX USED_FIRST|used before it is in the index
both|table|assertion|INDEX BURIED_FIRST|out of the index while it is used
full|table|assertion|INDEX REMOVED_TO_EMPTY|a removed entry is empty, and no grave
both|table|assertion|INDEX GENERATION_ONCE|the generation is not looked at again after the key
full|table|assertion|INDEX VERSION_ONCE|the version of the index is not looked at again
both|table|assertion|INDEX EVEN_VERSION|a rebuild under an even version
full|table|assertion|INDEX KILLS=1 NO_SCAN|an odd version, and the slots are not looked at
full|table|assertion|INDEX KILLS=1 REPAIR_WITHOUT_REBUILD|a rebuild that its dead owner did not end stays so
END
}

work=$(mktemp -d) || exit 1
child=
# shellcheck disable=SC2317 # it is: trap
end_all() {
	[ -z "$child" ] || kill "$child" 2>/dev/null
	rm -rf "$work"
}
trap end_all EXIT
trap 'exit 1' HUP INT PIPE TERM
cd "$work" || exit 1

# In the background, so that a signal ends it at once.
search() { # pan's options
	./pan "$@" >out 2>&1 &
	child=$!
	wait "$child"
	child=
}

build() { # model, macros, what it must say
	rm -f pan ./*.trail out
	defines='' kind=-DSAFETY level=-O0
	for macro in $2; do defines="$defines -D$macro"; done
	case $3 in ends | cycle) kind=-DNP ;; esac
	case $3 in passes | ends) level=$optimise ;; esac
	# shellcheck disable=SC2086
	spin -a $defines "$here/$1.pml" >out 2>&1 &&
		${CC:-cc} -w $level $kind -DMEMLIM=$megabytes -o pan pan.c >>out 2>&1
}

# Whole: full states, nothing cut off by depth or memory, and the checks were on.
whole() { # pan's name of the check
	grep -q '^Full statespace search for:' out && grep -q "$1.*+" out &&
		! grep -q -e 'Search not completed' -e 'depth too small' -e 'out of memory' \
			-e 'MEMLIM' -e 'aborted' out
}

states() {
	awk '/states, stored/ {
		n = sprintf("%d", $1)
		while (match(n, /[0-9][0-9][0-9][0-9](,|$)/))
			n = substr(n, 1, RSTART) "," substr(n, RSTART + 1)
		print n
		exit
	}' out
}

errors() {
	sed -n 's/.*errors: \([0-9][0-9]*\).*/\1/p' out
}

# Sets say, for the line of the test.
judge() { # what it must say
	say=
	case $1 in
	passes)
		[ "$(errors)" = 0 ] && whole 'assertion violations' &&
			whole 'invalid end states' && say="$(states) states"
		;;
	ends)
		[ "$(errors)" = 0 ] && whole 'non-progress cycles' && say="$(states) states"
		;;
	assertion) say=$(sed -n 's/^pan:1: \(assertion violated\).*/\1/p' out) ;;
	sleeps) say=$(sed -n 's/^pan:1: \(invalid end state\).*/\1/p' out) ;;
	cycle) say=$(sed -n 's/^pan:1: \(non-progress cycle\).*/\1/p' out) ;;
	esac
	[ -n "$say" ] && case $1 in
	passes | ends) return 0 ;;
	*) [ "$(errors)" -ge 1 ] && say="fails: $say, $(states) states" ;;
	esac
}

cases | grep -e '^both' -e "^$mode" >list
echo "1..$(grep -c . list)"
number=0 failed=0
while IFS='|' read -r _ model must macros title; do
	number=$((number + 1)) start=$(date +%s)
	case $must in
	passes | ends) name="$model: $title:" ;;
	*) name="mutant $model: $title" ;;
	esac
	if build "$model" "$macros" "$must"; then
		case $must in
		ends | cycle) search -m1000000 -w20 -l ;;
		*) search -m1000000 -w20 ;;
		esac
	fi
	if judge "$must"; then
		echo "ok $number - $name $say, $(($(date +%s) - start)) s" || exit 1
	else
		failed=1
		echo "not ok $number - $name wanted: $must ($macros)"
		sed 's/^/# /' out
	fi
done <list
exit $failed
