/* SPDX-License-Identifier: MIT */
/*
 * The event: sleep until something changed.
 *
 *	publisher	store a record; [fence]; if bit: exchange bit -> 0,
 *			sequence + 1, wake all
 *	sleeper		key = sequence; bit = 1; fence; [membarrier]; look for
 *			records; none new: sleep if sequence still is key
 *
 * FENCE says who pays for the order of store and look: the PUBLISHER with a
 * fence a record, the SLEEPER with a membarrier, or NOBODY (which is wrong).
 *
 * Memory is TSO: a store of a publisher waits in its buffer, of DEPTH stores,
 * and gets to memory at any later time, in order, though the publisher be dead
 * by then. A fence or a locked operation waits until the buffer is empty. All
 * else is locked operations, loads, which TSO keeps in order, and bit = 1 with
 * its fence.
 *
 * Two publishers store as many records as they like, each in words of its own,
 * and end when they like. Two sleepers want to see them all. KILLS deaths, at
 * any step; nobody comes back.
 *
 * Numbers that only ever grow are not counted, so that the search is finite for
 * any number of records: fresh[i].from[p] says that sleeper i has not seen all
 * records of publisher p that are in memory, moved[i] that the sequence is not
 * what sleeper i has as its key.
 *
 * Spin's end states are the check that nobody sleeps for ever: a sleeper leaves
 * when the publishers have ended and it has seen all that is in memory.
 */
#define NOBODY	  0
#define PUBLISHER 1
#define SLEEPER	  2
#ifndef FENCE
#define FENCE PUBLISHER
#endif
#ifndef DEPTH
#define DEPTH 2
#endif
#ifndef KILLS
#define KILLS 0
#endif

/* When a slice of sleep ends by itself: NEVER, at ANY time, or only at REST, when nobody moves. */
#define NEVER 0
#define ANY   1
#define REST  2
#ifndef SLICES
#define SLICES ANY
#endif
#if SLICES == NEVER
#define SLICE_ENDS false
#elif SLICES == ANY
#define SLICE_ENDS true
#else
#define SLICE_ENDS (awake == 0 && DRAINED && !SEEN_ALL)
#endif

/* When only sleepers die no slice is needed. */
#ifdef ONLY_SLEEPERS_DIE
#define MAY_DIE (kills > 0 && _pid >= 2)
#else
#define MAY_DIE (kills > 0)
#endif

#define STEP(...)                                                                                  \
	if                                                                                         \
	:: atomic { __VA_ARGS__ }                                                                  \
	:: atomic { MAY_DIE -> kills--; goto dead }                                                \
	fi

typedef unseen {
	bool from[2]
};

unseen fresh[2];
byte buffer[2]; /* stores of a publisher that are not in memory yet */
bool moved[2];
byte sleepers; /* the bit; a count in LEAKING_COUNT */
bool asleep[2];

/* Not there in the library: what the model knows. */
byte kills = KILLS;
byte awake = 4;
byte publishers = 2;
byte watchers = 2;
byte vain; /* times that sleepers was set with no sleeper left */

#define DRAINED	 (buffer[0] == 0 && buffer[1] == 0)
#define SEEN_ALL (!fresh[me].from[0] && !fresh[me].from[1])

/* A locked operation of publisher me. */
#define LOCKED (buffer[me] == 0)

#define SEQUENCE_PLUS_ONE                                                                          \
	moved[0] = 1;                                                                              \
	moved[1] = 1

inline to_memory(publisher)
{
	fresh[0].from[publisher] = 1;
	fresh[1].from[publisher] = 1
}

inline wake_all()
{
	awake = awake + asleep[0] + asleep[1];
	asleep[0] = 0;
	asleep[1] = 0
}

/* A dead sleeper costs each publisher one wake. */
#define LEFT_OVER                                                                                  \
	if                                                                                         \
	:: set && watchers == 0 -> vain++; assert(vain <= 2)                                       \
	:: else                                                                                    \
	fi

