/* SPDX-License-Identifier: MIT */
/* L4: wait on many rings at once: look at all, from the one after the last served on. */
#include <errno.h>
#include <time.h>

#include "error.h"
#include "ring_core.h"

#define SPIN_NS 50000
#define BUSY_SLICE_NS 4000000 /* before a record in work: its owner may have died */
#define NAP_NS 1000000

/* The first that has something, or is not well: 0; or -EAGAIN. */
static int look_at_all(struct shr_cursor *const *cursors, size_t count, size_t *which)
{
	for (size_t i = 1; i <= count; i++) {
		size_t at = (*which % count + i) % count;

		if (cursor_look(cursors[at]) != -EAGAIN) {
			*which = at;
			return 0;
		}
	}
	return -EAGAIN;
}

static struct shm_event *event_of(struct shr_cursor *cursor)
{
	return &cursor_ring(cursor)->view.shm->data;
}

/*
 * Announce the sleep on all of them, with one heavy fence: how long it may be. An
 * observer cannot say that it sleeps: its memory is read-only.
 */
static int64_t prepare_all(struct shr_cursor *const *cursors, size_t count, struct event_word *words)
{
	int membarrier = 1, observes = 0;

	for (size_t i = 0; i < count; i++) {
		const struct shr_ring *ring = cursor_ring(cursors[i]);
		struct shm_event *event = event_of(cursors[i]);

		words[i].word = (uint32_t *)&event->sequence;
		words[i].value = atomic_load_explicit(&event->sequence, memory_order_acquire);
		if (ring->me)
			atomic_store_explicit(&event->sleepers, 1, memory_order_relaxed);
		observes |= !ring->me;
		membarrier &= ring->segment->membarrier;
	}
	/* sleep:A, for each. */
	return fence_heavy(membarrier) && !observes ? EVENT_SLICE_NS : FENCE_SLICE_NS;
}

static int any_busy(struct shr_cursor *const *cursors, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (cursor_is_busy(cursors[i]))
			return 1;
	return 0;
}

/* -ESTALE of any is something to tell: next does, for who is obsolete; a plain rm here. */
static int any_stale(struct shr_cursor *const *cursors, size_t count, size_t *which, int64_t now)
{
	for (size_t i = 0; i < count; i++) {
		struct shr_ring *ring = cursor_ring(cursors[i]);

		if (event_stale(ring->segment, &ring->looked_ns, now)) {
			*which = i;
			return 1;
		}
	}
	return 0;
}

static int sleep_on(const struct event_word *words, size_t count, int64_t slice_ns)
{
	const struct timespec nap = {0, slice_ns < NAP_NS ? slice_ns : NAP_NS};
	int err = event_futex_wait_any(words, (uint32_t)count, event_now() + slice_ns);

	if (err == -ENOSYS)
		err = nanosleep(&nap, NULL) < 0 ? -errno : 0;
	return err == -EINTR ? err : 0;
}

int shr_cursor_wait_any_until(struct shr_cursor *const *cursors, size_t count, size_t *which,
			      int64_t deadline_ns)
{
	struct event_word words[SHR_CURSORS_MAX];
	int64_t now, start, slice = 0;
	int err = -EAGAIN;

	if (!count)
		return shr_fail(EINVAL, "no cursors to wait for");
	if (count > SHR_CURSORS_MAX)
		return shr_fail(E2BIG, "%zu cursors are over %d", count, SHR_CURSORS_MAX);
	for (size_t i = 0; i < count; i++)
		if (cursor_look(cursors[i]) == -ECHILD)
			return -ECHILD;
	now = start = event_now();
	do {
		err = look_at_all(cursors, count, which);
		event_pause();
		now = event_now();
	} while (err == -EAGAIN && now - start < SPIN_NS && now < deadline_ns);
	while (err == -EAGAIN) {
		int64_t longest = prepare_all(cursors, count, words);

		err = look_at_all(cursors, count, which);
		if (err != -EAGAIN)
			break;
		now = event_now();
		if (any_stale(cursors, count, which, now))
			return 0;
		if (now >= deadline_ns)
			return -ETIMEDOUT;
		slice = slice && slice * 2 < EVENT_SLICE_NS ? slice * 2 : longest;
		if (slice > BUSY_SLICE_NS && any_busy(cursors, count))
			slice = BUSY_SLICE_NS;
		err = sleep_on(words, count, slice < deadline_ns - now ? slice : deadline_ns - now);
		if (err)
			return err;
		err = look_at_all(cursors, count, which);
	}
	return err;
}
