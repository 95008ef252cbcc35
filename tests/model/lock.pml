/* SPDX-License-Identifier: MIT */
/*
 * The mutex: a word that names its owner, and an event that its waiters sleep on.
 *
 *	owner	member number, 0 nobody
 *	D	an owner died, and nobody has declared the data consistent yet
 *	L	lost: it was unlocked with D still set
 *	deaths	owners that died in it
 *
 *	unlock	store the word; [fence]; notify
 *	notify	if sleepers: exchange sleepers -> 0; sequence + 1; wake
 *	sleeper	key = sequence; sleepers = 1; [membarrier]; look at the word, and
 *		whether its owner lives; sleep if sequence still is key
 *
 * FENCE says who pays for the order of store and look, as in event.pml: the
 * SLEEPER with a membarrier, the UNLOCKER with a fence (a process that is not
 * registered for membarrier), or NOBODY (which is wrong).
 *
 * token[i] is the kernel's lock on the byte of member i: 0 free, else who holds
 * it. It is free only when member i is dead and can store nothing more.
 *
 * Memory is TSO. Of the plain stores those count that others look at: sleepers
 * = 1 of who has slept and now owns, the word without D of consistent(), the
 * free word of unlock. All are an owner's, so that only one process at a time
 * has some on their way: buffer, of buffer_of, drained in that order, one by
 * one, at any time, and by a locked operation or the death of that process, or
 * a sleeper's membarrier. That process itself sees them at once. All else is
 * locked operations and loads; the data and the sleepers = 1 of a sleeper are
 * stores too, but before the free word and a fence, respectively.
 *
 * N processes, process i in slot i, lock ROUNDS times each (the first FIRST
 * times). They die KILLS times in all, at any step, and come back in their slots
 * or not. Between rounds a process may sweep a dead slot. GIVE_UP: it may give
 * up, or only try. RESET: it may reset a lost mutex.
 *
 * A step is one access to shared memory and what follows from it privately.
 * Spin's end states are the check that nobody sleeps for ever: a sleeper that
 * nothing can wake is an invalid one. sequence is not counted: it is the key of
 * a sleeper, or it has moved.
 *
 * NOT_SET_AGAIN, QUIT_QUIETLY and LOST_WAKES_ONE leave out what is not needed.
 */
#ifndef N
#define N 2
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef FIRST
#define FIRST ROUNDS
#endif
#define NOBODY	 0
#define UNLOCKER 1
#define SLEEPER	 2
#ifndef FENCE
#define FENCE SLEEPER
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
#define SLICE_ENDS (awake == 0 && !buffer)
#endif

/* ORDERLY: only owners die, and they always come back. Then no slice is needed. */
#ifdef ORDERLY
#define MAY_DIE (kills > 0 && holds)
#else
#define MAY_DIE (kills > 0)
#endif

#define STEP(...)                                                                                  \
	if                                                                                         \
	:: atomic { __VA_ARGS__ }                                                                  \
	:: atomic { MAY_DIE -> kills--; goto dead }                                                \
	fi

#define OWNER(w)  ((w) & 3)
#define D	  4
#define L	  8
#define ONE_DEATH 16
#define COUNT(w)  ((w) & ~15)

byte word;
bool sleepers;
byte token[4];

/* Stores that are not in memory yet, and whose. */
#define SET   1 /* sleepers = 1 */
#define CLEAR 2 /* the word without D */
#define FREE  4 /* the word without owner */
#define LOSE  8 /* the same, with L */
byte buffer;
byte buffer_of;

/* What a process has to do with sequence. */
#define KEY    1 /* it is its key */
#define MOVED  2 /* it is not any more */
#define ASLEEP 3
byte ear[4];

/* Not there in the library: what the model knows. */
byte kills = KILLS;
byte inside; /* processes that may use the data */
bool torn;   /* the data: half changed */
byte died;   /* owners that died */
byte gone;   /* processes that ended, one way or the other */
byte awake = N;

/* The word with what is in the buffer. */
#define DRAINED_WORD                                                                               \
	(buffer & FREE -> COUNT(word) :                                                            \
	 (buffer & LOSE -> COUNT(word) | L :                                                       \
	  (buffer & CLEAR -> word & ~D : word)))

