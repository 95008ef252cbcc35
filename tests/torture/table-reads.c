/* SPDX-License-Identifier: MIT */
/*
 * A reader with a read-only mapping, against two writers that do nothing but change what
 * it reads: no record is ever torn. How often it had to copy again, and how often it
 * gave up, is told.
 *
 * usage: torture-table-reads [READS]        (2000000)
 *
 * Of each kind of record its share, and more for up to 5 s where too few were changed
 * under the reader: on a machine with few processors they mostly take turns.
 *
 * The reads are of the library's own source, compiled once more with a count of the
 * copies that were made again; the writers are the library's.
 */
#include <stdint.h>

static uint64_t retries; /* copies made again */

#include "event.h"
#define event_pause() (retries++, event_pause())
#include "../../lib/table_read.c"
#undef event_pause

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <shmring/shmring.h>

#include "../procs.h"
#include "../records.h"

#define TOTAL        1000000007
#define WORDS_MOST   512
#define SLOTS        2
#define AGAIN_LEAST  50
#define IN_VAIN_MOST 1000000 /* reads of a record that stays torn, some seconds */

/* Of what is read so many of each thousand. */
static const struct variant {
	const char *name;
	uint32_t mode, words, pause; /* of the writers after a commit, in turns of a loop */
	uint64_t share;
} variants[] = {
	{"atomic, 64 bytes", SHR_TABLE_ATOMIC, 8, 0, 400},
	{"atomic, 64 bytes, now and then", SHR_TABLE_ATOMIC, 8, 2000, 200},
	{"atomic, 200 bytes", SHR_TABLE_ATOMIC, 25, 0, 200},
	{"atomic, 4096 bytes", SHR_TABLE_ATOMIC, 512, 0, 50},
	{"in place, 64 bytes", SHR_TABLE_IN_PLACE, 8, 200, 100},
	{"in place, 4096 bytes", SHR_TABLE_IN_PLACE, 512, 2000, 50},
};

static char segment_name[64];
static volatile uint32_t *stop;

static int open_one(struct shr_table **table, const struct variant *variant, const char *mode,
		    uint32_t flags)
{
	struct shr_segment_options segment = {.struct_size = sizeof(segment), .flags = flags};
	struct shr_table_options options = {.struct_size = sizeof(options),
					    .mode = variant->mode,
					    .slots = SLOTS,
					    .record_size = variant->words * sizeof(uint64_t)};

	*table = NULL;
	return shr_table_open(table, segment_name, mode, &options, &segment);
}

/* Word 0 says which change it was, the last one too; all between come to TOTAL. */
static int is_whole(const uint64_t *record, uint32_t words)
{
	uint64_t sum = 0;

	for (uint32_t i = 1; i + 1 < words; i++)
		sum += record[i];
	return sum == TOTAL && record[words - 1] == record[0];
}

static void linger(uint32_t turns)
{
	for (; turns; turns--)
		__asm__ volatile("" ::: "memory");
}

static void write_on(const struct variant *variant, uint64_t seed)
{
	uint32_t parts = variant->words - 2;
	struct shr_table *table;

	if (open_one(&table, variant, "+<", 0))
		_exit(1);
	while (!*stop) {
		uint32_t slot = (uint32_t)(mix(++seed) % SLOTS);
		uint64_t from = 1 + mix(seed + 1) % parts, to = 1 + mix(seed + 2) % parts;
		uint64_t *record;

		if (shr_table_begin(table, slot, (void **)&record) ||
		    !is_whole(record, variant->words))
			_exit(2);
		record[0] = seed;
		record[from] -= 1 + seed % 1000;
		linger(seed % 4 ? 0 : 100); /* half of it is done */
		record[to] += 1 + seed % 1000;
		record[variant->words - 1] = seed;
		if (shr_table_commit(table, slot))
			_exit(3);
		linger(variant->pause);
	}
	_exit(shr_table_close(table) != 0);
}

