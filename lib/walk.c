/* SPDX-License-Identifier: MIT */
/*
 * Looking at rings from outside, with pread(2) only. The ring's protocol is at
 * the top of ring.c.
 *
 * A record is trusted if, after its bytes were read, reclaim is still not
 * beyond it: the cleaner stores reclaim before it zeroes, and only what is
 * zero is written again. The word is read twice, on its own before the payload
 * and once more with it, so that half a word or half a payload is never given.
 *
 *	word; word and payload; reclaim		walk
 *	reclaim; zeroes; clean			cleaner (cursor.c)
 *
 * Progress: each step moves on by a record, or by reclaim, or ends; what a
 * peer writes can not keep a call longer than one lap.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "inspect.h"
#include "ring_core.h"

#define MOVED_TRIES 1000 /* looks at a place that changes under the walk */
#define WORDS 4096	 /* read at a time where only words are of interest */

struct shr_walk {
	const struct shr_inspect *inspect;
	struct ring_view view; /* geometry; nothing is mapped */
	uint64_t shm;	       /* where the ring lies in the file */
	uint64_t at;
	uint64_t tail; /* as it was read last; at or below @at: to be read anew */
	uint64_t lost;
	uint64_t sequence; /* that the next record should have; 0: not known */
	uint64_t untold;   /* records missing before it */
	uint32_t flags;
	size_t max_payload;
	size_t room;
	uint64_t *buffer; /* word and what else a record starts with, payload */
};

static uint64_t data_offset(const struct shr_walk *walk, uint64_t position)
{
	return walk->shm + FORMAT_RING_DATA + (position & (walk->view.capacity - 1));
}

static int corrupt(uint64_t position)
{
	return shr_fail(EBADMSG, "the ring is corrupt: a record at position %llu is impossible",
			(unsigned long long)position);
}

static int ring_number(const struct shr_walk *walk, uint64_t *value, size_t field)
{
	return inspect_read_position(walk->inspect, value, walk->shm + field);
}

/* The same for people: where it moves too fast to be read twice alike, as it is. */
static int ring_number_now(const struct shr_walk *walk, uint64_t *value, size_t field)
{
	int err = ring_number(walk, value, field);

	return err == -EAGAIN ? inspect_read(walk->inspect, value, 8, walk->shm + field) : err;
}

/* Where walks start that must find every record below which nothing is cleaned. */
static size_t floor_field(const struct ring_view *view)
{
	return view->ahead ? offsetof(struct shm_ring, reclaim)
			   : offsetof(struct shm_ring, cursor[0].position);
}

static size_t cursor_field(uint32_t place, size_t field)
{
	return offsetof(struct shm_ring, cursor) + place * sizeof(struct shm_cursor) + field;
}

#define CURSOR_FIELD(place, field) cursor_field(place, offsetof(struct shm_cursor, field))

static int view_open(struct shr_walk *walk, const struct shr_inspect *inspect, uint32_t index)
{
	const struct shm_object *entry = inspect_entry(inspect, index);
	int err;

	if (!entry)
		return -ENOENT;
	if (entry->kind != SHR_OBJECT_RING)
		return shr_fail(EPROTOTYPE, "object %.47s is not a ring", entry->name);
	err = ring_entry_check(entry);
	if (err)
		return err;
	*walk = (struct shr_walk){.inspect = inspect, .shm = entry->offset};
	ring_view_make(&walk->view, NULL, entry, inspect->layout.header.members);
	return 0;
}

/* 1 if the place the walk looks at has been cleaned, and it has moved on; 0; -errno. */
static int overtaken(struct shr_walk *walk)
{
	uint64_t reclaim;
	int err;

	/* The reads before must not come after this one. */
	atomic_thread_fence(memory_order_seq_cst);
	err = ring_number(walk, &reclaim, offsetof(struct shm_ring, reclaim));
	if (err)
		return err;
	if (reclaim & 7 || walk->at - reclaim > walk->view.capacity) {
		if (reclaim & 7 || (int64_t)(reclaim - walk->at) <= 0)
			return corrupt(reclaim);
		walk->lost += reclaim - walk->at;
		walk->at = reclaim;
		return 1;
	}
	return 0;
}

