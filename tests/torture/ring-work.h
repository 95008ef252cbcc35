/* SPDX-License-Identifier: MIT */
/*
 * What a process of tests/torture/ring-random.c does until it is killed: write, read,
 * look on, fork, exec, attach anew; and what it notes of that, and finds wrong.
 */
#ifndef TESTS_RING_WORK_H
#define TESTS_RING_WORK_H

#include <errno.h>
#include <sched.h>
#include <string.h>

#include <shmring/shmring.h>

#include "../records.h"
#include "random.h"

#define PARENT MOST /* producer number of the last record */
#define PRODUCERS (MOST + 1)
#define NUMBERS (1u << 18) /* records a producer writes in a round, at most */
#define HELD 16

/* What is noted of a record; of gates 0 and 1, or of a queue (as gate 0). */
enum { COMMITTED = 1, GIVEN = 2, RELEASED = 4, ACKING = 128 };
#define GIVEN_TO(gate) (uint8_t)(GIVEN << 2 * (gate))
#define RELEASED_BY(gate) (uint8_t)(RELEASED << 2 * (gate))

struct books {
	uint32_t begun[PRODUCERS];
	uint32_t last[3][PRODUCERS]; /* number + 1 of the last one given to gates and the lossy cursor */
	counter got_lossy;	     /* by the lossy cursor, distinct */
	uint32_t reading[PRODUCERS]; /* by the lossy cursor, just now; of a killed one: uncertain */
	counter dropped;
	uint32_t dropping[PRODUCERS], taking[PRODUCERS];
	counter written, read, uncertain_reads, uncertain_drops, uncertain_takes;
	counter redelivered, refused, observed, observed_lost, gates, others;
	struct verdict verdict;
	uint8_t state[PRODUCERS][NUMBERS];
};

static const struct mode {
	const char *name;
	uint32_t mode, flags, cursors;
} modes[] = {
	{"stream", SHR_RING_STREAM, 0, 1},
	{"cursors, numbered", SHR_RING_STREAM, SHR_RING_SEQUENCE, 6},
	{"queue", SHR_RING_QUEUE, SHR_RING_SEQUENCE, 0},
	{"single producer", SHR_RING_STREAM, SHR_RING_SINGLE_PRODUCER, 1},
	{"overwrite", SHR_RING_OVERWRITE, SHR_RING_SEQUENCE, 4},
	{"drop newest", SHR_RING_STREAM, SHR_RING_DROP_NEWEST | SHR_RING_SEQUENCE, 1},
	{"queue, at most once", SHR_RING_QUEUE, SHR_RING_SEQUENCE | SHR_RING_AT_MOST_ONCE, 0},
	{"cursors, single producer", SHR_RING_STREAM, SHR_RING_SINGLE_PRODUCER, 6},
	{"numbered, with time", SHR_RING_STREAM, SHR_RING_SEQUENCE | SHR_RING_TIME, 1},
	{"overwrite, single producer", SHR_RING_OVERWRITE, SHR_RING_SEQUENCE | SHR_RING_SINGLE_PRODUCER, 4},
	{"queue, single producer", SHR_RING_QUEUE, SHR_RING_SEQUENCE | SHR_RING_SINGLE_PRODUCER, 0},
	{"drop newest, single producer, cursors", SHR_RING_STREAM,
	 SHR_RING_DROP_NEWEST | SHR_RING_SEQUENCE | SHR_RING_SINGLE_PRODUCER, 6},
};
#define MODES (sizeof(modes) / sizeof(modes[0]))

static struct books *books;
static const struct mode *mode;
static struct shr_segment *segment;
static struct shr_ring *ring;
static struct shr_producer *producer;
static struct shr_cursor *gate[2], *lossy, *worker;

static int is(uint32_t flag)
{
	return !!(mode->flags & flag);
}

static int is_queue(void)
{
	return mode->mode == SHR_RING_QUEUE;
}

static int has_lossy(void)
{
	return mode->mode == SHR_RING_OVERWRITE || (mode->cursors > 1 && is(SHR_RING_SEQUENCE));
}

static int gates(void)
{
	return mode->mode != SHR_RING_STREAM ? 0 : mode->cursors > 1 ? 2 : 1;
}

static int attach(void)
{
	segment = NULL;
	ring = NULL;
	producer = NULL;
	gate[0] = gate[1] = lossy = worker = NULL;
	return shr_segment_attach(&segment, name, NULL) || shr_ring_attach(&ring, segment, "ring", NULL)
		       ? -1
		       : 0;
}

