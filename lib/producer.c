/* SPDX-License-Identifier: MIT */
/*
 * L4: producers: reserve, commit, abort. The protocol is at the top of ring.c.
 *
 * A single producer keeps its place and how far it may go to itself and reserves
 * without a shared store. With several, the place is that of the reserved record and
 * the end its end, so that after commit both are equal: every reserve comes here
 * and claims under the lock. So it does in rings whose records start with more
 * than a word.
 *
 * Crash (the kill points have these names)
 *	reserve:pad	single producer: a PAD is there, and no record
 *	commit:rest	the record is BUSY still, with a PAD in it that nobody sees;
 *			single producer: a part of the zone is zeroed again
 *	open:zeroed	the next single producer does it again
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#include "error.h"
#include "handle.h"
#include "killpoint.h"
#include "probe.h"
#include "ring_core.h"

#define LINGER_NS 2000	/* not looking for room that comes fast */
#define LINGER_PROBE 16 /* refusals between two tries whether that pays */
#define RESERVE_TRIES 32 /* while dead gates go, or that of a queue moves: then it is full */

struct producer {
	struct shr_producer hot;
	uint32_t tag; /* 0 in a child */
	uint16_t short_way; /* several producers, records of a word and a payload; 0 in a child */
	uint16_t full;      /* the last reserve found no room */
	uint16_t waiting;   /* refusals since it lingered last */
	uint16_t pays;	    /* and there was room then */
	const shm_atomic_u32 *obsolete; /* of the segment */
	struct shr_ring *ring;
	uint64_t lap; /* position of the ring's first byte in the lap of hot.at */
	struct cleaner cleaner; /* where producers do not clean: only what was read last */
};

static struct producer *own(struct shr_producer *hot)
{
	return (struct producer *)hot;
}

/* For commit where a look at sleepers needs a fence: the long way has it. */
static const uint32_t always = 1;

/* Position of the reserved record, or the next one. */
static uint64_t tail_of(const struct producer *p)
{
	return p->lap + (uint64_t)(p->hot.at - p->ring->view.data);
}

/* The next record is at @tail and may reach to @limit. */
static void go_to(struct producer *p, uint64_t tail, uint64_t limit)
{
	const struct ring_view *view = &p->ring->view;
	uint64_t index = tail & (view->capacity - 1), rest = view->capacity - index;
	uint64_t room = (int64_t)(limit - tail) > 0 ? limit - tail : 0;

	p->lap = tail - index;
	p->hot.at = view->data + index;
	p->hot.end = p->hot.at + (room < rest ? room : rest);
}

static int corrupt(uint64_t tail, uint64_t clean)
{
	return shr_fail(EBADMSG, "the ring is corrupt: tail %llu, clean %llu",
			(unsigned long long)tail, (unsigned long long)clean);
}

/* Have @need bytes and a word of zeroes from @tail on. */
static int have_space(struct producer *p, uint64_t tail, uint64_t need)
{
	const struct ring_view *view = &p->ring->view;
	uint64_t *clean = &p->cleaner.clean, now;

	if ((int64_t)(*clean - tail) >= (int64_t)(need + 8))
		return 0;
	if (view->ahead)
		return cleaner_room(&p->cleaner, tail, need);
	/* reserve:A. Acquire: zeroes before stores into them. Pairs with clean:A. */
	now = atomic_load_explicit(&view->shm->clean, memory_order_acquire);
	if (!ring_clean_possible(view, tail, now))
		return corrupt(tail, now);
	*clean = now;
	return now - tail >= need + 8 ? 0 : -EAGAIN;
}

/* Bytes to the end of the lap at @tail if @total does not fit there, else 0. */
static uint64_t pad_for(const struct ring_view *view, uint64_t tail, uint64_t total)
{
	uint64_t rest = view->capacity - (tail & (view->capacity - 1));

	return total > rest ? rest : 0;
}

