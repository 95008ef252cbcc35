/* SPDX-License-Identifier: MIT */
/*
 * L4: the ring. claim.c has the claim lock, producer.c and cursor.c the two
 * ends, event_await.c how they sleep; this file what they share.
 *
 * Positions count bytes, free-running modulo 2^64; a record lies at its
 * position modulo the capacity, 8-byte aligned, never across the end. All
 * comparisons are of differences.
 *
 *	reclaim <= position <= tail < clean = reclaim + capacity
 *	[history)[to be read.)[zero....)
 *
 * States of a record's word
 *	0 --claim--> BUSY --commit--> READY --clean--> 0	(several producers)
 *	              |-----abort, or its owner died--> SKIP
 *	              '-----a claim of PAD, also of the dead--> PAD
 *	0 --commit--> READY, 0 --wrap--> PAD			(single producer)
 *
 * Who writes what
 *	lock, tail      whoever holds the claim lock
 *	a word          BUSY: the lock's holder, at tail; then its owner, or who
 *	                holds the dead owner's byte, by CAS; zero: the cleaner
 *	producer        the role's owner, or who holds the dead owner's byte
 *	cursor line     the cursor's owner; the role also as above
 *	reclaim, clean  the cursor's owner
 *
 * Invariants
 *	I1 from tail up to clean every byte is zero, but what the dead left at
 *	   tail and a single producer's record that is not committed
 *	I2 clean is at least one word beyond tail, so a consumer at tail reads 0
 *	I3 position - reclaim <= history whenever the consumer is outside release,
 *	   so an empty ring has room for the end of a lap and a largest record
 *
 * Ordering (pairs)
 *	commit:A next:A      READY, before it the payload; then the payload
 *	commit:A sleep:A     READY and look at sleepers; sleepers and look at READY:
 *	                     the light and the heavy fence of fence.h
 *	claim:A  claim:B     tail and BUSY, unlock; lock
 *	clean:A  reserve:A   zeroes, clean; clean, then stores into them
 *	release:A            payload read, position
 *
 * Progress. next and release: bounded. commit: wait-free but for a wake.
 * reserve: waits for a claim in progress; a dead claimer is proven and mended.
 *
 * Crash (SIGKILL) at each step
 *	claim     before tail is stored: the next locker zeroes the word at tail;
 *	          after: the consumer turns BUSY into SKIP, or PAD
 *	commit    one store: before it as claim (single producer: the bytes are
 *	          zeroed by the next one), after it the record is there
 *	release   position is one store. With skips: the journal (cursor.c)
 *	clean     reclaim stored, clean not: the next consumer zeroes from
 *	          clean - capacity to reclaim
 *	roles     the owner's number stays in them until somebody holds its byte
 */
#include "ring_core.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "error.h"
#include "member.h"

#define DEFAULT_CAPACITY ((uint64_t)1 << 20)
#define RECORD_LIMIT ((uint64_t)UINT32_MAX - 15) /* a word has 32 bits for the length */

extern inline int shr_producer_reserve(struct shr_producer *, size_t, void **);
extern inline int shr_producer_commit(struct shr_producer *);
extern inline int shr_cursor_next(struct shr_cursor *, struct shr_record *);
extern inline int shr_cursor_release(struct shr_cursor *);

static int geometry_possible(uint64_t capacity, uint64_t max_record, uint64_t history,
			     uint64_t first_position)
{
	return capacity >= SHR_CAPACITY_MIN && capacity <= SHR_CAPACITY_MAX &&
	       !(capacity & (capacity - 1)) && max_record && max_record <= capacity / 2 - 8 &&
	       max_record <= RECORD_LIMIT && history <= capacity - 2 * RECORD_TOTAL(max_record) &&
	       !(first_position & 7);
}

