/* SPDX-License-Identifier: MIT */
/*
 * Membership: slots, who owns what, and who died.
 *
 * A slot has a state, counters and the identity of who is in it; only who holds
 * its byte (token[]) writes them. A thing is a word with the number of the slot
 * that owns it, 0 nobody.
 *
 *	attach	win any byte, in slot order; if USED, sweep; identity; USED;
 *		attaches + 1
 *	detach	give things back; detaches + 1; FREE; the byte goes
 *	take	win the byte of another slot, record; take over one thing of it,
 *		or, if USED, sweep; the byte goes
 *	sweep	record; things 0, one CAS each; FREE
 *	record	if deaths is not attaches - detaches: deaths = WRITING; the identity
 *		to the record; deaths = attaches - detaches
 *
 * A process died if it did so between attaches + 1 and detaches + 1, and so
 * deaths = attaches - detaches says it, however often it is stored.
 *
 * N processes attach LIVES times in all and do in any order what they may, with
 * KILLS deaths, at any step. A step is one access to shared memory.
 */
#ifndef N
#define N 2
#endif
#ifndef KILLS
#define KILLS 2
#endif
#ifndef LIVES
#define LIVES 3
#endif

#define STEP(...)                                                                                  \
	if                                                                                         \
	:: atomic { __VA_ARGS__ }                                                                  \
	:: atomic { kills > 0 -> kills--; goto dead }                                              \
	fi

byte token[3]; /* 0 free, else the process that holds it */
bool used[3];
byte attaches[3];
byte detaches[3];
byte deaths[3];
byte who[3];	  /* who is in the slot */
byte who_died[3]; /* the last who died in it */
byte thing[3];	  /* the slot that owns it */

/* Not there in the library: what the model knows. */
byte kills = KILLS;
byte lives = LIVES;
byte died[3];
byte last_died[3];
byte holder[3]; /* the living process that holds thing [i] */
bool sweeping[3];
byte gone;

#define DEATHS(slot) (attaches[slot] - detaches[slot])
#define WRITING	     255

/* Who may take a thing away: nobody living holds it. */
#define UNHELD assert(holder[i] == 0)

/* The last one out sweeps, and looks for what was left. */
inline check_slot(n)
{
	assert(token[n] == 0);
	if
	:: used[n] && deaths[n] != DEATHS(n) -> who_died[n] = who[n]; deaths[n] = DEATHS(n)
	:: else
	fi;
	assert(deaths[n] == died[n]);
	assert(who_died[n] == last_died[n]);
	if
	:: thing[1] == n ->
		assert(used[n]);
		thing[1] = 0
	:: else
	fi;
	if
	:: thing[2] == n ->
		assert(used[n]);
		thing[2] = 0
	:: else
	fi
}

/* Holding the byte of slot won. Whoever reads the record without it is told by WRITING. */
inline record()
{
#if defined(RECORD_ALWAYS) || defined(COUNT_BY_INCREMENT)
	v = 1;
#else
	STEP(v = (DEATHS(won) != deaths[won]));
#endif
	if
	:: v ->
#ifdef COUNT_BY_INCREMENT
		STEP(who_died[won] = who[won]);
		STEP(deaths[won]++)
#else
		STEP(deaths[won] = WRITING);
		STEP(who_died[won] = who[won]);
		STEP(deaths[won] = DEATHS(won))
#endif
	:: else
	fi;
	v = 0
}

