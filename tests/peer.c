/* SPDX-License-Identifier: MIT */
/*
 * One end of a ring, for tests/word-size.sh, which builds it for 32 and for 64
 * bits.
 *
 *	peer send NAME ID COUNT         COUNT records of producer ID
 *	peer receive NAME COUNT IDS     check COUNT records of producers 1 to IDS
 *	peer hold NAME                  reserve a record and wait to be killed
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <shmring/shmring.h>

struct item {
	uint64_t sequence;
	double half; /* i386 would align it to 4 */
	uint32_t producer;
	uint32_t size;
	int64_t minus;
};
SHR_SCHEMA(item, 1, sequence, half, producer, size, minus);

static void must(int err, const char *what)
{
	if (!err)
		return;
	fprintf(stderr, "peer of %zu bits: %s: %s (%d)\n", 8 * sizeof(void *), what, shr_last_error(),
		err);
	exit(1);
}

static uint32_t size_of(uint64_t sequence)
{
	return (uint32_t)(sizeof(struct item) + sequence * 2654435761u % 200);
}

static struct shr_ring *open_ring(const char *name)
{
	struct shr_ring_options options = {.struct_size = sizeof(options),
					   .capacity = 16384,
					   .schema = SHR_SCHEMA_OF(item),
					   .first_position = UINT32_MAX - 4095};
	struct shr_ring *ring = NULL;

	must(shr_ring_open(&ring, name, "+>", &options, NULL), "open");
	return ring;
}

static void do_send(const char *name, uint32_t id, uint64_t count)
{
	struct shr_ring *ring = open_ring(name);
	struct shr_producer *producer = NULL;

	must(shr_producer_open(&producer, ring), "producer");
	for (uint64_t i = 0; i < count; i++) {
		struct item item = {i, (double)i / 2, id, size_of(i), -(int64_t)i};
		void *payload;

		must(shr_producer_reserve_until(producer, item.size, &payload,
						shr_deadline_ns(20000000000)),
		     "reserve");
		memset(payload, (int)i, item.size);
		memcpy(payload, &item, sizeof(item));
		must(shr_producer_commit(producer), "commit");
	}
	must(shr_producer_close(producer), "close");
	must(shr_ring_close(ring), "close");
}

static void do_receive(const char *name, uint64_t count, uint32_t ids)
{
	struct shr_ring *ring = open_ring(name);
	struct shr_cursor *cursor = NULL;
	struct shr_ring_status status;
	uint64_t next[16] = {0};

	must(shr_cursor_open(&cursor, ring, NULL), "cursor");
	for (uint64_t n = 0; n < count; n++) {
		struct shr_record record;
		struct item item;

		must(shr_cursor_next_until(cursor, &record, shr_deadline_ns(20000000000)), "next");
		memcpy(&item, record.payload, sizeof(item));
		if (item.producer < 1 || item.producer > ids || item.sequence != next[item.producer] ||
		    record.size != item.size || item.size != size_of(item.sequence) ||
		    item.half != (double)item.sequence / 2 || item.minus != -(int64_t)item.sequence) {
			fprintf(stderr, "record %" PRIu64 " of producer %" PRIu32 " is wrong\n",
				item.sequence, item.producer);
			exit(1);
		}
		for (uint32_t i = sizeof(item); i < item.size; i++)
			if (((const unsigned char *)record.payload)[i] != (unsigned char)item.sequence)
				must(-1, "fill");
		next[item.producer]++;
		must(shr_cursor_release(cursor), "release");
	}
	must(shr_ring_stat(ring, &status), "stat");
	printf("received %" PRIu64 " skipped %" PRIu64 "\n", count, status.skipped);
	must(shr_cursor_close(cursor), "close");
	must(shr_ring_close(ring), "close");
}

static void do_hold(const char *name)
{
	struct shr_ring *ring = open_ring(name);
	struct shr_producer *producer = NULL;
	void *payload;

	must(shr_producer_open(&producer, ring), "producer");
	must(shr_producer_reserve(producer, 100, &payload), "reserve");
	puts("held");
	fflush(stdout);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "send"))
		do_send(argv[2], (uint32_t)atoi(argv[3]), strtoull(argv[4], NULL, 10));
	else if (argc == 5 && !strcmp(argv[1], "receive"))
		do_receive(argv[2], strtoull(argv[3], NULL, 10), (uint32_t)atoi(argv[4]));
	else if (argc == 3 && !strcmp(argv[1], "hold"))
		do_hold(argv[2]);
	else
		return 2;
	return 0;
}