static struct {
	uint64_t reads, again, given_up, fresh;
} all;

/* 0, or 1 a record was torn. */
static int read_on(const struct variant *variant, uint64_t wanted)
{
	uint64_t record[WORDS_MOST], last[SLOTS] = {0}, version[SLOTS] = {0};
	uint64_t reads = 0, again = 0, given_up = 0, fresh = 0, in_vain = 0;
	struct shr_slot_info info;
	struct shr_table *table;
	int torn = 0, more = 1;
	int64_t end;

	if (open_one(&table, variant, "+<", SHR_SEGMENT_OBSERVE))
		return 1;
	end = clock_ns() + 5000000000;
	for (uint64_t i = 0; (reads < wanted || more) && !torn; i++) {
		uint32_t slot = i % SLOTS;
		uint64_t before = retries;
		int err = shr_table_read(table, slot, record, variant->words * sizeof(uint64_t),
					 &info);

		again += retries != before;
		given_up += err == -EAGAIN;
		in_vain = err == -EAGAIN ? in_vain + 1 : 0;
		if (in_vain) {
			torn = in_vain > IN_VAIN_MOST;
			continue;
		}
		torn = err || !is_whole(record, variant->words) || info.version < version[slot];
		version[slot] = info.version;
		fresh += record[0] != last[slot];
		last[slot] = record[0];
		reads++;
		if (reads % 1024 == 0)
			more = again < AGAIN_LEAST && clock_ns() < end;
	}
	printf("# %s: %" PRIu64 " reads, %" PRIu64 " of them another record than before; %" PRIu64
	       " were made again (%" PRIu64 " ppm); %" PRIu64 " gave up\n",
	       variant->name, reads, fresh, again, again * 1000000 / (reads + given_up + 1),
	       given_up);
	all.reads += reads;
	all.again += again;
	all.given_up += given_up;
	all.fresh += fresh;
	return torn | shr_table_close(table);
}

static int run(const struct variant *variant, uint64_t wanted)
{
	uint64_t record[WORDS_MOST] = {0, TOTAL};
	struct shr_table *table;
	pid_t writers[2];
	int bad;

	*stop = 0;
	if (open_one(&table, variant, "+>", 0))
		return 1;
	for (int i = 0; i < SLOTS; i++)
		if (shr_table_insert(table, record, variant->words * sizeof(uint64_t), NULL))
			return 1;
	for (int i = 0; i < 2; i++) {
		writers[i] = fork();
		if (!writers[i])
			write_on(variant, (uint64_t)(i + 1) << 40);
	}
	bad = read_on(variant, wanted);
	*stop = 1;
	for (int i = 0; i < 2; i++)
		bad |= ended(writers[i]);
	bad |= shr_table_close(table);
	shr_segment_unlink(segment_name);
	return bad;
}

int main(int argc, char **argv)
{
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000;
	size_t count = sizeof(variants) / sizeof(variants[0]);
	int bad = 0, enough;

	printf("1..%zu\n", count + 1);
	stop = shared_page();
	snprintf(segment_name, sizeof(segment_name), "/shmring-table-reads-%d", (int)getpid());
	for (size_t i = 0; i < count; i++) {
		int wrong = run(&variants[i], wanted / 1000 * variants[i].share);

		printf("%s %zu - no record is torn: %s\n", wrong ? "not ok" : "ok", i + 1,
		       variants[i].name);
		fflush(stdout);
		bad |= wrong;
	}
	/* Else nothing was changed under the reader, and this proves nothing. */
	enough = all.again >= 3 * AGAIN_LEAST && all.fresh >= 3 * AGAIN_LEAST;
	printf("# %" PRIu64 " reads, %" PRIu64 " made again, %" PRIu64 " gave up\n", all.reads,
	       all.again, all.given_up);
	printf("%s %zu - some were made again\n", enough ? "ok" : "not ok", count + 1);
	return bad || !enough;
}
