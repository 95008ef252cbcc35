/* SPDX-License-Identifier: MIT */
/*
 * The table: a record in two copies (or, IN_PLACE, in one) under a sequence; with
 * INDEX, insert and remove under the table's lock with an index of keys, a rebuild
 * of it, and a reader who finds without a lock.
 *
 * Who holds a lock may die at any step; the next one takes it over, dirty, as
 * lock.pml shows. A step is one access to shared memory. Stores become visible in
 * their order, but for NO_FENCE, where the next owner's first store passes the
 * store of the sequence.
 */
#ifndef KILLS
#define KILLS 0
#endif
#ifndef WRITES
#define WRITES 3
#endif
#define MAY_DIE	if :: atomic { kills > 0 -> kills--; goto dead } :: true fi

byte kills = KILLS;
byte lock;	 /* 0 free, else who; a dead one stays in it */
bool dirty;
bool is_dead[4];

#ifndef INDEX
/* The record is two numbers that are the same, and count the commits. */
byte one[2], two[2], sequence, writes = WRITES, commits;
#ifdef IN_PLACE
#define AT(s) 0
#else
#define AT(s) ((s) % 2)
#endif

active [2] proctype Writer()
{
	byte s, c, v, me = _pid + 1;

	do
	:: atomic { writes > 0 && lock == 0 -> lock = me; writes-- }
 taken:	   s = sequence;
#ifdef IN_PLACE
	   MAY_DIE;
	   if
#ifndef NOT_TOLD
	   :: s % 2 -> /* torn: repaired by what is known otherwise */
	      v = commits;
	      one[0] = v; MAY_DIE; two[0] = v
#endif
	   :: else
	   fi;
#ifndef ODD_LATE
	   sequence = s - s % 2 + 1; MAY_DIE;
#endif
	   one[0] = one[0] + 1; MAY_DIE;
#ifdef ODD_LATE
	   sequence = s - s % 2 + 1; MAY_DIE;
#endif
	   two[0] = two[0] + 1; MAY_DIE;
	   atomic { sequence = s - s % 2 + 2; commits++ }
#else
#ifdef CURRENT_COPY
	   c = AT(s);
#else
	   c = AT(s + 1);
#endif
	   MAY_DIE;
#ifndef NOT_BROUGHT_UP
	   one[c] = one[AT(s)]; MAY_DIE; two[c] = two[AT(s)]; MAY_DIE;
#endif
	   v = one[c]; one[c] = v + 1; MAY_DIE;
	   v = two[c]; two[c] = v + 1; MAY_DIE;
#ifdef NO_FENCE
	   if
	   :: writes > 0 -> one[AT(s)] = one[c]; one[AT(s)] = one[c] + 1
	   :: true
	   fi;
#endif
	   atomic { sequence = s + 1; commits++ }
#endif
	   MAY_DIE;
	   atomic { lock = 0; dirty = false }
	/* Somebody died: its last store was before, and the lock is mine. */
	:: atomic { writes > 0 && lock != 0 && is_dead[lock] -> lock = me; dirty = true; writes--; goto taken }
	:: writes == 0 -> break
	od;
	goto end;
dead:	is_dead[me] = true;
end:	skip
}

active proctype Reader()
{
	byte s, a, b, turns = 3;

	do
	:: turns > 0 ->
	   s = sequence;
	   a = one[AT(s)];
	   b = two[AT(s)];
	   if
#ifdef ACCEPT_ONE_STEP
	   :: (sequence == s || sequence == s + 1) -> assert(a == b)
#else
#ifdef IN_PLACE
#ifndef ACCEPT_ODD
	   :: s % 2 -> skip
#endif
	   :: else -> if :: sequence == s -> assert(a == b && a == s / 2) :: else fi
#else
	   :: sequence == s -> assert(a == b && a == s)
#endif
#endif
#ifndef IN_PLACE
	   :: else
#endif
	   fi;
	   turns--
	:: else -> break
	od
}

#else /* INDEX */

#define SLOTS	2
#define ENTRIES 3
#define GRAVE	9
#ifndef OPERATIONS
#define OPERATIONS 3
#endif
/* Key 1 stays, in slot 0, behind a grave; keys 2 and 3 come and go. All belong at entry 0. */
byte generation[SLOTS], key[SLOTS], entry[ENTRIES], version;
byte operations = OPERATIONS;
bool ready;
bool present, was_there, was_gone; /* key 2: now, and at any time since a find began */

inline note()
{
	present = generation[1] % 2 && key[1] == 2;
	was_there = was_there || present;
	was_gone = was_gone || !present
}

inline rebuild()
{
#ifndef EVEN_VERSION
	version = version + 1 - version % 2; MAY_DIE;
#endif
	i = 0;
	do
	:: i < ENTRIES -> entry[i] = 0; i++; MAY_DIE
	:: else -> break
	od;
	i = 0; j = 0;
	do
	:: j < SLOTS ->
	   if
	   :: generation[j] % 2 -> entry[i] = j + 1; i++; MAY_DIE
	   :: else
	   fi;
	   j++
	:: else -> break
	od;
#ifndef EVEN_VERSION
	version = version + 1
#endif
}

