/* SPDX-License-Identifier: MIT */
/*
 * The ring: several producers, one gate, claim and commit in place, cleaning.
 *
 *	claim	[claim.c lock_wait; producer.c claim_next, claim] lock; room?; for a PAD:
 *		word BUSY, tail, word PAD; word BUSY; [number, sequence + 1]; tail; unlock
 *	commit	[producer.c] payload; word READY. Or, of two words, PAD behind it and
 *		READY of one (commit_size); or SKIP (abort)
 *	drop	[producer.c drop] journal; sequence + 1; dropped + 1
 *	mend	[claim.c claim_mend, undo_claim; ring.c ring_drop_redo] with the byte of the
 *		dead: give the number back; zero it; zero the word at tail; finish a drop; lock 0
 *	sweep	[claim.c claim_sweep] at attach: from the floor up to tail what is BUSY of the
 *		dead becomes SKIP, or PAD. What was not BUSY of the dead when the floor was not yet
 *		beyond it is left alone: SWEEP_LOOKS_AGAIN is what claim.c did without that
 *	next	[cursor.c next_stream, deliver, pass; claim.c claim_look] who meets BUSY of a dead
 *		one wins its byte, mends the lock, then the record
 *	release	[cursor.c release_by_journal, clean_behind, resume] journal; counts; position;
 *		then, unless AHEAD: reclaim; zeroes; clean
 *	room	[clean.c cleaner_room, zero_to] AHEAD, with the lock: reclaim; gates again;
 *		zeroes; clean
 *
 * A position counts words; a record has one or two (SEQUENCE: a word and its number).
 * CAP words, of which HISTORY stay behind the gate, RECORDS claims in all, KILLS deaths, of producers and of the consumer, at any
 * step. A producer comes back in its slot, or not; the consumer always does.
 *
 * A step is one store to shared memory, with the loads before it of what nobody else may
 * change; loads of what others may change are steps. Memory is sequentially consistent.
 *
 * Asserted: what is committed is delivered, in order, once (again only if the consumer died
 * before position); nothing else is; each word is zero when it is claimed (I1), the one at tail
 * always (I2: a consumer at tail sees nothing); no producer waits for ever (end states); at
 * the end position = tail, the counts of skipped and lost records are exact, and the
 * numbers have no gap but for those dropped.
 *
 * token[i] as in lock.pml. LOOKALIKE: the payload looks like a BUSY word of slot 1.
 */
#ifndef P
#define P 2
#endif
#ifndef CAP
#define CAP 4
#endif
#ifndef RECORDS
#define RECORDS 3
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef CONSUMER_KILLS
#define CONSUMER_KILLS KILLS
#endif

#ifndef HISTORY
#define HISTORY 0
#endif

#define STEP(...)                                                                                  \
	if                                                                                         \
	:: atomic { __VA_ARGS__ }                                                                  \
	:: atomic { MAY_DIE -> DIE; goto dead }                                                    \
	fi
#define MAY_DIE (kills > 0 && (me != C || consumer_kills > 0))
#define DIE                                                                                        \
	kills--;                                                                                   \
	consumer_kills = consumer_kills - (me == C)

/* A word: state, owner, total in words. */
#define WORD(s, o, n) ((s) << 4 | (o) << 2 | (n))
#define STATE(w)      ((w) >> 4)
#define OWNER(w)      ((w) >> 2 & 3)
#define TOTAL(w)      ((w) & 3)
#define BUSY	      1
#define BUSY_PAD      2
#define READY	      3
#define SKIP	      4
#define PAD	      5
#define NUMBER(n)     (128 | (n))
#ifdef LOOKALIKE
#define PAYLOAD(at) WORD(BUSY, 1, 1)
#else
#define PAYLOAD(at) (192 | (at))
#endif

#define C  (P + 1) /* the consumer's slot */
#define AT(p) word[(p) % CAP]