/* Words of the ring, read many at a time. */
struct words {
	uint64_t from, have; /* index and bytes of what is in word[] */
	uint64_t last;	     /* position of the record that find_tail() passed last */
	int passed;	     /* it has */
	uint64_t word[WORDS];
};

static int word_at(const struct shr_walk *walk, struct words *words, uint64_t *word)
{
	uint64_t index = walk->at & (walk->view.capacity - 1);
	int err = 0;

	if (index < words->from || index - words->from >= words->have) {
		words->from = index;
		words->have = walk->view.capacity - index;
		if (words->have > sizeof(words->word))
			words->have = sizeof(words->word);
		err = inspect_read(walk->inspect, words->word, (size_t)words->have,
				   data_offset(walk, index));
	}
	*word = words->word[(index - words->from) / 8];
	return err;
}

/*
 * Was anything from *@start on cleaned since the walk began there? Then what
 * looked like words may have been payload of a later lap, and the walk begins
 * anew at the consumer's position: 1; 0; -errno.
 */
static int begin_anew(struct shr_walk *walk, uint64_t *start)
{
	uint64_t reclaim;
	int err;

	/* The reads before must not come after this one. */
	atomic_thread_fence(memory_order_seq_cst);
	err = ring_number_now(walk, &reclaim, offsetof(struct shm_ring, reclaim));
	if (err || (int64_t)(reclaim - *start) <= 0)
		return err;
	err = ring_number_now(walk, &walk->at, floor_field(&walk->view));
	if (!err && walk->at & 7)
		err = corrupt(walk->at);
	*start = walk->at;
	return err ? err : 1;
}

/* Where a single producer's next record will be: the first word that is zero. */
static int find_tail(struct shr_walk *walk, struct words *words)
{
	uint64_t start = walk->at, word, total;
	int moved = 0, err;

	words->have = 0;
	words->passed = 0;
	while (walk->at - start <= walk->view.capacity && moved < MOVED_TRIES) {
		err = word_at(walk, words, &word);
		if (err)
			return err;
		total = ring_record_total(&walk->view, walk->at, word);
		if (total) {
			if (!ring_is_pad(word)) { /* of a queue: taken or done, too */
				words->last = walk->at;
				words->passed = 1;
			}
			walk->at += total;
			continue;
		}
		err = begin_anew(walk, &start);
		if (err < 0 || (!err && !word))
			return err;
		/* It was cleaned under us, or we saw half a word: look again. */
		words->have = 0;
		moved++;
		if (err)
			continue;
		err = inspect_read_u64(walk->inspect, &word, data_offset(walk, walk->at));
		if (err)
			return err;
		if (word && !ring_record_total(&walk->view, walk->at, word)) {
			err = begin_anew(walk, &start);
			if (err <= 0)
				return err ? err : corrupt(walk->at);
		}
	}
	/* The ring moves as fast as this: the tail was here a moment ago, or beyond. */
	err = begin_anew(walk, &start);
	if (!err && walk->at - start > walk->view.capacity)
		return corrupt(walk->at);
	return err < 0 ? err : 0;
}

/* The number behind the record that was passed last; 0: that is overwritten by now. */
static int read_number_behind(const struct shr_walk *walk, const struct words *words,
			      uint64_t *sequence)
{
	uint64_t number, reclaim;
	int err = inspect_read_u64(walk->inspect, &number,
				   data_offset(walk, words->last) + walk->view.sequence_at);

	if (!err)
		err = ring_number_now(walk, &reclaim, offsetof(struct shm_ring, reclaim));
	*sequence = !err && (int64_t)(words->last - reclaim) >= 0 ? number + 1 : 0;
	return err;
}

/* @sequence, if not NULL: of the record that will be there, as far as that is known by it. */
static int read_tail(struct shr_walk *walk, uint64_t *tail, uint64_t *sequence)
{
	struct words *words;
	uint64_t hint;
	int err;

	if (!walk->view.single)
		return ring_number_now(walk, tail, offsetof(struct shm_ring, tail));
	err = ring_number_now(walk, &walk->at, floor_field(&walk->view));
	if (!err && walk->view.ahead) { /* the producer says now and then how far it is */
		err = ring_number_now(walk, &hint, offsetof(struct shm_ring, tail));
		if (!err && !(hint & 7) && hint - walk->at <= walk->view.capacity)
			walk->at = hint;
	}
	if (!err && walk->at & 7)
		err = corrupt(walk->at);
	if (err)
		return err;
	words = malloc(sizeof(*words));
	if (!words)
		return shr_fail(ENOMEM, "out of memory");
	err = find_tail(walk, words);
	if (err == -EAGAIN) /* likewise */
		err = 0;
	if (!err)
		*tail = walk->at;
	if (!err && sequence && words->passed && walk->view.sequence_at)
		err = read_number_behind(walk, words, sequence);
	free(words);
	return err;
}

