/* SPDX-License-Identifier: MIT */
#include "minimal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	struct shr_ring_options options = {.struct_size = sizeof(options),
					   .schema = SHR_SCHEMA_OF(reading)};
	struct shr_ring *ring = NULL;
	struct shr_cursor *cursor = NULL;
	struct shr_record record;
	int err = shr_ring_open(&ring, argc > 1 ? argv[1] : "/minimal", "+<", &options, NULL);

	if (!err)
		err = shr_cursor_open(&cursor, ring, NULL);
	while (!err && !(err = shr_cursor_next(cursor, &record))) {
		struct reading reading = {0}; /* what an older, shorter record has not */

		memcpy(&reading, record.payload,
		       record.size < sizeof(reading) ? record.size : sizeof(reading));
		printf("%" PRIu64 ": %.1f in the %.16s\n", reading.number, reading.celsius,
		       reading.room);
		err = shr_cursor_release(cursor);
	}
	if (err != -EAGAIN)
		fprintf(stderr, "minimal-consumer: %s\n", shr_last_error());
	shr_cursor_close(cursor);
	shr_ring_close(ring);
	return err == -EAGAIN ? 0 : 1;
}
