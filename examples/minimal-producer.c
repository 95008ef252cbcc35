/* SPDX-License-Identifier: MIT */
#include "minimal.h"
#include <stdio.h>

int main(int argc, char **argv)
{
	struct shr_ring_options options = {.struct_size = sizeof(options),
					   .flags = SHR_RING_SINGLE_PRODUCER,
					   .schema = SHR_SCHEMA_OF(reading)};
	struct shr_ring *ring = NULL;
	struct shr_producer *producer = NULL;
	int err = shr_ring_open(&ring, argc > 1 ? argv[1] : "/minimal", "+>", &options, NULL);

	if (!err)
		err = shr_producer_open(&producer, ring);
	for (uint64_t i = 0; i < 3 && !err; i++) {
		struct reading reading = {i, 20.5 + (double)i, "kitchen"};

		err = shr_producer_write_until(producer, &reading, sizeof(reading), SHR_FOREVER);
	}
	if (err)
		fprintf(stderr, "minimal-producer: %s\n", shr_last_error());
	shr_producer_close(producer);
	shr_ring_close(ring);
	return err ? 1 : 0;
}
