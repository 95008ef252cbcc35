/* SPDX-License-Identifier: MIT */
/*
 * L4: the consumer: next, release, cleaning. The protocol is at the top of
 * ring.c.
 *
 * Skips. A record that was never committed is counted once, whoever dies when:
 * skipped moves together with position, by a journal.
 *
 *	journal_skipped = skipped + n; journal_position = p
 *	skipped = journal_skipped
 *	position = p
 *
 * The next consumer that finds journal_position beyond position does the last
 * two again.
 *
 * Cleaning. Records that lie more than history behind position are zeroed, one
 * batch at a time: reclaim = p; zeroes; clean = p + capacity; wake producers.
 * Where a record begins there is known from the passing of it (marks), or found by
 * walking.
 * The next consumer that finds clean behind reclaim + capacity does the last
 * three again.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "error.h"
#include "handle.h"
#include "member.h"
#include "ring_core.h"

#define LOOK_NS 1000000		/* between looks whether the owner of a BUSY record lives */
#define SLICE_BUSY_NS 4000000	/* longest sleep before a BUSY record */
#define BATCHES 8		/* cleaning steps a lap: fewer are faster, */
#define MARKS 64
#define BATCH_MAX 65536		/* but a release must not zero for long */

struct cursor {
	struct shr_cursor hot;
	uint32_t tag; /* 0 in a child */
	struct shr_ring *ring;
	struct shm_cursor *shm;
	uint64_t clean;
	uint64_t batch;
	uint64_t mark[MARKS]; /* positions between records, passed by this consumer; a ring */
	unsigned mark_first, mark_count;
	uint64_t skipped;     /* all, those of hot.skips not among them */
	uint64_t redelivered;
	int64_t look_ns; /* when the BUSY record that is next was looked at last; 0: not */
	struct event_fd *fd; /* or NULL */
	_Atomic uint64_t fd_position; /* what its thread looks at */
	_Atomic uint64_t fd_delivered; /* and whether the consumer has moved since */
	_Atomic int64_t fd_looked_ns; /* when it looked whether the file is there */
	_Atomic int gone; /* it is not */
	int64_t fd_busy_ns; /* the thread's: since when that is BUSY; 0: is not */
};

static struct cursor *own(struct shr_cursor *hot)
{
	return (struct cursor *)hot;
}

static int corrupt(uint64_t position)
{
	return shr_fail(EBADMSG, "the ring is corrupt: a record at position %llu is impossible",
			(unsigned long long)position);
}

/* From what the last cleaning left to hot.reclaim. */
static void zero_to_reclaim(struct cursor *c)
{
	struct shm_ring *shm = c->ring->view.shm;

	/* Observers stop trusting these bytes before they are zeroed. */
	atomic_store_explicit(&shm->reclaim, c->hot.reclaim, memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst);
	ring_zero(&c->ring->view, c->clean - c->ring->view.capacity, c->hot.reclaim);
	c->clean = c->hot.reclaim + c->ring->view.capacity;
	/*
	 * clean:A. Release: zeroes before clean. Pairs with reserve:A.
	 */
	atomic_store_explicit(&shm->clean, c->clean, memory_order_release);
	event_notify(&shm->space, c->ring->segment->registered, INT_MAX);
}

/*
 * The oldest mark that leaves at most @most and at least @least bytes before
 * @position: 1, or 0 there is none.
 */
static int find_mark(struct cursor *c, uint64_t position, uint64_t most, uint64_t least,
		     uint64_t *reclaim)
{
	while (c->mark_count) {
		uint64_t mark = c->mark[c->mark_first];

		if (position - mark <= most) {
			*reclaim = mark;
			return position - mark >= least;
		}
		c->mark_first = (c->mark_first + 1) % MARKS;
		c->mark_count--;
	}
	return 0;
}

static void add_mark(struct cursor *c, uint64_t position)
{
	if (c->mark_count == MARKS) { /* too dense: the oldest are of no use any more */
		c->mark_first = (c->mark_first + 1) % MARKS;
		c->mark_count--;
	}
	c->mark[(c->mark_first + c->mark_count++) % MARKS] = position;
}