/* The gate furthest behind @tail: its place, or -1 there is none, or -errno - 1. */
static int lowest_gate(const struct shr_walk *walk, uint64_t reclaim, uint64_t tail,
		       uint64_t *position)
{
	uint64_t most = 0;
	int lowest = -1;

	for (uint32_t i = 0; i < ring_cursor_places(&walk->view); i++) {
		uint64_t mode, at;
		int err = ring_number_now(walk, &mode, CURSOR_FIELD(i, mode));

		if (!err && !(mode & CURSOR_GATE))
			continue;
		if (!err)
			err = ring_number_now(walk, &at, CURSOR_FIELD(i, position));
		if (err)
			return err - 1;
		if ((int64_t)(at - reclaim) < 0 && mode & CURSOR_JOINING)
			continue;
		if (lowest < 0 || (int64_t)(tail - at) > (int64_t)most) {
			most = (int64_t)(tail - at) > 0 ? tail - at : 0;
			*position = at;
			lowest = (int)i;
		}
	}
	return lowest;
}

struct number {
	uint64_t *value;
	size_t field;
};

static int read_numbers(const struct shr_walk *walk, const struct number *numbers, size_t count)
{
	int err = 0;

	for (size_t i = 0; i < count && !err; i++)
		err = ring_number_now(walk, numbers[i].value, numbers[i].field);
	return err;
}

static int read_evictions(const struct shr_walk *walk, uint64_t *evicted)
{
	int err = 0;

	*evicted = 0;
	for (uint32_t i = 0; i < walk->view.cursors && !err; i++) {
		uint64_t mode = 0;

		err = ring_number_now(walk, &mode, CURSOR_FIELD(i, mode));
		*evicted += CURSOR_EVICTIONS(mode);
	}
	return err;
}

int shr_inspect_ring(const struct shr_inspect *inspect, uint32_t index,
		     struct shr_ring_status *status)
{
	struct shr_ring_status own = {0};
	uint64_t producer = 0, consumer = 0, lock = 0, take_lock = 0, behind = 0;
	const struct number fields[] = {
		{&producer, offsetof(struct shm_ring, producer)},
		{&own.reclaim, offsetof(struct shm_ring, reclaim)},
		{&own.dropped, offsetof(struct shm_ring, dropped)},
		{&own.full, offsetof(struct shm_ring, full)},
		{&own.sequence, offsetof(struct shm_ring, sequence)},
		{&lock, offsetof(struct shm_ring, lock)},
		{&take_lock, offsetof(struct shm_ring, take_lock)},
	};
	struct shr_walk walk;
	int gate, err = view_open(&walk, inspect, index);

