/* SPDX-License-Identifier: MIT */
/* What a ring takes beyond its records, and how long an attach to a big one takes. */
#include "bench.h"

#include <errno.h>
#include <stdio.h>

#define BIG_BYTES ((uint64_t)1 << 30)
#define MANY      17 /* rings of the larger one of two segments */
#define ATTACHES  8

static void rings_describe(struct shr_object *objects, int count, uint64_t capacity)
{
	struct shr_ring_options options = {.struct_size = sizeof(options),
					   .flags = SHR_RING_SINGLE_PRODUCER,
					   .capacity = capacity};
	char name[16];

	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "ring%d", i);
		if (shr_ring_describe(&objects[i], name, &options))
			die("describe a ring");
	}
}

/* Bytes of a segment of @count rings. */
static double segment_bytes(int count)
{
	struct shr_segment *segment = NULL;
	struct shr_map_status status;
	struct shr_map *map = NULL;
	struct shr_object objects[MANY];
	char name[32];

	rings_describe(objects, count, RING_BYTES);
	if (shr_segment_create(&segment, "anon:bench", objects, (size_t)count, NULL))
		die("create a segment");
	snprintf(name, sizeof(name), "fd:%d", shr_segment_fd(segment));
	if (shr_map_open(&map, name, "<", NULL) || shr_map_stat(map, &status))
		die("look at a segment");
	shr_map_close(map);
	if (shr_segment_detach(segment))
		die("detach");
	return (double)status.size;
}

/* Bytes that 64 records of 64 bytes take of a ring, beyond those. */
static double record_bytes(struct bench *bench)
{
	struct shr_ring_status before, after;
	char record[64] = {0};
	int n;

	if (shr_ring_stat(bench->alone, &before))
		die("look at a ring");
	for (n = 0; n < 64; n++)
		if (shr_producer_write(bench->to_alone, record, sizeof(record)))
			die("write");
	if (shr_ring_stat(bench->alone, &after))
		die("look at a ring");
	while (n--) {
		struct shr_record got;

		if (shr_cursor_read(bench->from_alone, record, sizeof(record), &got))
			die("read");
	}
	return (double)(after.tail - before.tail) / 64 - 64;
}

/* Attaches are to a ring that has a name, and as large as the memory allows. */
void memory_create(struct bench *bench, const char *name)
{
	struct shr_segment *segment = NULL;
	struct shr_object object;
	int err = -ENOSPC;

	bench->ring_bytes = (segment_bytes(MANY) - segment_bytes(1)) / (MANY - 1) - RING_BYTES;
	bench->record_bytes = record_bytes(bench);
	for (bench->big_bytes = BIG_BYTES; err && bench->big_bytes > RING_BYTES;) {
		rings_describe(&object, 1, bench->big_bytes);
		err = shr_segment_create(&segment, name, &object, 1, NULL);
		if (err && err != -ENOSPC && err != -ENOMEM && err != -EFBIG)
			die("create a big segment");
		if (err)
			bench->big_bytes /= 2;
	}
	if (err)
		die("create a big segment");
	bench->big = name;
	if (shr_segment_detach(segment))
		die("detach");
}

/* To the segment and to the ring: all that has to be done before the first record. */
void attach_driver(struct bench *bench)
{
	bench->samples.count = 0;
	for (int i = 0; i < ATTACHES; i++) {
		struct shr_segment *segment = NULL;
		struct shr_ring *ring = NULL;
		int64_t start = now_ns();

		if (shr_segment_attach(&segment, bench->big, NULL) ||
		    shr_ring_attach(&ring, segment, "ring0", NULL))
			die("attach to a big ring");
		samples_add(&bench->samples, (double)(now_ns() - start) / 1e3, 1);
		if (shr_ring_close(ring) || shr_segment_detach(segment))
			die("detach");
	}
}

static void constant(struct bench *bench, double value)
{
	bench->samples.count = 0;
	samples_add(&bench->samples, value, 1);
}

void record_bytes_driver(struct bench *bench)
{
	constant(bench, bench->record_bytes);
}

void ring_bytes_driver(struct bench *bench)
{
	constant(bench, bench->ring_bytes);
}