int shr_ring_describe(struct shr_object *object, const char *name,
		      const struct shr_ring_options *options)
{
	struct shr_ring_options own = {0};
	uint64_t room;
	int err;

	if (options) {
		err = shr_options_check(options, options->struct_size, sizeof(own));
		if (err)
			return err;
		memcpy(&own, options,
		       options->struct_size < sizeof(own) ? options->struct_size : sizeof(own));
	}
	if (!object || !name || !name[0] || strnlen(name, SHR_NAME_MAX + 1) > SHR_NAME_MAX)
		return shr_fail(EINVAL, "a ring needs a name of 1 to %d bytes", SHR_NAME_MAX);
	if (own.flags & ~(uint32_t)SHR_RING_SINGLE_PRODUCER || own.reserved)
		return shr_fail(EINVAL, "unknown flags in the options of ring %s", name);
	if (!own.capacity)
		own.capacity = DEFAULT_CAPACITY;
	if (own.capacity < SHR_CAPACITY_MIN || own.capacity > SHR_CAPACITY_MAX ||
	    own.capacity & (own.capacity - 1))
		return shr_fail(EINVAL, "capacity %llu of ring %s: it must be a power of two from %d to 2^40",
				(unsigned long long)own.capacity, name, SHR_CAPACITY_MIN);
	if (!own.max_record) {
		room = own.history > own.capacity / 2 ? own.capacity - own.history : own.capacity / 2;
		own.max_record = room / 2 < 16 ? 8 : room / 2 / 8 * 8 - 8;
		if (own.max_record > RECORD_LIMIT)
			own.max_record = RECORD_LIMIT;
	}
	if (own.max_record > own.capacity / 2 - 8 || own.max_record > RECORD_LIMIT)
		return shr_fail(EINVAL, "max_record %llu of ring %s: at most half the capacity - 8, %llu",
				(unsigned long long)own.max_record, name,
				(unsigned long long)(own.capacity / 2 - 8));
	if (own.schema && own.schema->size > own.max_record)
		return shr_fail(EINVAL, "struct %s of %u bytes is over max_record %llu of ring %s",
				own.schema->name, own.schema->size,
				(unsigned long long)own.max_record, name);
	room = own.capacity - 2 * RECORD_TOTAL(own.max_record);
	if (!own.history)
		own.history = room < own.capacity / 2 ? room : own.capacity / 2;
	if (!geometry_possible(own.capacity, own.max_record, own.history, own.first_position))
		return shr_fail(EINVAL,
				"history %llu of ring %s leaves no room for two records of %llu bytes, "
				"or first_position is no multiple of 8",
				(unsigned long long)own.history, name,
				(unsigned long long)own.max_record);
	memset(object, 0, sizeof(*object));
	object->kind = SHR_OBJECT_RING;
	object->flags = own.flags;
	memcpy(object->name, name, strlen(name));
	object->size = FORMAT_RING_DATA + own.capacity;
	object->schema = own.schema;
	object->param[0] = own.capacity;
	object->param[1] = own.max_record;
	object->param[2] = own.history;
	object->param[3] = own.first_position;
	return 0;
}

int ring_entry_check(const struct shm_object *entry)
{
	if (entry->flags & ~(uint32_t)SHR_RING_SINGLE_PRODUCER || entry->param[4] ||
	    !geometry_possible(entry->param[0], entry->param[1], entry->param[2], entry->param[3]) ||
	    entry->size != FORMAT_RING_DATA + entry->param[0])
		return shr_fail(EBADMSG, "ring %.47s has an impossible geometry", entry->name);
	return 0;
}

void ring_view_make(struct ring_view *view, void *object, const struct shm_object *entry,
		    uint32_t members)
{
	*view = (struct ring_view){.shm = object,
				   .data = (uint8_t *)object + FORMAT_RING_DATA,
				   .capacity = entry->param[0],
				   .max_record = entry->param[1],
				   .history = entry->param[2],
				   .first_position = entry->param[3],
				   .single = !!(entry->flags & SHR_RING_SINGLE_PRODUCER),
				   .members = members};
}

uint64_t ring_record_total(const struct ring_view *view, uint64_t position, uint64_t word)
{
	uint64_t length = WORD_LENGTH(word), total = RECORD_TOTAL(length);
	uint32_t state = WORD_STATE(word);

	if (length > view->max_record || (position & (view->capacity - 1)) + total > view->capacity ||
	    state < WORD_BUSY || state > WORD_PAD || WORD_ZERO(word) || !WORD_OWNER(word) ||
	    WORD_OWNER(word) > view->members)
		return 0;
	return total;
}

void ring_zero(const struct ring_view *view, uint64_t from, uint64_t to)
{
	uint64_t index = from & (view->capacity - 1), size = to - from;
	uint64_t first = size < view->capacity - index ? size : view->capacity - index;

	memset(view->data + index, 0, (size_t)first);
	memset(view->data, 0, (size_t)(size - first));
}

