/* SPDX-License-Identifier: MIT */
/*
 * L4: the ring. claim.c has the micro-locks, producer.c and cursor.c (cursor_open.c) the two
 * ends, clean.c how producers make room, cursors.c the table of cursors, queue.c
 * competing consumers, event_await.c how all of them sleep; this file what they share.
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
 *	READY --take--> TAKEN --ack--> DONE			(queue)
 *	  ^---given back, owner dead---'  '--at most once--> LOST
 *
 * Who cleans. A stream with one cursor: its consumer, as it releases (cursor.c).
 * All others: producers, ahead of the tail (clean.c).
 *
 * Who writes what
 *	lock, tail      whoever holds the claim lock
 *	a word          BUSY: the lock's holder, at tail; then its owner, or who
 *	                holds the dead owner's byte, by CAS; TAKEN: the holder of
 *	                the take lock; then its worker, or who holds the dead
 *	                worker's byte, by CAS; zero: the cleaner
 *	producer        the role's owner, or who holds the dead owner's byte
 *	cursor line     the cursor's owner; role and mode also as above. In a queue
 *	                the holder of the take lock
 *	reclaim, clean  the cleaner: the cursor's owner; or the holder of the claim
 *	                lock, or the single producer
 *
 * Invariants
 *	I1 from tail up to clean every byte is zero, but what the dead left at
 *	   tail and a single producer's record that is not committed
 *	I2 clean is at least one word beyond tail, so a consumer at tail reads 0
 *	I3 position - reclaim <= history whenever the consumer is outside release,
 *	   so an empty ring has room for the end of a lap and a largest record
 *	   (producers that clean: they can make it so)
 *	I4 nothing at or above a gate's position, and no record in work, is cleaned
 *
 * Ordering (pairs)
 *	commit:A next:A      READY, before it the payload; then the payload
 *	commit:A sleep:A     READY and look at sleepers; sleepers and look at READY:
 *	                     the light and the heavy fence of fence.h
 *	claim:A  claim:B     tail and BUSY, unlock; lock
 *	clean:A  reserve:A   zeroes, clean; clean, then stores into them
 *	release:A            payload read, position; position, then zeroes (clean.c)
 *	join:A   clean:B     position, look at reclaim; reclaim, look at positions:
 *	                     a fence between, on both sides
 *	clean:B  copy:A      reclaim, zeroes; payload read, look at reclaim
 *	token:A              token, TAKEN
 *
 * Progress. next and release: bounded. commit: wait-free but for a wake.
 * reserve: waits for a claim in progress; a dead claimer is proven and mended.
 *
 * Crash (SIGKILL) at each step
 *	claim     before tail is stored: the next locker zeroes the word at tail;
 *	          after: the consumer turns BUSY into SKIP, or PAD
 *	commit    one store: before it as claim (single producer: the bytes are
 *	          zeroed by the next one), after it the record is there
 *	release   position is one store. With skips and losses: the journal (cursor.c)
 *	clean     reclaim stored, clean not: the next cleaner zeroes from
 *	          clean - capacity to reclaim
 *	roles     the owner's number stays in them until somebody holds its byte
 *	join      the place is JOINING: no cursor, once its owner is proven dead
 *	take      TAKEN stored, take not: whoever takes the lock over starts at the gate
 *	give back READY stored, rewind not: found by the scan of who has nothing to take
 */
#include "ring_core.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include "error.h"
#include "member.h"

#define DEFAULT_CAPACITY ((uint64_t)1 << 20)
#define PAGE 4096
#define LINE 64
#define RECORD_LIMIT ((uint64_t)UINT32_MAX - 15) /* a word has 32 bits for the length */

extern inline int shr_producer_reserve(struct shr_producer *, size_t, void **);
extern inline int shr_producer_commit(struct shr_producer *);
extern inline int shr_producer_write(struct shr_producer *, const void *, size_t);
extern inline void shr_record_make_(struct shr_record *, const void *, uint64_t, uint64_t);
extern inline int shr_cursor_next(struct shr_cursor *, struct shr_record *);
extern inline int shr_cursor_release(struct shr_cursor *);
extern inline int shr_cursor_read(struct shr_cursor *, void *, size_t, struct shr_record *);

#define FLAGS                                                                                  \
	(SHR_RING_SINGLE_PRODUCER | SHR_RING_SEQUENCE | SHR_RING_TIME | SHR_RING_DROP_NEWEST |     \
	 SHR_RING_AT_MOST_ONCE | SHR_RING_NO_DEFAULT)