/* Full, and the record is given up: its number is used. By who may claim. */
static int drop(struct producer *p)
{
	struct shm_ring *shm = p->ring->view.shm;
	uint64_t number = p->ring->view.single
				  ? p->cleaner.sequence
				  : atomic_load_explicit(&shm->sequence, memory_order_relaxed);
	uint64_t dropped = atomic_load_explicit(&shm->dropped, memory_order_relaxed) + 1;

	atomic_store_explicit(&shm->journal_sequence, number + 1, memory_order_release);
	atomic_store_explicit(&shm->journal_dropped, dropped, memory_order_release);
	KILL_POINT("claim:dropping");
	atomic_store_explicit(&shm->sequence, number + 1, memory_order_release);
	p->cleaner.sequence = number + 1;
	atomic_store_explicit(&shm->dropped, dropped, memory_order_release);
	return -ENOBUFS;
}

static uint64_t now_real_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* @size bytes at @position, and nothing behind them without coming here. */
static void reserved(struct producer *p, uint64_t position, size_t size)
{
	struct shr_producer *hot = &p->hot;

	hot->total = ring_total(&p->ring->view, size);
	go_to(p, position, position + hot->total);
	hot->ready = hot->ready_bits | size;
}

static int reserve_single(struct producer *p, size_t size, int may_drop)
{
	const struct ring_view *view = &p->ring->view;
	uint64_t tail = tail_of(p), total = ring_total(view, size), pad = pad_for(view, tail, total);
	int err = have_space(p, tail, pad + total);

	if (err)
		return err == -EAGAIN && may_drop ? drop(p) : err;
	if (pad) {
		/* commit:A, of no record; a consumer sleeps on until the next one. */
		atomic_store_explicit(ring_word(view, tail), WORD_MAKE(WORD_PAD, p->ring->me, 0, pad - 8),
				      memory_order_release);
		tail += pad;
		go_to(p, tail, tail);
		KILL_POINT("reserve:pad");
	}
	if (view->ahead)
		cleaner_mark(&p->cleaner, tail);
	if (view->sequence_at)
		atomic_store_explicit(ring_extra(view, tail, view->sequence_at),
				      p->cleaner.sequence++, memory_order_relaxed);
	if (view->time_at)
		atomic_store_explicit(ring_extra(view, tail, view->time_at), now_real_ns(),
				      memory_order_relaxed);
	reserved(p, tail, size);
	if (view->header == 8) /* from now on without coming here */
		go_to(p, tail, p->cleaner.clean - 8);
	return 0;
}

/* The claim lock is held. Never two words for one tail store. */
static uint64_t claim(const struct producer *p, uint64_t tail, uint64_t length, int pad)
{
	const struct ring_view *view = &p->ring->view;
	uint64_t total = pad ? RECORD_TOTAL(8, length) : ring_total(view, length);

	atomic_store_explicit(ring_word(view, tail),
			      WORD_MAKE(WORD_BUSY, p->ring->me, pad ? WORD_CLAIM_PAD : 0, length),
			      memory_order_relaxed);
	KILL_POINT("claim:busy");
	if (view->sequence_at && !pad) {
		uint64_t number = atomic_load_explicit(&view->shm->sequence, memory_order_relaxed);

		/* Release each: a mender sees them in this order. */
		atomic_store_explicit(ring_extra(view, tail, view->sequence_at), number,
				      memory_order_release);
		atomic_store_explicit(&view->shm->sequence, number + 1, memory_order_release);
		KILL_POINT("claim:numbered");
	}
	/* Release: BUSY before tail. Pairs with the sweep's load of tail. */
	atomic_store_explicit(&view->shm->tail, tail + total, memory_order_release);
	KILL_POINT("claim:claimed");
	return tail + total;
}