/* Nobody changes the word of a living owner: what it stores, it knew before. */
#define DRAIN_ALL                                                                                  \
	assert(!(buffer & (CLEAR | FREE | LOSE)) || OWNER(word) == buffer_of);                     \
	sleepers = sleepers || buffer & SET;                                                       \
	word = DRAINED_WORD;                                                                       \
	buffer = 0;                                                                                \
	buffer_of = 0

/* First in each locked operation. */
#define LOCKED                                                                                     \
	if                                                                                         \
	:: buffer_of == me -> DRAIN_ALL                                                            \
	:: else                                                                                    \
	fi

#define BUFFERED(store)                                                                            \
	assert(!buffer || buffer_of == me);                                                        \
	buffer = buffer | store;                                                                   \
	buffer_of = me

/* What this process sees. */
#define WORD	 (buffer_of == me -> DRAINED_WORD : word)
#define SLEEPERS (sleepers || buffer_of == me && buffer & SET)

#define SEQUENCE_PLUS_ONE                                                                          \
	ear[1] = (ear[1] == KEY -> MOVED : ear[1]);                                                \
	ear[2] = (ear[2] == KEY -> MOVED : ear[2]);                                                \
	ear[3] = (ear[3] == KEY -> MOVED : ear[3])

inline wake_one()
{
	if
	:: ear[1] == ASLEEP -> ear[1] = 0; awake++
	:: ear[2] == ASLEEP -> ear[2] = 0; awake++
	:: ear[3] == ASLEEP -> ear[3] = 0; awake++
	:: else
	fi
}

inline wake_all()
{
	awake = awake + (ear[1] == ASLEEP) + (ear[2] == ASLEEP) + (ear[3] == ASLEEP);
	ear[1] = ear[1] % ASLEEP;
	ear[2] = ear[2] % ASLEEP;
	ear[3] = ear[3] % ASLEEP
}

/* Atomic with the operation that takes the lock. */
#define TAKEN                                                                                      \
	holds = 1;                                                                                 \
	inside++;                                                                                  \
	assert(inside == 1)

/* The last one out looks for what was left. All bytes are free: whoever owns is dead. */
inline leave()
{
	awake--;
	gone++;
	if
	:: gone == N ->
		assert(!token[1] && !token[2] && !token[3] && !inside && !awake && !buffer);
		if
		:: OWNER(word) -> word = (word & ~OWNER(word) | D) + ONE_DEATH
		:: else
		fi;
		assert(COUNT(word) == died * ONE_DEATH);
		assert(died || word == 0);
		word = 0;
		sleepers = 0
	:: else
	fi
}

