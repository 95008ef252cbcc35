/* SPDX-License-Identifier: MIT */
/* L4: consumers come and go: open, resume where the last one was, close. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cursor.h"
#include "error.h"
#include "handle.h"

/* The role is held: finish what the last owner was at, and begin where it was. */
static int resume(struct cursor *c)
{
	const struct ring_view *view = &c->ring->view;
	struct shm_cursor *shm = c->shm;
	uint64_t position = atomic_load_explicit(&shm->position, memory_order_acquire);
	uint64_t journal = atomic_load_explicit(&shm->journal_position, memory_order_acquire);
	uint64_t delivered = atomic_load_explicit(&shm->delivered, memory_order_acquire);
	uint64_t reclaim = atomic_load_explicit(&view->shm->reclaim, memory_order_acquire);
	uint64_t clean = atomic_load_explicit(&view->shm->clean, memory_order_acquire);

	c->skipped = atomic_load_explicit(&shm->skipped, memory_order_relaxed);
	c->lost = atomic_load_explicit(&shm->lost, memory_order_relaxed);
	c->lost_bytes = atomic_load_explicit(&shm->lost_bytes, memory_order_relaxed);
	c->sequence = atomic_load_explicit(&shm->sequence, memory_order_relaxed);
	c->redelivered = atomic_load_explicit(&shm->redelivered, memory_order_relaxed);
	if ((int64_t)(journal - position) > 0) {
		c->skipped = atomic_load_explicit(&shm->journal_skipped, memory_order_relaxed);
		c->lost = atomic_load_explicit(&shm->journal_lost, memory_order_relaxed);
		c->lost_bytes = atomic_load_explicit(&shm->journal_bytes, memory_order_relaxed);
		atomic_store_explicit(&shm->lost_bytes, c->lost_bytes, memory_order_release);
		c->sequence = atomic_load_explicit(&shm->journal_sequence, memory_order_relaxed);
		atomic_store_explicit(&shm->skipped, c->skipped, memory_order_release);
		atomic_store_explicit(&shm->lost, c->lost, memory_order_release);
		atomic_store_explicit(&shm->sequence, c->sequence, memory_order_release);
		position = journal;
	}
	if ((int64_t)(delivered - position) < 0) /* position moved over what is no record */
		delivered = position;
	if (position & 7 || reclaim & 7 || (!c->copies && delivered - position > view->capacity))
		return cursor_corrupt(position);
	atomic_store_explicit(&shm->position, position, memory_order_release);
	c->position = c->hot.next = position;
	c->again = delivered;
	c->hot.keep = position - 8;
	if (view->ahead)
		return 0;
	if (position - reclaim > view->capacity || reclaim - (clean - view->capacity) > view->capacity)
		return cursor_corrupt(position);
	c->reclaim = reclaim;
	c->hot.keep = reclaim + view->history;
	c->clean = clean;
	if (clean - view->capacity != reclaim)
		cursor_zero_to_reclaim(c);
	return cursor_clean_behind(c, position);
}

static int check_options(const struct shr_ring *ring, const char *name,
			 struct shr_cursor_options *own_options)
{
	const struct ring_view *view = &ring->view;
	uint32_t flags = own_options->flags;

	if (flags & ~(uint32_t)(SHR_CURSOR_LOSSY | SHR_CURSOR_DURABLE | SHR_CURSOR_CREATE |
				SHR_CURSOR_OBSERVE) ||
	    own_options->join > SHR_JOIN_TIME || (flags & SHR_CURSOR_OBSERVE && (name || flags != SHR_CURSOR_OBSERVE)))
		return shr_fail(EINVAL, "unknown options of a cursor, or they do not go together");
	if (name && (!name[0] || strnlen(name, SHR_CURSOR_NAME_MAX + 1) > SHR_CURSOR_NAME_MAX))
		return shr_fail(EINVAL, "a cursor needs a name of 1 to %d bytes", SHR_CURSOR_NAME_MAX);
	if (!ring->me && !(flags & SHR_CURSOR_OBSERVE))
		return shr_fail(EROFS, HANDLE_OBSERVES);
	if (view->mode == SHR_RING_QUEUE && !(flags & SHR_CURSOR_OBSERVE) && (name || flags))
		return shr_fail(EINVAL, "the workers of a queue have no names and no flags");
	if (view->mode == SHR_RING_OVERWRITE)
		own_options->flags |= SHR_CURSOR_LOSSY;
	if (flags & SHR_CURSOR_LOSSY && !view->sequence_at)
		return shr_fail(EOPNOTSUPP, "a lossy cursor needs a ring with SHR_RING_SEQUENCE");
	if (own_options->join == SHR_JOIN_TIME && !view->time_at)
		return shr_fail(EOPNOTSUPP, "the ring's records have no time: SHR_RING_TIME");
	if (own_options->join == SHR_JOIN_POSITION && own_options->epoch &&
	    own_options->epoch != shr_segment_epoch(ring->segment))
		return shr_fail(ESTALE, "the position is of another segment of that name");
	if (own_options->join == SHR_JOIN_POSITION && own_options->position & 7)
		return shr_fail(EINVAL, "position %llu is not between two records of the ring",
				(unsigned long long)own_options->position);
	return 0;
}

