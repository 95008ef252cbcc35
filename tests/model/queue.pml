/* SPDX-License-Identifier: MIT */
/*
 * A queue: two workers that compete, a producer that cleans ahead.
 *
 *	lock	[claim.c take_lock, take_mend] take_lock = me; of a dead one, with its byte: redo
 *		and take it
 *	redo	[queue.c queue_redo] finish the journal; take = gate
 *	gate	[queue_advance] with the lock, over DONE, LOST, SKIP: journal; counts; take; gate
 *	find	[find] with the lock: rewind 1 -> 0 and from the gate, or from take on, to the
 *		first READY; BUSY of a dead producer becomes SKIP; take = there
 *	take	[take] with the lock: token = me; word TAKEN; take = behind it; unlock
 *	ack	[put, move_gate] TAKEN -> DONE; if it is at the gate and the lock is free: gate
 *	nack	[put, queue_close] TAKEN -> READY (AT_MOST_ONCE: LOST); rewind = 1
 *	look	[look_for_dead] nothing found: from gate to take, without the lock; word, token,
 *		and whether the gate is beyond that by now. READY: rewind = 1; TAKEN of a dead
 *		worker: with its byte, redo if it has the lock, sweep
 *	sweep	[queue_sweep] with the byte: the same walk, TAKEN of the dead -> READY (LOST);
 *		rewind = 1. Also at attach
 *	unblock	[queue_unblock] a producer without room: gate, if the lock is free; look at the
 *		lock's owner and at the worker of the oldest record
 *
 * The claim is one step here, as is a record's zeroing: ring.pml has them. All records take
 * one place of CAP; word[] and token_of[] are what lies there. RECORDS records, KILLS deaths
 * of anybody, at any step; worker 1 and the producer come back (the producer's own record is
 * swept), worker 2 or not. How often a record was taken is not counted.
 *
 * A step is one store, or one load of what others may change. The counts of the gate are one
 * step, before and after journal_position: only who mends reads them. Sequentially consistent.
 *
 * Asserted: nobody takes what a living worker has; who acks has it; at most once: nothing is
 * given twice; the gate passes nothing but DONE, LOST and SKIP; at the end the gate is at the
 * tail, and acked, lost and skipped are what happened. Who sleeps wakes (after its slice) if there
 * is something for it: that it then finds it shows a search for cycles without progress.
 */
#ifndef CAP
#define CAP 3
#endif
#ifndef RECORDS
#define RECORDS 2
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef NACKS
#define NACKS 1
#endif

#define STEP(...)                                                                                  \
	if                                                                                         \
	:: atomic { __VA_ARGS__ }                                                                  \
	:: atomic { kills > 0 -> kills--; goto dead }                                              \
	fi

#define BUSY  1
#define READY 2
#define SKIP  3
#define TAKEN 4
#define DONE  5
#define LOST  6
#ifdef AT_MOST_ONCE
#define BACK LOST
#else
#define BACK READY
#endif

#define PRODUCER 3
#define AT(p)	 word[(p) % CAP]
#define TOKEN(p) token_of[(p) % CAP]

byte word[CAP];
byte token_of[CAP];
byte lock; /* take_lock */
bool rewind;
byte take;
byte tail;
byte clean = CAP;
byte gate;
byte acked;
byte lost;
byte skipped;
byte journal_gate;
byte journal_acked;
byte journal_lost;
byte journal_skipped;
byte token[4];

/* Not there in the library: what the model knows. */
byte kills = KILLS;
byte nacks = NACKS;
byte records = RECORDS;
byte holder[CAP]; /* the living worker that has it */
bool given[CAP];
byte acks;
byte losses;
byte skips;
bool closed;  /* the producer has ended */
byte workers = 2;

#define HOLDER(p) holder[(p) % CAP]
#define GIVEN(p)  given[(p) % CAP]

#define IS_OVER(w) ((w) == DONE || (w) == LOST || (w) == SKIP)

