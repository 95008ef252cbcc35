/* SPDX-License-Identifier: MIT */
/*
 * Overwrite: producers that wait for nobody, a reader that copies.
 *
 *	room	[clean.c cleaner_room, walk, zero_to] with the claim lock: from reclaim on, as far as
 *		needed or further, over no record in work; one of a dead owner is mended; reclaim;
 *		[fence, clean:B] zeroes, word by word; clean
 *	drop	[producer.c drop] no room: sequence + 1, dropped + 1
 *	claim	word BUSY, number, sequence + 1, tail: one step here, ring.pml has them
 *	commit	payload; word READY, or SKIP
 *	next	[cursor.c next_stream, overtaken, deliver, pass] word; [fence, copy:A] reclaim beyond
 *		it: go on there; BUSY: if its owner is dead, with its byte, mend it; else copy
 *		number and payload; [fence, copy:A] reclaim beyond it: nothing; else by the
 *		numbers, how many were lost
 *
 * Positions count records, of three words: word, number, payload. CAP records have place. Two
 * producers, RECORDS claims and drops in all, KILLS deaths of producers at any step; who dies comes
 * back, swept, or not. OBSERVER: the reader mends nothing.
 *
 * A step is one access to shared memory, in the order of the program but for what the two
 * fences forbid: READER_WITHOUT_FENCE has the copy's loads after the look at reclaim, in part or all;
 * CLEANER_WITHOUT_FENCE has the store of reclaim after some zeroes or all.
 *
 * Asserted: the reader accepts only what was committed, whole, at its position, in order, once;
 * no record in work is cleaned; what it got, was told as lost, saw as skipped, and has not come
 * to yet are all the numbers. Nobody waits for ever (end states).
 */
#ifndef CAP
#define CAP 3
#endif
#ifndef RECORDS
#define RECORDS 4
#endif
#ifndef KILLS
#define KILLS 0
#endif

#define STEP(...)                                                                                  \
	if                                                                                         \
	:: atomic { __VA_ARGS__ }                                                                  \
	:: atomic { kills > 0 && me != READER -> kills--; goto dead }                              \
	fi

#define BUSY	 4 /* and its owner */
#define READY	 1
#define SKIP	 2
#define IS_BUSY(w) ((w) >= BUSY)
#define OWNER(w) ((w) - BUSY)
#define READER	 3

#define AT(p)	   word[(p) % CAP]
#define NUMBER(p)  number[(p) % CAP]
#define PAYLOAD(p) payload[(p) % CAP]
#define OF(n)	   (128 | (n))

byte word[CAP];
byte number[CAP];
byte payload[CAP];
byte lock;
byte tail;
byte sequence = 1;
byte reclaim;
byte clean = CAP;
byte token[4];

/* Not there in the library: what the model knows. */
byte kills = KILLS;
byte records = RECORDS;
byte where[RECORDS + 1]; /* position + 1 of what was committed */
byte gone;

#define ROOM (clean - tail >= 2)

/* With the byte of won: of the lock nothing is left but itself, see ring.pml. */
inline mend(at)
{
	STEP(lock = (lock == won -> 0 : lock));
	STEP(if
	     :: AT(at) == BUSY + won -> AT(at) = SKIP
	     :: else
	     fi);
	STEP(token[won] = 0; won = 0)
}

#define ZERO(what)                                                                                 \
	STEP(assert(!IS_BUSY(AT(at))); what(at) = 0)