/* The compiler's builtin is a prefetch for reading on x86, unless with -mprfchw. */
#if defined(__x86_64__) || defined(__i386__)
#define CPUID_EXTENDED 0x80000001u /* AMD64 APM vol. 3, appendix E */
#define CPUID_ECX_PREFETCHW (1u << 8)

static int can_prefetch_for_writing(void)
{
	static _Atomic int known; /* 0 not yet, 1 no, 2 yes; cpuid is slow in virtual machines */
	int can = atomic_load_explicit(&known, memory_order_relaxed);

	if (!can) {
		unsigned int a, b, c, d;

		can = __get_cpuid(CPUID_EXTENDED, &a, &b, &c, &d) && c & CPUID_ECX_PREFETCHW ? 2 : 1;
		atomic_store_explicit(&known, can, memory_order_relaxed);
	}
	return can == 2;
}

static inline void prefetch_for_writing(const uint8_t *line)
{
	__asm__ volatile("prefetchw %0" : : "m"(*line));
}
#else
static int can_prefetch_for_writing(void)
{
	return 1;
}

static inline void prefetch_for_writing(const uint8_t *line)
{
	__builtin_prefetch(line, 1);
}
#endif

/* Bytes before a record's payload. */
static uint32_t header_size(uint32_t flags, uint32_t mode)
{
	return 8 + 8 * !!(flags & SHR_RING_SEQUENCE) + 8 * (mode == SHR_RING_QUEUE) +
	       8 * !!(flags & SHR_RING_TIME);
}

static int geometry_possible(const struct shr_ring_options *o)
{
	uint32_t header = header_size(o->flags, o->mode);

	return o->capacity >= SHR_CAPACITY_MIN && o->capacity <= SHR_CAPACITY_MAX &&
	       !(o->capacity & (o->capacity - 1)) && o->max_record &&
	       o->max_record <= o->capacity / 2 - header && o->max_record <= RECORD_LIMIT &&
	       o->history <= o->capacity - 2 * RECORD_TOTAL(header, o->max_record) &&
	       !(o->first_position & 7);
}

/* Flags, mode and cursors together; as they are in the segment. */
static int kind_possible(const struct shr_ring_options *o)
{
	if (o->flags & ~(uint32_t)FLAGS || o->mode > SHR_RING_OVERWRITE ||
	    o->cursors > SHR_RING_CURSORS_MAX)
		return 0;
	if (o->flags & SHR_RING_DROP_NEWEST && !(o->flags & SHR_RING_SEQUENCE))
		return 0;
	switch (o->mode) {
	case SHR_RING_STREAM:
		return o->cursors && !(o->flags & SHR_RING_AT_MOST_ONCE) &&
		       !(o->flags & SHR_RING_NO_DEFAULT && o->cursors == 1);
	case SHR_RING_QUEUE:
		return !o->cursors && !(o->flags & SHR_RING_NO_DEFAULT);
	default:
		return o->cursors && o->flags & SHR_RING_SEQUENCE && !o->history &&
		       !(o->flags & (SHR_RING_AT_MOST_ONCE | SHR_RING_DROP_NEWEST | SHR_RING_NO_DEFAULT));
	}
}

static void kind_defaults(struct shr_ring_options *o)
{
	if (o->flags & SHR_RING_DROP_NEWEST || o->mode == SHR_RING_OVERWRITE)
		o->flags |= SHR_RING_SEQUENCE;
	if (!o->cursors && o->mode != SHR_RING_QUEUE)
		o->cursors = o->mode == SHR_RING_STREAM ? 1 : 4;
}

