/* SPDX-License-Identifier: MIT */
/*
 * torture-scribble-table [SECONDS [SEED]] (15 1): a process writes nonsense over the
 * words, index, slots and records of a table, while others insert, remove, update,
 * count, read, watch, open and inspect it, of every mode, and some of them are killed. Each
 * call must return, soon, what table.h says that it may return.
 *
 * A lock whose word says that somebody has it who lives is that one's, whoever wrote
 * that: where locks are scribbled too, only calls with a deadline are made.
 */
#include "scribble.h"

static const int of_open[] = {EBADMSG, EUSERS, EAGAIN, 0};
static const int of_close[] = {EBUSY, 0}; /* its word says that this thread is inside */
static const int of_begin[] = {ENOENT,  EOWNERDEAD, ETIMEDOUT,       EDEADLK,    EAGAIN,
			       EBADMSG, EINVAL,     ENOTRECOVERABLE, EOPNOTSUPP, 0};
static const int of_commit[] = {EPERM, EINVAL, 0};
static const int of_abort[] = {EPERM, EOPNOTSUPP, 0};
static const int of_insert[] = {ENOSPC, EEXIST, EBADMSG, 0};
static const int of_remove[] = {ENOENT, EAGAIN, EBADMSG, EOPNOTSUPP, 0};
static const int of_write[] = {ENOENT, EOWNERDEAD, EINVAL, EBADMSG, EOPNOTSUPP, 0};
static const int of_read[] = {ENOENT, EAGAIN, EOPNOTSUPP, 0};
static const int of_count[] = {ENOENT, EAGAIN, EINVAL, EOPNOTSUPP, 0};
static const int of_get[] = {EBADMSG, EAGAIN, ENOENT, ERANGE, 0};
static const int of_wait[] = {ETIMEDOUT, 0};

struct numbers {
	uint64_t key;
	uint64_t hits;
	uint32_t few[4];
	double load[5];
};
SHR_SCHEMA(numbers, 1, key, hits, few, load);
struct text {
	char key[100];
	uint32_t hits;
	uint64_t more[500];
};
SHR_SCHEMA(text, 1, key, hits, more);

struct kind {
	struct shr_table_options options;
	uint32_t pause_us; /* between two words */
	uint32_t restore;  /* of 4: how often it was only for a moment */
	uint32_t where;    /* 0 all over; 1 the table's words; 2 index; 3 slots' words; 4 records */
	int spares_locks;
};
static const struct kind *kind;
static struct shr_table *table;
static uint8_t buffer[sizeof(struct text) + 64];

static uint64_t record_size(void)
{
	return kind->options.schema->size;
}

static int attach(int observe)
{
	struct shr_segment_options options = {.struct_size = sizeof(options),
					      .flags = observe ? SHR_SEGMENT_OBSERVE : 0};

	table = NULL;
	return CALL(shr_table_open(&table, name, "+<", &kind->options, &options), of_open);
}

static void detach(void)
{
	if (CALL(shr_table_close(table), of_close))
		_exit(0); /* as if it had been killed */
}

/* One of a few keys; of text the bytes, else the number. */
static size_t random_key(void *key)
{
	uint64_t number = below(2 * kind->options.slots);

	memset(key, 0, 100);
	if (kind->options.schema == SHR_SCHEMA_OF(text))
		return (size_t)snprintf(key, 100, "name %u", (unsigned)number);
	memcpy(key, &number, sizeof(number));
	return sizeof(number);
}

/* --- Those who use the table ------------------------------------------------------- */

static void change(uint32_t slot, uint8_t *record, int begun)
{
	if (begun && begun != -EOWNERDEAD)
		return;
	if ((uintptr_t)record % 64)
		wrong("a record that lies askew", 0);
	for (uint64_t i = 128; i < record_size(); i++)
		record[i] = (uint8_t)slot;
	if (record_size() <= 128)
		record[record_size() - 1]++;
	/* In place there may be nothing to go back to. */
	if (below(8) || CALL(shr_table_abort(table, slot), of_abort) == -EOPNOTSUPP)
		CALL(shr_table_commit(table, slot), of_commit);
}

