/* SPDX-License-Identifier: MIT */
/*
 * L4: consumers: next, release, and in a stream with one cursor cleaning. The
 * protocol is at the top of ring.c; queue.c has what is different in a queue.
 *
 * Skips and losses. A record that was never committed, or dropped, or overwritten, is
 * counted once, whoever dies when: the numbers move together with position, by a
 * journal.
 *
 *	journal_skipped, journal_lost, journal_sequence; journal_position = p
 *	skipped, lost, sequence
 *	position = p
 *
 * The next consumer that finds journal_position beyond position does the last
 * two again. A loss is told with the next record, and counted when that is released.
 *
 * Cleaning. Records that lie more than history behind position are zeroed, one
 * batch at a time: reclaim = p; zeroes; clean = p + capacity; wake producers.
 * Where a record begins there is known from the passing of it (marks), or found by
 * walking. The next consumer that finds clean behind reclaim + capacity does the last
 * three again.
 *
 * Copies. Who is not waited for copies a record, then looks whether reclaim is
 * beyond it by now (copy:A, pairs with clean:B): if so, the copy is nothing.
 *
 * Crash (the kill points have these names)
 *	release:journal	nothing happened
 *	release:noted	the next owner finishes it
 *	release:counted	the same
 *	release:moved	released; who waits for room looks again after a slice
 *	release:reclaim	the next owner zeroes
 *	release:zeroed	the same
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "handle.h"
#include "killpoint.h"
#include "probe.h"
#include "ring_core.h"

#define SLICE_BUSY_NS 4000000 /* longest sleep before a BUSY record */
#define LINGER_NS 2000	      /* not looking at a tail that moves fast */
#define LINGER_PROBE 128      /* empty looks between two tries whether that pays */
#define LINGER_PAYS 4	      /* records that came meanwhile, or it does not */
#define MOVED_TRIES 1000      /* jumps of one call after producers that overtake it */

struct cursor {
	struct shr_cursor hot;
	uint32_t tag; /* 0 in a child */
	int copies;   /* lossy, or observes: nobody waits for it */
	int plain;    /* records of a word and a payload, read in place: there is a short way */
	int named;    /* has a place, shm */
	struct shr_ring *ring;
	struct shm_cursor *shm; /* NULL: observes, or a worker of a queue */
	struct queue queue;
	uint64_t clean;
	uint64_t batch;
	struct marks marks;
	uint64_t position; /* released */
	uint64_t again;	   /* records below were delivered before */
	uint64_t reclaim;  /* oldest position kept */
	uint64_t skips;	   /* passed over since the last release */
	uint64_t skipped;  /* all, those of skips not among them */
	uint64_t redelivered;
	uint64_t sequence;   /* number that the record at hot.next should have */
	uint64_t lost;	     /* all, with the records up to hot.next */
	uint64_t lost_bytes;
	uint64_t untold; /* records lost since the last that was given */
	void *copy;	 /* of a record; room bytes */
	size_t room;
	int64_t looked_ns; /* when the BUSY record that is next was looked at last; 0: not */
	uint64_t empty_at;    /* where it found nothing the last time */
	uint64_t first_total; /* bytes of the first record after it lingered there; 0: not seen */
	uint32_t empties;
	uint16_t lingered, crowded; /* the last time; and that paid */
	shr_word_ own_delivered; /* where there is no place */
	struct event_fd *fd; /* or NULL */
	_Atomic uint64_t fd_position; /* what its thread looks at */
	_Atomic uint64_t fd_delivered; /* and whether the consumer has moved since */
	_Atomic int64_t fd_looked_ns; /* when it looked whether the file is there */
	_Atomic int gone; /* it is not */
	int64_t fd_busy_ns; /* the thread's: since when that is BUSY; 0: is not */
};

static struct cursor *own(const struct shr_cursor *hot)
{
	return (struct cursor *)(uintptr_t)hot;
}

static int is_queue(const struct cursor *c)
{
	return c->ring && c->ring->view.mode == SHR_RING_QUEUE && !c->copies; /* none in a child */
}

static int corrupt(uint64_t position)
{
	return shr_fail(EBADMSG, "the ring is corrupt: a record at position %llu is impossible",
			(unsigned long long)position);
}

/* Whether calls may go the short way: nothing is to be counted or told. */
static void set_short_way(struct cursor *c)
{
	int may = c->plain && !c->skips && (int64_t)(c->again - c->hot.next) <= 0;

	c->hot.data = may ? c->ring->view.data : NULL;
}

