/* SPDX-License-Identifier: MIT */
/*
 * L4: the table of a ring's cursors: who is there, and how one joins.
 *
 * A place is free while its mode is 0. Places are given under the claim lock, so
 * that a name is there once. A new one
 *
 *	role = me; name, numbers; position = p; mode = JOINING | ...
 *	fence			join:A, pairs with clean:B
 *	reclaim beyond p?	p = a later place, again
 *	mode without JOINING
 *
 * so that a producer that cleans either sees the position, or is seen to have
 * reclaimed it: then this one moves on. Whoever proves the owner of a cursor dead
 * frees the place, if it does not stay: mode by one CAS, which counts it too.
 *
 * Crash (the kill points have these names)
 *	join:role	the place is free, the role is swept
 *	join:joining	a gate for nobody, until its owner is proven dead
 *	join:joined	the same as any cursor
 *	evict:gate	the gate is gone, its role is not: for who sweeps the slot
 */
#include <errno.h>
#include <string.h>

#include "error.h"
#include "killpoint.h"
#include "member.h"
#include "probe.h"
#include "ring_core.h"

#define JOIN_TRIES 1000 /* against producers that clean meanwhile */
#define CREATE_NS 1000000000

int cursors_lowest(const struct ring_view *view, uint64_t floor, uint64_t tail, uint64_t *position)
{
	uint64_t most = 0;
	int lowest = -1;

	for (uint32_t i = 0; i < ring_cursor_places(view); i++) {
		const struct shm_cursor *cursor = &view->shm->cursor[i];
		uint64_t at;

		if (!(CURSOR_MODE(atomic_load_explicit(&cursor->mode, memory_order_acquire)) &
		      CURSOR_GATE))
			continue;
		/* release:A. Acquire: what was read before it was given back. */
		at = atomic_load_explicit(&cursor->position, memory_order_acquire);
		if ((int64_t)(at - floor) < 0)
			continue;
		/* One that seems to be beyond the tail has moved since that was read. */
		if (lowest < 0 || (int64_t)(tail - at) > (int64_t)most) {
			most = (int64_t)(tail - at) > 0 ? tail - at : 0;
			lowest = (int)i;
		}
	}
	if (lowest >= 0)
		*position = tail - most;
	return lowest;
}

/* Its owner is dead: it goes, if it does not stay. By who holds the owner's byte, or has the role. */
static void evict(struct shm_cursor *cursor)
{
	uint64_t mode = atomic_load(&cursor->mode);

	if (mode & CURSOR_USED && (!(mode & CURSOR_DURABLE) || mode & CURSOR_JOINING))
		atomic_compare_exchange_strong(&cursor->mode, &mode,
					       mode - CURSOR_MODE(mode) + CURSOR_ONE_EVICTION);
}

void cursors_sweep(const struct ring_view *view, uint32_t dead)
{
	if (view->mode == SHR_RING_QUEUE)
		return;
	for (uint32_t i = 0; i < view->cursors; i++) {
		struct shm_cursor *cursor = &view->shm->cursor[i];

		if (ROLE_MEMBER(atomic_load(&cursor->role)) == dead)
			evict(cursor);
	}
}

int cursors_evict(const struct shr_ring *ring, uint32_t among)
{
	const struct ring_view *view = &ring->view;
	int gone = 0;

	for (uint32_t i = 0; i < view->cursors; i++) {
		struct shm_cursor *cursor = &view->shm->cursor[i];
		uint32_t mode = CURSOR_MODE(atomic_load(&cursor->mode));
		uint32_t owner = ROLE_MEMBER(atomic_load(&cursor->role));
		int token, err;

		if (!(mode & among) || (mode & CURSOR_DURABLE && !(mode & CURSOR_JOINING)) ||
		    !owner || owner == ring->me || owner > view->members)
			continue;
		err = member_win(ring->segment, owner - 1, &token);
		if (err == -EBUSY)
			continue;
		if (err)
			return err;
		cursors_sweep(view, owner);
		KILL_POINT("evict:gate");
		member_release(token, owner - 1);
		PROBE(repair, owner, ring->me, "cursor");
		gone = 1;
	}
	return gone;
}

void cursors_view(struct shr_cursor_info *info, const struct shm_cursor *cursor, uint64_t mode,
		  uint64_t role)
{
	*info = (struct shr_cursor_info){
		.flags = (mode & CURSOR_GATE ? 0 : SHR_CURSOR_LOSSY) |
			 (mode & CURSOR_DURABLE ? SHR_CURSOR_DURABLE : 0),
		.member = ROLE_MEMBER(role),
		.position = atomic_load(&cursor->position),
		.delivered = atomic_load(&cursor->delivered),
		.skipped = atomic_load(&cursor->skipped),
		.redelivered = atomic_load(&cursor->redelivered),
		.lost = atomic_load(&cursor->lost),
		.lost_bytes = atomic_load(&cursor->lost_bytes),
		.takeovers = ROLE_TAKEOVERS(role),
		.sequence = atomic_load(&cursor->sequence),
	};
	if ((int64_t)(info->position - info->delivered) > 0) /* it passed what is no record */
		info->delivered = info->position;
	memcpy(info->name, cursor->name, SHR_CURSOR_NAME_MAX);
}