int shr_ring_describe(struct shr_object *object, const char *name,
		      const struct shr_ring_options *options)
{
	struct shr_ring_options own = {0};
	uint32_t header;
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
	kind_defaults(&own);
	if (own.reserved || !kind_possible(&own))
		return shr_fail(EINVAL,
				"flags 0x%x, mode %u and %u cursors of ring %s are unknown or do not go "
				"together",
				own.flags, own.mode, own.cursors, name);
	header = header_size(own.flags, own.mode);
	if (!own.capacity)
		own.capacity = DEFAULT_CAPACITY;
	if (own.capacity < SHR_CAPACITY_MIN || own.capacity > SHR_CAPACITY_MAX ||
	    own.capacity & (own.capacity - 1))
		return shr_fail(EINVAL, "capacity %llu of ring %s: it must be a power of two from %d to 2^40",
				(unsigned long long)own.capacity, name, SHR_CAPACITY_MIN);
	if (!own.max_record) {
		room = own.history > own.capacity / 2 ? own.capacity - own.history : own.capacity / 2;
		own.max_record = room / 2 < header + 8 ? 8 : room / 2 / 8 * 8 - header;
		if (own.max_record > RECORD_LIMIT)
			own.max_record = RECORD_LIMIT;
	}
	if (own.max_record > own.capacity / 2 - header || own.max_record > RECORD_LIMIT)
		return shr_fail(EINVAL, "max_record %llu of ring %s: at most half the capacity - %u, %llu",
				(unsigned long long)own.max_record, name, header,
				(unsigned long long)(own.capacity / 2 - header));
	if (own.schema && own.schema->size > own.max_record)
		return shr_fail(EINVAL, "struct %s of %u bytes is over max_record %llu of ring %s",
				own.schema->name, own.schema->size,
				(unsigned long long)own.max_record, name);
	room = own.capacity - 2 * RECORD_TOTAL(header, own.max_record);
	if (!own.history && own.mode != SHR_RING_OVERWRITE)
		own.history = room < own.capacity / 2 ? room : own.capacity / 2;
	if (!geometry_possible(&own))
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
	object->param[4] = (uint64_t)own.mode << 32 | own.cursors;
	return 0;
}

void ring_entry_options(struct shr_ring_options *options, const struct shm_object *entry)
{
	*options = (struct shr_ring_options){.struct_size = sizeof(*options),
					     .flags = entry->flags,
					     .mode = (uint32_t)(entry->param[4] >> 32),
					     .capacity = entry->param[0],
					     .max_record = entry->param[1],
					     .history = entry->param[2],
					     .first_position = entry->param[3],
					     .cursors = (uint32_t)entry->param[4]};
}

int ring_entry_check(const struct shm_object *entry)
{
	struct shr_ring_options options;

	ring_entry_options(&options, entry);
	if (!kind_possible(&options) || !geometry_possible(&options) ||
	    entry->size != FORMAT_RING_DATA + options.capacity)
		return shr_fail(EBADMSG, "ring %.47s has an impossible geometry", entry->name);
	return 0;
}

void ring_view_make(struct ring_view *view, void *object, const struct shm_object *entry,
		    uint32_t members)
{
	struct shr_ring_options options;
	uint32_t at = 8;

	ring_entry_options(&options, entry);
	*view = (struct ring_view){.shm = object,
				   .data = (uint8_t *)object + FORMAT_RING_DATA,
				   .capacity = options.capacity,
				   .max_record = options.max_record,
				   .history = options.history,
				   .first_position = options.first_position,
				   .flags = options.flags,
				   .mode = options.mode,
				   .cursors = options.cursors,
				   .single = !!(options.flags & SHR_RING_SINGLE_PRODUCER),
				   .ahead = options.cursors != 1 || options.mode != SHR_RING_STREAM ||
					    options.flags & SHR_RING_SEQUENCE,
				   .header = header_size(options.flags, options.mode),
				   .members = members};
	if (options.flags & SHR_RING_SEQUENCE) {
		view->sequence_at = at;
		at += 8;
	}
	if (options.mode == SHR_RING_QUEUE) {
		view->token_at = at;
		at += 8;
	}
	if (options.flags & SHR_RING_TIME)
		view->time_at = at;
}

uint64_t ring_record_total(const struct ring_view *view, uint64_t position, uint64_t word)
{
	uint64_t length = WORD_LENGTH(word), rest = view->capacity - (position & (view->capacity - 1));
	uint32_t state = WORD_STATE(word), last = view->token_at ? WORD_LOST : WORD_PAD;
	int pad = ring_is_pad(word);
	uint64_t total = pad ? RECORD_TOTAL(8, length) : ring_total(view, length);

	/* A PAD may be longer than a record: the end of a lap before the largest one. */
	if (length > view->max_record + view->header || (!pad && length > view->max_record) ||
	    total > rest || state < WORD_BUSY || state > last || WORD_ZERO(word) ||
	    !WORD_OWNER(word) || WORD_OWNER(word) > view->members)
		return 0;
	return total;
}

static void zero_far(uint8_t *to, size_t size)
{
	while (size) {
		size_t part = size < PAGE ? size : PAGE;

		for (size_t at = 0; at < part; at += LINE)
			prefetch_for_writing(to + at);
		memset(to, 0, part);
		to += part;
		size -= part;
	}
}