/* What others may find: dead are those whose byte is free. */
#define DEAD_TAKEN(p) ((p) < tail && AT(p) == TAKEN && !token[TOKEN(p)])
#define DEAD_BUSY(p)  ((p) < tail && AT(p) == BUSY && !token[PRODUCER])
#define LIVE_BUSY(p)  ((p) < tail && AT(p) == BUSY && token[PRODUCER])
#define LEFT(p)	      ((p) < tail && !IS_OVER(AT(p)))
#define IS_READY(p)   ((p) < tail && AT(p) == READY)
/* A record for find or look, unless one in work is before it. CAP is 3: at most two are there. */
#define SOMETHING                                                                                  \
	(IS_READY(gate) || DEAD_BUSY(gate) || DEAD_TAKEN(gate) ||                                  \
	 (!LIVE_BUSY(gate) && (IS_READY(gate + 1) || DEAD_BUSY(gate + 1) || DEAD_TAKEN(gate + 1))))
#define NOTHING_LEFT (closed && !LEFT(gate) && !LEFT(gate + 1))

inline check_gate(to)
{
	assert(gate == to || IS_OVER(AT(gate)));
	assert(gate + 1 >= to || IS_OVER(AT(gate + 1)));
	assert(gate + 2 >= to)
}

/* With the byte of won: take_mend(). */
inline mend_lock()
{
	STEP(v = lock);
	if
	:: v == won ->
		if
		:: journal_gate > gate ->
			STEP(acked = journal_acked; lost = journal_lost; skipped = journal_skipped);
			STEP(check_gate(journal_gate); gate = journal_gate)
		:: else
		fi;
#ifndef MEND_LEAVES_TAKE
		STEP(take = gate);
#endif
		STEP(assert(lock == won); lock = 0)
	:: else
	fi;
	v = 0
}

/* With the byte of won: queue_sweep(). */
inline sweep()
{
	STEP(q = gate);
	do
	:: true ->
		STEP(v = AT(q));
		k = 0;
		if
		:: v == TAKEN -> STEP(k = TOKEN(q))
		:: else
		fi;
#ifndef SWEEP_WITHOUT_GATE
		STEP(g = gate);
		if
		:: g > q -> q = g; g = 0; goto next
		:: else -> g = 0
		fi;
#endif
		if
		:: v == 0 -> break
		:: else
		fi;
		if
		:: k == won ->
			STEP(if
			     :: AT(q) == TAKEN ->
				assert(TOKEN(q) == won && !HOLDER(q));
				AT(q) = BACK;
				losses = losses + (BACK == LOST)
			     :: else
			     fi)
		:: else
		fi;
		q++;
next:		v = 0;
		k = 0
	od;
	q = 0;
	v = 0;
	k = 0;
	STEP(rewind = 1)
}

/* With the lock: queue_advance(). */
inline advance()
{
	/* One step: what is over stays so, and all that was seen is there at the last look. */
	STEP(at = gate;
	     do
	     :: at < gate + CAP - 1 && IS_OVER(AT(at)) ->
		done = done + (AT(at) == DONE);
		gone = gone + (AT(at) == LOST);
		passed = passed + (AT(at) == SKIP);
		at++
	     :: else -> break
	     od);
	if
	:: at != gate ->
#ifdef GATE_WITHOUT_JOURNAL
		STEP(acked = acked + done; lost = lost + gone; skipped = skipped + passed);
#else
		STEP(journal_acked = acked + done; journal_lost = lost + gone;
		     journal_skipped = skipped + passed);
		STEP(journal_gate = at);
		STEP(acked = journal_acked; lost = journal_lost; skipped = journal_skipped);
#endif
		if
		:: at > take -> STEP(take = at)
		:: else
		fi;
		STEP(check_gate(at); gate = at);
		moved = 1
	:: else
	fi;
	at = 0;
	done = 0;
	gone = 0;
	passed = 0
}

#define RELEASE STEP(token[won] = 0; won = 0)

inline take_the_lock()
{
	do
	:: atomic { lock == 0 -> lock = me; break }
	:: atomic { lock != 0 && lock != me && token[lock] == 0 -> won = lock; token[won] = me };
		mend_lock();
		RELEASE
	:: atomic { kills > 0 -> kills--; goto dead }
	od
}