active [2] proctype Producer()
{
	byte me = _pid + 1;
	byte won;
	byte at;
	byte to;
	byte v;
#ifdef CLEANER_WITHOUT_FENCE
	bool stored;
#endif

attach:	atomic { token[me] == 0 -> token[me] = me };
	STEP(lock = (lock == me -> 0 : lock));
	/* claim_sweep(), by step only where something is: it had one record at most. */
	at = 0;
	do
	:: at < CAP -> STEP(AT(at) = (AT(at) == BUSY + me -> SKIP : AT(at))); at++
	:: else -> break
	od;
	at = 0;

idle:	atomic {
		if
		:: records == 0 -> goto detach
		:: records > 0 -> records--
		fi
	};
take:	if
	:: atomic { lock == 0 -> lock = me }
	:: atomic { lock != 0 && lock != me && token[lock] == 0 -> won = lock; token[won] = me };
		STEP(lock = (lock == won -> 0 : lock));
		STEP(token[won] = 0; won = 0);
		goto take
	:: atomic { kills > 0 -> kills--; goto dead }
	fi;

	if
	:: ROOM -> goto claim
	:: else
	fi;
	at = reclaim;
	to = reclaim;
walk:	if
	:: at < tail ->
		STEP(v = AT(at));
		if
		:: IS_BUSY(v) && OWNER(v) != me ->
#ifdef PASS_BUSY
			goto walked;
#else
			STEP(if
			     :: token[OWNER(v)] == 0 -> won = OWNER(v); token[won] = me
			     :: else
			     fi);
#endif
			if
			:: won -> mend(at); goto walked
			:: else -> goto stop
			fi
		:: IS_BUSY(v) && OWNER(v) == me -> goto stop
		:: else
		fi;
walked:		at++;
		v = 0;
		if
		:: at + CAP >= tail + 2 -> to = at; goto stop
		:: to = at; goto walk
		fi
	:: else
	fi;
stop:	v = 0;
	if
	:: to + CAP < tail + 2 ->
		/* drop */
		at = 0;
		to = 0;
		STEP(sequence++);
		STEP(lock = 0);
		goto idle
	:: else
	fi;
#if defined(CLEANER_WITHOUT_FENCE)
	/* Here, or behind some zeroes. */
	if
	:: STEP(reclaim = to; stored = 1)
	:: true
	fi;
#elif !defined(ZERO_BEFORE_RECLAIM)
	STEP(reclaim = to);
#endif
	at = clean - CAP;
	do
	:: at < to ->
		ZERO(AT);
#ifdef CLEANER_WITHOUT_FENCE
		if
		:: !stored -> STEP(reclaim = to; stored = 1)
		:: true
		fi;
#endif
		ZERO(NUMBER);
		ZERO(PAYLOAD);
		at++
	:: else -> break
	od;
	at = 0;
#ifdef CLEANER_WITHOUT_FENCE
	if
	:: !stored -> STEP(reclaim = to)
	:: else
	fi;
	stored = 0;
#endif
#ifdef ZERO_BEFORE_RECLAIM
	STEP(reclaim = to);
#endif
	STEP(clean = to + CAP);
	to = 0;

claim:	at = tail;
	STEP(assert(!AT(at) && !NUMBER(at) && !PAYLOAD(at) && !AT(at + 1));
	     AT(at) = BUSY + me;
	     NUMBER(at) = sequence;
	     sequence++;
	     tail++);
	STEP(lock = 0);
	STEP(PAYLOAD(at) = OF(NUMBER(at)));
	if
	:: STEP(assert(AT(at) == BUSY + me); AT(at) = READY; where[NUMBER(at)] = at + 1)
	:: STEP(assert(AT(at) == BUSY + me); AT(at) = SKIP)
	fi;
	at = 0;
	goto idle;

dead:	atomic {
		at = 0;
		to = 0;
		v = 0;
#ifdef CLEANER_WITHOUT_FENCE
		stored = 0;
#endif
		if
		:: won && token[won] == me -> token[won] = 0
		:: else
		fi
	};
	atomic {
		token[me] = 0;
		won = 0;
		if
		:: goto attach
		:: gone++; goto out
		fi
	};

detach:	atomic { token[me] = 0; gone++ };
out:	skip
}

active proctype Reader()
{
	byte me = READER;
	byte won;
	byte next;
	byte v;
	byte n; /* the copy */
	byte p;
	byte expected = 1;
	byte got; /* not in the library: records, and skips that it saw */
	byte lost;

	token[READER] = READER;
look:	STEP(v = AT(next));
	STEP(if
	     :: reclaim > next -> next = reclaim; v = 0; goto look
	     :: else
	     fi);
	if
	:: v == 0 ->
		if
		:: atomic { AT(next) != 0 || reclaim > next -> goto look }
		:: atomic { gone == 2 && AT(next) == 0 && reclaim <= next -> goto finish }
		fi
	:: IS_BUSY(v) ->
#ifndef OBSERVER
		if
		:: atomic { token[OWNER(v)] == 0 -> won = OWNER(v); token[won] = me };
			mend(next)
		:: atomic { AT(next) != v || reclaim > next }
		fi;
#else
		if
		:: atomic { AT(next) != v || reclaim > next }
		:: atomic { gone == 2 && AT(next) == v -> v = 0; goto out }
		fi;
#endif
		v = 0;
		goto look
	:: else
	fi;

#if defined(LOOK_BEFORE_COPY)
	STEP(if
	     :: reclaim > next -> next = reclaim; v = 0; goto look
	     :: else
	     fi);
	STEP(n = NUMBER(next));
	STEP(p = PAYLOAD(next));
#elif defined(READER_WITHOUT_FENCE)
	if
	:: STEP(n = NUMBER(next));
	   STEP(if
		:: reclaim > next -> next = reclaim; v = 0; n = 0; goto look
		:: else
		fi);
	   STEP(p = PAYLOAD(next))
	:: STEP(p = PAYLOAD(next));
	   STEP(if
		:: reclaim > next -> next = reclaim; v = 0; p = 0; goto look
		:: else
		fi);
	   STEP(n = NUMBER(next))
	fi;
#else
	STEP(n = NUMBER(next));
	STEP(p = PAYLOAD(next));
	STEP(if
	     :: reclaim > next -> next = reclaim; v = 0; n = 0; p = 0; goto look
	     :: else
	     fi);
#endif
	atomic {
		assert(n >= expected);
		assert(v == SKIP || p == OF(n) && where[n] == next + 1);
		lost = lost + n - expected;
		expected = n + 1;
		got++;
		next++;
		v = 0;
		n = 0;
		p = 0
	};
	goto look;

finish:	assert(next == tail && got + lost + sequence - expected == sequence - 1);
	goto out;
dead:	skip;
out:	skip
}