void ring_zero(const struct ring_view *view, uint64_t from, uint64_t to, int far)
{
	uint64_t index = from & (view->capacity - 1), size = to - from;
	uint64_t first = size < view->capacity - index ? size : view->capacity - index;

	if (far && can_prefetch_for_writing()) {
		zero_far(view->data + index, (size_t)first);
		zero_far(view->data, (size_t)(size - first));
	} else {
		memset(view->data + index, 0, (size_t)first);
		memset(view->data, 0, (size_t)(size - first));
	}
}

#define WALK_MOVES 1000

int ring_walk(const struct ring_view *view, uint64_t *tail, uint64_t *sequence)
{
	shm_atomic_u64 *floor = ring_floor(view);
	uint64_t at = atomic_load_explicit(floor, memory_order_acquire), start, number = 0;
	uint64_t floor_then = at; /* the tail was no further than a capacity from there */
	int moved = 0;

	if (view->ahead) { /* the producer says now and then how far it is */
		uint64_t hint = atomic_load_explicit(&view->shm->tail, memory_order_acquire);

		if (!(hint & 7) && hint - at <= view->capacity)
			at = hint;
	}
	start = at;
	for (;;) {
		uint64_t word = atomic_load_explicit(ring_word(view, at), memory_order_acquire);
		uint64_t now, total = word ? ring_record_total(view, at, word) : 0, found = number;

		if (total && view->sequence_at && !ring_is_pad(word))
			found = atomic_load_explicit(ring_extra(view, at, view->sequence_at),
						     memory_order_relaxed) + 1;
		atomic_thread_fence(memory_order_seq_cst); /* clean:B */
		now = atomic_load_explicit(floor, memory_order_seq_cst);
		if ((int64_t)(now - at) > 0) { /* the word may be of the next lap, or zeroed */
			start = at = floor_then = now;
			number = 0;
			if (++moved < WALK_MOVES)
				continue;
			word = 0; /* it moves as fast as this: the tail was here a moment ago */
		} else if (at - start > view->capacity) {
			if ((int64_t)(now - floor_then) <= 0)
				break;
			word = 0; /* it is written as fast as it is walked: the tail was here */
		}
		if (!word) {
			*tail = at;
			if (sequence)
				*sequence = number;
			return 0;
		}
		if (!total)
			break;
		number = found;
		at += total;
	}
	return shr_fail(EBADMSG, "the ring is corrupt: a record at position %llu is impossible",
			(unsigned long long)at);
}

void ring_drop_redo(const struct ring_view *view)
{
	struct shm_ring *shm = view->shm;
	uint64_t dropped = atomic_load_explicit(&shm->journal_dropped, memory_order_acquire);

	if (dropped != atomic_load_explicit(&shm->dropped, memory_order_relaxed) + 1)
		return;
	atomic_store_explicit(&shm->sequence,
			      atomic_load_explicit(&shm->journal_sequence, memory_order_relaxed),
			      memory_order_release);
	atomic_store_explicit(&shm->dropped, dropped, memory_order_release);
}

/*
 * The byte of an owner that is dead is held for a moment by whoever mends what
 * it left, above all by an attach to its slot: look again before telling that
 * it lives.
 */
#define ROLE_TRIES 20
#define ROLE_PAUSE_NS 1000000

static int role_take(const struct shr_ring *ring, shm_atomic_u64 *role, int tries)
{
	uint64_t seen = atomic_load_explicit(role, memory_order_acquire);
	uint32_t owner = 0;

	for (int i = 0; i < tries; i++) {
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
		} else if (i + 1 < tries) {
			nanosleep(&(struct timespec){.tv_nsec = ROLE_PAUSE_NS}, NULL);
			seen = atomic_load_explicit(role, memory_order_acquire);
		}
	}
	return shr_fail(EBUSY, "member %u has it open, and lives", owner);
}

int ring_role_take(const struct shr_ring *ring, shm_atomic_u64 *role)
{
	return role_take(ring, role, ROLE_TRIES);
}

