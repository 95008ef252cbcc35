/* SPDX-License-Identifier: MIT */
/*
 * Gates that come and go, and a single producer that cleans without a lock.
 *
 *	join	[cursors.c create, cursors_join, look] position = reclaim; mode = JOINING, GATE;
 *		again: p = reclaim, or a record further on, by its word and a look at
 *		reclaim; position = p; [fence]; reclaim beyond p: again; mode = GATE
 *	leave	[cursors_free] mode = 0. Who dies is swept at attach, or evicted
 *	room	[clean.c cleaner_room] the lowest gate, of those not below clean - CAP; below
 *		what is needed, or below reclaim: no room; else a boundary up to it
 *	clean	[zero_to] reclaim; [fence]; the lowest gate again, of those not below the reclaim
 *		that was there before (a predecessor may have zeroed up to that): reclaim =
 *		that, if it is below; zeroes from clean - CAP on; clean = reclaim + CAP.
 *		SECOND_LOOK_FROM_CLEAN looks at those not below clean - CAP
 *	evict	[cleaner_evict, cursors_sweep] no room: with the byte of a gate's dead owner, if
 *		it is not durable, or JOINING: mode = 0
 *
 * Place 0 is a durable gate that is there from the start (FIRST_GATE), place 1 that of the
 * joiner, which comes JOINS times (DURABLE: it stays where it is when it dies), reads as many
 * records as it likes and leaves. The producer writes RECORDS records of one word; its
 * successor finds the tail (ring_walk(), not modelled) and goes on. KILLS deaths at any step, of
 * the producer and the joiner.
 *
 * A step is one access to shared memory. A gate that releases may do so late, which is as if it
 * were slower. The store of position, and that of reclaim, and the loads behind them are in order
 * because of two fences: JOINER_WITHOUT_FENCE and CLEANER_WITHOUT_FENCE have them in any order, as a
 * store buffer does. All else is sequentially consistent.
 *
 * Asserted: a gate finds the record of its position, or nothing if there is none yet; a
 * durable gate stays; reclaim is never below what is cleaned. Nobody waits for ever (end states).
 */
#ifndef CAP
#define CAP 3
#endif
#ifndef RECORDS
#define RECORDS 5
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef JOINS
#define JOINS 1
#endif

#define STEP(...)                                                                                  \
	if                                                                                         \
	:: atomic { __VA_ARGS__ }                                                                  \
	:: atomic { kills > 0 -> kills--; goto dead }                                              \
	fi

#define AT(p) word[(p) % CAP]

#define FREE	0
#define JOINING 1
#define GATE	2

#define JOINER	 1
#define PRODUCER 2

byte word[CAP]; /* 0, or the record's position + 1 */
byte tail;	/* the producer's, which a walk would find */
byte reclaim;
byte clean = CAP;
byte first; /* position of place 0 */
byte mode;
byte position; /* of place 1 */
byte token[3];

/* Not there in the library: what the model knows. */
byte kills = KILLS;
bool written; /* all of RECORDS */
bool kept;    /* a durable gate is in place 1 */
byte zeroed;  /* all below was zeroed, or began to be */

#ifdef FLOOR_COUNTS
#define COUNTS(p) true
#else
#define COUNTS(p) ((p) >= floor)
#endif

/* cursors_lowest(), by several loads: gate = the lowest, at most the tail. */
inline lowest()
{
	gate = tail;
#ifdef FIRST_GATE
	STEP(gate = (first < gate -> first : gate));
#endif
	STEP(v = mode);
	if
	:: v != FREE -> STEP(gate = (COUNTS(position) && position < gate -> position : gate))
	:: else
	fi;
	v = 0
}

/* What the producer would find now. */
#define LEAST	(tail + 2 - CAP > 0 -> tail + 2 - CAP : 0)
#define IN_WAY(p) ((p) + CAP >= clean && ((p) + CAP < tail + 2 || (p) < reclaim))
#ifdef FIRST_GATE
#define FIRST_IN_WAY IN_WAY(first)
#else
#define FIRST_IN_WAY false
#endif
#define JOINER_IN_WAY (mode != FREE && IN_WAY(position))
#ifdef EVICT_DURABLE
#define MAY_GO(m) ((m) != FREE)
#else
#ifdef DURABLE
#define MAY_GO(m) ((m) == JOINING)
#else
#define MAY_GO(m) ((m) != FREE)
#endif
#endif
#ifdef EVICT_WITHOUT_BYTE
#define EVICTABLE MAY_GO(mode)
#else
#define EVICTABLE (MAY_GO(mode) && token[JOINER] == 0)
#endif