active [N] proctype Process()
{
	byte w;	    /* the word, as seen */
	byte won;   /* whose byte it holds, beside its own */
	bool all;   /* it wakes all, and not one */
#ifdef LOOK_BEFORE_STORE
	bool some;  /* sleepers, as seen */
#endif
#ifdef WAIT_ON_WORD
	byte seen;  /* the word before the look at the owner */
#endif
	bool holds; /* not in the library: it owns the word */
	byte rounds = (_pid == 0 -> FIRST : ROUNDS);
#define me (_pid + 1)

	/* Who dies before this held nothing. */
attach:	atomic { token[me] == 0 -> token[me] = me; won = me };
#ifdef ATTACH_WITHOUT_SWEEP
	won = 0;
	goto idle;
#endif

	/* Holding the byte of slot won, which is its own when it attaches. */
sweep:	STEP(w = WORD);
	if
	:: OWNER(w) == won ->
#ifdef SWEEP_WITHOUT_DIRTY
		STEP(assert(!inside); LOCKED; assert(word == w); word = (w & ~OWNER(w)) + ONE_DEATH);
#else
		STEP(assert(!inside); LOCKED; assert(word == w); word = (w & ~OWNER(w) | D) + ONE_DEATH);
#endif
		w = 0;
#ifndef SWEEP_WITHOUT_WAKE
		goto notify
#endif
	:: else -> w = 0
	fi;
swept:	if
	:: won == me -> won = 0
	:: else -> STEP(LOCKED; token[won] = 0; won = 0); goto lock
	fi;

idle:	if
	:: rounds == 0 -> goto detach
	:: rounds > 0
	:: rounds > 0 && me != 1 -> STEP(LOCKED;
					 if
					 :: token[1] == 0 -> token[1] = me; won = 1; goto sweep
					 :: else
					 fi)
	:: rounds > 0 && me != 2 -> STEP(LOCKED;
					 if
					 :: token[2] == 0 -> token[2] = me; won = 2; goto sweep
					 :: else
					 fi)
#if N > 2
	:: rounds > 0 && me != 3 -> STEP(LOCKED;
					 if
					 :: token[3] == 0 -> token[3] = me; won = 3; goto sweep
					 :: else
					 fi)
#endif
#ifdef RESET
	/* shr_mutex_reset() */
	:: rounds > 0 ->
		STEP(w = WORD);
		if
		:: w & L -> STEP(LOCKED;
				 if
				 :: word == w -> word = w & ~L | D
				 :: else
				 fi)
		:: else
		fi
#endif
	fi;

lock:	STEP(w = WORD; assert(OWNER(w) != me));
	if
	:: w & L -> goto done
	:: !(w & L) && OWNER(w) == 0 ->
		STEP(LOCKED;
		     if
		     :: word == w -> word = w | me; TAKEN
		     :: else -> goto lock
		     fi);
		goto taken
	:: else
	fi;
#ifdef GIVE_UP
	/* shr_mutex_try(): a look at the owner, and no sleep. */
	if
	:: goto owner
	:: true
	fi;
#endif

again:	w = 0;
#ifndef KEY_AFTER_LOOK
	STEP(ear[me] = KEY);
#endif
	STEP(LOCKED; sleepers = 1);
#if FENCE == SLEEPER
	STEP(DRAIN_ALL);
#endif
look:	STEP(w = word; assert(OWNER(w) != me));
	if
	:: w & L -> goto lost
	:: !(w & L) && OWNER(w) == 0 ->
		STEP(if
		     :: word == w -> word = w | me; TAKEN
		     :: else -> goto look
		     fi);
		goto slept
	:: else
	fi;
#ifdef WAIT_ON_WORD
	seen = w;
#endif

	/* Does the owner live? */
owner:
#ifdef WITHOUT_LOOK
	goto lives;
#endif
	STEP(w = word; assert(OWNER(w) != me));
	if
	:: OWNER(w) == 0 -> goto lives
	:: else
	fi;
#ifdef STEAL_WITHOUT_BYTE
	won = OWNER(w);
#else
	STEP(LOCKED;
	     if
	     :: token[OWNER(w)] == 0 -> won = OWNER(w); token[won] = me
	     :: else -> goto lives
	     fi);
#endif
#ifndef WORD_BEFORE_BYTE
	/* Again: the owner that died may be another process by now, or it is free. */
	STEP(w = word);
#endif
#ifdef RELEASE_BEFORE_CAS
	STEP(token[won] = 0);
#endif
	if
	:: OWNER(w) == won ->
		/* thread = 0, which a living owner would miss. */
		STEP(assert(!inside));
		STEP(if
		     :: word == w -> word = (COUNT(w) | me | D) + ONE_DEATH; TAKEN
		     :: else
		     fi)
	:: else
	fi;
#if defined(STEAL_WITHOUT_BYTE) || defined(RELEASE_BEFORE_CAS)
	won = 0;
#else
	STEP(token[won] = 0; won = 0);
#endif
	if
	:: holds && ear[me] -> w = D; goto slept
	:: holds && !ear[me] -> w = D; goto taken
	:: else
	fi;
lives:	w = 0;
#ifdef GIVE_UP
	if
	:: ear[me] == 0 -> goto done
	:: else
	fi;
	/* The time that the caller set is over. */
	if
	:: goto quits
	:: true
	fi;
#endif

	/* futex(2): sleeps only if sequence still is the key. */
#ifdef KEY_AFTER_LOOK
	STEP(ear[me] = KEY);
#endif
#ifdef WAIT_ON_WORD
	STEP(if
	     :: word == seen -> ear[me] = ASLEEP; awake--
	     :: else -> goto again
	     fi);
#else
	STEP(if
	     :: ear[me] == KEY -> ear[me] = ASLEEP; awake--
	     :: else -> goto again
	     fi);
#endif
	if
	:: atomic { ear[me] != ASLEEP -> goto again }
	:: atomic { ear[me] == ASLEEP && SLICE_ENDS -> ear[me] = 0; awake++; goto again }
	:: atomic { MAY_DIE -> kills--; goto dead }
	fi;

	/* Without the mutex, late or because it is lost. The wake that it may have got is passed on. */
quits:	w = 0;
	ear[me] = 0;
#ifdef QUIT_QUIETLY
	goto done;
#else
	goto notify;
#endif
lost:	w = 0;
	ear[me] = 0;
#ifdef LOST_QUIETLY
	goto done;
#else
	goto notify;
#endif

	/* With it. */
slept:	ear[me] = 0;
#ifndef NOT_SET_AGAIN
	STEP(BUFFERED(SET));
#endif
taken:	if
	:: w & D
	:: else -> goto enter
	fi;

	/* EOWNERDEAD */
	w = 0;
	STEP(torn = 0);
	if
	:: STEP(BUFFERED(CLEAR))
	:: goto unlock
	fi;

enter:	w = 0;
	STEP(assert(!torn); torn = 1);
	STEP(torn = 0);

unlock:
#ifdef LOOK_BEFORE_STORE
	STEP(some = SLEEPERS);
#endif
	STEP(assert(OWNER(word) == me);
	     all = ((WORD & D) != 0);
	     BUFFERED((all -> LOSE : FREE));
	     inside--; holds = 0);

#ifdef LOOK_BEFORE_STORE
	if
	:: some -> some = 0; goto wake
	:: else -> goto done
	fi;
#endif

notify:
#if FENCE == UNLOCKER
	STEP(LOCKED);
#endif
	STEP(if
	     :: SLEEPERS
	     :: else -> goto done
	     fi);
wake:	STEP(LOCKED; sleepers = 0);
	STEP(SEQUENCE_PLUS_ONE);
#ifdef LOST_WAKES_ONE
	STEP(wake_one());
#else
	if
	:: all -> STEP(wake_all())
	:: else -> STEP(wake_one())
	fi;
#endif
done:	w = 0;
	all = 0;
	if
	:: won -> goto swept
	:: else
	fi;
	rounds--;
	goto idle;

	/* Its stores get to memory. Then the kernel frees the bytes that it held, one by one. */
dead:	atomic {
		LOCKED;
		died = died + holds;
		inside = inside - holds;
		awake = awake + (ear[me] == ASLEEP);
		ear[me] = 0;
		holds = 0;
		all = 0;
#ifdef LOOK_BEFORE_STORE
		some = 0;
#endif
		w = 0;
		if
		:: won == 0 || won == me
		:: won != 0 && won != me -> token[won] = 0; goto dead_own
		:: won != 0 && won != me -> token[me] = 0; goto dead_won
		fi
	};
dead_own:
	atomic { token[me] = 0; goto dead_all };
dead_won:
	atomic { token[won] = 0; goto dead_all };
dead_all:
	atomic {
		won = 0;
		if
#ifndef ORDERLY
		:: rounds = 0; leave(); goto end
#endif
		:: goto attach
		:: rounds = 0; goto attach
		fi
	};

detach:	STEP(LOCKED; assert(OWNER(word) != me); token[me] = 0; leave());
end:	skip
#undef me
}

active proctype Memory()
{
end:	do
	:: atomic {
		buffer & SET -> sleepers = 1;
		buffer = buffer & ~SET;
		buffer_of = (buffer -> buffer_of : 0)
	   }
	:: atomic { buffer & CLEAR && !(buffer & SET) -> assert(OWNER(word) == buffer_of);
		word = word & ~D;
		buffer = buffer & ~CLEAR;
		buffer_of = (buffer -> buffer_of : 0)
	   }
	:: atomic { buffer && !(buffer & (SET | CLEAR)) -> DRAIN_ALL }
	od
}
