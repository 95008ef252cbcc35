/* SPDX-License-Identifier: MIT */
/*
 * L4, queues: every record to one of the workers.
 *
 *	take	the take lock; from shm_ring.take on, over what is not READY:
 *		token = {me, times + 1}; READY -> TAKEN; take = behind it; unlock
 *	ack	TAKEN -> DONE, one store by the worker
 *	back	TAKEN -> READY, by the worker, or who holds its byte when it is dead
 *		(at most once: LOST); rewind = 1
 *	gate	the take lock; over what is DONE, LOST, SKIP or PAD, from the gate
 *		(cursor 0) on; by journal, as in cursor.c; wakes producers
 *
 * The token says who has a record before TAKEN can be seen (token:A), and only its
 * worker leaves that state while it lives. rewind sends the next taker back to the
 * gate. It is a hint: who finds nothing to take looks at all that lies between gate
 * and take now and then, for READY and for workers that are dead.
 *
 * Order. Records are taken by position, but for those that came back.
 *
 * Crash (the kill points have these names)
 *	take:token	the record is READY still; the next token counts one more
 *	take:taken	it is redelivered when this worker is proven dead
 *	ack:done	it is done; the gate moves with the next take
 *	back:ready	found by the look between gate and take
 *	gate:noted	who takes the lock over finishes it
 *	gate:counted	the same
 *	sweep:back	the next one that proves the worker dead goes on
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "error.h"
#include "killpoint.h"
#include "member.h"
#include "probe.h"
#include "ring_core.h"

#define LOOK_NS 1000000 /* between looks for dead workers, or longer if they take long */
#define LOOK_COST 20	/* times as long as the last look took */
#define LOOK_TAKES 256	/* takes between two of them where there is always something */

static int corrupt(uint64_t position)
{
	return shr_fail(EBADMSG, "the ring is corrupt: a record at position %llu is impossible",
			(unsigned long long)position);
}

static shm_atomic_u64 *gate_of(const struct ring_view *view)
{
	return &view->shm->cursor[0].position;
}

static uint64_t with_state(uint64_t word, uint32_t state)
{
	return (word & ~((uint64_t)15 << 48)) | (uint64_t)state << 48;
}

/* What becomes of a record that comes back. */
static uint32_t state_back(const struct ring_view *view)
{
	return view->flags & SHR_RING_AT_MOST_ONCE ? WORD_LOST : WORD_READY;
}

void queue_open(struct queue *queue, const struct shr_ring *ring)
{
	*queue = (struct queue){.ring = ring, .gap_ns = LOOK_NS};
}

void queue_redo(const struct ring_view *view)
{
	struct shm_ring *shm = view->shm;
	struct shm_cursor *gate = &shm->cursor[0];
	uint64_t position = atomic_load_explicit(&gate->position, memory_order_acquire);
	uint64_t journal = atomic_load_explicit(&gate->journal_position, memory_order_acquire);

	if ((int64_t)(journal - position) > 0) {
		atomic_store(&gate->skipped, atomic_load(&gate->journal_skipped));
		atomic_store(&gate->lost, atomic_load(&gate->journal_lost));
		atomic_store(&shm->acked, atomic_load(&shm->journal_acked));
		atomic_store_explicit(&gate->position, journal, memory_order_release);
		position = journal;
	}
	/* Where the dead taker was is not known: from the gate on nothing is missed. */
	atomic_store_explicit(&shm->take, position, memory_order_release);
}

