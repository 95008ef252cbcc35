/* SPDX-License-Identifier: MIT */
/* Does once what each probe but those of a death tells: see usdt.sh. */
#include <shmring/shmring.h>
#include <errno.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct shr_ring_options options = {.struct_size = sizeof(options),
					   .capacity = 4096,
					   .flags = SHR_RING_SEQUENCE,
					   .cursors = 2};
	struct shr_cursor_options lossy = {.struct_size = sizeof(lossy),
					   .flags = SHR_CURSOR_CREATE | SHR_CURSOR_LOSSY};
	struct shr_ring *ring = NULL;
	struct shr_producer *producer = NULL;
	struct shr_cursor *gate = NULL, *screen = NULL;
	struct shr_record record;
	uint64_t number = 0;
	int err;

	if (argc != 2)
		return 2;
	err = shr_ring_open(&ring, argv[1], "+>", &options, NULL);
	err = err ? err : shr_producer_open(&producer, ring);
	err = err ? err : shr_cursor_open(&gate, ring, NULL);
	err = err ? err : shr_cursor_open_with(&screen, ring, "screen", &lossy);
	for (int full = 0; !err && full < 2;) {
		err = shr_producer_write(producer, &number, sizeof(number));
		if (err == -EAGAIN) { /* the gate reads all, the other nothing */
			full++;
			while (!(err = shr_cursor_next(gate, &record)))
				shr_cursor_release(gate);
			err = err == -EAGAIN ? 0 : err;
		}
	}
	/* And once more, with many tries. */
	for (int i = 0; !err && i < 200; i++)
		err = shr_producer_write(producer, &number, sizeof(number)) == -EAGAIN ? 0 : err;
	err = err ? err : shr_cursor_next(screen, &record);
	printf("lost %llu\n", err ? 0 : (unsigned long long)record.lost);
	if (err)
		fprintf(stderr, "%s\n", shr_last_error());
	shr_cursor_close(screen);
	shr_cursor_close(gate);
	shr_producer_close(producer);
	shr_ring_close(ring);
	return err ? 1 : 0;
}