int ring_role_try(const struct shr_ring *ring, shm_atomic_u64 *role)
{
	return role_take(ring, role, 2); /* a CAS may find another number than was read */
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
	ring->me = segment->slot == SLOT_NONE ? 0 : segment->slot + 1;
	ring->schema = theirs;
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
	if (!err && options && object.param[4] >> 32 != (*result)->view.mode) {
		shr_ring_close(*result);
		*result = NULL;
		err = shr_fail(EPROTOTYPE, "the ring is there, and made in another mode");
	}
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

int shr_ring_get(const struct shr_ring *ring, struct shr_ring_options *options)
{
	const struct ring_view *view = &ring->view;

	if (ring->tag != RING_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	*options = (struct shr_ring_options){.struct_size = sizeof(*options),
					     .flags = view->flags,
					     .mode = view->mode,
					     .capacity = view->capacity,
					     .max_record = view->max_record,
					     .history = view->history,
					     .schema = ring->schema,
					     .first_position = view->first_position,
					     .cursors = view->cursors};
	return 0;
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
	struct shr_ring_status own = {0};
	const struct shm_ring *shm;
	const struct shm_cursor *gate;
	uint64_t role;
	int lowest, err = 0;

	if (ring->tag != RING_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	shm = ring->view.shm;
	own.reclaim = atomic_load(&shm->reclaim);
	own.tail = atomic_load(&shm->tail);
	if (ring->view.single)
		err = ring_walk(&ring->view, &own.tail, &own.sequence);
	if (err)
		return err;
	if (ring->view.sequence_at && own.sequence < atomic_load(&shm->sequence))
		own.sequence = atomic_load(&shm->sequence);
	lowest = cursors_lowest(&ring->view, own.reclaim, own.tail, &own.position);
	role = atomic_load(&shm->producer);
	own.producer = ROLE_MEMBER(role);
	own.producer_takeovers = ROLE_TAKEOVERS(role);
	own.lock_repairs = (atomic_load(&shm->lock) >> 16) + (atomic_load(&shm->take_lock) >> 16);
	own.dropped = atomic_load(&shm->dropped);
	own.full = atomic_load(&shm->full);
	for (uint32_t i = 0; i < ring->view.cursors; i++)
		own.evicted += CURSOR_EVICTIONS(atomic_load(&shm->cursor[i].mode));
	if (lowest < 0) {
		own.position = own.delivered = own.tail;
		*stat = own;
		return 0;
	}
	gate = &shm->cursor[lowest];
	role = atomic_load(&gate->role);
	own.consumer = ROLE_MEMBER(role);
	own.consumer_takeovers = ROLE_TAKEOVERS(role);
	own.delivered = atomic_load(&gate->delivered);
	if ((int64_t)(own.position - own.delivered) > 0) /* it passed what is no record */
		own.delivered = own.position;
	own.skipped = atomic_load(&gate->skipped);
	own.redelivered = atomic_load(&gate->redelivered);
	if (ring->view.mode == SHR_RING_QUEUE) {
		own.delivered = atomic_load(&shm->take);
		own.redelivered = atomic_load(&shm->redelivered);
		own.acked = atomic_load(&shm->acked);
		own.lost = atomic_load(&gate->lost);
	}
	*stat = own;
	return 0;
}

void ring_init(void *object, const struct shm_object *entry)
{
	struct shm_ring *shm = object;
	struct shr_ring_options options;
	uint64_t first;

	ring_entry_options(&options, entry);
	first = options.first_position;
	atomic_store(&shm->tail, first);
	atomic_store(&shm->sequence, 1);
	atomic_store(&shm->take, first);
	atomic_store(&shm->reclaim, first);
	atomic_store(&shm->clean, first + options.capacity);
	if (options.mode == SHR_RING_OVERWRITE || options.flags & SHR_RING_NO_DEFAULT)
		return;
	atomic_store(&shm->cursor[0].position, first);
	atomic_store(&shm->cursor[0].delivered, first);
	atomic_store(&shm->cursor[0].journal_position, first);
	atomic_store(&shm->cursor[0].sequence, 1);
	atomic_store(&shm->cursor[0].mode, CURSOR_USED | CURSOR_GATE | CURSOR_DURABLE);
	strcpy(shm->cursor[0].name, options.mode == SHR_RING_QUEUE ? "queue" : "default");
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
	err = claim_mend(&view, slot + 1);
	if (!err && !view.single)
		err = claim_sweep(&view, slot + 1);
	if (!err && view.mode == SHR_RING_QUEUE) {
		err = take_mend(&view, slot + 1);
		if (!err)
			err = queue_sweep(&view, slot + 1);
	}
	if (!err) {
		cursors_sweep(&view, slot + 1);
		role_sweep(&view.shm->producer, slot + 1);
		for (uint32_t i = 0; i < view.cursors; i++)
			role_sweep(&view.shm->cursor[i].role, slot + 1);
	}
	return err;
}

void ring_wake(void *object)
{
	struct shm_ring *shm = object;

	event_wake(&shm->data, INT_MAX);
	event_wake(&shm->space, INT_MAX);
}
