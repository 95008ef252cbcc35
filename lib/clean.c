/* SPDX-License-Identifier: MIT */
/*
 * L4: producers make room, ahead of the tail: in a stream of several cursors, in a
 * queue, in overwrite mode, and where records have a number. The caller holds the
 * claim lock, or is the single producer: one cleaner at a time.
 *
 *	reclaim = r		a boundary between records, at or below every gate
 *	fence			clean:B, pairs with join:A and copy:A
 *	gates read again	one that joined between what was reclaimed before and r:
 *				reclaim = its position
 *	zeroes, from clean - capacity up to reclaim
 *	clean = reclaim + capacity
 *
 * How far: what is needed and a batch more, but no further than history bytes
 * behind the slowest gate. Without gates (overwrite, or nobody listens) up to the
 * tail, but not over a record in work, unless its owner is proven dead: then it is
 * mended here. Where a boundary lies is known from the passing of it (marks), or
 * found by walking.
 *
 * Crash (the kill points have these names)
 *	clean:reclaim	the next cleaner zeroes from clean - capacity to reclaim
 *	clean:zeroed	the same
 */
#include <errno.h>

#include "error.h"
#include "killpoint.h"
#include "ring_core.h"

#define BATCHES 8	/* cleaning steps a lap: fewer are faster, */
#define BATCH_MAX 65536 /* but a call must not zero for long */
#define LOOK_NS 1000000 /* between looks whether the owners of gates live */

void marks_add(struct marks *marks, uint64_t position)
{
	if (marks->count == MARKS) { /* too dense: the oldest are of no use any more */
		marks->first = (marks->first + 1) % MARKS;
		marks->count--;
	}
	marks->at[(marks->first + marks->count++) % MARKS] = position;
}

int marks_find(struct marks *marks, uint64_t low, uint64_t high, uint64_t *position)
{
	while (marks->count) {
		uint64_t mark = marks->at[marks->first];

		if ((int64_t)(mark - low) >= 0) {
			*position = mark;
			return (int64_t)(high - mark) >= 0;
		}
		marks->first = (marks->first + 1) % MARKS;
		marks->count--;
	}
	return 0;
}

uint64_t ring_batch(const struct ring_view *view)
{
	uint64_t batch = view->capacity / BATCHES;

	return batch < BATCH_MAX ? batch : BATCH_MAX;
}

void cleaner_open(struct cleaner *cleaner, const struct shr_ring *ring)
{
	*cleaner = (struct cleaner){.ring = ring, .batch = ring_batch(&ring->view)};
	cleaner->clean = atomic_load_explicit(&ring->view.shm->clean, memory_order_acquire);
}

void cleaner_mark(struct cleaner *cleaner, uint64_t tail)
{
	struct marks *marks = &cleaner->marks;

	if (!marks->count || tail - marks->at[(marks->first + marks->count - 1) % MARKS] >=
				     cleaner->batch / 4)
		marks_add(marks, tail);
}

static int corrupt(const char *what, uint64_t a, uint64_t b)
{
	return shr_fail(EBADMSG, "the ring is corrupt: %s %llu, %llu", what, (unsigned long long)a,
			(unsigned long long)b);
}

/*
 * The first boundary at or beyond @least, or a later one up to @most: *@reclaim moves
 * there, record by record. -EAGAIN: a record in work is before it.
 */
static int walk(struct cleaner *c, uint64_t *reclaim, uint64_t least, uint64_t most, uint64_t end)
{
	const struct ring_view *view = &c->ring->view;
	uint64_t at = *reclaim;
	int err = 0;

	for (;;) {
		uint64_t word, total;

		if ((int64_t)(at - least) >= 0)
			*reclaim = at;
		if ((int64_t)(at - end) >= 0)
			break;
		word = atomic_load_explicit(ring_word(view, at), memory_order_acquire);
		total = word ? ring_record_total(view, at, word) : 0;
		if (!total || (int64_t)(at + total - end) > 0)
			return corrupt("impossible record at position", at, end);
		if ((int64_t)(at - least) >= 0 && (int64_t)(at + total - most) > 0)
			break;
		if (WORD_STATE(word) == WORD_BUSY) {
			err = claim_look(c->ring, at, word, &c->looked_ns);
			if (err)
				break;
		}
		at += total;
	}
	return err == -EAGAIN && (int64_t)(*reclaim - least) >= 0 ? 0 : err;
}