	if (!err)
		err = read_numbers(&walk, fields, sizeof(fields) / sizeof(fields[0]));
	if (!err)
		err = read_tail(&walk, &own.tail, &behind);
	if (!err)
		err = read_evictions(&walk, &own.evicted);
	if (err)
		return err;
	gate = lowest_gate(&walk, own.reclaim, own.tail, &own.position);
	if (gate < -1)
		return gate + 1;
	if (gate < 0) {
		own.position = own.delivered = own.tail;
	} else {
		const struct number of_gate[] = {
			{&consumer, CURSOR_FIELD((uint32_t)gate, role)},
			{&own.delivered, walk.view.token_at
						 ? offsetof(struct shm_ring, take)
						 : CURSOR_FIELD((uint32_t)gate, delivered)},
			{&own.skipped, CURSOR_FIELD((uint32_t)gate, skipped)},
			{&own.redelivered, walk.view.token_at
						   ? offsetof(struct shm_ring, redelivered)
						   : CURSOR_FIELD((uint32_t)gate, redelivered)},
			{&own.lost, CURSOR_FIELD((uint32_t)gate, lost)},
			{&own.acked, offsetof(struct shm_ring, acked)},
		};

		err = read_numbers(&walk, of_gate, sizeof(of_gate) / sizeof(of_gate[0]));
		if (err)
			return err;
		if ((int64_t)(own.position - own.delivered) > 0) /* it passed what is no record */
			own.delivered = own.position;
	}
	own.producer = ROLE_MEMBER(producer);
	own.producer_takeovers = ROLE_TAKEOVERS(producer);
	own.consumer = ROLE_MEMBER(consumer);
	own.consumer_takeovers = ROLE_TAKEOVERS(consumer);
	own.lock_repairs = (lock >> 16 & 0xffff) + (take_lock >> 16 & 0xffff);
	if (own.sequence < behind) /* a single producer says it now and then */
		own.sequence = behind;
	if (!walk.view.sequence_at)
		own.sequence = 0;
	if (!walk.view.token_at)
		own.lost = own.acked = 0;
	*status = own;
	return 0;
}

int shr_inspect_cursor(const struct shr_inspect *inspect, uint32_t index, uint32_t number,
		       struct shr_cursor_info *info)
{
	struct shm_cursor cursor;
	struct shr_walk walk;
	int err = view_open(&walk, inspect, index);

	if (err)
		return err;
	if (number >= SHR_RING_CURSORS_MAX)
		return shr_fail(ERANGE, "a ring has no cursor %u", number);
	err = inspect_read(inspect, &cursor, sizeof(cursor), walk.shm + cursor_field(number, 0));
	if (err)
		return err;
	if (number >= walk.view.cursors || !(cursor.mode & CURSOR_USED))
		return shr_fail(ENOENT, "the place of cursor %u is free", number);
	cursors_view(info, &cursor, cursor.mode, cursor.role);
	return 0;
}

static int blame_add(struct shr_blame *blame, size_t most, int count, struct shr_blame one)
{
	if ((size_t)count < most)
		blame[count++] = one;
	return count;
}

int shr_inspect_blame(const struct shr_inspect *inspect, uint32_t index, struct shr_blame *blame,
		      size_t most)
{
	struct shr_ring_status status;
	uint64_t word = 0, lock = 0, token = 0, room, unread;
	const struct ring_view *view;
	struct shr_walk walk;
	int count = 0, err = shr_inspect_ring(inspect, index, &status);

	if (!err)
		err = view_open(&walk, inspect, index);
	if (err)
		return err;
	view = &walk.view;
	/* The consumer's next is where it has been given all below. */
	err = inspect_read(inspect, &word, sizeof(word),
			   data_offset(&walk, status.delivered & ~(uint64_t)7));
	if (!err)
		err = ring_number_now(&walk, &lock, offsetof(struct shm_ring, lock));
	if (err)
		return err;
	unread = status.tail - status.position;
	room = status.reclaim + view->capacity - status.tail;
	/* What producers may clean is room, too. In the first lap there is less history. */
	if (view->ahead && (int64_t)(status.position - view->history - status.reclaim) > 0)
		room = status.position - view->history + view->capacity - status.tail;
	if (!view->single && lock & 0xffff)
		count = blame_add(blame, most, count,
				  (struct shr_blame){SHR_BLAME_CLAIM, (uint32_t)(lock & 0xffff),
						     status.tail, unread});
	if ((int64_t)(status.tail - status.delivered) > 0 && WORD_STATE(word) == WORD_BUSY)
		count = blame_add(blame, most, count,
				  (struct shr_blame){SHR_BLAME_RECORD, WORD_OWNER(word),
						     status.delivered, unread});
	if (view->mode == SHR_RING_OVERWRITE || (int64_t)room >= (int64_t)(ring_total(view, view->max_record) + 8))
		return count;
	if (!view->token_at)
		return blame_add(blame, most, count,
				 (struct shr_blame){SHR_BLAME_CONSUMER, status.consumer, status.position,
						    unread});
	/* A queue: the worker that has the oldest record, if one has. */
	err = inspect_read(inspect, &word, sizeof(word), data_offset(&walk, status.position & ~(uint64_t)7));
	if (!err && WORD_STATE(word) == WORD_TAKEN && ring_record_total(view, status.position, word))
		err = inspect_read(inspect, &token, sizeof(token),
				   data_offset(&walk, status.position) + view->token_at);
	if (err)
		return err;
	return blame_add(blame, most, count,
			 (struct shr_blame){SHR_BLAME_CONSUMER, TOKEN_MEMBER(token), status.position,
					    unread});
}

