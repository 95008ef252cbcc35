/* SPDX-License-Identifier: MIT */
#include "loop.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int complain(const struct loop *loop, const char *sentence)
{
	fprintf(stderr, "%s: %s\n", loop->program, sentence);
	return -1;
}

int loop_open(struct loop *loop, int argc, char **argv)
{
	int fd;

	*loop = (struct loop){.program = argv[0]};
	if (argc == 3)
		loop->left = strtoull(argv[2], NULL, 10);
	if (!loop->left)
		return complain(loop, "NAME COUNT, please");
	if (shr_ring_open(&loop->ring, argv[1], "+>", NULL, NULL) ||
	    shr_cursor_open(&loop->cursor, loop->ring, NULL))
		return complain(loop, shr_last_error());
	fd = shr_cursor_fd(loop->cursor);
	return fd < 0 ? complain(loop, shr_last_error()) : fd;
}

int loop_take(struct loop *loop)
{
	struct shr_record record;

	for (int i = 0; i < LOOP_BATCH; i++) {
		int err = shr_cursor_next(loop->cursor, &record);

		if (err == -EAGAIN)
			return fflush(stdout) ? complain(loop, "cannot write") : 1;
		if (err)
			return complain(loop, shr_last_error());
		fwrite(record.payload, 1, record.size, stdout);
		if (shr_cursor_release(loop->cursor))
			return complain(loop, shr_last_error());
		if (!--loop->left)
			return 0;
	}
	return 1;
}

int loop_close(struct loop *loop, int result)
{
	shr_cursor_close(loop->cursor);
	shr_ring_close(loop->ring);
	if (!result && (fflush(stdout) || ferror(stdout)))
		result = complain(loop, "cannot write");
	return result ? 1 : 0;
}