/* Its bytes go one by one. */
inline die()
{
	atomic {
		v = 0;
		k = 0;
		q = 0;
		g = 0;
		at = 0;
		done = 0;
		gone = 0;
		passed = 0;
		moved = 0;
		if
		:: won && won != me && token[won] == me -> token[won] = 0
		:: won && won != me && token[won] == me -> token[me] = 0
		:: else
		fi
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
		won = 0
	}
}

active [2] proctype Worker()
{
	byte me = _pid + 1;
	byte v;	 /* a word, as seen */
	byte k;	 /* its token */
	byte q;	 /* where the sweep is */
	byte g;	 /* the gate, as seen again */
	byte at; /* where the walk is, or the record that it has */
	byte won;
	byte end;  /* take, as seen */
	byte done; /* of the gate's walk */
	byte gone;
	byte passed;
	bool moved;
	bool has;
	bool again; /* it has looked already, and not found anything since */
	bool back;

attach:	atomic { token[me] == 0 -> token[me] = me; won = me };
#ifndef ATTACH_WITHOUT_SWEEP
	mend_lock();
	sweep();
#endif
	won = 0;

try:	take_the_lock();
	advance();
	moved = 0;
	/* find() */
	STEP(v = rewind);
	at = take;
	if
	:: v ->
		STEP(rewind = 0);
		at = gate
	:: else
	fi;
	v = 0;
	at = (at < gate || at > gate + CAP -> gate : at);
find:	STEP(v = AT(at));
	if
	:: v == READY
	:: v == 0
	:: v == BUSY ->
		STEP(if
		     :: token[PRODUCER] == 0 -> token[PRODUCER] = me; won = PRODUCER
		     :: else
		     fi);
		if
		:: won ->
			STEP(if
			     :: AT(at) == BUSY -> AT(at) = SKIP; skips++
			     :: else
			     fi);
			RELEASE;
			goto find
		:: else
		fi
	:: else -> at++; goto find
	fi;
	STEP(take = at);
	if
	:: v == READY ->
		v = 0;
#ifdef TAKEN_BEFORE_TOKEN
		STEP(assert(AT(at) == READY && !HOLDER(at)); HOLDER(at) = me; AT(at) = TAKEN);
		STEP(TOKEN(at) = me);
#else
		STEP(TOKEN(at) = me);
		STEP(assert(AT(at) == READY && !HOLDER(at));
		     HOLDER(at) = me;
		     AT(at) = TAKEN;
#ifdef AT_MOST_ONCE
		     assert(!GIVEN(at)); GIVEN(at) = 1
#endif
		);
#endif
		STEP(take = at + 1);
		has = 1;
progress_taken:
		STEP(lock = 0);
		again = 0
	:: else ->
		v = 0;
		at = 0;
		STEP(lock = 0);
		goto nothing
	fi;

	/* It has the record at. */
	if
	:: STEP(assert(AT(at) == TAKEN && TOKEN(at) == me && HOLDER(at) == me);
		HOLDER(at) = 0; has = 0; acks++; AT(at) = DONE);
		/* move_gate() */
		STEP(v = (gate == at));
		at = 0;
		if
		:: v ->
			v = 0;
			if
			:: atomic { lock == 0 -> lock = me };
				advance();
				moved = 0;
				STEP(lock = 0)
			:: atomic { lock != 0 }
			fi
		:: else
		fi
	:: atomic { nacks > 0 -> nacks-- };
		STEP(assert(AT(at) == TAKEN && TOKEN(at) == me && HOLDER(at) == me);
		     HOLDER(at) = 0; has = 0; losses = losses + (BACK == LOST); AT(at) = BACK);
		at = 0;
#if !defined(WITHOUT_REWIND) && !defined(AT_MOST_ONCE)
		STEP(rewind = 1)
#endif
	fi;
	goto try;

	/* look_for_dead() */
nothing:
	if
	:: again -> again = 0; goto sleep
	:: else -> again = 1
	fi;
	STEP(at = gate);
	STEP(end = take);
look:	if
	:: at < end ->
		STEP(v = AT(at));
		if
		:: v == TAKEN -> STEP(k = TOKEN(at))
		:: else
		fi;
		STEP(g = gate);
		if
		:: g > at -> at = g; g = 0; v = 0; k = 0; goto look
		:: else -> g = 0
		fi;
		if
		:: v == 0 -> at = end
#ifndef WITHOUT_LOOK
		:: v == READY -> STEP(rewind = 1); back = 1; at++
		:: v != 0 && v != READY -> at++
#else
		:: v != 0 -> at++
#endif
		fi;
		v = 0;
		if
		:: k != 0 && k != me ->
#ifdef REDELIVER_WITHOUT_BYTE
			k = 0;
			STEP(if
			     :: AT(at - 1) == TAKEN -> AT(at - 1) = BACK; rewind = 1
			     :: else
			     fi);
			back = 1
#else
			STEP(if
			     :: token[k] == 0 -> token[k] = me; won = k
			     :: else
			     fi);
			k = 0;
			if
			:: won ->
				mend_lock();
				sweep();
				RELEASE;
				back = 1
			:: else
			fi
#endif
		:: else -> k = 0
		fi;
		goto look
	:: else
	fi;
	at = 0;
	end = 0;
	if
	:: back -> back = 0; goto try
	:: else -> again = 0
	fi;

	/* A slice, or a wake. */
sleep:	if
	:: atomic { SOMETHING -> goto try }
	:: atomic { NOTHING_LEFT -> skip }
	:: atomic { kills > 0 -> kills--; goto dead }
	fi;
	take_the_lock();
	advance();
	STEP(lock = 0);
	atomic {
		token[me] = 0;
		workers--;
		if
		:: workers == 0 ->
			assert(gate == tail && acked == acks && lost == losses && skipped == skips);
			assert(acks + losses + skips == tail)
		:: else
		fi;
		goto out
	};

dead:	atomic {
		if
		:: HOLDER(gate) == me -> HOLDER(gate) = 0
		:: HOLDER(gate + 1) == me -> HOLDER(gate + 1) = 0
		:: HOLDER(gate + 2) == me -> HOLDER(gate + 2) = 0
		:: else
		fi;
		has = 0;
		end = 0;
		again = 0;
		back = 0
	};
	die();
	if
	:: goto attach
	:: atomic { me == 2 && workers == 2 -> workers-- }
	fi;
out:	skip
}

