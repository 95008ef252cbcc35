/* SPDX-License-Identifier: MIT */
/*
 * Tables of 1,024 records of 64 bytes, each with a lock or a sequence of its own, taken
 * in turn by one thread; and one record that both processes want to write.
 */
#include "bench.h"

#include <pthread.h>
#include <stdlib.h>
#ifdef HAVE_LMDB
#include <lmdb.h>
#include <unistd.h>
#endif

#define RECORDS 1024u
#define RECORD_BYTES 64u

struct plain_record {
	union {
		pthread_spinlock_t spin;
		pthread_mutex_t robust;
		bench_u64 sequence;
	};
	_Alignas(64) uint64_t word[RECORD_BYTES / 8];
};
_Static_assert(sizeof(struct plain_record) * RECORDS <= ARENA_BYTES, "records in the arena");

static struct plain_record *records_of(struct bench *bench)
{
	memset(bench->shared->arena, 0, sizeof(struct plain_record) * RECORDS);
	return (struct plain_record *)(void *)bench->shared->arena;
}

void tables_create(struct shr_object *object)
{
	struct shr_table_options options = {.struct_size = sizeof(options),
					    .slots = RECORDS,
					    .record_size = RECORD_BYTES};

	if (shr_table_describe(object, "table", &options))
		die("describe a table");
}

void tables_fill(struct bench *bench)
{
	const uint64_t record[RECORD_BYTES / 8] = {0};

	for (uint32_t i = 0; i < RECORDS; i++)
		if (shr_table_insert(bench->table, record, sizeof(record), NULL))
			die("insert");
}

void spin_table_driver(struct bench *bench)
{
	struct plain_record *record = records_of(bench);
	uint64_t from[RECORD_BYTES / 8] = {0};

	for (uint32_t i = 0; i < RECORDS; i++)
		if (pthread_spin_init(&record[i].spin, PTHREAD_PROCESS_SHARED))
			die_plain("cannot make a spinlock");
	MEASURE(bench,
		{
			struct plain_record *one = &record[(uint32_t)i % RECORDS];

			from[0] = (uint64_t)i;
			pthread_spin_lock(&one->spin);
			memcpy(one->word, from, sizeof(from));
			pthread_spin_unlock(&one->spin);
		},
		);
}

void robust_table_driver(struct bench *bench)
{
	struct plain_record *record = records_of(bench);
	uint64_t from[RECORD_BYTES / 8] = {0};
	pthread_mutexattr_t attributes;

	if (pthread_mutexattr_init(&attributes) ||
	    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) ||
	    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST))
		die_plain("cannot make a robust pthread mutex");
	for (uint32_t i = 0; i < RECORDS; i++)
		if (pthread_mutex_init(&record[i].robust, &attributes))
			die_plain("cannot make a robust pthread mutex");
	MEASURE(bench,
		{
			struct plain_record *one = &record[(uint32_t)i % RECORDS];

			from[0] = (uint64_t)i;
			if (pthread_mutex_lock(&one->robust))
				die_plain("a robust mutex fails");
			memcpy(one->word, from, sizeof(from));
			if (pthread_mutex_unlock(&one->robust))
				die_plain("a robust mutex fails");
		},
		);
}

/* One copy of a record, by its sequence alone. Boehm, Can seqlocks get along with programming language memory models, 2012: the reader. */
static ALWAYS void seqlock_read(struct plain_record *record, uint64_t *to)
{
	uint64_t before, after;

	do {
		before = atomic_load_explicit(&record->sequence, memory_order_acquire);
		memcpy(to, record->word, RECORD_BYTES);
		__asm__ volatile("" : : "r"(to) : "memory");
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(&record->sequence, memory_order_relaxed);
	} while (before != after || before & 1);
}

void seqlock_read_driver(struct bench *bench)
{
	struct plain_record *record = records_of(bench);
	uint64_t to[RECORD_BYTES / 8];

	MEASURE(bench,
		{
			seqlock_read(&record[(uint32_t)i % RECORDS], to);
			if (to[1])
				die_plain("a record is another");
		},
		);
}

/*
 * The least that a table behind a handle does: a bound for the slot's number, where the
 * slots lie, is it used, which of two copies.
 */
struct slots {
	struct plain_slot {
		bench_u64 sequence, generation;
		_Alignas(64) uint64_t copy[2][RECORD_BYTES / 8];
		_Alignas(64) uint64_t beside[8]; /* as far apart as those of a table */
	} *first;
	uint64_t count, step, copy_step;
};
_Static_assert(sizeof(struct plain_slot) * RECORDS <= ARENA_BYTES, "slots in the arena");

static ALWAYS int slot_read(const struct slots *slots, uint32_t number, uint64_t *to)
{
	struct plain_slot *slot;
	uint64_t generation, sequence;

	if (number >= slots->count)
		return 0;
	slot = (struct plain_slot *)(void *)((char *)slots->first + number * slots->step);
	generation = atomic_load_explicit(&slot->generation, memory_order_acquire);
	sequence = atomic_load_explicit(&slot->sequence, memory_order_acquire);
	memcpy(to, (char *)slot->copy + (-(sequence & 1) & slots->copy_step), RECORD_BYTES);
	atomic_thread_fence(memory_order_acquire);
	return generation & 1 &&
	       sequence == atomic_load_explicit(&slot->sequence, memory_order_relaxed) &&
	       generation == atomic_load_explicit(&slot->generation, memory_order_relaxed);
}