/* Calls that have a deadline, or wait for nobody. */
static void change_once(void)
{
	uint32_t slot = below(kind->options.slots);
	void *record = NULL;
	uint64_t value = 0;
	int err;

	if (kind->options.mode == SHR_TABLE_COUNTERS) {
		CALL(shr_table_add(table, slot, 4 * below(8), 3, &value), of_count);
		CALL(shr_table_compare_set(table, slot, 4 * below(8), &value, 5), of_count);
		CALL(shr_table_fetch(table, slot, 4 * below(8), &value), of_count);
		return;
	}
	err = CALL(shr_table_begin_until(table, slot, &record, SHORTLY), of_begin);
	change(slot, record, err);
}

static void change_key(void)
{
	char key[100];
	uint32_t slot = 0;
	size_t size = random_key(key);
	void *record = NULL;
	int err = CALL(shr_table_begin_key(table, key, size, &slot, &record), of_begin);

	if (!err && slot >= kind->options.slots)
		wrong("a slot that is none", 0);
	change(slot, record, err);
}

static void insert_or_remove(void)
{
	uint32_t slot = below(kind->options.slots);
	char key[100];
	size_t size = random_key(key);

	switch (below(5)) {
	case 0:
		CALL(shr_table_remove(table, slot), of_remove);
		break;
	case 1:
		CALL(shr_table_remove_key(table, key, size), of_remove);
		break;
	case 2:
		memcpy(buffer, key, 100);
		CALL(shr_table_write(table, slot, buffer, below((uint32_t)sizeof(buffer))),
		     of_write);
		break;
	default:
		memcpy(buffer, key, 100);
		if (!CALL(shr_table_insert(table, buffer, (size_t)record_size(), &slot),
			  of_insert) &&
		    slot >= kind->options.slots)
			wrong("a slot that is none", 0);
	}
}

static void change_all(void)
{
	while (!*stop) {
		if (attach(0))
			continue;
		for (uint32_t n = below(3000); n && !*stop; n--) {
			if (!kind->spares_locks || below(2))
				change_once();
			else if (kind->options.mode != SHR_TABLE_COUNTERS && !below(3))
				change_key();
			else
				insert_or_remove();
		}
		detach();
	}
}

static void look_once(void)
{
	uint32_t slot = below(kind->options.slots), size = below((uint32_t)sizeof(buffer) - 8);
	struct shr_mutex_info lock;
	struct shr_slot_info info;
	struct shr_table_status status;
	char key[100];

	buffer[size] = 0xaa;
	switch (below(6)) {
	case 0:
		CALL(shr_table_read_key(table, key, random_key(key), buffer, size, &info), of_read);
		break;
	case 1:
		CALL(shr_table_read_changed(table, slot, random64(), buffer, size, &info), of_read);
		break;
	case 2:
		if (!CALL(shr_table_find(table, key, random_key(key), &slot), of_read) &&
		    slot >= kind->options.slots)
			wrong("a slot that is none", 0);
		break;
	case 3:
		CALL(shr_table_get(table, slot, &info, &lock), of_get);
		CALL(shr_table_stat(table, &status), nothing);
		if (status.used > status.slots || status.graves > status.index_size)
			wrong("numbers that cannot be", 0);
		break;
	case 4:
		if (!CALL(shr_table_next(table, &slot), of_read) && slot >= kind->options.slots)
			wrong("a slot that is none", 0);
		break;
	default:
		CALL(shr_table_read(table, slot, buffer, size, &info), of_read);
	}
	if (buffer[size] != 0xaa)
		wrong("bytes behind the buffer", 0);
}

