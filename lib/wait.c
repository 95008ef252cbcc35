/* SPDX-License-Identifier: MIT */
/* L4: how both ends of a ring wait: spin for about one wake-up, then sleep in slices. */
#include <errno.h>

#include "ring_core.h"

#define SPIN_NS 50000
#define STALE_NS 1000000000 /* a plain rm tells nobody: look now and then */

int ring_wait(struct shr_ring *ring, struct shm_event *event, int64_t deadline_ns,
	      int (*attempt)(void *), void *argument, const int64_t *slice_last_ns)
{
	int64_t now = event_now(), start = now, slice = EVENT_SLICE_FIRST;
	int err = -EAGAIN;

	while (err == -EAGAIN && now - start < SPIN_NS && now < deadline_ns) {
		for (int i = 0; i < 32 && err == -EAGAIN; i++) {
			event_pause();
			err = attempt(argument);
		}
		now = event_now();
	}
	while (err == -EAGAIN) {
		uint32_t sequence = event_prepare(event);

		err = attempt(argument);
		if (err != -EAGAIN)
			return err;
		now = event_now();
		if (now - atomic_load_explicit(&ring->looked_ns, memory_order_relaxed) > STALE_NS) {
			atomic_store_explicit(&ring->looked_ns, now, memory_order_relaxed);
			err = ring_stale(ring, 1);
			if (err)
				return err;
		}
		if (now >= deadline_ns)
			return -ETIMEDOUT;
		err = event_sleep(event, sequence,
				  slice < deadline_ns - now ? slice : deadline_ns - now);
		if (err)
			return err;
		slice = slice * 2 < *slice_last_ns ? slice * 2 : *slice_last_ns;
		err = attempt(argument);
	}
	return err;
}