void slots_read_driver(struct bench *bench)
{
	struct slots slots = {.first = (struct plain_slot *)(void *)bench->shared->arena,
			      .count = RECORDS,
			      .step = sizeof(struct plain_slot),
			      .copy_step = RECORD_BYTES};
	const struct slots *handle = &slots;
	uint64_t to[RECORD_BYTES / 8];

	memset(bench->shared->arena, 0, sizeof(struct plain_slot) * RECORDS);
	for (uint32_t i = 0; i < RECORDS; i++)
		atomic_store(&slots.first[i].generation, 1);
	__asm__ volatile("" : "+r"(handle) : : "memory"); /* it is some memory, as a handle is */
	MEASURE(bench,
		{
			if (!slot_read(handle, (uint32_t)i % RECORDS, to) || to[1])
				die_plain("a record is another");
		},
		);
}

void table_write_driver(struct bench *bench)
{
	uint64_t from[RECORD_BYTES / 8] = {0};

	MEASURE(bench,
		{
			from[0] = (uint64_t)i;
			if (shr_table_write(bench->table, (uint32_t)i % RECORDS, from, sizeof(from)))
				die("write");
		},
		);
}

void table_update_driver(struct bench *bench)
{
	MEASURE(bench,
		{
			uint64_t *record;

			if (shr_table_begin(bench->table, (uint32_t)i % RECORDS, (void **)&record))
				die("begin");
			record[0] = (uint64_t)i;
			if (shr_table_commit(bench->table, (uint32_t)i % RECORDS))
				die("commit");
		},
		);
}

void table_read_driver(struct bench *bench)
{
	uint64_t to[RECORD_BYTES / 8];

	MEASURE(bench,
		{
			if (shr_table_read(bench->table, (uint32_t)i % RECORDS, to, sizeof(to), NULL))
				die("read");
			if (to[1])
				die_plain("a record is another");
		},
		);
}

void table_both_driver(struct bench *bench)
{
	uint64_t record[RECORD_BYTES / 8] = {0};

	MEASURE(bench,
		{
			record[0] = (uint64_t)i;
			if (shr_table_write(bench->table, (uint32_t)i % RECORDS, record, sizeof(record)) ||
			    shr_table_read(bench->table, (uint32_t)i % RECORDS, record, sizeof(record), NULL))
				die("write and read");
			if (record[0] != (uint64_t)i)
				die_plain("a record is another");
		},
		);
}

#ifdef HAVE_LMDB
static void lmdb(int err)
{
	if (err)
		die_plain(mdb_strerror(err));
}

/* One transaction for the put and one for the get. */
static void lmdb_put_get(MDB_env *env, MDB_dbi dbi, uint32_t number, uint64_t *record)
{
	MDB_val key = {sizeof(number), &number}, value = {RECORD_BYTES, record};
	MDB_txn *txn;

	lmdb(mdb_txn_begin(env, NULL, 0, &txn));
	lmdb(mdb_put(txn, dbi, &key, &value, 0));
	lmdb(mdb_txn_commit(txn));
	lmdb(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	lmdb(mdb_get(txn, dbi, &key, &value));
	memcpy(record, value.mv_data, RECORD_BYTES);
	mdb_txn_abort(txn);
}

/* Nothing is synced, and its file is in memory and has no name. */
void lmdb_driver(struct bench *bench)
{
	char path[] = "/dev/shm/shmring-bench-lmdb-XXXXXX";
	uint64_t record[RECORD_BYTES / 8] = {0};
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	int fd = mkstemp(path);

	if (fd < 0)
		die_errno(path);
	close(fd);
	lmdb(mdb_env_create(&env));
	lmdb(mdb_env_set_mapsize(env, 16 << 20));
	lmdb(mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_WRITEMAP | MDB_NOLOCK, 0600));
	unlink(path);
	lmdb(mdb_txn_begin(env, NULL, 0, &txn));
	lmdb(mdb_dbi_open(txn, NULL, MDB_INTEGERKEY, &dbi));
	lmdb(mdb_txn_commit(txn));
	MEASURE(bench,
		{
			record[0] = (uint64_t)i;
			lmdb_put_get(env, dbi, (uint32_t)i % RECORDS, record);
			if (record[0] != (uint64_t)i)
				die_plain("a record is another");
		},
		);
	mdb_env_close(env);
}
#endif

/* --- One record, both processes ------------------------------------------------- */

static int robust_one(struct bench *bench)
{
	pthread_mutex_t *mutex = (pthread_mutex_t *)(void *)bench->shared->robust;
	uint64_t from[RECORD_BYTES / 8] = {0};
	int err = pthread_mutex_lock(mutex);

	if (err)
		return err;
	memcpy(bench->shared->data, from, sizeof(from));
	return pthread_mutex_unlock(mutex);
}

/* Hardly a lock can be less; nothing here survives its owner. */
static int spin_one(struct bench *bench)
{
	pthread_spinlock_t *spin = &bench->shared->spin;
	uint64_t from[RECORD_BYTES / 8] = {0};

	if (pthread_spin_lock(spin))
		return -1;
	memcpy(bench->shared->data, from, sizeof(from));
	return pthread_spin_unlock(spin);
}

static int table_one(struct bench *bench)
{
	uint64_t from[RECORD_BYTES / 8] = {0};

	return shr_table_write(bench->table, 0, from, sizeof(from));
}

void robust_one_driver(struct bench *bench)
{
	both_drive(bench, robust_one);
}

void robust_one_peer(struct bench *bench)
{
	both_peer(bench, robust_one);
}

void spin_one_driver(struct bench *bench)
{
	both_drive(bench, spin_one);
}

void spin_one_peer(struct bench *bench)
{
	both_peer(bench, spin_one);
}

void table_one_driver(struct bench *bench)
{
	both_drive(bench, table_one);
}

void table_one_peer(struct bench *bench)
{
	both_peer(bench, table_one);
}