byte word[CAP];
byte lock;
byte tail;
byte sequence = 1;
byte dropped;
byte journal_sequence;
byte journal_dropped;
byte reclaim;
byte clean = CAP;
byte position;
byte skipped;
byte journal_position;
byte journal_skipped;
byte lost;
byte journal_lost;
byte expected = 1; /* shm_cursor.sequence */
byte journal_expected;
byte token[4];

/* Not there in the library: what the model knows. */
byte kills = KILLS;
byte consumer_kills = CONSUMER_KILLS;
byte records = RECORDS;
byte truth[CAP]; /* state of the record that begins here, between position and tail; else 0 */
byte skips;
byte delivered;
byte drops;
byte gone;

#define TRUTH(p) truth[(p) % CAP]

#ifdef CLEAN_EXACTLY_AT_TAIL
#define ROOM(need) (clean - tail >= (need))
#else
#define ROOM(need) (clean - tail >= (need) + 1)
#endif
#define PAD_FOR(n) (tail % CAP + (n) > CAP -> CAP - tail % CAP : 0)
#ifdef AHEAD
#define FLOOR reclaim
#define MAY_HAVE_ROOM(n) (ROOM(PAD_FOR(n) + (n)) || position != reclaim || clean != reclaim + CAP)
#else
#define FLOOR position
#define MAY_HAVE_ROOM(n) ROOM(PAD_FOR(n) + (n))
#endif

/* With the byte of won held. */
inline mend_lock()
{
	STEP(v = lock);
	if
	:: v == won ->
		v = AT(tail);
#ifdef SEQUENCE
		if
		:: STATE(v) == BUSY && OWNER(v) == won ->
			v = AT(tail + 1);
#ifndef NUMBER_NOT_GIVEN_BACK
			if
			:: v == NUMBER(sequence - 1) -> STEP(sequence--)
			:: else
			fi;
#endif
			STEP(AT(tail + 1) = 0)
		:: else
		fi;
#endif
#ifndef MEND_WITHOUT_ZERO
		STEP(AT(tail) = 0);
#endif
#ifdef DROPS
		if
		:: journal_dropped == dropped + 1 ->
			STEP(sequence = journal_sequence);
			STEP(dropped = journal_dropped)
		:: else
		fi;
#endif
		STEP(assert(lock == won); lock = 0)
	:: else
	fi;
	v = 0
}

/* claim_mend_record(): one CAS. */
#define MEND_RECORD(at)                                                                            \
	if                                                                                         \
	:: (STATE(AT(at)) == BUSY || STATE(AT(at)) == BUSY_PAD) && OWNER(AT(at)) == won ->         \
		if                                                                                 \
		:: STATE(AT(at)) == BUSY && TRUTH(at) == BUSY -> TRUTH(at) = SKIP                  \
		:: STATE(AT(at)) == BUSY_PAD && TRUTH(at) == BUSY_PAD -> TRUTH(at) = PAD           \
		:: else                                                                            \
		fi;                                                                                \
		AT(at) = WORD((STATE(AT(at)) == BUSY -> SKIP : PAD), won, TOTAL(AT(at)))           \
	:: else                                                                                    \
	fi

#define RELEASE STEP(token[won] = 0; won = 0)

/* The kernel frees the bytes of who died, one by one. */
inline free_bytes()
{
	if
	:: won && won != me && token[won] == me -> token[won] = 0
	:: won && won != me && token[won] == me -> token[me] = 0
	:: else
	fi
}

inline clean_up_to(target)
{
	STEP(reclaim = target);
	at = clean - CAP;
	do
	:: at != target -> STEP(AT(at) = 0; at++)
	:: else -> break
	od;
	at = 0;
	STEP(clean = target + CAP)
}

/* Records that lie more than HISTORY words behind. */
inline clean_behind()
{
	at = reclaim;
	do
	:: next - at > HISTORY -> at = at + TOTAL(AT(at))
	:: else -> break
	od;
	if
	:: at != reclaim -> v = at; clean_up_to(v); v = 0
	:: else -> at = 0
	fi
}

