/* SPDX-License-Identifier: MIT */
/*
 * What a process of tests/torture/table-random.c does until it is killed: update, insert,
 * remove, count, read, watch, exec, attach anew; and what it notes of that, and finds
 * wrong.
 *
 * Keys. The first ones are there always, in slots of the same numbers. Each process has
 * some of its own, which only it inserts and removes, so that it is known whether they
 * are there. Some are anybody's.
 *
 * A record is an array of words: key, mix(key), how often each process has changed it,
 * and parts that come to TOTAL at each commit; of a table of counters the first two
 * parts are what all have counted.
 */
#ifndef TESTS_TABLE_WORK_H
#define TESTS_TABLE_WORK_H

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "../records.h"
#include "random.h"

#define FIXED      3 /* keys that are there always */
#define OWN        3 /* keys of each process */
#define SHARED     4
#define KEY_OWN    ((uint64_t)1 << 40)
#define KEY_EXTRA  ((uint64_t)1 << 50)
#define KEY_SHARED 900
#define SLOTS      24 /* fewer than there are keys */
#define TOTAL      1000000007
#define WORDS_MOST 600
enum { KEY, ECHO, BY, PART = BY + MOST }; /* words of a record */

struct small {
	uint64_t key, echo, by[MOST], part[8];
};
SHR_SCHEMA(small, 1, key, echo, by, part);
struct large {
	uint64_t key, echo, by[MOST], part[WORDS_MOST - PART];
};
SHR_SCHEMA(large, 1, key, echo, by, part);

static const struct mode {
	const char *name;
	uint32_t mode;
	const struct shr_schema *schema;
} modes[] = {
	{"atomic", SHR_TABLE_ATOMIC, SHR_SCHEMA_OF(small)},
	{"in place", SHR_TABLE_IN_PLACE, SHR_SCHEMA_OF(small)},
	{"counters", SHR_TABLE_COUNTERS, SHR_SCHEMA_OF(small)},
	{"atomic, large", SHR_TABLE_ATOMIC, SHR_SCHEMA_OF(large)},
	{"in place, large", SHR_TABLE_IN_PLACE, SHR_SCHEMA_OF(large)},
};
#define MODES (sizeof(modes) / sizeof(modes[0]))

/* Of an own key, in the two low bits of a number that grows with each step. */
enum { GONE, COMING, HERE, GOING };
enum { NOTHING, UPDATING, INSERTING, REMOVING, DOINGS };

struct books {
	counter begun[MOST][FIXED], done[MOST][FIXED]; /* changes by each process of each record */
	uint32_t own[MOST][OWN];                       /* state */
	uint32_t number[MOST][OWN];                    /* of the key, another one at each insert */
	uint32_t doing[MOST];
	counter changed, read, observed, again, torn_seen, owner_dead, given_up, inserted, removed;
	counter full, watched, unheard, others;
	/* What the table says of itself at the end of each round. */
	counter takeovers, repairs, rebuilds, torn_left;
	struct verdict verdict;
};

static struct books *books;
static const struct mode *mode;
static struct shr_table *table;
static int observes;

static uint32_t words(void)
{
	return mode->schema->size / sizeof(uint64_t);
}

static int in_place(void)
{
	return mode->mode == SHR_TABLE_IN_PLACE;
}

static int counters(void)
{
	return mode->mode == SHR_TABLE_COUNTERS;
}

static void doing(uint32_t what)
{
	note(&books->doing[self], what);
}

static uint64_t get(const counter *number)
{
	return __atomic_load_n(number, __ATOMIC_SEQ_CST);
}

static int attach(int observe)
{
	struct shr_table_options options = {.struct_size = sizeof(options), .schema = mode->schema};
	struct shr_segment_options segment = {.struct_size = sizeof(segment),
					      .flags = observe ? SHR_SEGMENT_OBSERVE : 0};

	table = NULL;
	observes = observe;
	return shr_table_open(&table, name, "+<", &options, &segment);
}

/* --- Records -------------------------------------------------------------------- */

static void make_record(uint64_t *record, uint64_t key)
{
	uint64_t rest = TOTAL;

	memset(record, 0, mode->schema->size);
	record[KEY] = key;
	record[ECHO] = mix(key);
	for (uint32_t i = PART; i < words() && !counters(); i++) {
		record[i] = i + 1 == words() ? rest : draw(1000);
		rest -= record[i];
	}
}