active proctype Producer()
{
	byte me = PRODUCER;
	byte v;
	byte k;
	byte q;
	byte g;
	byte at;
	byte won;
	byte done;
	byte gone;
	byte passed;
	bool moved;

attach:	atomic { token[me] == 0 -> token[me] = me; won = me };
	mend_lock();
	/* claim_sweep(): of one producer only its last record can be BUSY. */
	if
	:: tail > 0 -> STEP(if
			    :: tail > gate && AT(tail - 1) == BUSY -> AT(tail - 1) = SKIP; skips++
			    :: else
			    fi)
	:: else
	fi;
	won = 0;

idle:	if
	:: atomic { records > 0 -> skip }
	:: atomic { records == 0 -> goto detach }
	fi;
room:	if
	:: clean - tail >= 2
	:: else ->
		if
		:: gate + CAP > clean ->
			STEP(AT(clean) = 0; TOKEN(clean) = 0; GIVEN(clean) = 0;
			     assert(!HOLDER(clean)); clean++);
			goto room
		:: else
		fi;
		/* queue_unblock(): a slice ended, or a wake. */
		if
		:: atomic { gate + CAP > clean -> goto room }
		:: atomic { lock == 0 && IS_OVER(AT(gate)) -> lock = me };
			advance();
			moved = 0;
			STEP(lock = 0);
			goto room
		:: atomic { lock != 0 && token[lock] == 0 -> won = lock; token[won] = me }
		:: atomic { DEAD_TAKEN(gate) -> won = TOKEN(gate); token[won] = me }
		:: atomic { kills > 0 -> kills--; goto dead }
		fi;
		mend_lock();
		sweep();
		RELEASE;
		goto room
	fi;
	STEP(records--; assert(AT(tail) == 0); AT(tail) = BUSY; tail++);
progress_claimed:
	if
	:: STEP(assert(AT(tail - 1) == BUSY); AT(tail - 1) = READY)
	:: STEP(assert(AT(tail - 1) == BUSY); AT(tail - 1) = SKIP; skips++)
	fi;
	goto idle;

dead:	die();
	goto attach;

detach:	atomic { token[me] = 0; closed = 1 }
}