/* From what the last cleaning left to reclaim. */
static void zero_to_reclaim(struct cursor *c)
{
	struct shm_ring *shm = c->ring->view.shm;

	/* Observers stop trusting these bytes before they are zeroed. */
	atomic_store_explicit(&shm->reclaim, c->reclaim, memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst); /* clean:B */
	KILL_POINT("release:reclaim");
	ring_zero(&c->ring->view, c->clean - c->ring->view.capacity, c->reclaim,
		  !c->ring->view.single);
	KILL_POINT("release:zeroed");
	c->clean = c->reclaim + c->ring->view.capacity;
	c->hot.keep = c->reclaim + c->ring->view.history;
	/*
	 * clean:A. Release: zeroes before clean. Pairs with reserve:A.
	 */
	atomic_store_explicit(&shm->clean, c->clean, memory_order_release);
	event_notify(&shm->space, c->ring->segment->registered, INT_MAX);
}

/* Keep at most history bytes behind @position, which lies between records. */
static int clean_behind(struct cursor *c, uint64_t position)
{
	const struct ring_view *view = &c->ring->view;
	uint64_t reclaim = c->reclaim, keep = view->history, least;

	if (position - reclaim <= keep)
		return 0;
	marks_add(&c->marks, position);
	keep -= keep < c->batch ? keep : c->batch;
	/* A mark must not lie before reclaim, and not give up much more than a batch. */
	least = keep > c->batch ? keep - c->batch : 0;
	if (marks_find(&c->marks, position - keep, position - least, &c->reclaim) &&
	    position - c->reclaim < position - reclaim) {
		zero_to_reclaim(c);
		return 0;
	}
	c->reclaim = reclaim;
	while (position - reclaim > keep) {
		uint64_t word = atomic_load_explicit(ring_word(view, reclaim), memory_order_relaxed);
		uint64_t total = ring_record_total(view, reclaim, word);

		if (!total || total > position - reclaim)
			return corrupt(reclaim);
		reclaim += total;
	}
	c->reclaim = reclaim;
	zero_to_reclaim(c);
	return 0;
}

/* Position and what belongs to it, in an order that a successor can finish. */
static void release_by_journal(struct cursor *c)
{
	struct shm_cursor *shm = c->shm;
	uint64_t skipped = c->skipped + c->skips, next = c->hot.next;
	/* Lost before a record that was skipped, and not told yet: a successor counts it again. */
	uint64_t sequence = c->sequence - c->untold;

	atomic_store_explicit(&shm->journal_bytes, c->lost_bytes, memory_order_relaxed);
	atomic_store_explicit(&shm->journal_skipped, skipped, memory_order_relaxed);
	atomic_store_explicit(&shm->journal_lost, c->lost, memory_order_relaxed);
	atomic_store_explicit(&shm->journal_sequence, sequence, memory_order_relaxed);
	KILL_POINT("release:journal");
	/* Release each: a successor sees them in this order. */
	atomic_store_explicit(&shm->journal_position, next, memory_order_release);
	KILL_POINT("release:noted");
	atomic_store_explicit(&shm->skipped, skipped, memory_order_release);
	atomic_store_explicit(&shm->lost, c->lost, memory_order_release);
	atomic_store_explicit(&shm->lost_bytes, c->lost_bytes, memory_order_release);
	atomic_store_explicit(&shm->sequence, sequence, memory_order_release);
	KILL_POINT("release:counted");
	c->skipped = skipped;
	c->skips = 0;
	/* release:A */
	atomic_store_explicit(&shm->position, next, memory_order_release);
}