/* With the claim lock: the next record, of @size bytes, and before it a PAD if need be. */
static int claim_next(struct producer *p, size_t size, uint64_t *position)
{
	const struct ring_view *view = &p->ring->view;
	uint64_t tail = atomic_load_explicit(&view->shm->tail, memory_order_relaxed);
	uint64_t total = ring_total(view, size), pad = pad_for(view, tail, total);
	int err;

	if (tail & 7)
		return corrupt(tail, 0);
	err = have_space(p, tail, pad + total);
	if (!err && (int64_t)(p->cleaner.clean - tail) > (int64_t)view->capacity)
		err = corrupt(tail, p->cleaner.clean);
	if (err)
		return err;
	if (pad) {
		uint64_t at = tail;

		tail = claim(p, tail, pad - 8, 1);
		atomic_store_explicit(ring_word(view, at),
				      WORD_MAKE(WORD_PAD, p->ring->me, 0, pad - 8),
				      memory_order_release);
	}
	if (view->ahead)
		cleaner_mark(&p->cleaner, tail);
	claim(p, tail, size, 0);
	*position = tail;
	return 0;
}

/* The record is claimed and BUSY: nobody else looks at what is behind its word. */
static void put_time(const struct producer *p, uint64_t position)
{
	const struct ring_view *view = &p->ring->view;

	if (view->time_at)
		atomic_store_explicit(ring_extra(view, position, view->time_at), now_real_ns(),
				      memory_order_relaxed);
}

static int reserve_several(struct producer *p, size_t size, int may_drop)
{
	uint64_t position;
	int err = claim_lock(p->ring, CLAIM_LIVE_NS);

	if (err)
		return err == -EAGAIN ? -EBUSY : err; /* a living owner has it, which is not full */
	err = claim_next(p, size, &position);
	if (err == -EAGAIN && may_drop)
		err = drop(p);
	claim_unlock(p->ring);
	if (err)
		return err;
	put_time(p, position);
	reserved(p, position, size);
	return 0;
}

static int check_size(const struct producer *p, size_t size)
{
	if (size > p->ring->view.max_record)
		return shr_fail(EMSGSIZE, "a record of %zu bytes is over the ring's largest, %llu", size,
				(unsigned long long)p->ring->view.max_record);
	if (size < p->hot.min_record)
		return shr_fail(EINVAL, "%zu bytes are less than the type's %llu", size,
				(unsigned long long)p->hot.min_record);
	return 0;
}