active [P] proctype Producer()
{
	byte me = _pid + 1;
	byte v;	    /* a word, as seen */
	byte won;   /* whose byte it holds, beside its own */
	byte at;    /* a position */
	byte end;   /* the tail, as the sweep saw it; how far to clean */
	byte n;	    /* words of its record */
	byte pad;
	bool claimed; /* not in the library: it has used up one of RECORDS */

attach:	atomic { token[me] == 0 -> token[me] = me; won = me };
#ifndef ATTACH_WITHOUT_SWEEP
	mend_lock();
	STEP(end = tail);
	STEP(at = FLOOR);
sweep:	if
	:: at < end ->
		STEP(v = AT(at));
		STEP(if
		     :: FLOOR > at -> at = FLOOR; v = 0; goto sweep
		     :: else
		     fi);
		assert(STATE(v) >= BUSY && STATE(v) <= PAD);
#ifndef SWEEP_LOOKS_AGAIN
		if
		:: (STATE(v) == BUSY || STATE(v) == BUSY_PAD) && OWNER(v) == won -> STEP(MEND_RECORD(at))
		:: else
		fi;
#else
		STEP(MEND_RECORD(at));
#endif
		at = at + TOTAL(v);
		v = 0;
		goto sweep
	:: else
	fi;
#endif
	at = 0;
	end = 0;
	won = 0;

idle:	atomic {
		claimed = 0;
		if
		:: records > 0 -> records--; claimed = 1
		:: records == 0 -> goto detach
		:: records > 0 -> goto detach
		fi;
#ifdef SEQUENCE
		n = 2
#else
		if
		:: n = 1
		:: n = 2
		fi
#endif
	};

take:	if
	:: atomic { lock == 0 -> lock = me }
	:: atomic { lock != 0 && lock != me && token[lock] == 0 -> won = lock; token[won] = me };
		mend_lock();
		RELEASE;
		goto take
	:: atomic { MAY_DIE -> DIE; goto dead }
	fi;

	/* The lock is held. */
	pad = PAD_FOR(n);
#ifdef AHEAD
	if
	:: !ROOM(pad + n) ->
		STEP(end = position);
		/* A boundary that makes room, at or below the gate. */
		at = reclaim;
		do
		:: at + CAP < tail + pad + n + 1 && at < end -> at = at + TOTAL(AT(at))
		:: at + CAP >= tail + pad + n + 1 && at < end -> at = at + TOTAL(AT(at))
		:: at + CAP >= tail + pad + n + 1 || at == end -> break
		od;
		assert(at <= end);
		end = (at + CAP >= tail + pad + n + 1 -> at : 0);
		at = 0;
		if
		:: end -> clean_up_to(end); end = 0
		:: else
		fi
	:: else
	fi;
#endif
	if
	:: !ROOM(pad + n) ->
		pad = 0;
#ifdef DROPS
		if
		:: true ->
#ifdef DROP_WITHOUT_JOURNAL
			STEP(sequence++; drops++);
			STEP(dropped++);
#else
			STEP(journal_sequence = sequence + 1);
			STEP(journal_dropped = dropped + 1; drops++);
			STEP(sequence++);
			STEP(dropped++);
#endif
			n = 0;
			STEP(lock = 0);
			goto idle
		:: true
		fi;
#endif
		STEP(lock = 0);
		if
		:: MAY_HAVE_ROOM(n) -> goto take
		:: atomic { MAY_DIE -> DIE; goto dead }
		fi
	:: else
	fi;
#ifdef TWO_WORDS_ONE_TAIL
	if
	:: pad -> STEP(assert(AT(tail) == 0); AT(tail) = WORD(PAD, me, pad); TRUTH(tail) = PAD)
	:: else
	fi;
	at = tail + pad;
	STEP(assert(AT(at) == 0); AT(at) = WORD(BUSY, me, n));
	STEP(TRUTH(at) = BUSY; tail = at + n);
	pad = 0;
#else
	if
	:: pad ->
		at = tail;
#ifdef PAD_BEFORE_TAIL
		STEP(assert(AT(at) == 0); AT(at) = WORD(PAD, me, pad));
		STEP(TRUTH(at) = PAD; tail = tail + pad);
#else
		STEP(assert(AT(at) == 0); AT(at) = WORD(BUSY_PAD, me, pad));
		STEP(TRUTH(at) = BUSY_PAD; tail = tail + pad);
		STEP(assert(AT(at) == WORD(BUSY_PAD, me, pad)); TRUTH(at) = PAD; AT(at) = WORD(PAD, me, pad));
#endif
		pad = 0
	:: else
	fi;
	at = tail;
#ifdef TAIL_BEFORE_WORD
	STEP(TRUTH(at) = BUSY; tail = at + n);
	STEP(assert(AT(at) == 0); AT(at) = WORD(BUSY, me, n));
#else
	STEP(assert(AT(at) == 0); AT(at) = WORD(BUSY, me, n));
#ifdef SEQUENCE
	STEP(assert(AT(at + 1) == 0); AT(at + 1) = NUMBER(sequence));
	STEP(sequence++);
#endif
	STEP(assert(TRUTH(at) == 0); TRUTH(at) = BUSY; tail = at + n);
#endif
#endif
	STEP(assert(lock == me); lock = 0);

	/* Committed in place, without the lock. */
	if
#ifndef SEQUENCE
	:: n == 2 ->
		STEP(assert(AT(at + 1) == 0); AT(at + 1) = PAYLOAD(at));
		if
		:: true
		:: true ->
			STEP(AT(at + 1) = WORD(PAD, me, 1));
			n = 1;
			STEP(assert(AT(at) == WORD(BUSY, me, 2)); AT(at) = WORD(READY, me, 1);
			     TRUTH(at) = READY; TRUTH(at + 1) = PAD);
			goto committed
		fi
	:: n != 2
#else
	:: true
#endif
	fi;
	if
	:: STEP(assert(AT(at) == WORD(BUSY, me, n)); AT(at) = WORD(READY, me, n); TRUTH(at) = READY)
	:: STEP(assert(AT(at) == WORD(BUSY, me, n)); AT(at) = WORD(SKIP, me, n); TRUTH(at) = SKIP)
	fi;
committed:
	at = 0;
	n = 0;
	goto idle;

dead:	atomic {
		v = 0;
		at = 0;
		end = 0;
		n = 0;
		pad = 0;
		claimed = 0;
		free_bytes()
	};
	atomic {
		if
		:: won && won != me && token[won] == me -> token[won] = 0
		:: else
		fi;
		if
		:: token[me] == me -> token[me] = 0
		:: else
		fi;
		won = 0;
		if
		:: goto attach
		:: gone++; goto out
		fi
	};

detach:	atomic { n = 0; token[me] = 0; gone++ };
out:	skip
}