static int is_whole(const uint64_t *record, uint64_t key)
{
	uint64_t sum = 0;

	for (uint32_t i = PART; i < words(); i++)
		sum += record[i];
	return record[KEY] == key && record[ECHO] == mix(key) && (sum == TOTAL || counters());
}

static void loiter(void)
{
	for (uint32_t i = draw(400); i; i--)
		__asm__ volatile("" ::: "memory");
	if (!draw(16))
		sched_yield();
}

/* What somebody was killed in; the numbers are words, which are whole. */
static void mend(volatile uint64_t *record, uint64_t key)
{
	uint64_t rest = TOTAL;

	count(&books->owner_dead, 1);
	record[KEY] = key;
	record[ECHO] = mix(key);
	loiter(); /* die here, too */
	for (uint32_t i = PART; i + 1 < words(); i++)
		rest -= record[i];
	record[words() - 1] = rest;
}

/* From one part to another, so that the sum stays. */
static void move(volatile uint64_t *record)
{
	uint32_t parts = words() - PART;

	for (uint32_t n = 1 + draw(4); n; n--) {
		uint32_t from = PART + draw(parts), to = PART + draw(parts);
		uint64_t amount = draw(1000);

		record[from] -= amount;
		if (n == 1)
			loiter();
		record[to] += amount;
	}
}

/* --- Changing ------------------------------------------------------------------- */

static int begin(uint64_t key, uint32_t *slot, void **record)
{
	*slot = (uint32_t)key;
	if (key < FIXED && draw(2))
		return draw(3) ? shr_table_begin(table, *slot, record)
			       : shr_table_begin_until(table, *slot, record,
						       shr_deadline_ns(draw(2000000)));
	return shr_table_begin_key(table, &key, sizeof(key), slot, record);
}

/* 0 changed, 1 not, or -errno. */
static int update(uint64_t key)
{
	static char program[] = "/bin/true";
	char *arguments[] = {program, NULL};
	uint32_t slot;
	void *record;
	volatile uint64_t *word;
	int err = begin(key, &slot, &record), told = err == -EOWNERDEAD;

	if (told)
		MUST_HOLD(in_place());
	else if (err)
		return err;
	word = record;
	if (told && !draw(8)) {
		count(&books->given_up, 1);
		MUST_HOLD(!shr_table_abort(table, slot));
		return 1;
	}
	if (told)
		mend(word, key);
	MUST_HOLD(is_whole(record, key));
	if (!draw(1000))
		execv(program, arguments); /* as good as killed */
	move(word);
	if (mode->mode == SHR_TABLE_ATOMIC && !draw(10)) {
		MUST_HOLD(!shr_table_abort(table, slot));
		return 1;
	}
	word[BY + self]++;
	loiter();
	MUST_HOLD(!shr_table_commit(table, slot));
	return 0;
}

static int count_up(uint32_t slot)
{
	uint64_t seen = 0, before;
	size_t at = PART * sizeof(uint64_t);
	int err;

	MUST_HOLD(!shr_table_add(table, slot, (BY + self) * sizeof(uint64_t), 1, &before));
	loiter();
	MUST_HOLD(!shr_table_add(table, slot, at, 1, NULL));
	do
		err = shr_table_compare_set(table, slot, at + sizeof(uint64_t), &seen, seen + 1);
	while (err == -EAGAIN);
	MUST_HOLD(!err);
	return 0;
}

static void change_fixed(void)
{
	uint32_t key = draw(FIXED);
	int err;

	doing(UPDATING);
	count(&books->begun[self][key], 1);
	err = counters() ? count_up(key) : update(key);
	MUST_HOLD(!err || err == 1 || err == -ETIMEDOUT);
	if (!err) {
		count(&books->done[self][key], 1);
		count(&books->changed, 1);
	} else {
		count(&books->begun[self][key], (uint64_t)-1);
	}
	doing(NOTHING);
}