static void close_all(void)
{
	MUST_HOLD(!shr_producer_close(producer) && !shr_cursor_close(gate[0]) &&
		  !shr_cursor_close(gate[1]) && !shr_cursor_close(lossy) && !shr_cursor_close(worker));
	producer = NULL;
	gate[0] = gate[1] = lossy = worker = NULL;
}

static void detach(void)
{
	close_all();
	MUST_HOLD(!shr_ring_close(ring) && !shr_segment_detach(segment));
}

/* --- Writing ------------------------------------------------------------------- */

static uint32_t size_of(uint32_t number)
{
	return 8 + (uint32_t)(mix(number + 7) % 97);
}

static void committed(uint32_t number)
{
	__atomic_fetch_or(&books->state[self][number], COMMITTED, __ATOMIC_SEQ_CST);
	count(&books->written, 1);
}

/* What a full ring, or a living owner that is stopped, may say. */
static int in_order(int err)
{
	return !err || err == -EAGAIN || (err == -ENOBUFS && (is(SHR_RING_DROP_NEWEST) ||
							     mode->mode == SHR_RING_OVERWRITE));
}

static int put_by(uint32_t how, uint32_t number)
{
	uint32_t size = size_of(number), more = how == 1 ? 40 : 0;
	uint8_t bytes[256];
	void *payload;
	int err;

	fill(bytes, self, number, size);
	if (how == 0)
		return shr_producer_write(producer, bytes, size);
	if (how == 2)
		return shr_producer_write_until(producer, bytes, size, shr_deadline_ns(draw(3000000)));
	err = shr_producer_reserve(producer, size + more, &payload);
	if (err)
		return err;
	memset(payload, 0xff, size + more);
	memcpy(payload, bytes, size);
	return more ? shr_producer_commit_size(producer, size) : shr_producer_commit(producer);
}

static int put_one(void)
{
	uint32_t number = books->begun[self];
	int err;

	if (number == NUMBERS)
		return -EAGAIN;
	note(&books->begun[self], number + 1);
	note(&books->dropping[self], 1);
	err = put_by(draw(4), number);
	if (err == -ETIMEDOUT)
		err = -EAGAIN;
	MUST_HOLD(in_order(err));
	if (!err)
		committed(number);
	else
		note(&books->begun[self], number);
	if (err == -ENOBUFS)
		count(&books->dropped, 1);
	note(&books->dropping[self], 0);
	return err;
}

static void put_many(void)
{
	static uint8_t bytes[8][128];
	uint32_t number = books->begun[self], n = 2 + draw(7);
	struct iovec records[8];
	int done;

	if (number + n > NUMBERS)
		return;
	for (uint32_t i = 0; i < n; i++) {
		fill(bytes[i], self, number + i, size_of(number + i));
		records[i] = (struct iovec){bytes[i], size_of(number + i)};
	}
	note(&books->begun[self], number + n);
	note(&books->dropping[self], 1);
	done = shr_producer_write_many(producer, records, n);
	MUST_HOLD(done > 0 || in_order(done));
	for (int i = 0; i < done; i++)
		committed(number + (uint32_t)i);
	note(&books->begun[self], number + (done > 0 ? (uint32_t)done : 0));
	if (done == -ENOBUFS)
		count(&books->dropped, 1);
	note(&books->dropping[self], 0);
}

/* A record in work: given up, or the process ends with it. */
static void reserve_only(void)
{
	static char program[] = "/bin/true";
	char *arguments[] = {program, NULL};
	void *payload;
	int err;

	note(&books->dropping[self], 1);
	err = shr_producer_reserve(producer, 60, &payload);
	if (err == -ENOBUFS)
		count(&books->dropped, 1);
	note(&books->dropping[self], 0);
	MUST_HOLD(in_order(err));
	if (err)
		return;
	memset(payload, 0xff, 60);
	if (!draw(40))
		execv(arguments[0], arguments); /* as good as killed */
	MUST_HOLD(!shr_producer_abort(producer));
}

static void write_some(void)
{
	if (!producer) {
		int err = shr_producer_open(&producer, ring);

		MUST_HOLD(!err || (err == -EBUSY && is(SHR_RING_SINGLE_PRODUCER)));
		if (err)
			return;
	}
	for (uint32_t n = draw(24); n; n--) {
		uint32_t what = draw(20);

		if (what == 0)
			reserve_only();
		else if (what < 4)
			put_many();
		else if (put_one())
			return;
	}
	if (is(SHR_RING_SINGLE_PRODUCER) && !draw(100)) {
		MUST_HOLD(!shr_producer_close(producer));
		producer = NULL;
	}
}

