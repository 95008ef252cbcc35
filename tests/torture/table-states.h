/* SPDX-License-Identifier: MIT */
/*
 * Kinds of tables, what may be in them, the states that they are in before a call, and
 * how each is brought about. For tests/torture/table.c.
 */
#ifndef TESTS_TABLE_STATES_H
#define TESTS_TABLE_STATES_H

#include <errno.h>

#include "../records.h"
#include "step.h"
#include "table-sound.h"

#define SLOTS 6
#define TOTAL 1000000 /* what the parts of a record come to */
#define KEYS  16
enum {
	TARGET = 1,
	OTHER,
	FIRST_MORE
}; /* keys: of the victim's call; of a dead one's; of nobody's */
/* Versions of a record: as it was made, and by whom it was changed; of counters: how often. */
enum { ABSENT, MADE, BY_VICTIM, BY_DEAD, BY_CHECK, TORN = 16 };

struct account {
	uint64_t key, stamp; /* which, and its version */
	uint64_t part[6];
	uint64_t echo;
};
SHR_SCHEMA(account, 1, key, stamp, part, echo);

static struct ledger {
	uint32_t may[KEYS];   /* bits of versions: what of this key may be seen */
	uint32_t told;        /* the victim has begun */
	unsigned long length; /* in points, of what a helper did */
	uint64_t takeovers, repairs, rebuilds, torn;
	char what[200];
} * ledger;

static char name[64];
static struct shr_table *table; /* of this process */

static struct {
	uint32_t mode;
	int state;
	const struct call *call;
} now;

enum {
	EMPTY, /* but for the target */
	HALF,
	FULL,
	GRAVES,
	REBUILD, /* is due at the next insert */
	WATCHED,
	DEAD_UPDATE, /* somebody was killed in an update of the target, anywhere */
	DEAD_INSERT,
	DEAD_REMOVE,
	DEAD_REBUILD,
	HELD_SLOT, /* by somebody who is stopped, and then goes on, or is killed */
	HELD_TABLE,
	STATES
};
static const char *const state_names[STATES] = {"empty",
						"half full",
						"full",
						"graves",
						"rebuild due",
						"watched",
						"dead in an update",
						"dead in an insert",
						"dead in a remove",
						"dead in a rebuild",
						"slot held",
						"table held"};
static const char *const mode_names[] = {"atomic", "in place", "counters"};

struct call {
	const char *name;
	int inserts;  /* the target is not there before */
	int attaches; /* the process */
	int modes;    /* bits */
	void (*run)(void);
};

/* --- What is there ---------------------------------------------------------------- */

static void must(int bad, int line)
{
	if (!bad)
		return;
	snprintf(ledger->what, sizeof(ledger->what), "%s at line %d: %s", state_names[now.state],
		 line, shr_last_error());
	_exit(70);
}
#define MUST(bad) must(bad, __LINE__)

/* A kill is between two stores. */
static void allow(uint64_t key, uint32_t versions)
{
	__atomic_store_n(&ledger->may[key], versions, __ATOMIC_SEQ_CST);
}

static void allow_too(uint64_t key, uint32_t version)
{
	allow(key, ledger->may[key] | 1u << version);
}

static struct account account_of(uint64_t key, uint64_t stamp)
{
	struct account account = {.key = key, .stamp = stamp, .echo = mix(key)};
	uint64_t rest = TOTAL;

	for (int i = 0; i < 5; i++) {
		account.part[i] = mix(key * 100 + stamp * 7 + (uint64_t)i) % (rest / 2);
		rest -= account.part[i];
	}
	account.part[5] = rest;
	return account;
}

/* Word by word, each a place to die behind. */
static void set_account(volatile struct account *record, uint64_t stamp)
{
	struct account account = account_of(record->key, stamp);

	record->stamp = stamp;
	for (int i = 0; i < 6; i++)
		record->part[i] = account.part[i];
}

static int is_account(const struct account *account)
{
	struct account whole =
		account_of(account->key, now.mode == SHR_TABLE_COUNTERS ? MADE : account->stamp);

	whole.stamp = account->stamp;
	return !memcmp(account, &whole, sizeof(whole));
}

static int attach_as(uint32_t flags)
{
	struct shr_segment_options options = {.struct_size = sizeof(options), .flags = flags};
	struct shr_table_options o = {.struct_size = sizeof(o), .schema = SHR_SCHEMA_OF(account)};

	table = NULL;
	return shr_table_open(&table, name, "+<", &o, &options);
}

static void make(void)
{
	struct shr_segment_options options = {.struct_size = sizeof(options), .members = 6};
	struct shr_table_options o = {.struct_size = sizeof(o),
				      .mode = now.mode,
				      .slots = SLOTS,
				      .schema = SHR_SCHEMA_OF(account),
				      .key = "key"};

	table = NULL;
	if (shr_table_open(&table, name, "+>", &o, &options)) {
		printf("Bail out! %s\n", shr_last_error());
		exit(99);
	}
}

/* --- What changes it, noted before and after -------------------------------------- */

/* 0, or -ENOSPC. */
static int put(uint64_t key, uint32_t version)
{
	struct account account = account_of(key, version);
	int err;

	allow_too(key, now.mode == SHR_TABLE_COUNTERS ? MADE : version);
	if (now.mode == SHR_TABLE_COUNTERS)
		account = account_of(key, MADE);
	err = shr_table_insert(table, &account, sizeof(account), NULL);
	if (err)
		allow(key, 1u << ABSENT);
	else
		allow(key, 1u << (now.mode == SHR_TABLE_COUNTERS ? MADE : version));
	return err;
}

static void take(uint64_t key, int err)
{
	MUST(err);
	allow(key, 1u << ABSENT);
}