static int insert(uint64_t key)
{
	uint64_t record[WORDS_MOST];
	int err;

	make_record(record, key);
	doing(INSERTING);
	err = shr_table_insert(table, record, mode->schema->size, NULL);
	doing(NOTHING);
	count(err == -ENOSPC ? &books->full : &books->inserted, err == -ENOSPC || !err);
	return err;
}

static int remove_it(uint64_t key)
{
	uint32_t slot;
	int err;

	doing(REMOVING);
	if (key >= KEY_OWN && draw(2)) {
		MUST_HOLD(!shr_table_find(table, &key, sizeof(key), &slot));
		err = shr_table_remove(table, slot);
	} else {
		err = shr_table_remove_key(table, &key, sizeof(key));
	}
	doing(NOTHING);
	count(&books->removed, !err);
	return err;
}

static uint64_t own_key(uint32_t who, uint32_t which)
{
	return KEY_OWN + ((uint64_t)who << 36) + ((uint64_t)which << 32) +
	       __atomic_load_n(&books->number[who][which], __ATOMIC_SEQ_CST);
}

static void step_own(uint32_t which, uint32_t to)
{
	uint32_t was = books->own[self][which];

	note(&books->own[self][which], ((was >> 2) + 1) << 2 | to);
}

/* All of it, or all but what is the same in all versions. */
static void write_own(uint64_t key)
{
	uint64_t record[WORDS_MOST];
	uint32_t slot;
	int err;

	make_record(record, key);
	doing(UPDATING);
	MUST_HOLD(!shr_table_find(table, &key, sizeof(key), &slot));
	err = shr_table_write(table, slot, record, mode->schema->size);
	MUST_HOLD(!err);
	count(&books->changed, 1);
	doing(NOTHING);
}

static void change_one_own(void)
{
	uint32_t which = draw(OWN);
	uint64_t key = own_key(self, which);
	int err;

	if ((books->own[self][which] & 3) == GONE) {
		note(&books->number[self][which], books->number[self][which] + 1);
		key = own_key(self, which);
		step_own(which, COMING);
		err = insert(key);
		MUST_HOLD(!err || err == -ENOSPC);
		step_own(which, err ? GONE : HERE);
		return;
	}
	if (!counters() && !draw(self & 1 ? 16 : 4)) {
		if (self & 1 || draw(2)) {
			write_own(key);
			return;
		}
		doing(UPDATING);
		err = update(key);
		MUST_HOLD(!err || err == 1);
		doing(NOTHING);
		return;
	}
	step_own(which, GOING);
	MUST_HOLD(!remove_it(key));
	step_own(which, GONE);
}

static void change_own(void)
{
	for (uint32_t n = 1 + draw(40); n; n--)
		change_one_own();
}

/* Who was killed does not know whether it is there. */
static void decide_own(void)
{
	for (uint32_t i = 0; i < OWN; i++) {
		uint32_t state = books->own[self][i] & 3, slot;
		uint64_t key = own_key(self, i);
		int err = shr_table_find(table, &key, sizeof(key), &slot);

		MUST_HOLD(!err || err == -ENOENT);
		MUST_HOLD((state != HERE || !err) && (state != GONE || err));
		if (state == COMING || state == GOING)
			step_own(i, err ? GONE : HERE);
	}
}

static void change_shared(void)
{
	uint64_t key = KEY_SHARED + draw(SHARED);
	int err;

	switch (draw(3)) {
	case 0:
		err = insert(key);
		MUST_HOLD(!err || err == -ENOSPC || err == -EEXIST);
		break;
	case 1:
		err = remove_it(key);
		MUST_HOLD(!err || err == -ENOENT || err == -EAGAIN);
		break;
	default:
		if (counters())
			return;
		doing(UPDATING);
		err = update(key);
		MUST_HOLD(!err || err == 1 || err == -ENOENT || err == -EAGAIN);
		doing(NOTHING);
	}
}

/* --- Reading -------------------------------------------------------------------- */

static void saw(int err)
{
	count(&books->read, !err);
	count(&books->observed, !err && observes);
	count(in_place() ? &books->torn_seen : &books->again, err == -EAGAIN);
}

