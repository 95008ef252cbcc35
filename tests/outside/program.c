/* SPDX-License-Identifier: MIT */
/* A stranger's program: one record through a ring, by inline calls and others. */
#include <shmring/shmring.h>
#include <stdio.h>
#include <string.h>

struct reading {
	uint64_t number;
	double celsius;
};
SHR_SCHEMA(reading, 1, number, celsius);

static int fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, shr_last_error());
	return 1;
}

int main(int argc, char **argv)
{
	struct shr_ring_options options = {.struct_size = sizeof(options),
					   .schema = SHR_SCHEMA_OF(reading)};
	struct shr_segment_options segment = {.struct_size = sizeof(segment)};
	struct reading sent = {7, 21.5}, got = {0, 0};
	struct shr_ring *ring = NULL;
	struct shr_producer *producer = NULL;
	struct shr_cursor *cursor = NULL;
	struct shr_record record;

	if (argc != 2)
		return 2;
	if (shr_ring_open(&ring, argv[1], "+>", &options, &segment) ||
	    shr_producer_open(&producer, ring) || shr_cursor_open(&cursor, ring, NULL))
		return fail("open");
	if (shr_producer_write(producer, &sent, sizeof(sent)))
		return fail("write");
	if (shr_cursor_next(cursor, &record) || record.size != sizeof(got))
		return fail("next");
	memcpy(&got, record.payload, sizeof(got));
	shr_cursor_release(cursor);
	shr_cursor_close(cursor);
	shr_producer_close(producer);
	shr_ring_close(ring);
	if (shr_segment_unlink(argv[1]))
		return fail("unlink");
	printf("%s: reading %d of %.1f\n", shr_version(), (int)got.number, got.celsius);
	return 0;
}