static void watch_once(void)
{
	struct pollfd fd = {.events = POLLIN};
	uint64_t since = shr_table_changes(table), now;

	switch (below(3)) {
	case 0:
		fd.fd = CALL(shr_table_fd(table), nothing);
		CALL(shr_table_arm(table, since), nothing);
		poll(&fd, 1, 2);
		break;
	case 1:
		CALL(shr_table_wait_until(table, SHR_TABLE_ANY, since, SHORTLY, &now), of_wait);
		break;
	default:
		CALL(shr_table_wait_until(table, below(kind->options.slots), random64(), SHORTLY,
					  &now),
		     of_wait);
	}
}

static void look_all(int observe)
{
	while (!*stop) {
		if (attach(observe))
			continue;
		for (uint32_t n = below(5000); n && !*stop; n--) {
			if (below(200))
				look_once();
			else
				watch_once();
		}
		detach();
	}
}

static void open_all(void)
{
	while (!*stop) {
		if (attach(0))
			continue;
		CALL(shr_member_sweep(shr_table_segment(table), NULL, NULL), of_open);
		look_once();
		detach();
	}
}

static void inspect(void)
{
	while (!*stop) {
		struct shr_inspect *at = NULL;
		struct shr_table_status status;
		struct shr_mutex_info lock;
		struct shr_slot_info info;

		CALL(shr_inspect_open(&at, name), nothing);
		CALL(shr_inspect_table(at, 0, &status), of_get);
		for (uint32_t n = 0; n < 100; n++)
			CALL(shr_inspect_slot(at, 0, n, below(3) ? buffer : NULL,
					      below((uint32_t)sizeof(buffer)), &info,
					      below(2) ? &lock : NULL),
			     of_get);
		shr_inspect_close(at);
	}
}

/* --- Who writes nonsense ------------------------------------------------------------ */

struct layout {
	volatile uint64_t *words;
	uint64_t count, index, slots, slot; /* in words */
	uint64_t record;                    /* in a slot */
};

static struct layout layout_of(void)
{
	struct shr_inspect *at = NULL;
	struct shr_object_info object;
	struct shr_table_status status;
	struct layout is = {.index = FORMAT_TABLE_INDEX / 8};
	struct stat stat;
	char path[128];
	uint8_t *base;
	int fd;

	snprintf(path, sizeof(path), "/dev/shm%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &stat) || shr_inspect_open(&at, name) ||
	    shr_inspect_object(at, 0, &object) || shr_inspect_table(at, 0, &status))
		_exit(3);
	base = mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	is.words = (volatile uint64_t *)(void *)(base + object.offset);
	is.count = object.size / 8;
	is.slots = is.index + status.index_size;
	is.slot = (is.count - is.slots) / status.slots;
	is.record = sizeof(struct shm_slot) / 8;
	return is;
}

static uint64_t nonsense(const struct layout *is, uint64_t at)
{
	uint64_t was = is->words[at], slot = below(kind->options.slots + 2);

	switch (below(11)) {
	case 0:
		return 0;
	case 1:
		return random64();
	case 2:
		return was ^ (uint64_t)1 << below(64);
	case 3:
		return was + below(4);
	case 4:
		return is->words[random64() % is->count];
	case 5: /* the hash of some slot, and any slot */
		return INDEX_ENTRY(
			is->words[is->slots + (slot % kind->options.slots) * is->slot + 10] &
				UINT32_MAX,
			slot);
	case 6:
		return INDEX_GRAVE;
	case 7:
		return UINT64_MAX;
	case 8: /* the same hash, another slot */
		return (was & ~(uint64_t)UINT32_MAX) | (uint32_t)random64();
	default:
		return below(20);
	}
}