/* What was committed before is there, and nothing that nobody has begun; and it never goes back. */
static void read_fixed(void)
{
	static uint64_t last[FIXED][MOST], version[FIXED];
	uint64_t record[WORDS_MOST], done[MOST], key = draw(FIXED);
	struct shr_slot_info info;
	int err;

	for (int i = 0; i < MOST; i++)
		done[i] = get(&books->done[i][key]);
	if (draw(2))
		err = shr_table_read(table, (uint32_t)key, record, mode->schema->size, &info);
	else
		err = shr_table_read_key(table, &key, sizeof(key), record, mode->schema->size,
					 &info);
	saw(err);
	MUST_HOLD(!err || err == -EAGAIN);
	if (err)
		return;
	MUST_HOLD(is_whole(record, key));
	MUST_HOLD(info.version >= version[key]);
	version[key] = info.version;
	for (int i = 0; i < MOST; i++) {
		MUST_HOLD(record[BY + i] >= done[i] && record[BY + i] >= last[key][i]);
		MUST_HOLD(record[BY + i] <= get(&books->begun[i][key]));
		last[key][i] = record[BY + i];
	}
}

static void read_own(void)
{
	uint32_t who = draw(MOST), which = draw(OWN);
	uint32_t before = __atomic_load_n(&books->own[who][which], __ATOMIC_SEQ_CST);
	uint64_t record[WORDS_MOST], key = own_key(who, which);
	int err = shr_table_read_key(table, &key, sizeof(key), record, mode->schema->size, NULL);

	saw(err);
	MUST_HOLD(!err || err == -ENOENT || err == -EAGAIN);
	MUST_HOLD(err || is_whole(record, key));
	if (__atomic_load_n(&books->own[who][which], __ATOMIC_SEQ_CST) != before)
		return;
	MUST_HOLD((before & 3) != HERE || err != -ENOENT);
	MUST_HOLD((before & 3) != GONE || err == -ENOENT);
}

static void read_all(void)
{
	uint64_t record[WORDS_MOST];
	uint32_t slot, fixed = 0;

	for (slot = 0; !shr_table_next(table, &slot); slot++) {
		int err = shr_table_read(table, slot, record, mode->schema->size, NULL);

		saw(err);
		MUST_HOLD(!err || err == -ENOENT || err == -EAGAIN);
		MUST_HOLD(err || is_whole(record, record[KEY]));
		fixed += slot < FIXED;
	}
	MUST_HOLD(fixed == FIXED);
}

static void watch(void)
{
	uint32_t slot = draw(2) ? SHR_TABLE_ANY : draw(FIXED);
	struct shr_slot_info info = {0};
	uint64_t since, now = 0;
	int err;

	MUST_HOLD(slot == SHR_TABLE_ANY || !shr_table_get(table, slot, &info, NULL));
	since = slot == SHR_TABLE_ANY ? shr_table_changes(table) : info.version;
	read_fixed();
	err = shr_table_wait_until(table, slot, since, shr_deadline_ns(draw(2000000)), &now);
	MUST_HOLD(!err || err == -ETIMEDOUT);
	MUST_HOLD(err || slot == SHR_TABLE_ANY || now > since);
	count(err ? &books->unheard : &books->watched, 1);
}

static void look(void)
{
	switch (draw(self & 1 ? 400 : 20)) {
	case 0:
		read_all();
		break;
	case 1:
		watch();
		break;
	case 2:
	case 3:
	case 4:
	case 5:
		read_own();
		break;
	default:
		read_fixed();
	}
}

/* --- All of it ------------------------------------------------------------------ */

/* Process 0 has a read-only mapping; odd ones insert and remove. */
static void work(uint64_t seed)
{
	random_state = seed;
	MUST_HOLD(!attach(self == 0));
	if (!observes)
		decide_own();
	for (;;) {
		uint32_t what = draw(1000);

		if (observes || what < 300) {
			look();
		} else if (what < 900) {
			/* Odd ones wait for the lock of the table only, and mostly have it. */
			if (self & 1)
				change_own();
			else if (draw(2))
				change_fixed();
			else
				change_shared();
		} else if (what < 960 && !(self & 1)) {
			change_own();
		} else if (what < 970) {
			MUST_HOLD(shr_member_sweep(shr_table_segment(table), NULL, NULL) >= 0);
		} else if (what < 980) {
			MUST_HOLD(!shr_table_close(table) && !attach(0));
		} else {
			sched_yield();
		}
	}
}

#endif