static uint32_t slot_of(uint64_t key)
{
	uint32_t slot = 0;

	MUST(shr_table_find(table, &key, sizeof(key), &slot));
	return slot;
}

/* @begun is what the library said. */
static void change(uint64_t key, uint32_t slot, void *record, uint32_t version, int begun)
{
	MUST(begun && (begun != -EOWNERDEAD || now.mode != SHR_TABLE_IN_PLACE));
	MUST(((struct account *)record)->key != key);
	set_account(record, version);
	MUST(shr_table_commit(table, slot));
	allow(key, 1u << version);
}

static void may_change(uint64_t key, uint32_t version)
{
	allow_too(key, version);
	if (now.mode == SHR_TABLE_IN_PLACE)
		allow_too(key, TORN);
}

static void update(uint64_t key, uint32_t version)
{
	uint32_t slot, before = ledger->may[key];
	void *record;
	int err;

	if (now.mode == SHR_TABLE_COUNTERS) {
		slot = slot_of(key);
		allow(key, before | before << 1);
		MUST(shr_table_add(table, slot, offsetof(struct account, stamp), 1, NULL));
		allow(key, before << 1);
		return;
	}
	may_change(key, version);
	err = shr_table_begin_key(table, &key, sizeof(key), &slot, &record);
	change(key, slot, record, version, err);
}

/* --- States ------------------------------------------------------------------------ */

/* Keys of nobody's that are gone again, each with a place of its own in the index. */
static void dig_graves(int until_due)
{
	struct shr_table_status status = {0};
	struct account account;
	uint32_t slot;

	for (uint64_t key = 1000; key < 1100 && !failures; key++) {
		CHECK(!shr_table_stat(table, &status));
		if (status.graves >= 4 &&
		    (!until_due || status.used + status.graves >= status.index_size / 4 * 3))
			return;
		account = account_of(key, MADE);
		CHECK(!shr_table_insert(table, &account, sizeof(account), &slot));
		CHECK(!shr_table_remove(table, slot));
	}
	fail("no graves");
}

static void populate(void)
{
	uint64_t more = now.state == EMPTY ? 0 : now.state == FULL ? SLOTS : 2;

	for (uint64_t key = 0; key < KEYS; key++)
		allow(key, 1u << ABSENT);
	if (!now.call->inserts)
		CHECK(!put(TARGET, MADE));
	if (now.state == DEAD_REMOVE)
		CHECK(!put(OTHER, MADE));
	for (uint64_t key = FIRST_MORE; key < FIRST_MORE + more; key++)
		CHECK(!put(key, MADE) || now.state == FULL);
	if (now.state == GRAVES)
		dig_graves(0);
	if (now.state == REBUILD || now.state == DEAD_REBUILD)
		dig_graves(1);
}

static void die_in_work(void)
{
	switch (now.state) {
	case DEAD_UPDATE:
		update(TARGET, BY_DEAD);
		break;
	case DEAD_REMOVE:
		allow_too(OTHER, ABSENT);
		take(OTHER, shr_table_remove_key(table, &(uint64_t){OTHER}, sizeof(uint64_t)));
		break;
	default:
		MUST(put(OTHER, BY_DEAD));
	}
}

/* A child does @now.state's work and is killed at point @at of it; 0: @ledger->length is its
 * points. */
static void work_until(unsigned long at)
{
	pid_t pid = fork();

	if (!pid) {
		MUST(attach_as(0));
		limit = at ? at : ~0ul;
		reached = 0;
		points_begin();
		die_in_work();
		points_end();
		ledger->length = reached;
		kill(getpid(), SIGKILL);
	}
	if (ended(pid) != -SIGKILL)
		fail("a helper: %s", ledger->what);
}

static unsigned long lengths[3][STATES];

static pid_t holder;

/* As somebody who was stopped inside an insert: the word of mutex.c. */
static void hold_table(void)
{
	struct shm_mutex *lock = &table->view.shm->lock;
	uint32_t free_word = 0;

	atomic_store(&lock->thread, (uint32_t)getpid());
	MUST(!atomic_compare_exchange_strong(&lock->word, &free_word, table->me));
	raise(SIGSTOP);
	mutex_word_unlock(lock, atomic_load(&lock->word), 0);
}

static void hold_slot(void)
{
	uint64_t key = TARGET;
	uint32_t slot;
	void *record;

	MUST(shr_table_begin_key(table, &key, sizeof(key), &slot, &record));
	raise(SIGSTOP);
	MUST(shr_table_commit(table, slot));
}

static void start_holder(void)
{
	int status;

	if (now.state == HELD_SLOT && now.mode == SHR_TABLE_IN_PLACE)
		allow_too(TARGET, TORN); /* it may be killed */
	holder = fork();
	if (!holder) {
		MUST(attach_as(0));
		if (now.state == HELD_SLOT)
			hold_slot();
		else
			hold_table();
		MUST(shr_table_close(table));
		_exit(0);
	}
	if (waitpid(holder, &status, WUNTRACED) != holder || !WIFSTOPPED(status))
		fail("the holder: %s", ledger->what);
}

static void bring_about(void)
{
	unsigned long *length = &lengths[now.mode][now.state];

	if (now.state >= HELD_SLOT) {
		start_holder();
	} else if (now.state >= DEAD_UPDATE) {
		if (*length) {
			work_until(1 + (unsigned long)rand() % *length);
		} else {
			work_until(0);
			*length = ledger->length;
		}
	}
}

static int state_possible(void)
{
	if ((now.state == DEAD_UPDATE || now.state == HELD_SLOT) && now.call->inserts)
		return 0;
	if (now.state == HELD_SLOT && now.mode == SHR_TABLE_COUNTERS)
		return 0;
	return 1;
}

#endif
