/* SPDX-License-Identifier: MIT */
/*
 * L4: the micro-locks of a ring, a word each with the owner's member number, held
 * for a few stores and never while copying. The claim lock is the producers' (with
 * a single one it guards the table of cursors only), the take lock that of a
 * queue's workers.
 *
 *	lock	CAS 0 -> me
 *	claim	word at tail = BUSY; its number; sequence + 1; tail = tail + total
 *	drop	journal; sequence + 1; dropped + 1		(drop newest, overwrite)
 *	unlock	store 0
 *
 * The owner is there before anything is claimed, and BUSY before tail, so
 * whatever a dead owner left can be told to be its own. Mending, by whoever
 * holds the byte of the dead: first the lock (take back the number of a record at
 * tail, zero that, which nobody can have passed; finish a drop; then CAS dead -> 0,
 * counted), then records below tail, each by one CAS. Every step may be done again.
 *
 * Crash (the kill points have these names)
 *	claim:locked	the next one takes the lock over
 *	claim:busy	the word at tail is zeroed again
 *	claim:numbered	and the number is given to the next record
 *	claim:claimed	the record is skipped, or a PAD
 *	claim:dropping	the drop is finished
 *	claim:mended	the next one mends again: there is nothing left
 */
#include <errno.h>
#include <sched.h>
#include <time.h>

#include "error.h"
#include "killpoint.h"
#include "member.h"
#include "probe.h"
#include "ring_core.h"

#define SPINS 200
#define LOOK_NS 1000000 /* wait this long before asking whether the owner lives */

#define OWNER(lock) ((lock) & 0xffff)
#define ONE_REPAIR 0x10000u

static int lock_try(shm_atomic_u32 *lock, uint32_t me, uint32_t *seen)
{
	*seen = atomic_load_explicit(lock, memory_order_relaxed);
	/* claim:B. Acquire: what the last owner stored. Pairs with claim:A. */
	return !OWNER(*seen) && atomic_compare_exchange_weak_explicit(lock, seen, *seen | me,
								      memory_order_acquire,
								      memory_order_relaxed);
}

static void lock_free_of(shm_atomic_u32 *lock, uint32_t dead)
{
	uint32_t seen = atomic_load_explicit(lock, memory_order_relaxed);

	KILL_POINT("claim:mended");
	if (OWNER(seen) == dead) /* claim:A, for the dead */
		atomic_compare_exchange_strong_explicit(lock, &seen, seen - dead + ONE_REPAIR,
							memory_order_release, memory_order_relaxed);
}

/* A record that was being claimed: its number is the next one's again, its word zero. */
static void undo_claim(const struct ring_view *view, uint64_t tail, uint32_t dead)
{
	shm_atomic_u64 *at = ring_word(view, tail);
	uint64_t word = atomic_load_explicit(at, memory_order_relaxed), number, next;

	if (view->sequence_at && WORD_STATE(word) == WORD_BUSY && WORD_OWNER(word) == dead &&
	    WORD_TYPE(word) != WORD_CLAIM_PAD && ring_record_total(view, tail, word)) {
		number = atomic_load_explicit(ring_extra(view, tail, view->sequence_at),
					      memory_order_relaxed);
		next = atomic_load_explicit(&view->shm->sequence, memory_order_relaxed);
		if (number && number == next - 1)
			atomic_store_explicit(&view->shm->sequence, number, memory_order_relaxed);
		/* Before the word: I1 holds for all of the record. */
		for (uint32_t i = 8; i < view->header; i += 8)
			atomic_store_explicit(ring_extra(view, tail, i), 0, memory_order_relaxed);
	}
	atomic_store_explicit(at, 0, memory_order_release);
}

int claim_mend(const struct ring_view *view, uint32_t dead)
{
	uint64_t tail, clean;

	if (OWNER(atomic_load_explicit(&view->shm->lock, memory_order_acquire)) != dead)
		return 0;
	if (!view->single) {
		tail = atomic_load_explicit(&view->shm->tail, memory_order_acquire);
		clean = atomic_load_explicit(&view->shm->clean, memory_order_acquire);
		if (!ring_clean_possible(view, tail, clean))
			return shr_fail(EBADMSG, "the ring is corrupt: tail %llu, clean %llu",
					(unsigned long long)tail, (unsigned long long)clean);
		undo_claim(view, tail, dead);
		ring_drop_redo(view);
	}
	lock_free_of(&view->shm->lock, dead);
	return 0;
}

int take_mend(const struct ring_view *view, uint32_t dead)
{
	if (OWNER(atomic_load_explicit(&view->shm->take_lock, memory_order_acquire)) != dead)
		return 0;
	queue_redo(view);
	lock_free_of(&view->shm->take_lock, dead);
	return 0;
}

static int look_at_owner(const struct shr_ring *ring, uint32_t owner,
			 int (*mend)(const struct ring_view *, uint32_t))
{
	int token, err;

	if (owner > ring->view.members)
		return shr_fail(EBADMSG, "the ring is corrupt: a lock of member %u", owner);
	if (owner == ring->me)
		return 0;
	err = member_win(ring->segment, owner - 1, &token);
	if (err)
		return err == -EBUSY ? 0 : err; /* alive; or it cannot be told, which is no wait */
	err = mend(&ring->view, owner);
	member_release(token, owner - 1);
	PROBE(repair, owner, ring->me, "claim");
	return err;
}