active [N] proctype Process()
{
	byte slot;   /* its own */
	byte won;    /* the slot whose byte it won and that it sweeps: another one, or its own at attach */
	byte v;	     /* a value, as seen */
	byte i;	     /* a thing */
	bool counted; /* not in the library: between attaches + 1 and detaches + 1 */
#define me (_pid + 1)

attach:	atomic {
		if
		:: lives == 0 -> goto leave
		:: lives > 0 -> lives--
		:: goto leave
		fi
	};

	/* In slot order. With both taken it would be EUSERS: come again. */
scan:	atomic {
		token[1] == 0 || token[2] == 0;
		if
		:: token[1] == 0 -> token[1] = me; slot = 1
		:: else
		fi
	};
	if
	:: slot == 0 ->
		atomic {
			if
			:: token[2] == 0 -> token[2] = me; slot = 2
			:: else -> goto scan
			fi
		}
	:: else
	fi;
	won = slot;
#ifdef INTRODUCE_BEFORE_SWEEP
	STEP(who[slot] = me);
	STEP(attaches[slot]++; counted = 1);
#endif
#ifdef ATTACH_WITHOUT_SWEEP
	goto introduce;
#endif
	STEP(v = used[won]);
	if
	:: v -> goto sweep
	:: else -> goto introduce
	fi;

	/* Holding the byte of slot won, whose owner is dead. */
sweep:	atomic { assert(!sweeping[won]); sweeping[won] = 1 };
#ifdef FREE_BEFORE_SWEEP
	STEP(used[won] = 0);
#endif
	record();
#ifdef RELEASE_BEFORE_THINGS
	if
	:: won != slot -> STEP(token[won] = 0)
	:: else
	fi;
#endif
	i = 1;
	do
	:: i <= 2 ->
		STEP(v = thing[i]);
		if
		:: v == won -> STEP(if
				    :: thing[i] == v -> UNHELD; thing[i] = 0
				    :: else
				    fi)
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0;
	v = 0;
	STEP(used[won] = 0; sweeping[won] = 0);
swept:	if
	:: won == slot
#ifdef RELEASE_BEFORE_THINGS
	:: else -> STEP(if
			:: token[won] == me -> token[won] = 0
			:: else
			fi;
			won = 0); goto idle
#else
	:: else -> STEP(token[won] = 0; won = 0); goto idle
#endif
	fi;

introduce:
	won = 0;
	v = 0;
#ifndef INTRODUCE_BEFORE_SWEEP
#if defined(USED_LAST)
	STEP(who[slot] = me);
	STEP(attaches[slot]++; counted = 1);
#elif defined(IDENTITY_LAST)
	STEP(used[slot] = 1);
	STEP(attaches[slot]++; counted = 1);
	STEP(who[slot] = me);
#else
	STEP(who[slot] = me);
	STEP(used[slot] = 1);
	STEP(attaches[slot]++; counted = 1);
#endif
#endif
#if defined(INTRODUCE_BEFORE_SWEEP) || defined(USED_LAST)
	STEP(used[slot] = 1);
#endif
	/* Nothing is left from before. */
	assert(thing[1] != slot && thing[2] != slot);

idle:	i = 0;
	v = 0;
	if
	:: i = 1
	:: i = 2
	:: goto detach
	fi;
	if
	/* Own it, or give it back. */
	:: holder[i] != me -> STEP(if
				   :: thing[i] == 0 -> thing[i] = slot; holder[i] = me
				   :: else
				   fi)
	:: holder[i] == me -> STEP(assert(thing[i] == slot); thing[i] = 0; holder[i] = 0)
	/* Win the byte of the other slot, to sweep it or to take over a thing. */
	:: holder[i] != me ->
#ifdef TAKE_OVER_WITHOUT_BYTE
		STEP(v = thing[i]);
		if
		:: v == 0 || v == slot -> goto idle
		:: else
		fi;
		STEP(if
		     :: thing[i] == v -> UNHELD; thing[i] = slot; holder[i] = me
		     :: else
		     fi)
#else
		STEP(if
		     :: token[3 - slot] == 0 -> won = 3 - slot; token[won] = me
		     :: else -> goto idle
		     fi);
#ifndef TAKE_OVER_WITHOUT_RECORD
		record();
#endif
		if
		:: STEP(v = used[won]);
		   if
		   :: v -> goto sweep
		   :: else -> goto swept
		   fi
		:: STEP(if
			:: thing[i] == won ->
				UNHELD;
				assert(deaths[won] == died[won]);
				thing[i] = slot;
				holder[i] = me
			:: else
			fi);
		   goto swept
		fi
#endif
	fi;
	goto idle;

	/* What it still holds, it gives back first. */
detach:	i = 1;
#ifndef FREE_BEFORE_GIVE_BACK
	do
	:: i <= 2 ->
		if
		:: holder[i] == me -> STEP(assert(thing[i] == slot); thing[i] = 0; holder[i] = 0)
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0;
#endif
	STEP(detaches[slot]++; counted = 0);
	STEP(used[slot] = 0);
#ifdef FREE_BEFORE_GIVE_BACK
	do
	:: i <= 2 ->
		if
		:: holder[i] == me -> STEP(assert(thing[i] == slot); thing[i] = 0; holder[i] = 0)
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0;
#endif
	STEP(token[slot] = 0; slot = 0);
	goto attach;

	/* The kernel frees the bytes that it held, one by one. */
dead:	atomic {
		if
		:: counted -> died[slot]++; last_died[slot] = me
		:: else
		fi;
		i = 1;
		do
		:: i <= 2 ->
			if
			:: holder[i] == me -> holder[i] = 0
			:: else
			fi;
			i++
		:: else -> break
		od;
		if
		:: won -> sweeping[won] = 0
		:: else
		fi;
		if
		:: token[1] == me && token[2] == me -> token[1] = 0
		:: token[1] == me && token[2] == me -> token[2] = 0
		:: else
		fi
	};
	atomic {
		if
		:: token[1] == me -> token[1] = 0
		:: token[2] == me -> token[2] = 0
		:: else
		fi;
		slot = 0;
		won = 0;
		v = 0;
		i = 0;
		counted = 0;
		goto attach
	};

leave:	atomic {
		gone++;
		if
		:: gone == N ->
			check_slot(1);
			check_slot(2);
			assert(thing[1] == 0 && thing[2] == 0)
		:: else
		fi
	}
}
