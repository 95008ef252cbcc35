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

#include "cursor.h"
#include "error.h"
#include "killpoint.h"
#include "probe.h"

#define LINGER_NS 2000	      /* not looking at a tail that moves fast */
#define LINGER_PROBE 128      /* empty looks between two tries whether that pays */
#define LINGER_PAYS 4	      /* records that came meanwhile, or it does not */
#define MOVED_TRIES 1000      /* jumps of one call after producers that overtake it */

int cursor_corrupt(uint64_t position)
{
	return shr_fail(EBADMSG, "the ring is corrupt: a record at position %llu is impossible",
			(unsigned long long)position);
}

/* Whether calls may go the short way: nothing is to be counted or told. */
void cursor_set_short_way(struct cursor *c)
{
	int may = c->plain && !c->skips && (int64_t)(c->again - c->hot.next) <= 0;

	c->hot.data = may ? c->ring->view.data : NULL;
}

/* From what the last cleaning left to reclaim. */
void cursor_zero_to_reclaim(struct cursor *c)
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
int cursor_clean_behind(struct cursor *c, uint64_t position)
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
		cursor_zero_to_reclaim(c);
		return 0;
	}
	c->reclaim = reclaim;
	while (position - reclaim > keep) {
		uint64_t word = atomic_load_explicit(ring_word(view, reclaim), memory_order_relaxed);
		uint64_t total = ring_record_total(view, reclaim, word);

		if (!total || total > position - reclaim)
			return cursor_corrupt(reclaim);
		reclaim += total;
	}
	c->reclaim = reclaim;
	cursor_zero_to_reclaim(c);
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
	struct cursor *c = cursor_of(hot);

	if (c->tag != CURSOR_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	if (cursor_is_queue(c))
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
	cursor_set_short_way(c);
	if (!c->ring->view.ahead)
		return cursor_clean_behind(c, hot->next);
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
		return c->hot.next - reclaim > c->ring->view.capacity ? cursor_corrupt(c->hot.next) : 0;
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
	cursor_set_short_way(c);
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
	uint64_t passed = 0, at;
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
		/* Without a jump there is a record, or nothing, within a lap of a single producer. */
		if (!total || (passed > view->capacity && view->single && !moved))
			return cursor_corrupt(hot->next);
		if (passed > view->capacity)
			return -EAGAIN; /* producers abort, or overtake this, as fast as it passes */
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
			at = hot->next;
			err = pass(c, word, total);
			if (err)
				return err;
			passed += total;
			moved += hot->next != at + total; /* it was overtaken in there */
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
	int err = cursor_is_queue(c) ? next_queue(c, limit, record) : next_stream(c, record);

	cursor_set_short_way(c);
	return err;
}

int shr_cursor_next_slow(struct shr_cursor *hot, struct shr_record *record)
{
	struct cursor *c = cursor_of(hot);
	int err;

	if (c->tag != CURSOR_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	err = next_slow(c, SIZE_MAX, record);
	if (err == -EAGAIN)
		cursor_arm(c);
	return err;
}

static int of_queue(const struct cursor *c)
{
	if (c->tag != CURSOR_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	return cursor_is_queue(c) ? 0 : shr_fail(EOPNOTSUPP, "only records of a queue are acknowledged one by one");
}

int shr_cursor_ack(struct shr_cursor *hot, const struct shr_record *record)
{
	int err = of_queue(cursor_of(hot));

	return err ? err : queue_put(&cursor_of(hot)->queue, record->position, WORD_DONE);
}

int shr_cursor_nack(struct shr_cursor *hot, const struct shr_record *record)
{
	int err = of_queue(cursor_of(hot));

	return err ? err : queue_put(&cursor_of(hot)->queue, record->position, WORD_READY);
}

int cursor_look(struct shr_cursor *hot)
{
	struct cursor *c = cursor_of(hot);

	return c->tag == CURSOR_TAG ? next_slow(c, SIZE_MAX, NULL) : shr_fail(ECHILD, HANDLE_CHILD);
}

int cursor_is_busy(struct shr_cursor *hot)
{
	return cursor_of(hot)->looked_ns != 0 || cursor_of(hot)->queue.looked_ns != 0;
}

struct shr_ring *cursor_ring(struct shr_cursor *hot)
{
	return cursor_of(hot)->ring;
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
	if (count && cursor_of(hot)->copies) /* there is one buffer */
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

	if (cursor_is_queue(c)) { /* what is taken cannot be given back at most once */
		if (c->tag != CURSOR_TAG)
			return shr_fail(ECHILD, HANDLE_CHILD);
		err = next_slow(c, limit, record);
		if (err == -EAGAIN)
			cursor_arm(c);
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
	while (n < count && !(err = next_of(cursor_of(hot), size - used, &records[n]))) {
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
			  : next_of(cursor_of(attempt->cursor), attempt->limit, attempt->record);

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
	return event_await(cursor_of(hot)->ring->segment, &cursor_of(hot)->ring->looked_ns,
			   &cursor_of(hot)->ring->view.shm->data, deadline_ns, next_again, &attempt,
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
	int err = next_of(cursor_of(hot), size, record);

	return err ? err : copy_out(hot, buffer, record);
}

int shr_cursor_read_until(struct shr_cursor *hot, void *buffer, size_t size,
			  struct shr_record *record, int64_t deadline_ns)
{
	int err = next_until(hot, record, size, deadline_ns);

	return err ? err : copy_out(hot, buffer, record);
}