/* --- Reading ------------------------------------------------------------------- */

static struct head whole(const struct shr_record *record)
{
	struct head head = check_payload(record->payload, record->size);

	MUST_HOLD(head.producer < PRODUCERS && head.sequence < NUMBERS);
	MUST_HOLD(head.size == size_of((uint32_t)head.sequence));
	MUST_HOLD(head.sequence < books->begun[head.producer]);
	MUST_HOLD(!!record->sequence == is(SHR_RING_SEQUENCE) && !!record->time_ns == is(SHR_RING_TIME));
	return head;
}

/* Gate @g, or as a queue's worker, has been given it. */
static void given(uint32_t g, const struct head *head, const struct shr_record *record)
{
	uint8_t *state = &books->state[head->producer][head->sequence];
	uint8_t was = __atomic_fetch_or(state, GIVEN_TO(g), __ATOMIC_SEQ_CST);
	uint32_t *last = &books->last[g][head->producer];
	int again = !!(record->flags & SHR_RECORD_REDELIVERED);

	MUST_HOLD(!(was & RELEASED_BY(g)));
	MUST_HOLD(again || !(was & GIVEN_TO(g)));
	if (is_queue()) {
		MUST_HOLD(again == (record->deliveries > 1) && !(was & ACKING && !again));
		MUST_HOLD(!again || !is(SHR_RING_AT_MOST_ONCE) || !(was & GIVEN));
	} else {
		MUST_HOLD(again || head->sequence >= *last);
		if (head->sequence >= *last)
			note(last, (uint32_t)head->sequence + 1);
	}
	if (again)
		count(&books->redelivered, 1);
	count(&books->read, 1);
}

static void read_gate(uint32_t g)
{
	struct head held[HELD];
	struct shr_record record;
	uint32_t n = 0, most = 1 + draw(HELD);
	int err = 0;

	while (n < most && !(err = shr_cursor_next(gate[g], &record))) {
		held[n] = whole(&record);
		given(g, &held[n], &record);
		n++;
	}
	MUST_HOLD(!err || err == -EAGAIN);
	MUST_HOLD(!shr_cursor_release(gate[g]));
	for (uint32_t i = 0; i < n; i++)
		__atomic_fetch_or(&books->state[held[i].producer][held[i].sequence], RELEASED_BY(g),
				  __ATOMIC_SEQ_CST);
}

static int read_lossy(struct shr_cursor *cursor, uint32_t *last)
{
	static uint8_t buffer[4096];
	struct shr_record record;
	struct head head;
	int err = shr_cursor_read(cursor, buffer, sizeof(buffer), &record);

	MUST_HOLD(!err || err == -EAGAIN);
	if (err)
		return err;
	head = whole(&record);
	MUST_HOLD(head.sequence >= last[head.producer]);
	MUST_HOLD(!record.lost == !(record.flags & SHR_RECORD_LOST));
	note(&last[head.producer], (uint32_t)head.sequence + 1);
	return 0;
}

static void read_named_lossy(void)
{
	for (uint32_t n = 0; n < HELD; n++) {
		int err;

		note(&books->reading[self], 1);
		err = read_lossy(lossy, books->last[2]);
		if (!err)
			count(&books->got_lossy, 1);
		note(&books->reading[self], 0);
		if (err)
			return;
		count(&books->read, 1);
	}
}

static void work_queue(void)
{
	struct shr_record record[4];
	struct head head[4];
	uint32_t n = 0, most = 1 + draw(4);
	int err = 0;

	if (!worker)
		MUST_HOLD(!shr_cursor_open(&worker, ring, NULL));
	for (; n < most; n++) {
		note(&books->taking[self], 1);
		err = shr_cursor_next(worker, &record[n]);
		if (!err) {
			head[n] = whole(&record[n]);
			given(0, &head[n], &record[n]);
		}
		note(&books->taking[self], 0);
		if (err)
			break;
	}
	MUST_HOLD(!err || err == -EAGAIN);
	while (n) {
		uint8_t *state;
		int back = !draw(20);

		n--;
		state = &books->state[head[n].producer][head[n].sequence];
		if (back) {
			MUST_HOLD(!shr_cursor_nack(worker, &record[n]));
			continue;
		}
		__atomic_fetch_or(state, ACKING, __ATOMIC_SEQ_CST);
		MUST_HOLD(!shr_cursor_ack(worker, &record[n]));
		__atomic_fetch_or(state, RELEASED, __ATOMIC_SEQ_CST);
	}
	if (!draw(200)) {
		MUST_HOLD(!shr_cursor_close(worker));
		worker = NULL;
	}
}