static int lock_wait(const struct shr_ring *ring, shm_atomic_u32 *lock, int64_t patience_ns,
		     int (*mend)(const struct ring_view *, uint32_t))
{
	int64_t start, look;
	uint32_t seen;

	for (int i = 0; i < SPINS; i++) {
		if (lock_try(lock, ring->me, &seen))
			return 0;
		event_pause();
	}
	start = event_now();
	look = start + LOOK_NS;
	for (;;) {
		int64_t now;
		int err;

		if (lock_try(lock, ring->me, &seen))
			return 0;
		now = event_now();
		if (now >= look && OWNER(seen)) {
			err = look_at_owner(ring, OWNER(seen), mend);
			if (err)
				return err;
			if (lock_try(lock, ring->me, &seen))
				return 0;
			look = now + LOOK_NS;
		}
		if (now - start > patience_ns)
			return -EAGAIN;
		sched_yield();
	}
}

static void unlock(shm_atomic_u32 *lock)
{
	uint32_t seen = atomic_load_explicit(lock, memory_order_relaxed);

	/* claim:A. Release: BUSY and tail. Pairs with claim:B. */
	atomic_store_explicit(lock, seen & ~0xffffu, memory_order_release);
}

int claim_lock(const struct shr_ring *ring, int64_t patience_ns)
{
	int err = lock_wait(ring, &ring->view.shm->lock, patience_ns, claim_mend);

	KILL_POINT("claim:locked");
	return err;
}

void claim_unlock(const struct shr_ring *ring)
{
	unlock(&ring->view.shm->lock);
}

int take_lock(const struct shr_ring *ring, int64_t patience_ns)
{
	return lock_wait(ring, &ring->view.shm->take_lock, patience_ns, take_mend);
}

int take_lock_try(const struct shr_ring *ring)
{
	uint32_t seen;

	return lock_try(&ring->view.shm->take_lock, ring->me, &seen) ? 0 : -EAGAIN;
}

void take_unlock(const struct shr_ring *ring)
{
	unlock(&ring->view.shm->take_lock);
}

void claim_mend_record(const struct ring_view *view, uint64_t position, uint64_t word, uint32_t dead)
{
	uint32_t state = WORD_TYPE(word) == WORD_CLAIM_PAD ? WORD_PAD : WORD_SKIP;

	if (WORD_STATE(word) == WORD_BUSY && WORD_OWNER(word) == dead)
		atomic_compare_exchange_strong(ring_word(view, position), &word,
					       WORD_MAKE(state, dead, 0, WORD_LENGTH(word)));
}

/* Its byte is held: a record of the dead that is in place now stays until it is mended. */
static int in_place(const struct ring_view *view, uint64_t position)
{
	uint64_t reclaim;

	if (!view->ahead) /* the only one who looks is the gate */
		return 1;
	reclaim = atomic_load_explicit(&view->shm->reclaim, memory_order_seq_cst);
	return (int64_t)(reclaim - position) <= 0;
}

int claim_look(const struct shr_ring *ring, uint64_t position, uint64_t word, int64_t *looked_ns)
{
	uint32_t owner = WORD_OWNER(word);
	int64_t now = event_now();
	int token, err;

	if (!owner || owner > ring->view.members || ring->view.single)
		return shr_fail(EBADMSG, "the ring is corrupt: a record at position %llu is impossible",
				(unsigned long long)position);
	if (!*looked_ns)
		*looked_ns = now;
	if (now - *looked_ns < LOOK_NS)
		return -EAGAIN;
	*looked_ns = now;
	if (owner == ring->me || !ring->me)
		return -EAGAIN;
	err = member_win(ring->segment, owner - 1, &token);
	if (err)
		return err == -EBUSY ? -EAGAIN : err; /* alive; or it cannot be told, which is no wait */
	err = claim_mend(&ring->view, owner);
	if (!err && in_place(&ring->view, position))
		claim_mend_record(&ring->view, position, word, owner);
	member_release(token, owner - 1);
	PROBE(repair, owner, ring->me, "record");
	return err;
}

/*
 * No claim lock is held: the dead claims no more, so all it owns is below the
 * tail that is read here. What is cleaned meanwhile is told by position: records in
 * work are not cleaned.
 */
int claim_sweep(const struct ring_view *view, uint32_t dead)
{
	shm_atomic_u64 *floor = ring_floor(view);
	uint64_t tail = atomic_load_explicit(&view->shm->tail, memory_order_acquire);
	uint64_t at = atomic_load_explicit(floor, memory_order_acquire); /* after tail */

	if ((int64_t)(tail - at) > (int64_t)view->capacity)
		return shr_fail(EBADMSG, "the ring is corrupt: tail %llu, position %llu",
				(unsigned long long)tail, (unsigned long long)at);
	while ((int64_t)(tail - at) > 0) {
		uint64_t word = atomic_load_explicit(ring_word(view, at), memory_order_acquire);
		uint64_t now = atomic_load_explicit(floor, memory_order_seq_cst), total;

		if ((int64_t)(now - at) > 0) {
			at = now;
			continue;
		}
		total = ring_record_total(view, at, word);
		if (!total)
			return shr_fail(EBADMSG,
					"the ring is corrupt: a record at position %llu is impossible",
					(unsigned long long)at);
		/* The word that was seen in place: another may lie there by now. */
		claim_mend_record(view, at, word, dead);
		at += total;
	}
	return 0;
}