int ring_walk(const struct ring_view *view, uint64_t *tail)
{
	shm_atomic_u64 *position = &view->shm->cursor[0].position;
	uint64_t at = atomic_load_explicit(position, memory_order_acquire), start = at;

	/* A living consumer moves on meanwhile, by no more than there is. */
	while (at - start <= view->capacity) {
		uint64_t word = atomic_load_explicit(ring_word(view, at), memory_order_acquire);
		uint64_t now = atomic_load_explicit(position, memory_order_seq_cst), total;

		if ((int64_t)(now - at) > 0) { /* the word may be of the next lap, or zeroed */
			at = now;
			continue;
		}
		if (!word) {
			*tail = at;
			return 0;
		}
		total = ring_record_total(view, at, word);
		if (!total)
			break;
		at += total;
	}
	return shr_fail(EBADMSG, "the ring is corrupt: a record at position %llu is impossible",
			(unsigned long long)at);
}

/*
 * The byte of an owner that is dead is held for a moment by whoever mends what
 * it left, above all by an attach to its slot: look again before telling that
 * it lives.
 */
#define ROLE_TRIES 20
#define ROLE_PAUSE_NS 1000000

int ring_role_take(const struct shr_ring *ring, shm_atomic_u64 *role)
{
	uint64_t seen = atomic_load_explicit(role, memory_order_acquire);
	uint32_t owner = 0;

	for (int i = 0; i < ROLE_TRIES; i++) {
		int token, err;

		owner = ROLE_MEMBER(seen);
		if (!owner) {
			if (atomic_compare_exchange_strong(role, &seen, seen | ring->me))
				return 0;
			continue;
		}
		if (owner > ring->view.members)
			return shr_fail(EBADMSG, "the ring is corrupt: a role of member %u", owner);
		if (owner == ring->me)
			return shr_fail(EBUSY, "this process has it open already");
		err = member_win(ring->segment, owner - 1, &token);
		if (!err) {
			/* Its byte is held: nobody else changes the role of the dead. */
			err = atomic_compare_exchange_strong(role, &seen,
							     seen - owner + ROLE_ONE_TAKEOVER + ring->me);
			member_release(token, owner - 1);
			if (err)
				return 0;
		} else if (err != -EBUSY) {
			return err;
		} else {
			nanosleep(&(struct timespec){.tv_nsec = ROLE_PAUSE_NS}, NULL);
			seen = atomic_load_explicit(role, memory_order_acquire);
		}
	}
	return shr_fail(EBUSY, "member %u has it open, and lives", owner);
}

void ring_role_leave(const struct shr_ring *ring, shm_atomic_u64 *role)
{
	uint64_t seen = atomic_load_explicit(role, memory_order_relaxed);

	if (ROLE_MEMBER(seen) == ring->me)
		atomic_compare_exchange_strong(role, &seen, seen - ring->me);
}

int shr_ring_attach(struct shr_ring **result, struct shr_segment *segment, const char *object_name,
		    const struct shr_schema *schema)
{
	const struct shm_object *entry;
	const struct shr_schema *theirs;
	struct shr_ring *ring;
	int index, err;

	if (!result || *result)
		return shr_fail(result ? EBUSY : EINVAL, "the handle is in use, or none");
	index = segment_find(segment, object_name, SHR_OBJECT_RING, "a ring");
	if (index < 0)
		return index;
	if (segment->slot == SLOT_NONE)
		return shr_fail(EROFS, HANDLE_OBSERVES);
	entry = &segment->layout.header.directory[index];
	theirs = segment->layout.schema[index];
	err = shr_schema_match(schema, theirs);
	if (err)
		return err;
	ring = handle_alloc(sizeof(*ring));
	if (!ring)
		return shr_fail(ENOMEM, "out of memory");
	ring_view_make(&ring->view, segment->base + entry->offset, entry,
		       segment->layout.header.members);
	ring->segment = segment;
	ring->me = segment->slot + 1;
	if (schema)
		ring->min_record = schema->size < theirs->size ? schema->size : theirs->size;
	ring->tag = RING_TAG;
	atomic_fetch_add(&segment->users, 1);
	*result = ring;
	return 0;
}