/* Find or make its place, or where to observe from. */
static int begin(struct cursor *c, const char *name, const struct shr_cursor_options *options)
{
	struct shr_ring *ring = c->ring;
	uint32_t place;
	int made, err;

	if (options->flags & SHR_CURSOR_OBSERVE) {
		c->copies = 1;
		err = cursors_join(ring, options, NULL, &c->hot.next, &c->sequence);
		c->position = c->again = c->hot.next;
		return err;
	}
	if (ring->view.mode == SHR_RING_QUEUE) {
		queue_open(&c->queue, ring);
		return 0;
	}
	err = cursors_take(ring, name ? name : "default", options, &place, &made);
	if (err)
		return err;
	c->shm = &ring->view.shm->cursor[place];
	/* The only cursor cleans: it is a gate, whatever a peer has written. */
	c->copies = ring->view.ahead && !(atomic_load(&c->shm->mode) & CURSOR_GATE);
	c->hot.shared_position = (shr_word_ *)(void *)&c->shm->position;
	c->hot.shared_delivered = (shr_word_ *)(void *)&c->shm->delivered;
	err = resume(c);
	if (err)
		ring_role_leave(ring, &c->shm->role);
	else if (made) /* it was in the way while it joined */
		event_notify(&ring->view.shm->space, ring->segment->registered, INT_MAX);
	return err;
}

int shr_cursor_open_version(struct shr_cursor **result, struct shr_ring *ring, const char *name,
			    const struct shr_cursor_options *options, uint32_t version)
{
	struct shr_cursor_options own_options = {0};
	struct cursor *c;
	int err;

	if (!result || *result)
		return shr_fail(result ? EBUSY : EINVAL, "the handle is in use, or none");
	if (!ring || ring->tag != RING_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	if (version != SHR_HOT_VERSION)
		return shr_fail(EPROTO, "compiled for inline calls of version %u, the library has %u",
				version, SHR_HOT_VERSION);
	if (options) {
		err = shr_options_check(options, options->struct_size, sizeof(own_options));
		if (err)
			return err;
		memcpy(&own_options, options,
		       options->struct_size < sizeof(own_options) ? options->struct_size
								  : sizeof(own_options));
	}
	err = check_options(ring, name, &own_options);
	if (err)
		return err;
	c = handle_alloc(sizeof(*c));
	if (!c)
		return shr_fail(ENOMEM, "out of memory");
	c->ring = ring;
	c->batch = ring_batch(&ring->view);
	c->hot.mask = ring->view.capacity - 1;
	c->hot.max_record = ring->view.max_record;
	c->hot.shared_position = c->hot.shared_delivered = &c->own_delivered;
	err = begin(c, name, &own_options);
	if (err) {
		handle_free(c, sizeof(*c));
		return err;
	}
	c->plain = ring->view.header == 8 && !c->copies;
	cursor_set_short_way(c);
	c->tag = CURSOR_TAG;
	atomic_fetch_add(&ring->users, 1);
	*result = &c->hot;
	return 0;
}

int shr_cursor_close(struct shr_cursor *hot)
{
	struct cursor *c;

	if (!hot)
		return 0;
	c = cursor_of(hot);
	if (c->tag == CURSOR_TAG) {
		event_fd_close(c->fd);
		if (cursor_is_queue(c))
			queue_close(&c->queue);
		if (c->shm) {
			if (!(atomic_load(&c->shm->mode) & CURSOR_DURABLE)) {
				cursors_free(c->shm);
				event_notify(&c->ring->view.shm->space, c->ring->segment->registered,
					     INT_MAX);
			}
			ring_role_leave(c->ring, &c->shm->role);
		}
		free(c->copy);
		atomic_fetch_sub(&c->ring->users, 1);
	}
	handle_free(c, sizeof(*c));
	return 0;
}

int shr_cursor_get(const struct shr_cursor *hot, struct shr_cursor_info *info)
{
	struct cursor *c = cursor_of(hot);

	if (c->tag != CURSOR_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	if (c->shm) {
		cursors_view(info, c->shm, atomic_load(&c->shm->mode), atomic_load(&c->shm->role));
		return 0;
	}
	*info = (struct shr_cursor_info){.flags = c->copies ? SHR_CURSOR_LOSSY : 0,
					 .member = c->ring->me,
					 .position = c->position,
					 .delivered = hot->next,
					 .skipped = c->skipped,
					 .lost = c->lost,
					 .lost_bytes = c->lost_bytes,
					 .sequence = c->sequence};
	if (cursor_is_queue(c)) {
		info->position = atomic_load(&c->ring->view.shm->cursor[0].position);
		info->delivered = atomic_load(&c->ring->view.shm->take);
	}
	return 0;
}

uint64_t shr_cursor_position(const struct shr_cursor *hot)
{
	return cursor_is_queue(cursor_of(hot)) ? atomic_load(&cursor_of(hot)->ring->view.shm->take) : hot->next;
}