active proctype Consumer()
{
	byte me = C;
	byte v;
	byte won;
	byte at;
	byte next;    /* hot.next */
	byte number;  /* of the record */
	byte passed;  /* hot.skips */
	byte missed;  /* lost, with what next is beyond */
	/* Whoever mends for it would: it never has the lock, nor a record. */
attach:	atomic { token[me] == 0 -> token[me] = me };
	/* resume() */
	if
	:: journal_position > position ->
		STEP(skipped = journal_skipped);
#ifdef SEQUENCE
		STEP(lost = journal_lost);
		STEP(expected = journal_expected);
#endif
		at = position;
		STEP(assert(journal_position <= tail); position = journal_position;
		     do
		     :: at < position -> skips = skips + (TRUTH(at) == SKIP);
			delivered = delivered + (TRUTH(at) == READY); TRUTH(at) = 0; at++
		     :: else -> break
		     od);
		at = 0
	:: else
	fi;
	missed = lost;
#ifdef SEQUENCE
	number = expected;
#endif
	next = position;
#ifndef AHEAD
	assert(clean - CAP <= reclaim && reclaim <= position); /* else EBADMSG */
	if
	:: clean != reclaim + CAP -> clean_up_to(reclaim)
	:: else
	fi;
	clean_behind();
#endif

look:	if
	:: atomic { AT(next) != 0 -> v = AT(next) }
	:: atomic { AT(next) == 0 && gone == P && (lock == 0 || token[lock]) -> goto finish }
	:: atomic { AT(next) == 0 && gone == P && lock != 0 && token[lock] == 0 ->
		won = lock; token[won] = me };
		mend_lock();
		RELEASE;
		goto look
	fi;
	if
	:: STATE(v) == BUSY || STATE(v) == BUSY_PAD ->
		at = OWNER(v);
		v = 0;
		if
		:: atomic { token[at] == 0 -> won = at; token[won] = me; at = 0 }
		:: atomic { !(STATE(AT(next)) == BUSY || STATE(AT(next)) == BUSY_PAD) || OWNER(AT(next)) != at -> at = 0;
			goto look }
		fi;
#ifdef RECORDS_BEFORE_LOCK
		STEP(MEND_RECORD(next));
		mend_lock();
#else
		mend_lock();
		STEP(MEND_RECORD(next));
#endif
		RELEASE;
		goto look
	:: else
	fi;

	/* A record, or what is passed over. */
	assert(STATE(v) >= READY && STATE(v) <= PAD && next < tail);
	assert(TRUTH(next) == STATE(v));
#ifdef SEQUENCE
	if
	:: STATE(v) != PAD ->
		assert((AT(next + 1) & 127) >= number);
		missed = missed + (AT(next + 1) & 127) - number;
		number = (AT(next + 1) & 127) + 1
	:: else
	fi;
#else
	assert(STATE(v) != READY || TOTAL(v) == 1 || AT(next + 1) == PAYLOAD(next));
#endif
	passed = skipped + (STATE(v) == SKIP);
	next = next + TOTAL(v);

	/* release */
#ifdef CLEAN_BEFORE_POSITION
	clean_up_to(next);
#endif
#ifdef SEQUENCE
	STEP(journal_lost = missed);
	STEP(journal_expected = number);
#endif
	if
#ifndef SEQUENCE
	:: STATE(v) != SKIP
#endif
#ifdef RELEASE_WITHOUT_JOURNAL
	:: else ->
		STEP(skipped = passed)
#else
	:: else ->
		STEP(journal_skipped = passed);
		STEP(journal_position = next);
		STEP(skipped = passed)
#endif
	fi;
#ifdef SEQUENCE
	STEP(lost = missed);
	STEP(expected = number);
#endif
	at = position;
	STEP(position = next; skips = skips + (STATE(v) == SKIP); delivered = delivered + (STATE(v) == READY);
	     do
	     :: at < next -> TRUTH(at) = 0; at++
	     :: else -> break
	     od; v = 0; passed = 0);
	at = 0;
#if !defined(AHEAD) && !defined(CLEAN_BEFORE_POSITION)
	clean_behind();
#endif
	goto look;

dead:	atomic {
		v = 0;
		at = 0;
		next = 0;
		number = 0;
		passed = 0;
		missed = 0;
		free_bytes()
	};
	atomic {
		if
		:: won && token[won] == me -> token[won] = 0
		:: else
		fi;
		if
		:: token[me] == me -> token[me] = 0
		:: else
		fi;
		won = 0;
		goto attach
	};

finish:	atomic {
		assert(lock == 0 && position == next && position == tail && reclaim <= position);
		assert(skipped == skips);
#ifdef SEQUENCE
		assert(dropped == drops);
		assert(sequence - 1 == delivered + skips + drops);
		assert(lost + sequence - expected == dropped)
#endif
	}
}
