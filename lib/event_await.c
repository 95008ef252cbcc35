/* SPDX-License-Identifier: MIT */
/* L3: a wait for some condition: spin for about one wake-up, then sleep in slices. */
#include <errno.h>
#include <time.h>

#include <shmring/base.h>

#include "attached.h"
#include "event.h"

#define SPIN_NS        50000
#define STALE_NS       1000000000 /* a plain rm tells nobody: look now and then */
#define OBSERVER_FIRST 1000000    /* ns */
#define OBSERVER_LAST  50000000   /* ns */

int event_stale(const struct shr_segment *segment, _Atomic int64_t *looked_ns, int64_t now_ns)
{
	int thorough = now_ns - atomic_load_explicit(looked_ns, memory_order_relaxed) > STALE_NS;

	if (thorough)
		atomic_store_explicit(looked_ns, now_ns, memory_order_relaxed);
	return segment_stale(segment, thorough);
}

int event_await(const struct shr_segment *segment, _Atomic int64_t *looked_ns,
		struct shm_event *event, int64_t deadline_ns, int (*attempt)(void *),
		void *argument, const int64_t *slice_last_ns)
{
	int observes = segment->slot == SLOT_NONE, err = -EAGAIN;
	const int64_t longest = observes ? OBSERVER_LAST : EVENT_SLICE_NS;
	int64_t now = event_now(), start = now, slice = 0;

	while (err == -EAGAIN && now - start < SPIN_NS && now < deadline_ns) {
		for (int i = 0; i < 32 && err == -EAGAIN; i++) {
			event_pause();
			err = attempt(argument);
		}
		now = event_now();
	}
	while (err == -EAGAIN) {
		int64_t first = OBSERVER_FIRST;
		uint32_t sequence;

		/* An observer cannot say that it sleeps. */
		if (observes)
			sequence = atomic_load(&event->sequence);
		else
			first = event_prepare(event, segment->membarrier, &sequence);
		err = attempt(argument);
		if (err != -EAGAIN)
			return err;
		now = event_now();
		err = event_stale(segment, looked_ns, now);
		if (err)
			return err;
		if (now >= deadline_ns)
			return -ETIMEDOUT;
		if (!slice || slice > *slice_last_ns)
			slice = first < *slice_last_ns ? first : *slice_last_ns;
		err = event_sleep(event, sequence,
				  slice < deadline_ns - now ? slice : deadline_ns - now);
		if (err)
			return err;
		slice = slice * 2 < longest ? slice * 2 : longest;
		err = attempt(argument);
	}
	return err;
}