/*
 * Zero from @from up to @reclaim; @before is what is reclaimed so far. A gate that
 * appears below that now is about to join, and sees it: what is there may be zeroed
 * already, by a cleaner that died.
 */
static void zero_to(struct cleaner *c, uint64_t tail, uint64_t from, uint64_t before,
		    uint64_t reclaim)
{
	struct shm_ring *shm = c->ring->view.shm;
	uint64_t gate;

	/* Observers stop trusting these bytes before they are zeroed. */
	atomic_store_explicit(&shm->reclaim, reclaim, memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst); /* clean:B */
	KILL_POINT("clean:reclaim");
	if (cursors_lowest(&c->ring->view, before, tail, &gate) >= 0 &&
	    (int64_t)(reclaim - gate) > 0) {
		reclaim = gate;
		atomic_store_explicit(&shm->reclaim, reclaim, memory_order_seq_cst);
	}
	ring_zero(&c->ring->view, from, reclaim, 1);
	KILL_POINT("clean:zeroed");
	c->clean = reclaim + c->ring->view.capacity;
	/* clean:A. Release: zeroes before clean. Pairs with reserve:A, in another process. */
	atomic_store_explicit(&shm->clean, c->clean, memory_order_release);
}

int cleaner_room(struct cleaner *c, uint64_t tail, uint64_t need)
{
	const struct ring_view *view = &c->ring->view;
	struct shm_ring *shm = view->shm;
	uint64_t reclaim, clean, least, gate, bound, target;
	int gated, err;

	clean = atomic_load_explicit(&shm->clean, memory_order_acquire); /* reserve:A */
	if (!ring_clean_possible(view, tail, clean))
		return corrupt("tail and clean", tail, clean);
	c->clean = clean;
	if (clean - tail >= need + 8)
		return 0;
	reclaim = atomic_load_explicit(&shm->reclaim, memory_order_acquire);
	if (reclaim & 7 || tail - reclaim > view->capacity ||
	    reclaim - (clean - view->capacity) > view->capacity)
		return corrupt("reclaim and tail", reclaim, tail);
	least = tail + need + 8 - view->capacity;
	gate = tail;
	gated = cursors_lowest(view, clean - view->capacity, tail, &gate) >= 0;
	if (gate & 7)
		return corrupt("a cursor's position", gate, tail);
	bound = view->mode == SHR_RING_OVERWRITE || !gated ? tail : gate - view->history;
	if ((int64_t)(bound - least) < 0 || (int64_t)(gate - reclaim) < 0)
		return -EAGAIN;
	target = reclaim;
	if ((int64_t)(reclaim - least) < 0) {
		uint64_t most = least + c->batch;

		if ((int64_t)(bound - most) < 0)
			most = bound;
		/* No record below a gate is in work. */
		if ((!gated && !view->single) || !marks_find(&c->marks, least, most, &target)) {
			target = reclaim;
			err = walk(c, &target, least, most, gate);
			if (err)
				return err;
		}
		if (target - reclaim > view->capacity)
			return corrupt("reclaim and tail", reclaim, tail);
	}
	if (view->single) {
		/* For ring_walk(): the number before the place. */
		if (view->sequence_at)
			atomic_store_explicit(&shm->sequence, c->sequence, memory_order_release);
		atomic_store_explicit(&shm->tail, tail, memory_order_release);
	}
	zero_to(c, tail, clean - view->capacity, reclaim, target);
	return c->clean - tail >= need + 8 && c->clean - tail <= view->capacity ? 0 : -EAGAIN;
}

int cleaner_evict(struct cleaner *c)
{
	const struct ring_view *view = &c->ring->view;
	int64_t now;

	if (view->mode == SHR_RING_QUEUE)
		return queue_unblock(c->ring, &c->evict_looked_ns);
	now = event_now();
	if (now - c->evict_looked_ns < LOOK_NS)
		return 0;
	c->evict_looked_ns = now;
	return cursors_evict(c->ring, CURSOR_GATE);
}