/* What can be said against a record of @size bytes, without looking for room. */
static int check_reserve(const struct producer *p, size_t size)
{
	int err;

	if (p->tag != PRODUCER_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	if (p->hot.ready)
		return shr_fail(EBUSY, "a record is reserved already: commit or abort it first");
	err = check_size(p, size);
	return err ? err : segment_stale(p->ring->segment, 0);
}

static int reserve_now(struct producer *p, size_t size, int may_drop)
{
	return p->ring->view.single ? reserve_single(p, size, may_drop)
				    : reserve_several(p, size, may_drop);
}

/*
 * Full, where producers read the positions of others to find room: looking all the
 * time takes the line from the consumer that writes it with each release (seen: two
 * gates, near, 18 M/s where it was 15; a queue 8.9 where it was 4.6). So where room
 * comes fast this one stays away for a moment. Whether it does is tried now and then.
 */
static int linger(struct producer *p, size_t size)
{
	int64_t end;
	int err;

	if (!p->pays && ++p->waiting % LINGER_PROBE)
		return -EAGAIN;
	end = event_now() + LINGER_NS;
	while (event_now() < end)
		event_pause();
	err = reserve_now(p, size, 0);
	p->pays = !err;
	return err;
}

/* Reserve; where it is full, a dead gate goes first. @may_drop: and then the record. */
static int reserve(struct producer *p, size_t size, int may_drop)
{
	int err = check_reserve(p, size), gone = 1, tries = RESERVE_TRIES;
	const struct ring_view *view;

	if (err)
		return err;
	view = &p->ring->view; /* in a child there is none */
	may_drop = may_drop && (view->flags & SHR_RING_DROP_NEWEST || view->mode == SHR_RING_OVERWRITE);
	err = reserve_now(p, size, 0);
	if (err == -EAGAIN && view->ahead && !may_drop)
		err = linger(p, size);
	while (err == -EAGAIN && view->ahead && gone > 0 && tries--) {
		gone = cleaner_evict(&p->cleaner);
		if (gone > 0 || may_drop)
			err = gone < 0 ? gone : reserve_now(p, size, may_drop && !gone);
		else if (gone < 0)
			err = gone;
	}
	if (err == -EAGAIN && !p->full) {
		atomic_fetch_add_explicit(&view->shm->full, 1, memory_order_relaxed);
		PROBE(full, p->ring->me, size, tail_of(p));
	}
	p->full = err == -EAGAIN;
	return err == -EBUSY ? -EAGAIN : err;
}

/*
 * The common case of reserve() with several producers, in one piece: nobody claims,
 * the record fits before the end of the lap, into what is known to be clean. 1; or 0:
 * reserve() says.
 */
static inline int reserve_short(struct producer *p, size_t size)
{
	struct shr_producer *hot = &p->hot;
	uint64_t total = RECORD_TOTAL(8, size), tail, room, mask;
	uint32_t seen;

	if (!p->short_way || size - hot->min_record > hot->span || hot->ready ||
	    atomic_load_explicit(p->obsolete, memory_order_relaxed) || claim_try(p->ring, &seen))
		return 0;
	tail = atomic_load_explicit(&p->ring->view.shm->tail, memory_order_relaxed);
	mask = p->ring->view.capacity - 1;
	room = p->cleaner.clean - tail;
	if (tail & 7 || (tail & mask) + total > mask + 1 || room < total + 8 || room > mask + 1) {
		claim_free(p->ring, seen);
		return 0;
	}
	if (p->ring->view.ahead)
		cleaner_mark(&p->cleaner, tail);
	claim(p, tail, size, 0);
	claim_free(p->ring, seen);
	p->lap = tail & ~mask;
	hot->at = p->ring->view.data + (tail & mask);
	hot->end = hot->at + total;
	hot->total = total;
	hot->ready = hot->ready_bits | size;
	return 1;
}

int shr_producer_reserve_slow(struct shr_producer *hot, size_t size, void **payload)
{
	struct producer *p = own(hot);
	int err;

	if (reserve_short(p, size)) {
		*payload = hot->at + 8;
		return 0;
	}
	err = reserve(p, size, 1);
	if (!err)
		*payload = hot->at + p->ring->view.header;
	return err;
}

int shr_producer_commit_slow(struct shr_producer *hot)
{
	if (own(hot)->tag != PRODUCER_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	return shr_fail(EINVAL, "nothing is reserved");
}

int shr_producer_wake_slow(struct shr_producer *hot)
{
	if (own(hot)->tag != PRODUCER_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	event_notify(&own(hot)->ring->view.shm->data, own(hot)->ring->segment->registered, INT_MAX);
	return 0;
}

static int open_reservation(struct producer *p)
{
	if (p->tag != PRODUCER_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	return p->hot.ready ? 0 : shr_fail(EINVAL, "nothing is reserved");
}

int shr_producer_commit_size(struct shr_producer *hot, size_t size)
{
	struct producer *p = own(hot);
	uint64_t had = WORD_LENGTH(hot->ready), total, rest;
	int err = open_reservation(p);

	if (err)
		return err;
	if (size > had)
		return shr_fail(EMSGSIZE, "%zu bytes are over the %llu reserved", size,
				(unsigned long long)had);
	if (size < hot->min_record)
		return shr_fail(EINVAL, "%zu bytes are less than the type's %llu", size,
				(unsigned long long)hot->min_record);
	total = ring_total(&p->ring->view, size);
	rest = hot->total - total;
	if (p->ring->view.single) {
		/* I1: what is not of this record is zero again before it is seen. */
		memset(hot->at + total, 0, (size_t)rest);
	} else if (rest) {
		/* BUSY covers it until commit:A makes the record shorter. */
		atomic_store_explicit((shm_atomic_u64 *)(void *)(hot->at + total),
				      WORD_MAKE(WORD_PAD, p->ring->me, 0, rest - 8),
				      memory_order_relaxed);
	}
	KILL_POINT("commit:rest");
	if (!p->ring->view.single || p->ring->view.header != 8)
		hot->end = hot->at + total;
	hot->total = total;
	hot->ready = hot->ready - had + size;
	return shr_producer_commit(hot);
}

int shr_producer_abort(struct shr_producer *hot)
{
	struct producer *p = own(hot);
	int err = open_reservation(p);

	if (err)
		return err;
	if (p->ring->view.single) {
		memset(hot->at, 0, (size_t)hot->total);
		hot->ready = 0;
		if (p->ring->view.sequence_at)
			p->cleaner.sequence--;
		if (p->ring->view.header != 8)
			hot->end = hot->at;
		return 0;
	}
	/* commit:A, of no record: a consumer may sleep before it. */
	atomic_store_explicit((shm_atomic_u64 *)(void *)hot->at,
			      WORD_MAKE(WORD_SKIP, p->ring->me, 0, WORD_LENGTH(hot->ready)),
			      memory_order_release);
	hot->ready = 0;
	hot->end = hot->at;
	event_notify(&p->ring->view.shm->data, p->ring->segment->registered, INT_MAX);
	return 0;
}

/* The role is held: find the tail, and undo what a dead producer left beyond it. */
static int resume_single(struct producer *p)
{
	const struct ring_view *view = &p->ring->view;
	uint64_t tail, clean, number, next;
	int err;

	ring_drop_redo(view);
	err = ring_walk(view, &tail, &number);
	if (err)
		return err;
	clean = atomic_load_explicit(&view->shm->clean, memory_order_acquire); /* reserve:A */
	if (!ring_clean_possible(view, tail, clean))
		return corrupt(tail, clean);
	ring_zero(view, tail, clean, 0);
	KILL_POINT("open:zeroed");
	next = atomic_load_explicit(&view->shm->sequence, memory_order_relaxed);
	p->cleaner.sequence = number > next ? number : next;
	p->cleaner.clean = clean;
	go_to(p, tail, view->header == 8 ? clean - 8 : tail);
	return 0;
}

int shr_producer_open_version(struct shr_producer **result, struct shr_ring *ring, uint32_t version)
{
	struct producer *p;
	int err;

	if (!result || *result)
		return shr_fail(result ? EBUSY : EINVAL, "the handle is in use, or none");
	if (!ring || ring->tag != RING_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	if (version != SHR_HOT_VERSION)
		return shr_fail(EPROTO, "compiled for inline calls of version %u, the library has %u",
				version, SHR_HOT_VERSION);
	if (!ring->me)
		return shr_fail(EROFS, HANDLE_OBSERVES);
	p = handle_alloc(sizeof(*p));
	if (!p)
		return shr_fail(ENOMEM, "out of memory");
	p->ring = ring;
	cleaner_open(&p->cleaner, ring);
	go_to(p, 0, 0);
	p->hot.min_record = ring->min_record;
	p->hot.span = ring->view.max_record - ring->min_record;
	p->hot.ready_bits = WORD_MAKE(WORD_READY, ring->me, 0, 0);
	p->hot.sleepers = ring->segment->registered
				  ? (const uint32_t *)&ring->view.shm->data.sleepers
				  : &always;
	if (ring->view.single) {
		err = ring_role_take(ring, &ring->view.shm->producer);
		if (err)
			goto free_handle;
		err = resume_single(p);
		if (err)
			goto leave_role;
	}
	p->obsolete = &segment_header(ring->segment)->obsolete;
	p->short_way = !ring->view.single && ring->view.header == 8;
	p->tag = PRODUCER_TAG;
	atomic_fetch_add(&ring->users, 1);
	*result = &p->hot;
	return 0;
leave_role:
	ring_role_leave(ring, &ring->view.shm->producer);
free_handle:
	handle_free(p, sizeof(*p));
	return err;
}

int shr_producer_close(struct shr_producer *hot)
{
	struct producer *p;

	if (!hot)
		return 0;
	p = own(hot);
	if (p->tag == PRODUCER_TAG) {
		if (hot->ready)
			shr_producer_abort(hot);
		if (p->ring->view.single)
			ring_role_leave(p->ring, &p->ring->view.shm->producer);
		atomic_fetch_sub(&p->ring->users, 1);
	}
	handle_free(p, sizeof(*p));
	return 0;
}

int shr_producer_set_type(struct shr_producer *hot, uint16_t type)
{
	struct producer *p = own(hot);

	if (p->tag != PRODUCER_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	hot->ready_bits = WORD_MAKE(WORD_READY, p->ring->me, type, 0);
	return 0;
}

struct reserve_attempt {
	struct shr_producer *producer;
	size_t size;
	void **payload;
};

static int reserve_again(void *argument)
{
	struct reserve_attempt *attempt = argument;

	return shr_producer_reserve(attempt->producer, attempt->size, attempt->payload);
}

int shr_producer_reserve_until(struct shr_producer *hot, size_t size, void **payload,
			       int64_t deadline_ns)
{
	struct reserve_attempt attempt = {hot, size, payload};
	const int64_t slice = EVENT_SLICE_NS;
	int err = shr_producer_reserve(hot, size, payload);

	if (err != -EAGAIN)
		return err;
	return event_await(own(hot)->ring->segment, &own(hot)->ring->looked_ns,
			   &own(hot)->ring->view.shm->space, deadline_ns, reserve_again,
			 &attempt, &slice);
}

int shr_producer_write_slow(struct shr_producer *hot, const void *data, size_t size)
{
	void *payload;
	int err = shr_producer_reserve_slow(hot, size, &payload);

	if (err)
		return err;
	memcpy(payload, data, size);
	return shr_producer_commit(hot);
}

int shr_producer_writev(struct shr_producer *hot, const struct iovec *pieces, size_t count)
{
	size_t size = 0;
	void *payload;
	uint8_t *to;
	int err;

	if (count > IOV_MAX)
		return shr_fail(EINVAL, "%zu pieces are over %d", count, IOV_MAX);
	for (size_t i = 0; i < count; i++) {
		if (pieces[i].iov_len > SIZE_MAX - size)
			return shr_fail(EMSGSIZE, "the pieces together are larger than memory");
		size += pieces[i].iov_len;
	}
	err = shr_producer_reserve(hot, size, &payload);
	if (err)
		return err;
	to = payload;
	for (size_t i = 0; i < count; i++) {
		if (pieces[i].iov_len)
			memcpy(to, pieces[i].iov_base, pieces[i].iov_len);
		to += pieces[i].iov_len;
	}
	return shr_producer_commit(hot);
}

/* One record of a batch; the first one of it may be dropped. */
static int write_one(struct producer *p, const struct iovec *record, int may_drop)
{
	struct shr_producer *hot = &p->hot;
	void *payload;
	/* Where records have a word only, none is dropped. */
	int err = p->ring->view.header == 8 ? shr_producer_reserve(hot, record->iov_len, &payload)
					    : reserve(p, record->iov_len, may_drop);

	if (err)
		return err;
	if (record->iov_len)
		memcpy(hot->at + p->ring->view.header, record->iov_base, record->iov_len);
	return shr_producer_commit(hot);
}

/*
 * With the claim lock, the common case of claim_next() for many: records that start with
 * a word only, up to the end of the lap, into what is known to be clean; how many.
 */
static size_t claim_short(struct producer *p, const struct iovec *records, size_t count,
			  uint64_t position[SHR_BATCH_MAX])
{
	const struct ring_view *view = &p->ring->view;
	uint64_t tail = atomic_load_explicit(&view->shm->tail, memory_order_relaxed);
	uint64_t room = p->cleaner.clean - tail, rest = view->capacity - (tail & (view->capacity - 1));
	uint64_t min = p->hot.min_record, span = p->hot.span;
	size_t n = 0;

	if (!p->short_way || tail & 7 || room < 8 || room > view->capacity)
		return 0;
	room = room - 8 < rest ? room - 8 : rest;
	for (; n < count && n < SHR_BATCH_MAX; n++) {
		size_t size = records[n].iov_len;
		uint64_t total = RECORD_TOTAL(8, size);

		if (size - min > span || total > room)
			break;
		if (view->ahead)
			cleaner_mark(&p->cleaner, tail);
		room -= total;
		position[n] = tail;
		tail = claim(p, tail, size, 0);
	}
	return n;
}

/* Claim up to @count records under one lock; how many, or why not even one. */
static int claim_many(struct producer *p, const struct iovec *records, size_t count,
		      uint64_t position[SHR_BATCH_MAX])
{
	size_t n = 0;
	int err = check_reserve(p, records[0].iov_len);

	if (!err)
		err = claim_lock(p->ring, CLAIM_LIVE_NS);
	if (err)
		return err;
	n = claim_short(p, records, count, position);
	while (n < count && n < SHR_BATCH_MAX && !(err = check_size(p, records[n].iov_len)) &&
	       !(err = claim_next(p, records[n].iov_len, &position[n])))
		n++;
	claim_unlock(p->ring);
	return n ? (int)n : err;
}

/* As commit:A, of many: each by one store, and one look at sleepers for all. */
static void commit_many(struct producer *p, const struct iovec *records, int n,
			const uint64_t position[SHR_BATCH_MAX])
{
	for (int i = 0; i < n; i++) {
		shm_atomic_u64 *word = ring_word(&p->ring->view, position[i]);

		put_time(p, position[i]);
		if (records[i].iov_len)
			memcpy((uint8_t *)word + p->ring->view.header, records[i].iov_base, records[i].iov_len);
		atomic_store_explicit(word, p->hot.ready_bits | records[i].iov_len,
				      memory_order_release);
	}
	event_notify(&p->ring->view.shm->data, p->ring->segment->registered, INT_MAX);
}

/* Single producer: what fits without looking for room; how many. */
static size_t write_short(struct producer *p, const struct iovec *records, size_t count)
{
	struct shr_producer *hot = &p->hot;
	uint64_t min = hot->min_record, span = hot->span, bits = hot->ready_bits;
	uint8_t *at = hot->at, *end = hot->end;
	size_t n = 0;

	if (hot->ready)
		return 0;
	for (; n < count; n++) {
		size_t size = records[n].iov_len;
		uint64_t total = RECORD_TOTAL(8, size);

		if (size - min > span || total > (uint64_t)(end - at))
			break;
		if (size)
			memcpy(at + 8, records[n].iov_base, size);
		/* commit:A */
		atomic_store_explicit((shm_atomic_u64 *)(void *)at, bits | size, memory_order_release);
		at += total;
	}
	hot->at = at;
	if (n)
		event_notify(&p->ring->view.shm->data, p->ring->segment->registered, INT_MAX);
	return n;
}

int shr_producer_write_many(struct shr_producer *hot, const struct iovec *records, size_t count)
{
	struct producer *p = own(hot);
	uint64_t position[SHR_BATCH_MAX];
	size_t done = 0;
	int n = 0;

	if (p->tag != PRODUCER_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	if (count > INT_MAX)
		count = INT_MAX;
	while (done < count) {
		done += write_short(p, records + done, count - done); /* of several: none */
		if (done == count)
			break;
		n = p->ring->view.single ? -EAGAIN
					 : claim_many(p, records + done, count - done, position);
		if (n == -EAGAIN && (p->ring->view.single || p->ring->view.ahead)) {
			n = write_one(p, &records[done], !done);
			if (n)
				break;
			done++;
			continue;
		}
		if (n < 0)
			break;
		commit_many(p, records + done, n, position);
		done += (size_t)n;
	}
	return done || !count ? (int)done : n;
}

int shr_producer_write_until(struct shr_producer *hot, const void *data, size_t size,
			     int64_t deadline_ns)
{
	void *payload;
	int err = shr_producer_reserve_until(hot, size, &payload, deadline_ns);

	if (err)
		return err;
	memcpy(payload, data, size);
	return shr_producer_commit(hot);
}