active [2] proctype Publisher()
{
	bool set;
#define me _pid

	do
	:: true ->
progress:	STEP(buffer[me] < DEPTH -> buffer[me]++);
#if FENCE == PUBLISHER
		STEP(LOCKED -> skip);
#endif
		STEP(set = (sleepers > 0); LEFT_OVER);
		if
		:: set ->
			set = 0;
#if defined(CLEAR_AFTER_WAKE)
			STEP(LOCKED -> SEQUENCE_PLUS_ONE);
			STEP(wake_all());
			STEP(LOCKED -> sleepers = 0)
#elif defined(SEQUENCE_STAYS)
			STEP(LOCKED -> sleepers = 0);
			STEP(wake_all())
#elif defined(LEAKING_COUNT)
			STEP(LOCKED -> SEQUENCE_PLUS_ONE);
			STEP(wake_all())
#else
			STEP(LOCKED -> sleepers = 0);
			STEP(LOCKED -> SEQUENCE_PLUS_ONE);
			STEP(wake_all())
#endif
		:: else
		fi
	:: break
	od;
dead:	atomic { set = 0; publishers--; awake-- }
#undef me
}

/* A new record of publisher p is there: note it, and look for more. */
#define LOOK(p)                                                                                    \
	STEP(if                                                                                    \
	     :: fresh[me].from[p] -> fresh[me].from[p] = 0; goto again                                 \
	     :: else                                                                               \
	     fi)

active [2] proctype Sleeper()
{
#define me (_pid - 2)

look:
#if defined(BIT_AFTER_LOOK)
	STEP(moved[me] = 0);
	LOOK(0);
	LOOK(1);
	STEP(sleepers = 1);
#elif defined(KEY_AFTER_LOOK)
	STEP(sleepers = 1);
	LOOK(0);
	LOOK(1);
	STEP(moved[me] = 0);
#else
	STEP(moved[me] = 0);
#ifdef LEAKING_COUNT
	STEP(sleepers++);
#else
	STEP(sleepers = 1);
#endif
#if FENCE == SLEEPER
	/* membarrier(2): the stores so far of one publisher are in memory, then of the other. */
	STEP(if
	     :: buffer[0] -> buffer[0] = 0; to_memory(0)
	     :: else
	     fi);
	STEP(if
	     :: buffer[1] -> buffer[1] = 0; to_memory(1)
	     :: else
	     fi);
#endif
	LOOK(0);
	LOOK(1);
#endif

	/* futex(2): sleeps only if the sequence still is the key. */
sleep:	STEP(if
	     :: !moved[me] -> asleep[me] = 1; awake--
	     :: else -> goto again
	     fi);
	if
	:: atomic { !asleep[me] -> goto again }
#ifdef SLICE_WITHOUT_LOOK
	:: atomic { asleep[me] && SLICE_ENDS -> asleep[me] = 0; awake++; goto sleep }
#else
	:: atomic { asleep[me] && SLICE_ENDS -> asleep[me] = 0; awake++; goto again }
#endif
	:: atomic { MAY_DIE -> kills--; goto dead }
	:: atomic { asleep[me] && publishers == 0 && DRAINED && SEEN_ALL -> goto dead }
	fi;
again:
#ifdef LEAKING_COUNT
	STEP(sleepers--);
#endif
	goto look;

dead:	atomic {
		awake = awake + asleep[me] - 1;
		watchers--;
		asleep[me] = 0;
		moved[me] = 0;
		fresh[me].from[0] = 0;
		fresh[me].from[1] = 0
	}
#undef me
}

active proctype Memory()
{
end:	do
	:: atomic { buffer[0] > 0 -> buffer[0]--; to_memory(0) }
	:: atomic { buffer[1] > 0 -> buffer[1]--; to_memory(1) }
	od
}