int queue_advance(const struct shr_ring *ring)
{
	const struct ring_view *view = &ring->view;
	struct shm_ring *shm = view->shm;
	struct shm_cursor *gate = &shm->cursor[0];
	uint64_t start = atomic_load_explicit(&gate->position, memory_order_relaxed), at = start;
	uint64_t skipped = atomic_load_explicit(&gate->skipped, memory_order_relaxed);
	uint64_t lost = atomic_load_explicit(&gate->lost, memory_order_relaxed);
	uint64_t acked = atomic_load_explicit(&shm->acked, memory_order_relaxed);

	while (at - start < view->capacity) {
		/* What the worker read before it said DONE. */
		uint64_t word = atomic_load_explicit(ring_word(view, at), memory_order_acquire);
		uint32_t state = WORD_STATE(word);
		uint64_t total;

		if (state != WORD_DONE && state != WORD_LOST && state != WORD_SKIP && state != WORD_PAD)
			break;
		total = ring_record_total(view, at, word);
		if (!total)
			return corrupt(at);
		acked += state == WORD_DONE;
		lost += state == WORD_LOST;
		skipped += state == WORD_SKIP;
		at += total;
	}
	if (at == start)
		return 0;
	atomic_store_explicit(&gate->journal_skipped, skipped, memory_order_relaxed);
	atomic_store_explicit(&gate->journal_lost, lost, memory_order_relaxed);
	atomic_store_explicit(&shm->journal_acked, acked, memory_order_relaxed);
	/* Release each: who takes the lock over sees them in this order. */
	atomic_store_explicit(&gate->journal_position, at, memory_order_release);
	KILL_POINT("gate:noted");
	atomic_store_explicit(&gate->skipped, skipped, memory_order_release);
	atomic_store_explicit(&gate->lost, lost, memory_order_release);
	atomic_store_explicit(&shm->acked, acked, memory_order_release);
	KILL_POINT("gate:counted");
	if ((int64_t)(at - atomic_load_explicit(&shm->take, memory_order_relaxed)) > 0)
		atomic_store_explicit(&shm->take, at, memory_order_release);
	atomic_store_explicit(&gate->position, at, memory_order_release); /* release:A */
	event_notify(&shm->space, ring->segment->registered, INT_MAX);
	return 1;
}

/* With the take lock: the next READY record. */
static int find(struct queue *q, uint64_t *position, uint64_t *found)
{
	const struct ring_view *view = &q->ring->view;
	struct shm_ring *shm = view->shm;
	uint64_t gate = atomic_load_explicit(gate_of(view), memory_order_relaxed);
	uint64_t start = atomic_load_explicit(&shm->take, memory_order_relaxed), at;
	int err = -EAGAIN;

	if (atomic_load_explicit(&shm->rewind, memory_order_relaxed)) {
		atomic_exchange_explicit(&shm->rewind, 0, memory_order_acquire);
		start = gate;
	}
	if (start & 7 || start - gate > view->capacity)
		start = gate;
	at = start;
	if (at & 7)
		return corrupt(at);
	while (at - start <= view->capacity) {
		uint64_t word = atomic_load_explicit(ring_word(view, at), memory_order_acquire);
		uint64_t total = word ? ring_record_total(view, at, word) : 0;

		if (!word)
			break;
		if (!total) {
			err = corrupt(at);
			break;
		}
		if (WORD_STATE(word) == WORD_READY) {
			*position = at;
			*found = word;
			err = 0;
			break;
		}
		if (WORD_STATE(word) == WORD_BUSY) {
			err = claim_look(q->ring, at, word, &q->looked_ns);
			if (err)
				break;
			err = -EAGAIN;
			start -= 8; /* it is SKIP or PAD now; a peer may make it BUSY for ever */
			continue;
		}
		q->looked_ns = 0;
		at += total;
	}
	atomic_store_explicit(&shm->take, at, memory_order_release);
	return err;
}

static void fill(const struct queue *q, struct shr_record *record, uint64_t position, uint64_t word,
		 uint64_t count)
{
	const struct ring_view *view = &q->ring->view;

	*record = (struct shr_record){
		.payload = (uint8_t *)ring_word(view, position) + view->header,
		.size = (size_t)WORD_LENGTH(word),
		.position = position,
		.type = (uint16_t)WORD_TYPE(word),
		.flags = count > 1 ? SHR_RECORD_REDELIVERED : 0,
		.member = (uint16_t)WORD_OWNER(word),
		.deliveries = (uint16_t)(count < UINT16_MAX ? count : UINT16_MAX),
	};
	if (view->sequence_at)
		record->sequence = atomic_load_explicit(
			ring_extra(view, position, view->sequence_at), memory_order_relaxed);
	if (view->time_at)
		record->time_ns = atomic_load_explicit(ring_extra(view, position, view->time_at),
						       memory_order_relaxed);
}

/* With the take lock. */
static void take(struct queue *q, struct shr_record *record, uint64_t position, uint64_t word)
{
	const struct ring_view *view = &q->ring->view;
	struct shm_ring *shm = view->shm;
	shm_atomic_u64 *token = ring_extra(view, position, view->token_at);
	uint64_t count = TOKEN_COUNT(atomic_load_explicit(token, memory_order_relaxed)) + 1;

	fill(q, record, position, word, count);
	atomic_store_explicit(token, TOKEN_MAKE(q->ring->me, count), memory_order_relaxed);
	KILL_POINT("take:token");
	/* token:A. Release: who before TAKEN. */
	word = with_state(word, WORD_TAKEN);
	atomic_store_explicit(ring_word(view, position), word, memory_order_release);
	KILL_POINT("take:taken");
	if (count > 1)
		atomic_fetch_add_explicit(&shm->redelivered, 1, memory_order_relaxed);
	atomic_store_explicit(&shm->take, position + ring_total(view, WORD_LENGTH(word)),
			      memory_order_release);
	q->held[q->count++] = (struct queue_record){position, word};
}

