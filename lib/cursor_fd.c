/* SPDX-License-Identifier: MIT */
/* L4: a consumer's descriptor for poll(2); event_fd.c has the thread behind it. */
#include "cursor.h"
#include "error.h"
#include "handle.h"

void cursor_arm(struct cursor *c)
{
	if (!c->fd)
		return;
	atomic_store(&c->fd_position, c->hot.next);
	atomic_store(&c->fd_delivered, __atomic_load_n(c->hot.shared_delivered, __ATOMIC_RELAXED));
	event_fd_arm(c->fd, 0);
}

/*
 * In the descriptor's thread: is there something for next? A BUSY record is not
 * worth a wake, unless it stays so: then next looks whether its owner lives.
 */
static int fd_ready(void *argument)
{
	struct cursor *c = argument;
	const struct ring_view *view = &c->ring->view;
	uint64_t position = cursor_is_queue(c) ? atomic_load(&view->shm->take) : atomic_load(&c->fd_position);
	uint64_t word = atomic_load_explicit(ring_word(view, position), memory_order_acquire);
	int64_t now = event_now();

	if (event_stale(c->ring->segment, &c->fd_looked_ns, now))
		atomic_store_explicit(&c->gone, 1, memory_order_release);
	/* Who consumes without waiting for the descriptor: let it look itself. */
	if (atomic_load(&c->gone) || __atomic_load_n(c->hot.shared_delivered, __ATOMIC_RELAXED) !=
					    atomic_load(&c->fd_delivered))
		return 1;
	/* What a dead worker had is found by next. */
	if (cursor_is_queue(c) && (atomic_load(&view->shm->rewind) ||
			    position != atomic_load(&view->shm->cursor[0].position)))
		return 1;
	if (WORD_STATE(word) != WORD_BUSY) {
		c->fd_busy_ns = 0;
		return word != 0;
	}
	if (!c->fd_busy_ns)
		c->fd_busy_ns = now;
	if (now - c->fd_busy_ns < SLICE_BUSY_NS)
		return 0;
	c->fd_busy_ns = now;
	return 1;
}

int shr_cursor_fd(struct shr_cursor *hot)
{
	struct cursor *c = cursor_of(hot);

	if (c->tag != CURSOR_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	if (!c->fd) {
		int err = event_fd_open(&c->fd, c->ring->segment, &c->ring->view.shm->data, fd_ready, c);

		if (err)
			return err;
	}
	return event_fd_number(c->fd);
}