/* From what is reclaimed to the slowest gate. */
static int to_unread(struct shr_walk *walk)
{
	uint64_t reclaim = walk->at;
	int gate = lowest_gate(walk, reclaim, reclaim + walk->view.capacity, &walk->at);

	if (gate < -1)
		return gate + 1;
	if (gate < 0) /* nobody is waited for: nothing was read */
		walk->at = reclaim;
	return 0;
}

int shr_walk_open(struct shr_walk **result, const struct shr_inspect *inspect, uint32_t index,
		  uint32_t flags, size_t max_payload)
{
	uint32_t start = flags & ~(uint32_t)(SHR_WALK_BUSY | SHR_WALK_SKIPPED);
	struct shr_walk *walk;
	int err;

	if (!result || *result)
		return shr_fail(result ? EBUSY : EINVAL, "the handle is in use, or none");
	if (start > SHR_WALK_NEW)
		return shr_fail(EINVAL, "unknown flags %u for a walk", flags);
	walk = malloc(sizeof(*walk));
	if (!walk)
		return shr_fail(ENOMEM, "out of memory");
	err = view_open(walk, inspect, index);
	if (!err && start == SHR_WALK_NEW)
		err = read_tail(walk, &walk->at, NULL);
	else if (!err)
		err = ring_number(walk, &walk->at, offsetof(struct shm_ring, reclaim));
	if (!err && start == SHR_WALK_UNREAD)
		err = to_unread(walk);
	if (!err && walk->at & 7)
		err = corrupt(walk->at);
	if (err) {
		free(walk);
		return err;
	}
	walk->flags = flags;
	walk->max_payload = max_payload;
	walk->lost = 0;
	walk->tail = walk->at;
	*result = walk;
	return 0;
}

void shr_walk_close(struct shr_walk *walk)
{
	if (!walk)
		return;
	free(walk->buffer);
	free(walk);
}

/* Word and payload once more into the buffer. 0, or -EAGAIN: the word is another one. */
static int read_record(struct shr_walk *walk, uint64_t word, size_t copied)
{
	size_t size = walk->view.header + copied;
	int err;

	if (walk->room < size) {
		uint64_t *larger = realloc(walk->buffer, size);

		if (!larger)
			return shr_fail(ENOMEM, "out of memory for a record of %zu bytes", copied);
		walk->buffer = larger;
		walk->room = size;
	}
	err = inspect_read(walk->inspect, walk->buffer, size, data_offset(walk, walk->at));
	return err || walk->buffer[0] == word ? err : -EAGAIN;
}

static uint64_t extra(const struct shr_walk *walk, uint32_t at)
{
	return at ? walk->buffer[at / 8] : 0;
}

/* Of a record whose header is in the buffer. */
static void fill(struct shr_walk_record *record, const struct shr_walk *walk, uint64_t word,
		 uint32_t state, size_t copied)
{
	const struct ring_view *view = &walk->view;
	uint64_t token = extra(walk, view->token_at);

	*record = (struct shr_walk_record){.payload = walk->buffer + view->header / 8,
					   .size = WORD_LENGTH(word),
					   .copied = copied,
					   .position = walk->at,
					   .state = state,
					   .type = (uint16_t)WORD_TYPE(word),
					   .member = (uint16_t)WORD_OWNER(word),
					   .sequence = extra(walk, view->sequence_at),
					   .time_ns = extra(walk, view->time_at),
					   .worker = TOKEN_MEMBER(token),
					   .deliveries = TOKEN_COUNT(token)};
	if (state == SHR_STATE_BUSY)
		record->type = 0;
	if (walk->sequence && record->sequence - walk->sequence < (uint64_t)1 << 62)
		record->lost = record->sequence - walk->sequence;
}