static uint64_t place_of(const struct layout *is)
{
	uint64_t slot = is->slots + below(kind->options.slots) * is->slot;

	switch (kind->where ? kind->where : 1 + below(4)) {
	case 1:
		return below(2) ? 32 + below(8) : below((uint32_t)is->index);
	case 2:
		return is->slots > is->index ? is->index + random64() % (is->slots - is->index) : 0;
	case 3:
		return slot + (below(2) ? 8 + below(3) : below((uint32_t)is->record));
	default:
		return slot + is->record + random64() % (is->slot - is->record);
	}
}

/* Where a lock lies: the table's first line, the first half of each slot's. */
static int is_lock(const struct layout *is, uint64_t at)
{
	return at < FORMAT_LINE / 8 || (at >= is->slots && (at - is->slots) % is->slot < 8);
}

static void scribble(void)
{
	struct layout is = layout_of();

	while (!*stop) {
		uint64_t place = place_of(&is), was;

		if (place >= is.count || (kind->spares_locks && is_lock(&is, place)))
			continue;
		was = is.words[place];
		me->calls++;
		__atomic_store_n(&is.words[place], nonsense(&is, place), __ATOMIC_RELAXED);
		if (kind->pause_us)
			usleep(below(kind->pause_us));
		if (below(4) < kind->restore)
			__atomic_store_n(&is.words[place], was, __ATOMIC_RELAXED);
	}
}

/* --- Rounds ---------------------------------------------------------------------------- */

static struct kind kind_random(void)
{
	static const uint32_t pauses[] = {0, 20, 300, 3000};
	struct kind random = {
		.options = {.struct_size = sizeof(random.options),
			    .mode = below(3),
			    .slots = 1 + below(below(2) ? 4 : 60),
			    .schema = below(3) ? SHR_SCHEMA_OF(numbers) : SHR_SCHEMA_OF(text),
			    .key = below(4) ? "key" : NULL},
		.pause_us = pauses[below(4)],
		.restore = 4 - below(5) * below(2),
		.where = below(5),
		.spares_locks = below(3) != 0};

	return random;
}

static void act(int who, const void *argument)
{
	kind = argument;
	switch (who) {
	case 0:
		scribble();
		break;
	case 5:
	case 6:
		look_all(0);
		break;
	case 7:
		look_all(1);
		break;
	case 8:
		inspect();
		break;
	case 9:
		open_all();
		break;
	default:
		change_all();
	}
}

static int play_round(const struct kind *of)
{
	struct shr_segment_options some = {.struct_size = sizeof(some), .members = 16};
	int failed;

	kind = of;
	table = NULL;
	failed = shr_table_open(&table, name, "+>", &of->options, &some);
	for (uint32_t i = 0; !failed && i < of->options.slots; i += 2) {
		random_key(buffer);
		failed = shr_table_insert(table, buffer, (size_t)record_size(), NULL);
		if (failed == -EEXIST)
			failed = 0;
	}
	if (failed) {
		fprintf(stderr, "scribble: cannot make a table: %s\n", shr_last_error());
		return 1;
	}
	failed = play_actors(of);
	shr_table_close(table);
	shr_segment_unlink(name);
	return failed;
}

int main(int argc, char **argv)
{
	uint64_t seconds = argc > 1 ? strtoull(argv[1], NULL, 0) : 8, rounds = 0;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1,
		 end = now_ns() + seconds * 1000000000;

	scribble_begin("scribble-table", seed);
	for (; now_ns() < end; rounds++) {
		struct kind random = kind_random();

		if (!play_round(&random))
			continue;
		fprintf(stderr,
			"scribble: seed %llu, round %llu: mode %u, %u slots of %u bytes, %s key; "
			"pause %u us, "
			"restored %u of 4, where %u, locks %s\n",
			(unsigned long long)seed, (unsigned long long)rounds, random.options.mode,
			random.options.slots, random.options.schema->size,
			random.options.key ? "a" : "no", random.pause_us, random.restore,
			random.where, random.spares_locks ? "spared" : "too");
		printf("not ok 1 - scribbled tables are errors and nothing worse\n");
		return 1;
	}
	return scribble_end(rounds, "tables");
}
