/* SPDX-License-Identifier: MIT */
/*
 * What loop-epoll, loop-glib and loop-uv have in common: they print the first COUNT
 * records of a ring, lines as "epoll-serve --send NAME" puts them there, and end.
 *
 * All three work alike. The cursor's descriptor is readable until shr_cursor_next() says
 * -EAGAIN, so who is called takes what there is, up to a batch: if there is more, the
 * loop calls again, when the others had their turn.
 */
#include <shmring/shmring.h>

#define LOOP_BATCH 64 /* records in a row */

struct loop {
	const char *program;
	struct shr_ring *ring;
	struct shr_cursor *cursor;
	uint64_t left; /* records to go */
};

/* Open what NAME COUNT name. The descriptor to watch, or -1 and said why. */
int loop_open(struct loop *loop, int argc, char **argv);

/* What there is, up to a batch. 1: wait for more; 0: that was all; -1: said why. */
int loop_take(struct loop *loop);

/* Close; the loop does not watch the descriptor any more. The exit status for @result. */
int loop_close(struct loop *loop, int result);