int queue_sweep(const struct ring_view *view, uint32_t dead)
{
	uint64_t at = atomic_load_explicit(gate_of(view), memory_order_acquire), start = at;

	while (at - start <= view->capacity) {
		uint64_t word = atomic_load_explicit(ring_word(view, at), memory_order_acquire);
		uint64_t total = word ? ring_record_total(view, at, word) : 0, token = 0, gate;

		if (total && WORD_STATE(word) == WORD_TAKEN)
			token = atomic_load_explicit(ring_extra(view, at, view->token_at),
						     memory_order_relaxed);
		atomic_thread_fence(memory_order_seq_cst);
		gate = atomic_load_explicit(gate_of(view), memory_order_seq_cst);
		if ((int64_t)(gate - at) > 0) { /* the word may be of the next lap, or zeroed */
			at = gate;
			continue;
		}
		if (!word)
			break;
		if (!total)
			return corrupt(at);
		/* Its byte is held: nobody but this process changes a record of the dead. */
		if (TOKEN_MEMBER(token) == dead) {
			atomic_compare_exchange_strong(ring_word(view, at), &word,
						       with_state(word, state_back(view)));
			KILL_POINT("sweep:back");
		}
		at += total;
	}
	atomic_store_explicit(&view->shm->rewind, 1, memory_order_release);
	event_notify(&view->shm->data, 0, INT_MAX);
	return 0;
}

/* 1: @worker was dead, and what it had came back; 0; -errno. */
static int look_at_worker(const struct shr_ring *ring, uint32_t worker)
{
	int token, err;

	if (!worker || worker == ring->me || worker > ring->view.members)
		return 0;
	err = member_win(ring->segment, worker - 1, &token);
	if (err)
		return err == -EBUSY ? 0 : err;
	err = take_mend(&ring->view, worker);
	if (!err)
		err = queue_sweep(&ring->view, worker);
	member_release(token, worker - 1);
	PROBE(repair, worker, ring->me, "queue");
	return err ? err : 1;
}

/* Between gate and take: 1 something is to be taken again; 0; -errno. */
static int look_for_dead(struct queue *q)
{
	const struct ring_view *view = &q->ring->view;
	uint64_t at = atomic_load_explicit(gate_of(view), memory_order_acquire), start = at;
	uint64_t end = atomic_load_explicit(&view->shm->take, memory_order_acquire);
	uint8_t seen[(FORMAT_MEMBERS + 8) / 8] = {0};
	int64_t now = event_now();
	int back = 0;

	if (at == end || now - q->scanned_ns < q->gap_ns)
		return 0;
	while (at - start <= view->capacity && (int64_t)(end - at) > 0) {
		uint64_t word = atomic_load_explicit(ring_word(view, at), memory_order_acquire);
		uint64_t total = word ? ring_record_total(view, at, word) : 0, gate;
		uint32_t worker = 0;

		if (total && WORD_STATE(word) == WORD_TAKEN)
			worker = TOKEN_MEMBER(atomic_load_explicit(
				ring_extra(view, at, view->token_at), memory_order_relaxed));
		atomic_thread_fence(memory_order_seq_cst);
		gate = atomic_load_explicit(gate_of(view), memory_order_seq_cst);
		if ((int64_t)(gate - at) > 0) {
			at = gate;
			continue;
		}
		if (!total)
			break;
		if (WORD_STATE(word) == WORD_READY) {
			atomic_store_explicit(&view->shm->rewind, 1, memory_order_release);
			back = 1;
		}
		if (worker && worker <= view->members && !(seen[worker / 8] & 1 << worker % 8)) {
			int found = look_at_worker(q->ring, worker);

			seen[worker / 8] |= (uint8_t)(1 << worker % 8);
			if (found < 0)
				return found;
			back |= found;
		}
		at += total;
	}
	q->scanned_ns = event_now();
	q->gap_ns = (q->scanned_ns - now) * LOOK_COST;
	if (q->gap_ns < LOOK_NS)
		q->gap_ns = LOOK_NS;
	return back;
}

static int have_room(struct queue *q)
{
	size_t room = q->room ? q->room * 2 : 16;
	struct queue_record *larger;

	if (q->count < q->room)
		return 0;
	larger = realloc(q->held, room * sizeof(*larger));
	if (!larger)
		return shr_fail(ENOMEM, "out of memory for %zu records", room);
	q->held = larger;
	q->room = room;
	return 0;
}