inline repair()
{
#ifndef REPAIR_WITHOUT_REBUILD
	if
	:: version % 2 -> rebuild()
	:: else
	fi;
#endif
	i = 0;
	do
	:: i < ENTRIES ->
	   if
	   :: entry[i] != 0 && entry[i] != GRAVE ->
	      if
	      :: generation[entry[i] - 1] % 2 == 0 -> MAY_DIE; entry[i] = GRAVE
	      :: else
	      fi
	   :: else
	   fi;
	   i++
	:: else -> break
	od
}

inline insert(which)
{
	i = 0;
	do
	:: entry[i] != 0 && entry[i] != GRAVE -> i++; assert(i < ENTRIES)
	:: else -> break
	od;
	key[1] = which; MAY_DIE;
#ifdef USED_FIRST
	atomic { generation[1] = generation[1] + 1; note() }; MAY_DIE;
	entry[i] = 2
#else
	entry[i] = 2; MAY_DIE;
	atomic { generation[1] = generation[1] + 1; note() }
#endif
}

inline remove()
{
#ifndef BURIED_FIRST
	atomic { generation[1] = generation[1] + 1; note() }; MAY_DIE;
#endif
	i = 0;
	do
	:: i < ENTRIES && entry[i] != 2 -> i++
	:: else -> break
	od;
	assert(i < ENTRIES);
#ifdef REMOVED_TO_EMPTY
	entry[i] = 0;
#else
	entry[i] = GRAVE;
#endif
#ifdef BURIED_FIRST
	MAY_DIE;
	atomic { generation[1] = generation[1] + 1; note() }
#endif
}

active [2] proctype Mutator()
{
	byte i, j, me = _pid + 1;

	ready;
	do
	:: atomic { operations > 0 && (lock == 0 || is_dead[lock]) ->
		    dirty = dirty || lock != 0; lock = me; operations-- }
	   if
	   :: dirty -> repair(); MAY_DIE; dirty = false
	   :: else
	   fi;
	   if
	   :: generation[1] % 2 -> remove()
	   :: generation[1] % 2 == 0 -> insert(2)
	   :: generation[1] % 2 == 0 -> insert(3)
	   :: rebuild()
	   fi;
	   MAY_DIE;
	   lock = 0
	:: operations == 0 -> break
	od;
	goto end;
dead:	is_dead[me] = true;
end:	skip
}

/* Of @which in slot @at: found is set. */
inline look(which, at)
{
	g = generation[at];
	if
	:: g % 2 && key[at] == which ->
#ifdef GENERATION_ONCE
	   found = true
#else
	   found = generation[at] == g
#endif
	:: else
	fi
}

inline find(which)
{
	found = false; tries = 0; done = false;
	do
	:: tries < 2 && !done ->
	   v = version;
	   if
	   :: v % 2 == 0 ->
	      i = 0;
	      do
	      :: i < ENTRIES && !found ->
		 e = entry[i];
		 if
		 :: e == 0 -> break
		 :: e != 0 && e != GRAVE -> look(which, e - 1)
		 :: else
		 fi;
		 i++
	      :: else -> break
	      od;
#ifdef VERSION_ONCE
	      done = true
#else
	      done = found || version == v
#endif
	   :: else
	   fi;
	   tries++
	:: else -> break
	od;
#ifndef NO_SCAN
	i = 0;
	do
	:: !done && !found && i < SLOTS -> look(which, i); i++
	:: else -> break
	od
#endif
}

active proctype Finder()
{
	byte i, e, v, g, tries;
	bool found, done;

	ready;
	find(1);
	assert(found);
	atomic { was_there = present; was_gone = !present }
	find(2);
	assert(!found || was_there);
	assert(found || was_gone)
}

/* When all have come to an end: what the next owner of the lock makes of it. */
active proctype Last()
{
	byte i, j, seen;

end_unless_all_ended:
	atomic { operations == 0 && (lock == 0 || is_dead[lock]) -> dirty = dirty || lock != 0; kills = 0 }
	if
	:: dirty -> repair()
	:: else
	fi;
	assert(version % 2 == 0);
	i = 0; seen = 0;
	do
	:: i < ENTRIES ->
	   if
	   :: entry[i] != 0 && entry[i] != GRAVE ->
	      assert(generation[entry[i] - 1] % 2);
	      seen = seen + entry[i] /* 1 and 2 */
	   :: else
	   fi;
	   i++
	:: else -> break
	od;
	assert(seen == 1 + 2 * (generation[1] % 2));
	goto end;
dead:	assert(false);
end:	skip
}

init { atomic { generation[0] = 1; key[0] = 1; entry[0] = GRAVE; entry[1] = 1; ready = true } }
#endif