active proctype Producer()
{
	byte floor; /* clean - capacity: all below is cleaned */
	byte from; /* reclaim, before it is moved */
	byte gate;
	byte to;
	byte at;
	byte v;

attach:	atomic { token[PRODUCER] == 0 -> token[PRODUCER] = PRODUCER };
#ifdef SUCCESSOR_WITHOUT_GATES
	if
	:: reclaim + CAP != clean ->
		floor = clean - CAP;
		to = reclaim;
		goto zero
	:: else
	fi;
#endif
write:	if
	:: tail == RECORDS -> goto detach
	:: tail < RECORDS && clean - tail >= 2 ->
		STEP(assert(AT(tail) == 0 && AT(tail + 1) == 0); AT(tail) = tail + 1; tail++);
		goto write
	:: tail < RECORDS && clean - tail < 2
	fi;

	/* cleaner_room() */
	floor = clean - CAP;
	lowest();
	if
	:: gate + CAP < tail + 2 || gate < reclaim -> gate = 0; goto no_room
	:: else
	fi;
	from = reclaim;
	to = from;
	do
	:: to + CAP < tail + 2 -> to++
	:: to + CAP >= tail + 2 && to < gate && from + CAP < tail + 2 -> to++
	:: to + CAP >= tail + 2 -> break
	od;
	gate = 0;

	/* zero_to() */
#ifdef ZERO_BEFORE_RECLAIM
	goto zero;
#endif
#ifdef CLEANER_WITHOUT_FENCE
	if
	:: STEP(reclaim = to);
	   lowest()
	:: lowest();
	   STEP(reclaim = to)
	fi;
#else
	STEP(reclaim = to);
#ifdef WITHOUT_SECOND_LOOK
	gate = to;
#else
#ifndef SECOND_LOOK_FROM_CLEAN
	floor = from;
#endif
	lowest();
	floor = clean - CAP;
#endif
#endif
	from = 0;
	if
	:: gate < to -> to = gate; STEP(assert(to >= zeroed); reclaim = to)
	:: else
	fi;
	gate = 0;
zero:	at = floor;
	do
	:: at < to -> STEP(AT(at) = 0; zeroed = (at >= zeroed -> at + 1 : zeroed)); at++
	:: else -> break
	od;
	at = 0;
#ifdef ZERO_BEFORE_RECLAIM
	STEP(reclaim = to);
#endif
	STEP(clean = to + CAP);
	to = 0;
	floor = 0;
	goto write;

	/* Again after a slice, or a wake. */
no_room:
	floor = 0;
	if
	:: atomic { EVICTABLE -> token[JOINER] = PRODUCER };
		/* cursors_sweep(): the CAS. */
		STEP(if
		     :: MAY_GO(mode) -> mode = FREE
		     :: else
		     fi);
		STEP(token[JOINER] = 0)
	:: atomic { !FIRST_IN_WAY && !JOINER_IN_WAY }
	:: atomic { kills > 0 -> kills--; goto dead }
	fi;
	goto write;

dead:	atomic {
		floor = 0;
		from = 0;
		gate = 0;
		to = 0;
		at = 0;
		v = 0;
		if
		:: token[JOINER] == PRODUCER -> token[JOINER] = 0
		:: else
		fi
	};
	atomic { token[PRODUCER] = 0; goto attach };

detach:	atomic { token[PRODUCER] = 0; written = 1 }
}

#ifdef FIRST_GATE
active proctype First()
{
	do
	:: atomic { first < tail -> assert(AT(first) == first + 1) };
		first++
	:: written && first == RECORDS -> break
	od
}
#endif

active proctype Joiner()
{
	byte joins = JOINS;
	byte p;
	byte v;

attach:	atomic { token[JOINER] == 0 -> token[JOINER] = JOINER };
	assert(!kept || mode == GATE);
	if
	:: mode == FREE
#ifdef DURABLE
	:: mode == GATE -> p = position; goto read
#else
	:: mode == GATE -> STEP(mode = FREE)
#endif
	:: mode == JOINING -> STEP(mode = FREE)
	fi;

join:	if
	:: joins == 0 -> goto detach
	:: joins > 0 -> joins--
	fi;
	STEP(p = reclaim);
	STEP(position = p);
	STEP(mode = JOINING);
again:	STEP(p = reclaim);
look:	STEP(v = AT(p));
	STEP(if
	     :: reclaim > p -> v = 0; goto again
	     :: else
	     fi);
	if
	:: v -> v = 0; p++; goto look
	:: v = 0
	fi;
#ifdef JOINER_WITHOUT_FENCE
	if
	:: STEP(position = p);
	   STEP(v = (reclaim > p))
	:: STEP(v = (reclaim > p));
	   STEP(position = p)
	fi;
#else
	STEP(position = p);
	STEP(v = (reclaim > p));
#endif
	if
	:: v -> v = 0; goto again
	:: else
	fi;
#ifdef DURABLE
	STEP(assert(mode == JOINING); mode = GATE; kept = 1);
#else
	STEP(assert(mode == JOINING); mode = GATE);
#endif

	/* It gates. */
read:	if
	:: STEP(assert(mode == GATE && AT(p) == (p < tail -> p + 1 : 0)); v = AT(p));
		if
		:: v -> v = 0; STEP(p++; position = p)
		:: else
			if
			:: atomic { AT(p) != 0 || written }
			:: atomic { kills > 0 -> kills--; goto dead }
			fi;
			if
			:: written && p == RECORDS -> goto leave
			:: else
			fi
		fi;
		goto read
	:: goto leave
	fi;
leave:	STEP(mode = FREE; kept = 0);
	p = 0;
	goto join;

dead:	atomic { p = 0; v = 0; token[JOINER] = 0 };
	if
	:: goto attach
#ifndef DURABLE
	:: true
#else
	:: !kept -> skip
#endif
	fi;
	goto out;

detach:	token[JOINER] = 0;
out:	skip
}