static uint32_t public_state(uint64_t word)
{
	switch (WORD_STATE(word)) {
	case WORD_BUSY:
		return SHR_STATE_BUSY;
	case WORD_SKIP:
		return SHR_STATE_SKIPPED;
	case WORD_TAKEN:
		return SHR_STATE_TAKEN;
	case WORD_DONE:
		return SHR_STATE_DONE;
	case WORD_LOST:
		return SHR_STATE_LOST;
	default:
		return SHR_STATE_READY;
	}
}

/*
 * Is there a claim at the walk's place? 0, -EAGAIN. The tail only grows, and each look
 * takes its line from the producers: it is read again when the walk is there.
 */
static int read_claimed(struct shr_walk *walk)
{
	uint64_t tail;
	int err = ring_number(walk, &tail, offsetof(struct shm_ring, tail));

	if (err == -EAGAIN) /* it moves fast, so it is beyond */
		return 0;
	if (err)
		return err;
	if ((int64_t)(tail - walk->at) <= 0)
		return -EAGAIN;
	if (tail - walk->at <= walk->view.capacity)
		walk->tail = tail;
	return 0;
}

/*
 * What is at the walk's place: 1 a record, *@total beyond the place; 0 no
 * record, *@total likewise; -EAGAIN nothing yet; -ECANCELED it changed under us.
 */
static int look(struct shr_walk *walk, struct shr_walk_record *record, uint64_t *total)
{
	uint64_t word;
	uint32_t state;
	size_t copied;
	int err;

	if (!walk->view.single && (int64_t)(walk->tail - walk->at) <= 0) {
		err = read_claimed(walk);
		if (err)
			return err;
	}
	err = inspect_read_u64(walk->inspect, &word, data_offset(walk, walk->at));
	if (err)
		return err == -EAGAIN ? -ECANCELED : err;
	if (!word)
		return -EAGAIN;
	*total = ring_record_total(&walk->view, walk->at, word);
	if (!*total)
		return -EBADMSG;
	state = WORD_STATE(word);
	if (state == WORD_PAD)
		return 0;
	if (state == WORD_BUSY && WORD_TYPE(word) == WORD_CLAIM_PAD)
		return 0; /* nothing else can become of it */
	if (state == WORD_BUSY && !(walk->flags & SHR_WALK_BUSY))
		return -EAGAIN;
	copied = 0;
	if (state != WORD_BUSY && state != WORD_SKIP)
		copied = WORD_LENGTH(word) < walk->max_payload ? (size_t)WORD_LENGTH(word)
							       : walk->max_payload;
	atomic_thread_fence(memory_order_acquire); /* commit:A, as far as two reads go */
	err = read_record(walk, word, copied);
	if (err)
		return err == -EAGAIN ? -ECANCELED : err;
	fill(record, walk, word, public_state(word), copied);
	return state != WORD_SKIP || walk->flags & SHR_WALK_SKIPPED;
}

int shr_walk_next(struct shr_walk *walk, struct shr_walk_record *record)
{
	uint64_t passed = 0;
	int moved = 0;

	for (;;) {
		struct shr_walk_record own = {0};
		uint64_t total = 0;
		int found = look(walk, &own, &total);
		int err = found < 0 && found != -EAGAIN && found != -EBADMSG && found != -ECANCELED
				  ? found
				  : overtaken(walk);

		if (err < 0)
			return err;
		if (err || found == -ECANCELED) {
			if (++moved > MOVED_TRIES)
				return -EAGAIN; /* cleaned as fast as it is read */
			continue;
		}
		if (found == -EBADMSG)
			return corrupt(walk->at);
		if (found == -EAGAIN)
			return -EAGAIN;
		walk->at += total;
		if (own.sequence) {
			walk->untold += own.lost;
			walk->sequence = own.sequence + 1;
		}
		if (found) {
			*record = own;
			record->lost = walk->untold;
			walk->untold = 0;
			return 0;
		}
		passed += total;
		if (passed > walk->view.capacity) { /* producers abort as fast, or it is corrupt */
			err = overtaken(walk);
			return err < 0 ? err : -EAGAIN;
		}
	}
}

uint64_t shr_walk_lost(const struct shr_walk *walk)
{
	return walk->lost;
}

uint64_t shr_walk_position(const struct shr_walk *walk)
{
	return walk->at;
}