static int find(const struct ring_view *view, const char *name)
{
	for (uint32_t i = 0; i < view->cursors; i++) {
		const struct shm_cursor *cursor = &view->shm->cursor[i];
		char here[sizeof(cursor->name)];

		if (!(atomic_load_explicit(&cursor->mode, memory_order_acquire) & CURSOR_USED))
			continue;
		memcpy(here, cursor->name, sizeof(here));
		here[sizeof(here) - 1] = 0;
		if (!strcmp(here, name))
			return (int)i;
	}
	return -1;
}

int shr_ring_cursor(const struct shr_ring *ring, uint32_t index, struct shr_cursor_info *info)
{
	const struct shm_cursor *cursor;
	uint64_t mode;

	if (ring->tag != RING_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	if (index >= SHR_RING_CURSORS_MAX)
		return shr_fail(ERANGE, "a ring has no cursor %u", index);
	cursor = &ring->view.shm->cursor[index];
	mode = atomic_load(&cursor->mode);
	if (index >= ring->view.cursors || !(mode & CURSOR_USED))
		return shr_fail(ENOENT, "the place of cursor %u is free", index);
	cursors_view(info, cursor, mode, atomic_load(&cursor->role));
	return 0;
}

int shr_ring_remove_cursor(struct shr_ring *ring, const char *name)
{
	struct shm_cursor *cursor;
	int place, err;

	if (!ring || ring->tag != RING_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	if (!ring->me)
		return shr_fail(EROFS, HANDLE_OBSERVES);
	if (ring->view.mode == SHR_RING_STREAM && ring->view.cursors == 1)
		return shr_fail(EPERM, "the only cursor of a ring stays");
	place = name ? find(&ring->view, name) : -1;
	if (place < 0)
		return shr_fail(ENOENT, "the ring has no cursor named %.31s", name ? name : "");
	cursor = &ring->view.shm->cursor[place];
	err = ring_role_take(ring, &cursor->role);
	if (err)
		return err;
	if (find(&ring->view, name) == place) /* else it went with its dead owner */
		cursors_free(cursor);
	ring_role_leave(ring, &cursor->role);
	event_notify(&ring->view.shm->space, ring->segment->registered, INT32_MAX);
	return 0;
}

void cursors_free(struct shm_cursor *place)
{
	uint64_t mode = atomic_load(&place->mode);

	atomic_store_explicit(&place->mode, mode - CURSOR_MODE(mode), memory_order_release);
}

/* The role of a place where nobody is; the claim lock is held. */
static int take_free_place(const struct shr_ring *ring, uint32_t *place)
{
	for (uint32_t i = 0; i < ring->view.cursors; i++) {
		struct shm_cursor *cursor = &ring->view.shm->cursor[i];
		uint64_t role = atomic_load(&cursor->role);
		int err;

		if (atomic_load(&cursor->mode) & CURSOR_USED)
			continue;
		if (ROLE_MEMBER(role) == ring->me) /* being closed by another thread */
			continue;
		err = ring_role_try(ring, &cursor->role); /* the claim lock is not held for long */
		if (err == -EBUSY)
			continue;
		*place = i;
		return err;
	}
	return shr_fail(ENOSPC, "the ring has %u places for cursors, and all are taken",
			ring->view.cursors);
}

/* Empty but for the role, which counts from none again. */
static void wipe(const struct shr_ring *ring, struct shm_cursor *cursor, const char *name)
{
	atomic_store(&cursor->role, ring->me);
	atomic_store(&cursor->skipped, 0);
	atomic_store(&cursor->redelivered, 0);
	atomic_store(&cursor->journal_skipped, 0);
	atomic_store(&cursor->journal_lost, 0);
	atomic_store(&cursor->journal_bytes, 0);
	atomic_store(&cursor->journal_sequence, 0);
	atomic_store(&cursor->lost, 0);
	atomic_store(&cursor->lost_bytes, 0);
	memset(cursor->name, 0, sizeof(cursor->name));
	memcpy(cursor->name, name, strlen(name));
}

static int flags_differ(const struct shm_cursor *cursor, const struct shr_cursor_options *options)
{
	uint32_t mode = CURSOR_MODE(atomic_load(&cursor->mode));

	return !!(options->flags & SHR_CURSOR_LOSSY) != !(mode & CURSOR_GATE) ||
	       !!(options->flags & SHR_CURSOR_DURABLE) != !!(mode & CURSOR_DURABLE);
}

static int create(const struct shr_ring *ring, const char *name,
		  const struct shr_cursor_options *options, uint32_t *place, int *made)
{
	struct shm_cursor *cursor;
	uint32_t mode = CURSOR_USED | CURSOR_JOINING;
	uint64_t position, sequence, evictions;
	int err = take_free_place(ring, place);

	if (err == -ENOSPC && cursors_evict(ring, CURSOR_USED) > 0)
		err = take_free_place(ring, place);
	if (err)
		return err;
	cursor = &ring->view.shm->cursor[*place];
	KILL_POINT("join:role");
	wipe(ring, cursor, name);
	mode |= options->flags & SHR_CURSOR_LOSSY ? 0 : CURSOR_GATE;
	mode |= options->flags & SHR_CURSOR_DURABLE ? CURSOR_DURABLE : 0;
	evictions = atomic_load(&cursor->mode) & ~(CURSOR_ONE_EVICTION - 1);
	position = atomic_load(&ring->view.shm->reclaim);
	atomic_store(&cursor->position, position);
	atomic_store_explicit(&cursor->mode, evictions | mode, memory_order_release);
	KILL_POINT("join:joining");
	err = cursors_join(ring, options, cursor, &position, &sequence);
	if (err) {
		cursors_free(cursor);
		ring_role_leave(ring, &cursor->role);
		return err;
	}
	atomic_store(&cursor->delivered, position);
	atomic_store(&cursor->journal_position, position);
	atomic_store(&cursor->sequence, sequence);
	atomic_store_explicit(&cursor->mode, evictions | (mode & ~CURSOR_JOINING),
			      memory_order_release);
	KILL_POINT("join:joined");
	*made = 1;
	return 0;
}

int cursors_take(const struct shr_ring *ring, const char *name,
		 const struct shr_cursor_options *options, uint32_t *place, int *made)
{
	uint64_t mode;
	int found, differ, err;

	*made = 0;
	for (;;) {
		found = find(&ring->view, name);
		if (found >= 0) {
			struct shm_cursor *cursor = &ring->view.shm->cursor[found];

			differ = options->flags & SHR_CURSOR_CREATE && flags_differ(cursor, options);
			err = -EBUSY;
			/* One that does not stay may be of the dead. */
			if (!differ || !(atomic_load(&cursor->mode) & CURSOR_DURABLE))
				err = ring_role_take(ring, &cursor->role);
			if (err == -EBUSY && differ)
				return shr_fail(EEXIST, "cursor %s is there, and %s, %s", name,
						atomic_load(&cursor->mode) & CURSOR_GATE ? "gates" : "is lossy",
						atomic_load(&cursor->mode) & CURSOR_DURABLE ? "durable"
											    : "not durable");
			if (err)
				return err;
			/* It may have gone with a dead owner, and another be there. */
			mode = atomic_load(&cursor->mode);
			if (find(&ring->view, name) == found && mode & CURSOR_DURABLE &&
			    !(mode & CURSOR_JOINING)) {
				*place = (uint32_t)found;
				return 0;
			}
			/* Nobody had it, and it does not stay: its owner died. */
			if (find(&ring->view, name) == found)
				evict(cursor);
			ring_role_leave(ring, &cursor->role);
			event_notify(&ring->view.shm->space, ring->segment->registered, INT32_MAX);
			continue;
		}
		if (!(options->flags & SHR_CURSOR_CREATE))
			return shr_fail(ENOENT, "the ring has no cursor named %s", name);
		err = claim_lock(ring, CREATE_NS);
		if (err)
			return err;
		found = find(&ring->view, name);
		if (found < 0)
			err = create(ring, name, options, place, made);
		claim_unlock(ring);
		if (found < 0)
			return err;
	}
}

/* --- Where to begin -------------------------------------------------------------- */

static int corrupt(uint64_t position)
{
	return shr_fail(EBADMSG, "the ring is corrupt: a record at position %llu is impossible",
			(unsigned long long)position);
}

/*
 * One try: walk from what is reclaimed to where @o say, by records that are in
 * place. -EAGAIN: cleaned under the walk.
 */
static int look(const struct ring_view *view, const struct shr_cursor_options *o,
		uint64_t *position, uint64_t *sequence)
{
	uint64_t at = atomic_load_explicit(&view->shm->reclaim, memory_order_acquire);
	uint64_t start = at, last = 0, number = 0, next = 0;

	if (o->join == SHR_JOIN_POSITION && (int64_t)(o->position - at) < 0)
		return shr_fail(ERANGE, "position %llu is not in the ring any more: the oldest is %llu",
				(unsigned long long)o->position, (unsigned long long)at);
	for (;;) {
		uint64_t word, total, time_ns = 0;
		int record;

		/* Before the word: a claim there would have made it nonzero. */
		next = atomic_load_explicit(&view->shm->sequence, memory_order_acquire);
		word = atomic_load_explicit(ring_word(view, at), memory_order_acquire);
		total = word ? ring_record_total(view, at, word) : 0;
		record = total && !ring_is_pad(word);
		number = 0;
		if (record && view->sequence_at)
			number = atomic_load_explicit(ring_extra(view, at, view->sequence_at),
						      memory_order_relaxed);
		if (record && view->time_at)
			time_ns = atomic_load_explicit(ring_extra(view, at, view->time_at),
						       memory_order_relaxed);
		atomic_thread_fence(memory_order_seq_cst); /* copy:A. Pairs with clean:B. */
		if ((int64_t)(atomic_load_explicit(&view->shm->reclaim, memory_order_acquire) - at) > 0)
			return -EAGAIN;
		if (word && !total)
			return corrupt(at);
		if (at - start > view->capacity)
			return -EOVERFLOW; /* written as fast as it is read */
		if (!word || (o->join == SHR_JOIN_OLDEST && (record || !view->sequence_at)) ||
		    (o->join == SHR_JOIN_POSITION && (int64_t)(at - o->position) >= 0 &&
		     (record || !view->sequence_at)) ||
		    (o->join == SHR_JOIN_TIME && record &&
		     (time_ns >= o->time_ns || WORD_STATE(word) == WORD_BUSY))) /* it may have none yet */
			break;
		if (o->join == SHR_JOIN_POSITION && (int64_t)(at + total - o->position) > 0 &&
		    (int64_t)(at - o->position) < 0)
			break;
		if (record)
			last = number;
		at += total;
	}
	if (o->join == SHR_JOIN_POSITION && (int64_t)(at - o->position) < 0)
		return shr_fail(EINVAL, "position %llu is not between two records of the ring",
				(unsigned long long)o->position);
	if (!number && view->sequence_at) /* nothing there yet */
		number = next > last ? next : last + 1;
	*position = at;
	*sequence = number;
	return 0;
}

/* The tail, and the number of the record that will be there. */
static int newest(const struct ring_view *view, uint64_t *position, uint64_t *sequence)
{
	uint64_t next = atomic_load_explicit(&view->shm->sequence, memory_order_acquire), word;
	int err;

	if (view->single) {
		err = ring_walk(view, position, sequence);
		if (*sequence < next) /* as it was before the walk found nothing there */
			*sequence = next;
		return err;
	}
	*position = atomic_load_explicit(&view->shm->tail, memory_order_acquire);
	*sequence = next;
	if (*position & 7)
		return corrupt(*position);
	if (atomic_load_explicit(&view->shm->sequence, memory_order_acquire) != next)
		return -EAGAIN;
	/* A claim that has moved sequence, and not tail, has its number there. */
	word = atomic_load_explicit(ring_word(view, *position), memory_order_acquire);
	if (word && view->sequence_at && ring_record_total(view, *position, word) && !ring_is_pad(word)) {
		uint64_t number = atomic_load_explicit(ring_extra(view, *position, view->sequence_at),
						       memory_order_relaxed);

		if (number)
			*sequence = number;
	}
	atomic_thread_fence(memory_order_seq_cst); /* copy:A */
	return (int64_t)(atomic_load_explicit(&view->shm->reclaim, memory_order_acquire) -
			 *position) > 0 ? -EAGAIN : 0;
}

int cursors_join(const struct shr_ring *ring, const struct shr_cursor_options *options,
		 struct shm_cursor *place, uint64_t *position, uint64_t *sequence)
{
	const struct ring_view *view = &ring->view;
	int err = -EAGAIN;

	for (int i = 0; i < JOIN_TRIES && err == -EAGAIN; i++) {
		err = options->join == SHR_JOIN_NEWEST ? newest(view, position, sequence)
						       : look(view, options, position, sequence);
		if (err || !place)
			continue;
		atomic_store_explicit(&place->position, *position, memory_order_seq_cst);
		atomic_thread_fence(memory_order_seq_cst); /* join:A. Pairs with clean:B. */
		if (atomic_load(&place->mode) & CURSOR_GATE && /* another may be overtaken */
		    (int64_t)(atomic_load_explicit(&view->shm->reclaim, memory_order_seq_cst) -
			      *position) > 0)
			err = -EAGAIN;
	}
	return err == -EAGAIN || err == -EOVERFLOW ? shr_fail(EAGAIN, "producers clean faster than one can join") : err;
}