/* A cursor that has one owner at a time. */
static int have(struct shr_cursor **cursor, const char *which)
{
	int err = 0;

	if (*cursor && !draw(300)) {
		MUST_HOLD(!shr_cursor_close(*cursor));
		*cursor = NULL;
		return 0;
	}
	if (!*cursor)
		err = shr_cursor_open(cursor, ring, which);
	MUST_HOLD(!err || err == -EBUSY);
	return !err;
}

static void read_some(void)
{
	if (is_queue())
		work_queue();
	if (gates() > 0 && have(&gate[0], "default"))
		read_gate(0);
	if (gates() > 1 && have(&gate[1], "second"))
		read_gate(1);
	if (has_lossy() && have(&lossy, "lossy"))
		read_named_lossy();
}

/* Look on, which changes nothing. */
static void observe(void)
{
	static const struct shr_cursor_options options = {.struct_size = sizeof(options),
							  .flags = SHR_CURSOR_OBSERVE};
	struct shr_cursor *cursor = NULL;
	struct shr_cursor_info info;
	uint32_t last[PRODUCERS] = {0};
	int err = shr_cursor_open_with(&cursor, ring, NULL, &options);

	MUST_HOLD(!err || err == -EAGAIN);
	if (err)
		return;
	for (int i = 0; i < 30 && !read_lossy(cursor, last); i++)
		count(&books->observed, 1);
	MUST_HOLD(!shr_cursor_get(cursor, &info));
	count(&books->observed_lost, info.lost_bytes != 0);
	MUST_HOLD(!shr_cursor_close(cursor));
}

/* A gate that goes with its owner, who is sometimes killed just then. */
static void visit(void)
{
	static const struct shr_cursor_options options = {
		.struct_size = sizeof(options), .flags = SHR_CURSOR_CREATE, .join = SHR_JOIN_NEWEST};
	struct shr_cursor *cursor = NULL;
	struct shr_record record;
	char own_name[16];
	int err;

	snprintf(own_name, sizeof(own_name), "visitor%u", self);
	err = shr_cursor_open_with(&cursor, ring, own_name, &options);
	MUST_HOLD(!err || err == -ENOSPC || err == -EAGAIN || err == -EBUSY);
	if (err)
		return;
	for (uint32_t i = draw(20); i; i--) {
		err = shr_cursor_next(cursor, &record);
		MUST_HOLD(!err || err == -EAGAIN);
		if (!err)
			whole(&record);
		else
			usleep(100);
	}
	MUST_HOLD(!shr_cursor_close(cursor));
	count(&books->gates, 1);
}

static void use_fork(void)
{
	pid_t pid = fork();

	if (!pid) {
		struct shr_producer *another = NULL;
		struct shr_cursor *reader = NULL;
		struct shr_record record;
		void *payload;
		int bad = shr_producer_open(&another, ring) != -ECHILD ||
			  shr_cursor_open(&reader, ring, NULL) != -ECHILD;

		if (producer)
			bad |= shr_producer_reserve(producer, 20, &payload) != -ECHILD ||
			       shr_producer_commit(producer) != -ECHILD;
		if (gate[0])
			bad |= shr_cursor_next(gate[0], &record) != -ECHILD ||
			       shr_cursor_release(gate[0]) != -ECHILD;
		if (worker)
			bad |= shr_cursor_next(worker, &record) != -ECHILD;
		_exit(bad);
	}
	MUST_HOLD(pid > 0 && ended(pid) == 0);
	count(&books->refused, 1);
}

/* Producers and consumers, each also the other now and then. */
static void work(uint64_t seed)
{
	int writes = self % 2 == 0;

	random_state = seed;
	MUST_HOLD(!attach());
	for (;;) {
		uint32_t what = draw(1000);

		if (what < 900) {
			if (writes == (running == 2 || draw(6) != 0))
				write_some();
			else
				read_some();
		} else if (what < 930) {
			observe();
		} else if (what < 960 && mode->cursors > 1 && mode->mode == SHR_RING_STREAM) {
			visit();
		} else if (what < 965) {
			use_fork();
		} else if (what < 975) {
			MUST_HOLD(shr_member_sweep(segment, NULL, NULL) >= 0);
		} else if (what < 980) {
			detach();
			MUST_HOLD(!attach());
		} else if (what < 990) {
			sched_yield();
		} else {
			usleep(draw(300));
		}
	}
}

#endif