/* Keep at most history bytes behind @position, which lies between records. */
static int clean_behind(struct cursor *c, uint64_t position)
{
	const struct ring_view *view = &c->ring->view;
	uint64_t reclaim = c->hot.reclaim, keep = view->history, least;

	if (position - reclaim <= keep)
		return 0;
	add_mark(c, position);
	keep -= keep < c->batch ? keep : c->batch;
	/* A mark must not lie before reclaim, and not give up much more than a batch. */
	least = keep > c->batch ? keep - c->batch : 0;
	if (find_mark(c, position, keep, least, &c->hot.reclaim) &&
	    position - c->hot.reclaim < position - reclaim) {
		zero_to_reclaim(c);
		return 0;
	}
	c->hot.reclaim = reclaim;
	while (position - reclaim > keep) {
		uint64_t word = atomic_load_explicit(ring_word(view, reclaim), memory_order_relaxed);
		uint64_t total = ring_record_total(view, reclaim, word);

		if (!total || total > position - reclaim)
			return corrupt(reclaim);
		reclaim += total;
	}
	c->hot.reclaim = reclaim;
	zero_to_reclaim(c);
	return 0;
}

int shr_cursor_release_slow(struct shr_cursor *hot)
{
	struct cursor *c = own(hot);

	if (c->tag != CURSOR_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	if (hot->skips) {
		uint64_t skipped = c->skipped + hot->skips;

		atomic_store_explicit(&c->shm->journal_skipped, skipped, memory_order_relaxed);
		/* Release each: a successor sees them in this order. */
		atomic_store_explicit(&c->shm->journal_position, hot->next, memory_order_release);
		atomic_store_explicit(&c->shm->skipped, skipped, memory_order_release);
		c->skipped = skipped;
		hot->skips = 0;
		/* release:A */
		atomic_store_explicit(&c->shm->position, hot->next, memory_order_release);
	}
	return clean_behind(c, hot->next);
}

/* The record that is next is BUSY: mend it if its owner is dead. */
static int mend_busy(struct cursor *c, uint64_t word)
{
	const struct ring_view *view = &c->ring->view;
	uint32_t owner = WORD_OWNER(word);
	int64_t now = event_now();
	int token, err;

	if (!owner || owner > view->members || view->single)
		return corrupt(c->hot.next);
	if (!c->look_ns)
		c->look_ns = now;
	if (now - c->look_ns < LOOK_NS)
		return -EAGAIN;
	c->look_ns = now;
	if (owner == c->ring->me)
		return -EAGAIN;
	err = member_win(c->ring->segment, owner - 1, &token);
	if (err)
		return err == -EBUSY ? -EAGAIN : err; /* alive; or it cannot be told, which is no wait */
	err = claim_mend(view, owner);
	if (!err)
		claim_mend_record(view, c->hot.next, owner);
	member_release(token, owner - 1);
	return err;
}

static int deliver(struct cursor *c, uint64_t word, uint64_t total, struct shr_record *record)
{
	struct shr_cursor *hot = &c->hot;
	uint64_t index = hot->next & hot->mask;

	*record = (struct shr_record){.payload = hot->data + index + 8,
				      .size = (size_t)WORD_LENGTH(word),
				      .position = hot->next,
				      .type = (uint16_t)WORD_TYPE(word),
				      .member = (uint16_t)WORD_OWNER(word)};
	if ((int64_t)(hot->again - hot->next) > 0) {
		record->flags = SHR_RECORD_REDELIVERED;
		atomic_store_explicit(&c->shm->redelivered, ++c->redelivered, memory_order_relaxed);
	}
	hot->next += total;
	if ((int64_t)(hot->again - hot->next) <= 0)
		atomic_store_explicit(&c->shm->delivered, hot->next, memory_order_relaxed);
	return 0;
}

/* Move over what is no record. Nothing held: released at once. */
static int pass(struct cursor *c, uint32_t state, uint64_t total)
{
	struct shr_cursor *hot = &c->hot;
	int held = hot->next != atomic_load_explicit(&c->shm->position, memory_order_relaxed);

	hot->next += total;
	hot->skips += state == WORD_SKIP;
	if (held)
		return 0;
	if (!hot->skips) /* release:A */
		atomic_store_explicit(&c->shm->position, hot->next, memory_order_release);
	return shr_cursor_release_slow(hot);
}

/* @record NULL: only look whether there is one. */
static int next_slow(struct cursor *c, struct shr_record *record)
{
	struct shr_cursor *hot = &c->hot;
	uint64_t passed = 0;
	int stale = 0;

	for (;;) {
		const struct ring_view *view = &c->ring->view;
		/* next:A */
		uint64_t word = atomic_load_explicit(ring_word(view, hot->next), memory_order_acquire);
		uint64_t total;
		int err;

		if (!word) {
			c->look_ns = 0;
			if (stale)
				return shr_fail(ESTALE, "the segment is obsolete: it was unlinked or replaced");
			if (!atomic_load_explicit(&segment_header(c->ring->segment)->obsolete,
						  memory_order_acquire) &&
			    !atomic_load_explicit(&c->gone, memory_order_acquire))
				return -EAGAIN;
			stale = 1; /* what was committed before that is seen now */
			continue;
		}
		total = ring_record_total(view, hot->next, word);
		if (!total || passed > view->capacity)
			return corrupt(hot->next);
		switch (WORD_STATE(word)) {
		case WORD_READY:
			c->look_ns = 0;
			return record ? deliver(c, word, total, record) : 0;
		case WORD_BUSY:
			err = mend_busy(c, word);
			if (err)
				return err;
			passed += 8; /* a peer may make it BUSY for ever */
			break;
		default: /* SKIP, PAD */
			c->look_ns = 0;
			err = pass(c, WORD_STATE(word), total);
			if (err)
				return err;
			passed += total;
		}
	}
}

int shr_cursor_next_slow(struct shr_cursor *hot, struct shr_record *record)
{
	struct cursor *c = own(hot);
	int err;

	if (c->tag != CURSOR_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	err = next_slow(c, record);
	if (err == -EAGAIN && c->fd) {
		atomic_store(&c->fd_position, hot->next);
		atomic_store(&c->fd_delivered, atomic_load(&c->shm->delivered));
		event_fd_arm(c->fd, 0);
	}
	return err;
}

/*
 * In the descriptor's thread: is there something for next? A BUSY record is not
 * worth a wake, unless it stays so: then next looks whether its owner lives.
 */
static int fd_ready(void *argument)
{
	struct cursor *c = argument;
	uint64_t position = atomic_load(&c->fd_position);
	uint64_t word = atomic_load_explicit(ring_word(&c->ring->view, position), memory_order_acquire);
	int64_t now = event_now();

	if (event_stale(c->ring->segment, &c->fd_looked_ns, now))
		atomic_store_explicit(&c->gone, 1, memory_order_release);
	/* Who consumes without waiting for the descriptor: let it look itself. */
	if (atomic_load(&c->gone) || atomic_load(&c->shm->delivered) != atomic_load(&c->fd_delivered))
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
	c->redelivered = atomic_load_explicit(&shm->redelivered, memory_order_relaxed);
	if ((int64_t)(journal - position) > 0) {
		c->skipped = atomic_load_explicit(&shm->journal_skipped, memory_order_relaxed);
		atomic_store_explicit(&shm->skipped, c->skipped, memory_order_release);
		position = journal;
	}
	if ((int64_t)(delivered - position) < 0) /* position moved over what is no record */
		delivered = position;
	if (position & 7 || reclaim & 7 || delivered - position > view->capacity ||
	    position - reclaim > view->capacity ||
	    reclaim - (clean - view->capacity) > view->capacity)
		return corrupt(position);
	atomic_store_explicit(&shm->position, position, memory_order_release);
	c->hot.next = position;
	c->hot.again = delivered;
	c->hot.reclaim = reclaim;
	c->clean = clean;
	if (clean - view->capacity != reclaim)
		zero_to_reclaim(c);
	return clean_behind(c, position);
}

int shr_cursor_open_version(struct shr_cursor **result, struct shr_ring *ring, const char *name,
			    uint32_t version)
{
	struct cursor *c;
	int err;

	if (!result || *result)
		return shr_fail(result ? EBUSY : EINVAL, "the handle is in use, or none");
	if (!ring || ring->tag != RING_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	if (version != SHR_HOT_VERSION)
		return shr_fail(EPROTO, "compiled for inline calls of version %u, the library has %u",
				version, SHR_HOT_VERSION);
	if (name && strcmp(name, "default"))
		return shr_fail(ENOENT, "the ring has no cursor named %.31s", name);
	c = handle_alloc(sizeof(*c));
	if (!c)
		return shr_fail(ENOMEM, "out of memory");
	c->ring = ring;
	c->shm = &ring->view.shm->cursor[0];
	c->batch = ring->view.capacity / BATCHES;
	if (c->batch > BATCH_MAX)
		c->batch = BATCH_MAX;
	c->hot.data = ring->view.data;
	c->hot.mask = ring->view.capacity - 1;
	c->hot.max_record = ring->view.max_record;
	c->hot.history = ring->view.history;
	c->hot.shared_position = (shr_word_ *)(void *)&c->shm->position;
	c->hot.shared_delivered = (shr_word_ *)(void *)&c->shm->delivered;
	err = ring_role_take(ring, &c->shm->role);
	if (err)
		goto free_handle;
	err = resume(c);
	if (err)
		goto leave_role;
	c->tag = CURSOR_TAG;
	atomic_fetch_add(&ring->users, 1);
	*result = &c->hot;
	return 0;
leave_role:
	ring_role_leave(ring, &c->shm->role);
free_handle:
	handle_free(c, sizeof(*c));
	return err;
}

int shr_cursor_close(struct shr_cursor *hot)
{
	struct cursor *c;

	if (!hot)
		return 0;
	c = own(hot);
	if (c->tag == CURSOR_TAG) {
		event_fd_close(c->fd);
		ring_role_leave(c->ring, &c->shm->role);
		atomic_fetch_sub(&c->ring->users, 1);
	}
	handle_free(c, sizeof(*c));
	return 0;
}

int cursor_look(struct shr_cursor *hot)
{
	struct cursor *c = own(hot);

	return c->tag == CURSOR_TAG ? next_slow(c, NULL) : shr_fail(ECHILD, HANDLE_CHILD);
}

int cursor_is_busy(struct shr_cursor *hot)
{
	return own(hot)->look_ns != 0;
}

struct shr_ring *cursor_ring(struct shr_cursor *hot)
{
	return own(hot)->ring;
}

int shr_cursor_next_many(struct shr_cursor *hot, struct shr_record *records, size_t count)
{
	size_t n = 0;
	int err = 0;

	if (count > INT_MAX)
		count = INT_MAX;
	while (n < count && !(err = shr_cursor_next(hot, &records[n])))
		n++;
	return n || !count ? (int)n : err;
}

int shr_cursor_read_many(struct shr_cursor *hot, void *buffer, size_t size,
			 struct shr_record *records, size_t count)
{
	uint8_t *to = buffer;
	size_t n = 0, used = 0;
	int err = 0;

	if (count > INT_MAX)
		count = INT_MAX;
	while (n < count && !(err = shr_cursor_next(hot, &records[n]))) {
		struct shr_record *record = &records[n];

		if (record->size > size - used) {
			hot->next = record->position; /* not taken: the next one still */
			err = shr_fail(EMSGSIZE, "the record has %zu bytes, the buffer %zu", record->size,
				       size - used);
			break;
		}
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
	int64_t slice;
};

static int next_again(void *argument)
{
	struct next_attempt *attempt = argument;
	int err = shr_cursor_next(attempt->cursor, attempt->record);

	attempt->slice = own(attempt->cursor)->look_ns ? SLICE_BUSY_NS : EVENT_SLICE_NS;
	return err;
}

int shr_cursor_next_until(struct shr_cursor *hot, struct shr_record *record, int64_t deadline_ns)
{
	struct next_attempt attempt = {hot, record, EVENT_SLICE_NS};
	int err = shr_cursor_next(hot, record);

	if (err != -EAGAIN)
		return err;
	return event_await(own(hot)->ring->segment, &own(hot)->ring->looked_ns,
			   &own(hot)->ring->view.shm->data, deadline_ns, next_again, &attempt,
			   &attempt.slice);
}

static int copy_out(struct shr_cursor *hot, void *buffer, size_t size, struct shr_record *record)
{
	if (record->size > size) {
		hot->next = record->position; /* not taken: the next one still */
		return shr_fail(EMSGSIZE, "the record has %zu bytes, the buffer %zu", record->size, size);
	}
	memcpy(buffer, record->payload, record->size);
	record->payload = buffer;
	return shr_cursor_release(hot);
}

int shr_cursor_read(struct shr_cursor *hot, void *buffer, size_t size, struct shr_record *record)
{
	int err = shr_cursor_next(hot, record);

	return err ? err : copy_out(hot, buffer, size, record);
}

int shr_cursor_read_until(struct shr_cursor *hot, void *buffer, size_t size,
			  struct shr_record *record, int64_t deadline_ns)
{
	int err = shr_cursor_next_until(hot, record, deadline_ns);

	return err ? err : copy_out(hot, buffer, size, record);
}