int shr_ring_open(struct shr_ring **result, const char *name, const char *mode,
		  const struct shr_ring_options *options,
		  const struct shr_segment_options *segment_options)
{
	struct shr_segment *segment = NULL;
	struct shr_object object;
	int err;

	if (!result || *result)
		return shr_fail(result ? EBUSY : EINVAL, "the handle is in use, or none");
	err = shr_ring_describe(&object, "ring", options);
	if (!err)
		err = segment_open_one(&segment, name, mode, &object, segment_options);
	if (err)
		return err;
	err = shr_ring_attach(result, segment, "ring", object.schema);
	if (err)
		shr_segment_detach(segment);
	else
		(*result)->own_segment = 1;
	return err;
}

int shr_ring_close(struct shr_ring *ring)
{
	int err;

	if (!ring)
		return 0;
	if (ring->tag == RING_TAG) {
		if (atomic_load(&ring->users))
			return shr_fail(EBUSY, "producers or the cursor of the ring are still open: "
					       "close them first");
		err = segment_let_go(ring->segment, ring->own_segment);
		if (err)
			return err;
	}
	handle_free(ring, sizeof(*ring));
	return 0;
}

struct shr_segment *shr_ring_segment(const struct shr_ring *ring)
{
	return ring->segment;
}

uint64_t shr_ring_max_record(const struct shr_ring *ring)
{
	return ring->view.max_record;
}

uint64_t shr_ring_capacity(const struct shr_ring *ring)
{
	return ring->view.capacity;
}

int shr_ring_stat(const struct shr_ring *ring, struct shr_ring_status *stat)
{
	const struct shm_ring *shm;
	struct shr_ring_status own = {0};
	uint64_t role;

	if (ring->tag != RING_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	shm = ring->view.shm;
	role = atomic_load(&shm->producer);
	own.producer = ROLE_MEMBER(role);
	own.producer_takeovers = ROLE_TAKEOVERS(role);
	role = atomic_load(&shm->cursor[0].role);
	own.consumer = ROLE_MEMBER(role);
	own.consumer_takeovers = ROLE_TAKEOVERS(role);
	own.position = atomic_load(&shm->cursor[0].position);
	own.delivered = atomic_load(&shm->cursor[0].delivered);
	own.skipped = atomic_load(&shm->cursor[0].skipped);
	own.redelivered = atomic_load(&shm->cursor[0].redelivered);
	own.reclaim = atomic_load(&shm->reclaim);
	own.lock_repairs = atomic_load(&shm->lock) >> 16;
	own.tail = atomic_load(&shm->tail);
	if (ring->view.single) {
		int err = ring_walk(&ring->view, &own.tail);

		if (err)
			return err;
	}
	*stat = own;
	return 0;
}

void ring_init(void *object, const struct shm_object *entry)
{
	struct shm_ring *shm = object;
	uint64_t first = entry->param[3];

	atomic_store(&shm->tail, first);
	atomic_store(&shm->reclaim, first);
	atomic_store(&shm->clean, first + entry->param[0]);
	atomic_store(&shm->cursor[0].position, first);
	atomic_store(&shm->cursor[0].delivered, first);
	atomic_store(&shm->cursor[0].journal_position, first);
	strcpy(shm->cursor[0].name, "default");
}

static void role_sweep(shm_atomic_u64 *role, uint32_t dead)
{
	uint64_t seen = atomic_load(role);

	if (ROLE_MEMBER(seen) == dead)
		atomic_compare_exchange_strong(role, &seen, seen - dead + ROLE_ONE_TAKEOVER);
}

int ring_sweep(void *object, const struct shm_object *entry, const struct shr_segment *segment,
	       uint32_t slot)
{
	struct ring_view view;
	int err = ring_entry_check(entry);

	if (err)
		return err;
	ring_view_make(&view, object, entry, segment->layout.header.members);
	if (!view.single) {
		err = claim_mend(&view, slot + 1);
		if (!err)
			err = claim_sweep(&view, slot + 1);
	}
	if (!err) {
		role_sweep(&view.shm->producer, slot + 1);
		role_sweep(&view.shm->cursor[0].role, slot + 1);
	}
	return err;
}

void ring_wake(void *object)
{
	struct shm_ring *shm = object;

	event_wake(&shm->data, INT_MAX);
	event_wake(&shm->space, INT_MAX);
}
