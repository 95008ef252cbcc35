/* SPDX-License-Identifier: MIT */
/*
 * L4: the claim lock of a ring with several producers: a word with the owner's
 * member number, held for a few stores and never while copying.
 *
 *	lock	CAS 0 -> me
 *	claim	word at tail = BUSY; tail = tail + total
 *	unlock	store 0
 *
 * The number is there before anything is claimed, and BUSY before tail, so
 * whatever a dead owner left can be told to be its own. Mending, by whoever
 * holds the byte of the dead: first the lock (zero the word at tail, which
 * nobody can have passed, then CAS dead -> 0, counted), then records below
 * tail, each by one CAS. Every step may be done again.
 */
#include <errno.h>
#include <sched.h>
#include <time.h>

#include "error.h"
#include "member.h"
#include "ring_core.h"

#define SPINS 200
#define LOOK_NS 1000000 /* wait this long before asking whether the owner lives */

#define OWNER(lock) ((lock) & 0xffff)
#define ONE_REPAIR 0x10000u

static int lock_try(const struct shr_ring *ring, uint32_t *seen)
{
	shm_atomic_u32 *lock = &ring->view.shm->lock;

	*seen = atomic_load_explicit(lock, memory_order_relaxed);
	/* claim:B. Acquire: what the last owner stored. Pairs with claim:A. */
	return !OWNER(*seen) && atomic_compare_exchange_weak_explicit(lock, seen, *seen | ring->me,
								      memory_order_acquire,
								      memory_order_relaxed);
}

int claim_mend(const struct ring_view *view, uint32_t dead)
{
	uint32_t seen = atomic_load_explicit(&view->shm->lock, memory_order_acquire);
	uint64_t tail, clean;

	if (OWNER(seen) != dead)
		return 0;
	tail = atomic_load_explicit(&view->shm->tail, memory_order_acquire);
	clean = atomic_load_explicit(&view->shm->clean, memory_order_acquire);
	if (!ring_clean_possible(view, tail, clean))
		return shr_fail(EBADMSG, "the ring is corrupt: tail %llu, clean %llu",
				(unsigned long long)tail, (unsigned long long)clean);
	atomic_store_explicit(ring_word(view, tail), 0, memory_order_relaxed);
	/* claim:A, for the dead. */
	atomic_compare_exchange_strong_explicit(&view->shm->lock, &seen, seen - dead + ONE_REPAIR,
						memory_order_release, memory_order_relaxed);
	return 0;
}

static int look_at_owner(const struct shr_ring *ring, uint32_t owner)
{
	int token, err;

	if (owner > ring->view.members)
		return shr_fail(EBADMSG, "the ring is corrupt: the claim lock of member %u", owner);
	if (owner == ring->me)
		return 0;
	err = member_win(ring->segment, owner - 1, &token);
	if (err)
		return err == -EBUSY ? 0 : err; /* alive; or it cannot be told, which is no wait */
	err = claim_mend(&ring->view, owner);
	member_release(token, owner - 1);
	return err;
}

int claim_lock(const struct shr_ring *ring, int64_t patience_ns)
{
	int64_t start, look;
	uint32_t seen;

	for (int i = 0; i < SPINS; i++) {
		if (lock_try(ring, &seen))
			return 0;
		event_pause();
	}
	start = event_now();
	look = start + LOOK_NS;
	for (;;) {
		int64_t now;
		int err;

		if (lock_try(ring, &seen))
			return 0;
		now = event_now();
		if (now >= look && OWNER(seen)) {
			err = look_at_owner(ring, OWNER(seen));
			if (err)
				return err;
			if (lock_try(ring, &seen))
				return 0;
			look = now + LOOK_NS;
		}
		if (now - start > patience_ns)
			return -EAGAIN;
		sched_yield();
	}
}

void claim_unlock(const struct shr_ring *ring)
{
	shm_atomic_u32 *lock = &ring->view.shm->lock;
	uint32_t seen = atomic_load_explicit(lock, memory_order_relaxed);

	/* claim:A. Release: BUSY and tail. Pairs with claim:B. */
	atomic_store_explicit(lock, seen & ~0xffffu, memory_order_release);
}

void claim_mend_record(const struct ring_view *view, uint64_t position, uint32_t dead)
{
	shm_atomic_u64 *at = ring_word(view, position);
	uint64_t word = atomic_load_explicit(at, memory_order_acquire);
	uint32_t state = WORD_TYPE(word) == WORD_CLAIM_PAD ? WORD_PAD : WORD_SKIP;

	if (WORD_STATE(word) == WORD_BUSY && WORD_OWNER(word) == dead)
		atomic_compare_exchange_strong(at, &word,
					       WORD_MAKE(state, dead, 0, WORD_LENGTH(word)));
}

/*
 * No claim lock is held: the dead claims no more, so all it owns is below the
 * tail that is read here, and no consumer passes a BUSY record of it while its
 * byte is held. What else moves meanwhile is told by position.
 */
int claim_sweep(const struct ring_view *view, uint32_t dead)
{
	shm_atomic_u64 *position = &view->shm->cursor[0].position;
	uint64_t tail = atomic_load_explicit(&view->shm->tail, memory_order_acquire);
	uint64_t at = atomic_load_explicit(position, memory_order_acquire); /* after tail */

	if ((int64_t)(tail - at) > (int64_t)view->capacity)
		return shr_fail(EBADMSG, "the ring is corrupt: tail %llu, position %llu",
				(unsigned long long)tail, (unsigned long long)at);
	while ((int64_t)(tail - at) > 0) {
		uint64_t word = atomic_load_explicit(ring_word(view, at), memory_order_acquire);
		uint64_t now = atomic_load_explicit(position, memory_order_seq_cst), total;

		if ((int64_t)(now - at) > 0) {
			at = now;
			continue;
		}
		total = ring_record_total(view, at, word);
		if (!total)
			return shr_fail(EBADMSG,
					"the ring is corrupt: a record at position %llu is impossible",
					(unsigned long long)at);
		claim_mend_record(view, at, dead);
		at += total;
	}
	return 0;
}