int shr_cursor_release_slow(struct shr_cursor *hot)
{
	struct cursor *c = own(hot);

	if (c->tag != CURSOR_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	if (is_queue(c))
		return queue_ack_all(&c->queue);
	c->position = hot->next;
	if (!c->shm) {
		c->skipped += c->skips;
		c->skips = 0;
		return 0;
	}
	if (c->skips || c->ring->view.sequence_at)
		release_by_journal(c);
	else /* release:A; the short way has done it */
		atomic_store_explicit(&c->shm->position, hot->next, memory_order_release);
	KILL_POINT("release:moved");
	set_short_way(c);
	if (!c->ring->view.ahead)
		return clean_behind(c, hot->next);
	hot->keep = hot->next - 8; /* and the next release comes here, too */
	if (!c->copies)
		event_notify(&c->ring->view.shm->space, c->ring->segment->registered, INT_MAX);
	return 0;
}

/* Where producers have used the room again: go on at the oldest record. */
static int overtaken(struct cursor *c)
{
	uint64_t reclaim;

	if (!c->copies)
		return 0;
	atomic_thread_fence(memory_order_seq_cst); /* copy:A */
	reclaim = atomic_load_explicit(&c->ring->view.shm->reclaim, memory_order_acquire);
	if ((int64_t)(reclaim - c->hot.next) <= 0)
		return c->hot.next - reclaim > c->ring->view.capacity ? corrupt(c->hot.next) : 0;
	c->lost_bytes += reclaim - c->hot.next;
	if (!c->ring->view.sequence_at)
		c->untold = 1;
	c->hot.next = reclaim & ~(uint64_t)7;
	return 1;
}

/* The number of the record at hot.next, if the ring has them: what is missing before it? */
static int count_missing(struct cursor *c, uint64_t number)
{
	if (!c->ring->view.sequence_at)
		return 0;
	if ((int64_t)(number - c->sequence) < 0)
		return shr_fail(EBADMSG, "the ring is corrupt: record %llu after record %llu",
				(unsigned long long)number, (unsigned long long)c->sequence - 1);
	c->untold += number - c->sequence;
	c->sequence = number;
	return 0;
}

static int have_room(struct cursor *c, size_t size)
{
	void *larger;

	if (size <= c->room)
		return 0;
	larger = realloc(c->copy, size);
	if (!larger)
		return shr_fail(ENOMEM, "out of memory for a record of %zu bytes", size);
	c->copy = larger;
	c->room = size;
	return 0;
}

static uint64_t extra(const struct cursor *c, uint32_t at)
{
	const struct ring_view *view = &c->ring->view;

	return at ? atomic_load_explicit(ring_extra(view, c->hot.next, at), memory_order_relaxed) : 0;
}

/* The record at hot.next, of @word. -ECANCELED: it was overwritten meanwhile. */
static int deliver(struct cursor *c, uint64_t word, uint64_t total, struct shr_record *record)
{
	const struct ring_view *view = &c->ring->view;
	struct shr_cursor *hot = &c->hot;
	size_t size = (size_t)WORD_LENGTH(word);
	const uint8_t *payload = view->data + (hot->next & (view->capacity - 1)) + view->header;
	uint64_t number = extra(c, view->sequence_at), time_ns = extra(c, view->time_at);
	uint64_t token = extra(c, view->token_at);
	int err;

	if (c->copies) {
		err = have_room(c, size ? size : 1);
		if (err)
			return err;
		memcpy(c->copy, payload, size);
		payload = c->copy;
		err = overtaken(c);
		if (err)
			return err < 0 ? err : -ECANCELED;
	}
	err = count_missing(c, number);
	if (err)
		return err;
	*record = (struct shr_record){.payload = payload,
				      .size = size,
				      .position = hot->next,
				      .type = (uint16_t)WORD_TYPE(word),
				      .member = (uint16_t)WORD_OWNER(word),
				      .deliveries = (uint16_t)TOKEN_COUNT(token),
				      .sequence = number,
				      .time_ns = time_ns,
				      .lost = c->untold};
	if (c->untold) {
		record->flags |= SHR_RECORD_LOST;
		PROBE(overrun, c->ring->me, c->untold, hot->next);
	}
	c->lost += c->untold;
	c->untold = 0;
	c->sequence = number + 1;
	if ((int64_t)(c->again - hot->next) > 0) {
		record->flags |= SHR_RECORD_REDELIVERED;
		c->redelivered++;
		if (c->shm)
			atomic_store_explicit(&c->shm->redelivered, c->redelivered, memory_order_relaxed);
	}
	hot->next += total;
	if ((int64_t)(c->again - hot->next) <= 0)
		__atomic_store_n(hot->shared_delivered, hot->next, __ATOMIC_RELAXED);
	return 0;
}

/* What next gave is not taken after all: the next one still. */
static void give_back(struct cursor *c, const struct shr_record *record)
{
	c->hot.next = record->position;
	c->lost -= record->lost;
	c->untold = record->lost;
	c->sequence = record->sequence;
	if (record->flags & SHR_RECORD_REDELIVERED)
		c->redelivered--;
	else
		__atomic_store_n(c->hot.shared_delivered, record->position, __ATOMIC_RELAXED);
	if (c->shm)
		atomic_store_explicit(&c->shm->redelivered, c->redelivered, memory_order_relaxed);
	set_short_way(c);
}

/* Move over what is no record. Nothing held and nothing to tell: released at once. */
static int pass(struct cursor *c, uint64_t word, uint64_t total)
{
	struct shr_cursor *hot = &c->hot;
	int held = c->shm && hot->next != atomic_load_explicit(&c->shm->position, memory_order_relaxed);

	if (WORD_STATE(word) == WORD_SKIP) {
		uint64_t number = extra(c, c->ring->view.sequence_at);
		int err = overtaken(c);

		if (err)
			return err < 0 ? err : 0;
		err = count_missing(c, number);
		if (err)
			return err;
		c->sequence++;
		c->skips++;
	}
	hot->next += total;
	if (held || c->untold)
		return 0;
	return shr_cursor_release_slow(hot);
}

/*
 * A consumer that is faster than producers meets them at the tail and takes the line
 * that they are writing from them, once or twice a record: 190 ns a record between far
 * cores, where it is 35 if the consumer looks every 5 us only (seen). So where records
 * come fast it stays away for a moment, and takes several then. Whether they do is
 * tried now and then; a question that waits for its answer does not see it. 1: look
 * again.
 */
static int linger(struct cursor *c)
{
	uint64_t run = c->hot.next - c->empty_at;
	int64_t end;

	if (!run)
		return 0;
	c->empty_at = c->hot.next;
	if (c->lingered)
		c->crowded = c->first_total && run / c->first_total >= LINGER_PAYS;
	c->lingered = c->crowded || !(++c->empties % LINGER_PROBE);
	if (!c->lingered)
		return 0;
	c->first_total = 0;
	end = event_now() + LINGER_NS;
	while (event_now() < end)
		event_pause();
	return 1;
}

/* Nothing is there: -EAGAIN, or once more if the segment is obsolete, and then -ESTALE. */
static int nothing(struct cursor *c, int *stale)
{
	c->looked_ns = 0;
	if (*stale)
		return shr_fail(ESTALE, "the segment is obsolete: it was unlinked or replaced");
	if (!atomic_load_explicit(&segment_header(c->ring->segment)->obsolete, memory_order_acquire) &&
	    !atomic_load_explicit(&c->gone, memory_order_acquire))
		return -EAGAIN;
	*stale = 1; /* what was committed before that is seen now */
	return 0;
}

/* @record NULL: only look whether there is one. */
static int next_stream(struct cursor *c, struct shr_record *record)
{
	const struct ring_view *view = &c->ring->view;
	struct shr_cursor *hot = &c->hot;
	uint64_t passed = 0;
	int stale = 0, moved = 0, err;

	for (;;) {
		/* next:A */
		uint64_t word = atomic_load_explicit(ring_word(view, hot->next), memory_order_acquire);
		uint64_t total;

		err = overtaken(c);
		if (err < 0 || moved > MOVED_TRIES)
			return err < 0 ? err : -EAGAIN;
		if (err) {
			moved++;
			continue;
		}
		if (!word) {
			if (record && linger(c))
				continue;
			err = nothing(c, &stale);
			if (err)
				return err;
			continue;
		}
		total = ring_record_total(view, hot->next, word);
		if (!total || (passed > view->capacity && view->single))
			return corrupt(hot->next);
		if (passed > view->capacity)
			return -EAGAIN; /* producers abort as fast as this */
		switch (WORD_STATE(word)) {
		case WORD_BUSY:
			if (record && linger(c))
				continue;
			if (!c->shm) /* an observer mends nothing */
				return -EAGAIN;
			err = claim_look(c->ring, hot->next, word, &c->looked_ns);
			if (err)
				return err;
			passed += 8; /* a peer may make it BUSY for ever */
			break;
		case WORD_SKIP:
		case WORD_PAD:
			c->looked_ns = 0;
			err = pass(c, word, total);
			if (err)
				return err;
			passed += total;
			break;
		default: /* READY; and an observer of a queue sees TAKEN, DONE and LOST */
			c->looked_ns = 0;
			if (!c->first_total)
				c->first_total = total;
			err = record ? deliver(c, word, total, record) : 0;
			if (err != -ECANCELED)
				return err;
			moved++;
		}
	}
}

static int next_queue(struct cursor *c, size_t limit, struct shr_record *record)
{
	int stale = 0;

	for (;;) {
		int err = queue_take(&c->queue, limit, record);

		if (!err && record)
			__atomic_store_n(c->hot.shared_delivered, ++c->hot.next, __ATOMIC_RELAXED);
		if (err != -EAGAIN)
			return err;
		err = nothing(c, &stale);
		if (err)
			return err;
	}
}

static int next_slow(struct cursor *c, size_t limit, struct shr_record *record)
{
	int err = is_queue(c) ? next_queue(c, limit, record) : next_stream(c, record);

	set_short_way(c);
	return err;
}

/* Nothing for next: the descriptor is to tell when there is. */
static void arm(struct cursor *c)
{
	if (!c->fd)
		return;
	atomic_store(&c->fd_position, c->hot.next);
	atomic_store(&c->fd_delivered, __atomic_load_n(c->hot.shared_delivered, __ATOMIC_RELAXED));
	event_fd_arm(c->fd, 0);
}

int shr_cursor_next_slow(struct shr_cursor *hot, struct shr_record *record)
{
	struct cursor *c = own(hot);
	int err;

	if (c->tag != CURSOR_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	err = next_slow(c, SIZE_MAX, record);
	if (err == -EAGAIN)
		arm(c);
	return err;
}

/*
 * In the descriptor's thread: is there something for next? A BUSY record is not
 * worth a wake, unless it stays so: then next looks whether its owner lives.
 */
static int fd_ready(void *argument)
{
	struct cursor *c = argument;
	const struct ring_view *view = &c->ring->view;
	uint64_t position = is_queue(c) ? atomic_load(&view->shm->take) : atomic_load(&c->fd_position);
	uint64_t word = atomic_load_explicit(ring_word(view, position), memory_order_acquire);
	int64_t now = event_now();

	if (event_stale(c->ring->segment, &c->fd_looked_ns, now))
		atomic_store_explicit(&c->gone, 1, memory_order_release);
	/* Who consumes without waiting for the descriptor: let it look itself. */
	if (atomic_load(&c->gone) || __atomic_load_n(c->hot.shared_delivered, __ATOMIC_RELAXED) !=
					    atomic_load(&c->fd_delivered))
		return 1;
	/* What a dead worker had is found by next. */
	if (is_queue(c) && (atomic_load(&view->shm->rewind) ||
			    position != atomic_load(&view->shm->cursor[0].position)))
		return 1;
	if (WORD_STATE(word) != WORD_BUSY) {
		c->fd_busy_ns = 0;
		return word != 0;
	}
	if (!c->fd_busy_ns)
		c->fd_busy_ns = now;
	if (now - c->fd_busy_ns < SLICE_BUSY_NS)
		return 0;
	c->fd_busy_ns = now;
	return 1;
}

int shr_cursor_fd(struct shr_cursor *hot)
{
	struct cursor *c = own(hot);

	if (c->tag != CURSOR_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	if (!c->fd) {
		int err = event_fd_open(&c->fd, c->ring->segment, &c->ring->view.shm->data, fd_ready, c);

		if (err)
			return err;
	}
	return event_fd_number(c->fd);
}

/* The role is held: finish what the last owner was at, and begin where it was. */
static int resume(struct cursor *c)
{
	const struct ring_view *view = &c->ring->view;
	struct shm_cursor *shm = c->shm;
	uint64_t position = atomic_load_explicit(&shm->position, memory_order_acquire);
	uint64_t journal = atomic_load_explicit(&shm->journal_position, memory_order_acquire);
	uint64_t delivered = atomic_load_explicit(&shm->delivered, memory_order_acquire);
	uint64_t reclaim = atomic_load_explicit(&view->shm->reclaim, memory_order_acquire);
	uint64_t clean = atomic_load_explicit(&view->shm->clean, memory_order_acquire);

	c->skipped = atomic_load_explicit(&shm->skipped, memory_order_relaxed);
	c->lost = atomic_load_explicit(&shm->lost, memory_order_relaxed);
	c->lost_bytes = atomic_load_explicit(&shm->lost_bytes, memory_order_relaxed);
	c->sequence = atomic_load_explicit(&shm->sequence, memory_order_relaxed);
	c->redelivered = atomic_load_explicit(&shm->redelivered, memory_order_relaxed);
	if ((int64_t)(journal - position) > 0) {
		c->skipped = atomic_load_explicit(&shm->journal_skipped, memory_order_relaxed);
		c->lost = atomic_load_explicit(&shm->journal_lost, memory_order_relaxed);
		c->lost_bytes = atomic_load_explicit(&shm->journal_bytes, memory_order_relaxed);
		atomic_store_explicit(&shm->lost_bytes, c->lost_bytes, memory_order_release);
		c->sequence = atomic_load_explicit(&shm->journal_sequence, memory_order_relaxed);
		atomic_store_explicit(&shm->skipped, c->skipped, memory_order_release);
		atomic_store_explicit(&shm->lost, c->lost, memory_order_release);
		atomic_store_explicit(&shm->sequence, c->sequence, memory_order_release);
		position = journal;
	}
	if ((int64_t)(delivered - position) < 0) /* position moved over what is no record */
		delivered = position;
	if (position & 7 || reclaim & 7 || (!c->copies && delivered - position > view->capacity))
		return corrupt(position);
	atomic_store_explicit(&shm->position, position, memory_order_release);
	c->position = c->hot.next = position;
	c->again = delivered;
	c->hot.keep = position - 8;
	if (view->ahead)
		return 0;
	if (position - reclaim > view->capacity || reclaim - (clean - view->capacity) > view->capacity)
		return corrupt(position);
	c->reclaim = reclaim;
	c->hot.keep = reclaim + view->history;
	c->clean = clean;
	if (clean - view->capacity != reclaim)
		zero_to_reclaim(c);
	return clean_behind(c, position);
}

static int check_options(const struct shr_ring *ring, const char *name,
			 struct shr_cursor_options *own_options)
{
	const struct ring_view *view = &ring->view;
	uint32_t flags = own_options->flags;

	if (flags & ~(uint32_t)(SHR_CURSOR_LOSSY | SHR_CURSOR_DURABLE | SHR_CURSOR_CREATE |
				SHR_CURSOR_OBSERVE) ||
	    own_options->join > SHR_JOIN_TIME || (flags & SHR_CURSOR_OBSERVE && (name || flags != SHR_CURSOR_OBSERVE)))
		return shr_fail(EINVAL, "unknown options of a cursor, or they do not go together");
	if (name && (!name[0] || strnlen(name, SHR_CURSOR_NAME_MAX + 1) > SHR_CURSOR_NAME_MAX))
		return shr_fail(EINVAL, "a cursor needs a name of 1 to %d bytes", SHR_CURSOR_NAME_MAX);
	if (!ring->me && !(flags & SHR_CURSOR_OBSERVE))
		return shr_fail(EROFS, HANDLE_OBSERVES);
	if (view->mode == SHR_RING_QUEUE && !(flags & SHR_CURSOR_OBSERVE) && (name || flags))
		return shr_fail(EINVAL, "the workers of a queue have no names and no flags");
	if (view->mode == SHR_RING_OVERWRITE)
		own_options->flags |= SHR_CURSOR_LOSSY;
	if (flags & SHR_CURSOR_LOSSY && !view->sequence_at)
		return shr_fail(EOPNOTSUPP, "a lossy cursor needs a ring with SHR_RING_SEQUENCE");
	if (own_options->join == SHR_JOIN_TIME && !view->time_at)
		return shr_fail(EOPNOTSUPP, "the ring's records have no time: SHR_RING_TIME");
	if (own_options->join == SHR_JOIN_POSITION && own_options->epoch &&
	    own_options->epoch != shr_segment_epoch(ring->segment))
		return shr_fail(ESTALE, "the position is of another segment of that name");
	if (own_options->join == SHR_JOIN_POSITION && own_options->position & 7)
		return shr_fail(EINVAL, "position %llu is not between two records of the ring",
				(unsigned long long)own_options->position);
	return 0;
}

/* Find or make its place, or where to observe from. */
static int begin(struct cursor *c, const char *name, const struct shr_cursor_options *options)
{
	struct shr_ring *ring = c->ring;
	uint32_t place;
	int made, err;

	if (options->flags & SHR_CURSOR_OBSERVE) {
		c->copies = 1;
		err = cursors_join(ring, options, NULL, &c->hot.next, &c->sequence);
		c->position = c->again = c->hot.next;
		return err;
	}
	if (ring->view.mode == SHR_RING_QUEUE) {
		queue_open(&c->queue, ring);
		return 0;
	}
	err = cursors_take(ring, name ? name : "default", options, &place, &made);
	if (err)
		return err;
	c->shm = &ring->view.shm->cursor[place];
	/* The only cursor cleans: it is a gate, whatever a peer has written. */
	c->copies = ring->view.ahead && !(atomic_load(&c->shm->mode) & CURSOR_GATE);
	c->hot.shared_position = (shr_word_ *)(void *)&c->shm->position;
	c->hot.shared_delivered = (shr_word_ *)(void *)&c->shm->delivered;
	err = resume(c);
	if (err)
		ring_role_leave(ring, &c->shm->role);
	else if (made) /* it was in the way while it joined */
		event_notify(&ring->view.shm->space, ring->segment->registered, INT_MAX);
	return err;
}

int shr_cursor_open_version(struct shr_cursor **result, struct shr_ring *ring, const char *name,
			    const struct shr_cursor_options *options, uint32_t version)
{
	struct shr_cursor_options own_options = {0};
	struct cursor *c;
	int err;

	if (!result || *result)
		return shr_fail(result ? EBUSY : EINVAL, "the handle is in use, or none");
	if (!ring || ring->tag != RING_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	if (version != SHR_HOT_VERSION)
		return shr_fail(EPROTO, "compiled for inline calls of version %u, the library has %u",
				version, SHR_HOT_VERSION);
	if (options) {
		err = shr_options_check(options, options->struct_size, sizeof(own_options));
		if (err)
			return err;
		memcpy(&own_options, options,
		       options->struct_size < sizeof(own_options) ? options->struct_size
								  : sizeof(own_options));
	}
	err = check_options(ring, name, &own_options);
	if (err)
		return err;
	c = handle_alloc(sizeof(*c));
	if (!c)
		return shr_fail(ENOMEM, "out of memory");
	c->ring = ring;
	c->batch = ring_batch(&ring->view);
	c->hot.mask = ring->view.capacity - 1;
	c->hot.max_record = ring->view.max_record;
	c->hot.shared_position = c->hot.shared_delivered = &c->own_delivered;
	err = begin(c, name, &own_options);
	if (err) {
		handle_free(c, sizeof(*c));
		return err;
	}
	c->plain = ring->view.header == 8 && !c->copies;
	set_short_way(c);
	c->tag = CURSOR_TAG;
	atomic_fetch_add(&ring->users, 1);
	*result = &c->hot;
	return 0;
}

int shr_cursor_close(struct shr_cursor *hot)
{
	struct cursor *c;

	if (!hot)
		return 0;
	c = own(hot);
	if (c->tag == CURSOR_TAG) {
		event_fd_close(c->fd);
		if (is_queue(c))
			queue_close(&c->queue);
		if (c->shm) {
			if (!(atomic_load(&c->shm->mode) & CURSOR_DURABLE)) {
				cursors_free(c->shm);
				event_notify(&c->ring->view.shm->space, c->ring->segment->registered,
					     INT_MAX);
			}
			ring_role_leave(c->ring, &c->shm->role);
		}
		free(c->copy);
		atomic_fetch_sub(&c->ring->users, 1);
	}
	handle_free(c, sizeof(*c));
	return 0;
}

int shr_cursor_get(const struct shr_cursor *hot, struct shr_cursor_info *info)
{
	struct cursor *c = own(hot);

	if (c->tag != CURSOR_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	if (c->shm) {
		cursors_view(info, c->shm, atomic_load(&c->shm->mode), atomic_load(&c->shm->role));
		return 0;
	}
	*info = (struct shr_cursor_info){.flags = c->copies ? SHR_CURSOR_LOSSY : 0,
					 .member = c->ring->me,
					 .position = c->position,
					 .delivered = hot->next,
					 .skipped = c->skipped,
					 .lost = c->lost,
					 .lost_bytes = c->lost_bytes,
					 .sequence = c->sequence};
	if (is_queue(c)) {
		info->position = atomic_load(&c->ring->view.shm->cursor[0].position);
		info->delivered = atomic_load(&c->ring->view.shm->take);
	}
	return 0;
}

uint64_t shr_cursor_position(const struct shr_cursor *hot)
{
	return is_queue(own(hot)) ? atomic_load(&own(hot)->ring->view.shm->take) : hot->next;
}

static int of_queue(const struct cursor *c)
{
	if (c->tag != CURSOR_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	return is_queue(c) ? 0 : shr_fail(EOPNOTSUPP, "only records of a queue are acknowledged one by one");
}

int shr_cursor_ack(struct shr_cursor *hot, const struct shr_record *record)
{
	int err = of_queue(own(hot));

	return err ? err : queue_put(&own(hot)->queue, record->position, WORD_DONE);
}

int shr_cursor_nack(struct shr_cursor *hot, const struct shr_record *record)
{
	int err = of_queue(own(hot));

	return err ? err : queue_put(&own(hot)->queue, record->position, WORD_READY);
}

int cursor_look(struct shr_cursor *hot)
{
	struct cursor *c = own(hot);

	return c->tag == CURSOR_TAG ? next_slow(c, SIZE_MAX, NULL) : shr_fail(ECHILD, HANDLE_CHILD);
}

int cursor_is_busy(struct shr_cursor *hot)
{
	return own(hot)->looked_ns != 0 || own(hot)->queue.looked_ns != 0;
}

struct shr_ring *cursor_ring(struct shr_cursor *hot)
{
	return own(hot)->ring;
}

/* As the short way of next, but delivered is one store for all. */
static size_t next_short(struct shr_cursor *hot, struct shr_record *records, size_t count)
{
	const uint8_t *data = hot->data;
	uint64_t next = hot->next, mask = hot->mask, max = hot->max_record;
	size_t n = 0;

	if (!data)
		return 0;
	for (; n < count; n++) {
		uint64_t index = next & mask;
		/* next:A */
		uint64_t word = __atomic_load_n((const shr_word_ *)(const void *)(data + index),
						__ATOMIC_ACQUIRE);
		uint64_t size = WORD_LENGTH(word), total = RECORD_TOTAL(8, size);

		if (WORD_STATE(word) != WORD_READY || size > max || index + total > mask + 1)
			break;
		shr_record_make_(&records[n], data + index + 8, word, next);
		next += total;
	}
	if (n) {
		hot->next = next;
		__atomic_store_n(hot->shared_delivered, next, __ATOMIC_RELAXED);
	}
	return n;
}

int shr_cursor_next_many(struct shr_cursor *hot, struct shr_record *records, size_t count)
{
	size_t n = 0;
	int err = 0;

	if (count > INT_MAX)
		count = INT_MAX;
	if (count && own(hot)->copies) /* there is one buffer */
		count = 1;
	while (n < count) {
		n += next_short(hot, records + n, count - n);
		if (n == count || (err = shr_cursor_next_slow(hot, &records[n])))
			break;
		n++;
	}
	return n || !count ? (int)n : err;
}

/* The next record, if it has no more than @limit bytes; else -EMSGSIZE and record->size. */
static int next_of(struct cursor *c, size_t limit, struct shr_record *record)
{
	int err;

	if (is_queue(c)) { /* what is taken cannot be given back at most once */
		if (c->tag != CURSOR_TAG)
			return shr_fail(ECHILD, HANDLE_CHILD);
		err = next_slow(c, limit, record);
		if (err == -EAGAIN)
			arm(c);
	} else {
		err = shr_cursor_next(&c->hot, record);
		if (err || record->size <= limit)
			return err;
		give_back(c, record);
		err = -EMSGSIZE;
	}
	return err == -EMSGSIZE ? shr_fail(EMSGSIZE, "the record has %zu bytes, the buffer %zu",
					   record->size, limit)
				: err;
}

int shr_cursor_read_many(struct shr_cursor *hot, void *buffer, size_t size,
			 struct shr_record *records, size_t count)
{
	uint8_t *to = buffer;
	size_t n = 0, used = 0;
	int err = 0;

	if (count > INT_MAX)
		count = INT_MAX;
	while (n < count && !(err = next_of(own(hot), size - used, &records[n]))) {
		struct shr_record *record = &records[n];

		memcpy(to + used, record->payload, record->size);
		record->payload = to + used;
		used += record->size;
		used += -used & 7;
		used = used < size ? used : size;
		n++;
	}
	if (!n)
		return count ? err : 0;
	err = shr_cursor_release(hot);
	return err ? err : (int)n;
}

struct next_attempt {
	struct shr_cursor *cursor;
	struct shr_record *record;
	size_t limit; /* of read; SIZE_MAX: of next */
	int64_t slice;
};

static int next_again(void *argument)
{
	struct next_attempt *attempt = argument;
	int err = attempt->limit == SIZE_MAX
			  ? shr_cursor_next(attempt->cursor, attempt->record)
			  : next_of(own(attempt->cursor), attempt->limit, attempt->record);

	attempt->slice = cursor_is_busy(attempt->cursor) ? SLICE_BUSY_NS : EVENT_SLICE_NS;
	return err;
}

static int next_until(struct shr_cursor *hot, struct shr_record *record, size_t limit,
		      int64_t deadline_ns)
{
	struct next_attempt attempt = {hot, record, limit, EVENT_SLICE_NS};
	int err = next_again(&attempt);

	if (err != -EAGAIN)
		return err;
	return event_await(own(hot)->ring->segment, &own(hot)->ring->looked_ns,
			   &own(hot)->ring->view.shm->data, deadline_ns, next_again, &attempt,
			   &attempt.slice);
}

int shr_cursor_next_until(struct shr_cursor *hot, struct shr_record *record, int64_t deadline_ns)
{
	return next_until(hot, record, SIZE_MAX, deadline_ns);
}

static int copy_out(struct shr_cursor *hot, void *buffer, struct shr_record *record)
{
	memcpy(buffer, record->payload, record->size);
	record->payload = buffer;
	return shr_cursor_release(hot);
}

int shr_cursor_read_slow(struct shr_cursor *hot, void *buffer, size_t size,
			 struct shr_record *record)
{
	int err = next_of(own(hot), size, record);

	return err ? err : copy_out(hot, buffer, record);
}

int shr_cursor_read_until(struct shr_cursor *hot, void *buffer, size_t size,
			  struct shr_record *record, int64_t deadline_ns)
{
	int err = next_until(hot, record, size, deadline_ns);

	return err ? err : copy_out(hot, buffer, record);
}