int queue_take(struct queue *q, size_t limit, struct shr_record *record)
{
	uint64_t position = 0, word = 0;
	int err = have_room(q), again = 1;

	while (!err) {
		err = take_lock(q->ring, CLAIM_LIVE_NS);
		if (err)
			return err;
		err = queue_advance(q->ring);
		if (err >= 0)
			err = find(q, &position, &word);
		if (!err && record && WORD_LENGTH(word) > limit) {
			record->size = (size_t)WORD_LENGTH(word);
			err = -EMSGSIZE;
		} else if (!err && record) {
			take(q, record, position, word);
		}
		take_unlock(q->ring);
		if (err != -EAGAIN && ++q->takes % LOOK_TAKES)
			return err;
		if (err != -EAGAIN) { /* always something: what the dead had is waited for, too */
			look_for_dead(q);
			return err;
		}
		err = again ? look_for_dead(q) : 0;
		again = 0;
		if (err <= 0)
			return err ? err : -EAGAIN;
		err = 0;
	}
	return err;
}

/* If what was put is the oldest, the gate moves over it, unless somebody is at that. */
static int move_gate(const struct shr_ring *ring, uint64_t position)
{
	int err;

	if (atomic_load_explicit(gate_of(&ring->view), memory_order_relaxed) != position ||
	    take_lock_try(ring))
		return 0;
	err = queue_advance(ring);
	take_unlock(ring);
	return err < 0 ? err : 0;
}

static void put(struct queue *q, const struct queue_record *held, uint32_t state)
{
	struct shm_ring *shm = q->ring->view.shm;

	if (state == WORD_READY)
		state = state_back(&q->ring->view);
	/* Release: payload read before it may be cleaned. */
	atomic_store_explicit(ring_word(&q->ring->view, held->position), with_state(held->word, state),
			      memory_order_release);
	if (state == WORD_DONE) {
		KILL_POINT("ack:done");
	} else if (state == WORD_READY) {
		KILL_POINT("back:ready");
		atomic_store_explicit(&shm->rewind, 1, memory_order_release);
		event_notify(&shm->data, q->ring->segment->registered, INT_MAX);
	}
}

int queue_put(struct queue *q, uint64_t position, uint32_t state)
{
	for (size_t i = 0; i < q->count; i++) {
		struct queue_record held = q->held[i];

		if (held.position != position)
			continue;
		q->held[i] = q->held[--q->count];
		put(q, &held, state);
		return move_gate(q->ring, position);
	}
	return shr_fail(ENOENT, "this worker does not have the record at position %llu",
			(unsigned long long)position);
}

int queue_ack_all(struct queue *q)
{
	uint64_t gate = atomic_load_explicit(gate_of(&q->ring->view), memory_order_relaxed);
	int oldest = 0;

	for (size_t i = 0; i < q->count; i++) {
		oldest |= q->held[i].position == gate;
		put(q, &q->held[i], WORD_DONE);
	}
	q->count = 0;
	return oldest ? move_gate(q->ring, gate) : 0;
}

void queue_close(struct queue *q)
{
	for (size_t i = 0; i < q->count; i++)
		put(q, &q->held[i], WORD_READY);
	free(q->held);
	*q = (struct queue){0};
}

int queue_unblock(const struct shr_ring *ring, int64_t *looked_ns)
{
	const struct ring_view *view = &ring->view;
	int64_t now;
	uint64_t gate, word;
	int moved = 0;

	if (!take_lock_try(ring)) {
		moved = queue_advance(ring);
		take_unlock(ring);
	}
	if (moved)
		return moved;
	now = event_now();
	if (now - *looked_ns < LOOK_NS)
		return 0;
	*looked_ns = now;
	moved = look_at_worker(ring, atomic_load(&view->shm->take_lock) & 0xffff);
	if (moved)
		return moved;
	gate = atomic_load_explicit(gate_of(view), memory_order_acquire);
	word = atomic_load_explicit(ring_word(view, gate), memory_order_acquire);
	if (WORD_STATE(word) != WORD_TAKEN || !ring_record_total(view, gate, word))
		return 0;
	moved = look_at_worker(ring, TOKEN_MEMBER(atomic_load(ring_extra(view, gate, view->token_at))));
	/* It is to be taken again, which makes no room; or it is lost, which does. */
	return moved > 0 && !(view->flags & SHR_RING_AT_MOST_ONCE) ? 0 : moved;
}
