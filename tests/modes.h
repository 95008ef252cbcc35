/* SPDX-License-Identifier: MIT */
/* What the tests of the three modes of a ring share. */
#ifndef TESTS_MODES_H
#define TESTS_MODES_H

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "fixture.h"
#include "procs.h"

/* Variants by a loop test's number: single producer; sequence and time. */
#define VARIANTS 4
static inline uint32_t variant(int i)
{
	return (i & 1 ? SHR_RING_SINGLE_PRODUCER : 0) |
	       (i & 2 ? SHR_RING_SEQUENCE | SHR_RING_TIME : 0);
}

#define SOON shr_deadline_ns(20000000000) /* for what must come: not to hang */

static inline struct shr_ring *ring_again(void)
{
	struct shr_ring *ring = NULL;

	MUST(shr_ring_open(&ring, name, "+<", NULL, NULL));
	return ring;
}

/* The ring as an observer maps it: read-only. */
static inline struct shr_ring *ring_observed(struct shr_segment **segment)
{
	struct shr_segment_options options = {.struct_size = sizeof(options),
					      .flags = SHR_SEGMENT_OBSERVE};
	struct shr_ring *ring = NULL;

	*segment = NULL;
	MUST(shr_segment_attach(segment, name, &options));
	MUST(shr_ring_attach(&ring, *segment, "ring", NULL));
	return ring;
}

static inline int cursor_try(struct shr_cursor **cursor, struct shr_ring *ring, const char *who,
			     struct shr_cursor_options options)
{
	options.struct_size = sizeof(options);
	*cursor = NULL;
	return shr_cursor_open_with(cursor, ring, who, &options);
}

static inline struct shr_cursor *cursor_with(struct shr_ring *ring, const char *who, uint32_t flags,
					     uint32_t join)
{
	struct shr_cursor *cursor;
	int err = cursor_try(&cursor, ring, who,
			     (struct shr_cursor_options){.flags = flags, .join = join});

	ck_assert_msg(!err, "cursor %s: %s", who ? who : "", shr_last_error());
	return cursor;
}

static inline struct shr_cursor *gate_of(struct shr_ring *ring, const char *who)
{
	return cursor_with(ring, who, SHR_CURSOR_CREATE, SHR_JOIN_OLDEST);
}

static inline struct shr_cursor *observer_of(struct shr_ring *ring, uint32_t join)
{
	return cursor_with(ring, NULL, SHR_CURSOR_OBSERVE, join);
}

static inline int try_put(struct shr_producer *producer, uint32_t who, uint64_t number, uint32_t size)
{
	void *payload;
	int err = shr_producer_reserve(producer, size, &payload);

	if (err)
		return err;
	fill(payload, who, number, size);
	return shr_producer_commit(producer);
}

static inline void put(struct shr_producer *producer, uint64_t number, uint32_t size)
{
	int err = try_put(producer, 1, number, size);

	ck_assert_msg(!err, "record %d: %s", (int)number, shr_last_error());
}

static inline uint64_t number_of(const struct shr_record *record)
{
	struct head head = check_payload(record->payload, record->size);

	ck_assert_msg(head.producer != UINT32_MAX, "a torn record at %llu of %zu bytes",
		      (unsigned long long)record->position, record->size);
	return head.sequence;
}

/* The next one, which must be there: what it says its number is. */
static inline uint64_t get(struct shr_cursor *cursor, struct shr_record *record)
{
	int err = shr_cursor_next(cursor, record);

	ck_assert_msg(!err, "next: %d %s", err, shr_last_error());
	return number_of(record);
}

static inline struct shr_ring_status status_of(struct shr_ring *ring)
{
	struct shr_ring_status status;

	MUST(shr_ring_stat(ring, &status));
	return status;
}

static inline struct shr_cursor_info info_of(struct shr_cursor *cursor)
{
	struct shr_cursor_info info;

	MUST(shr_cursor_get(cursor, &info));
	return info;
}

static inline struct shr_inspect *inspect_of(void)
{
	struct shr_inspect *inspect = NULL;

	MUST(shr_inspect_open(&inspect, name));
	return inspect;
}

/* A member and one who looks from outside tell the same. */
static inline void stats_agree(struct shr_ring *ring)
{
	struct shr_inspect *inspect = inspect_of();
	struct shr_ring_status in = status_of(ring), out;
	struct shr_cursor_info a, b;

	MUST(shr_inspect_ring(inspect, 0, &out));
#define SAME(field) ck_assert_msg(in.field == out.field, #field " %llu, from outside %llu", \
				  (unsigned long long)in.field, (unsigned long long)out.field)
	SAME(tail);
	SAME(position);
	SAME(delivered);
	SAME(reclaim);
	SAME(skipped);
	SAME(redelivered);
	SAME(producer);
	SAME(consumer);
	SAME(producer_takeovers);
	SAME(consumer_takeovers);
	SAME(lock_repairs);
	SAME(sequence);
	SAME(dropped);
	SAME(lost);
	SAME(acked);
	SAME(evicted);
	SAME(full);
#undef SAME
	for (uint32_t i = 0; i < SHR_RING_CURSORS_MAX; i++) {
		int err = shr_ring_cursor(ring, i, &a);

		ck_assert_int_eq(shr_inspect_cursor(inspect, 0, i, &b), err);
		ck_assert(err || !memcmp(&a, &b, sizeof(a)));
	}
	ck_assert_int_eq(shr_ring_cursor(ring, SHR_RING_CURSORS_MAX, &a), -ERANGE);
	ck_assert_int_eq(shr_inspect_cursor(inspect, 0, SHR_RING_CURSORS_MAX, &b), -ERANGE);
	shr_inspect_close(inspect);
}

/* Three ways to wait for a record: 0 next_until, 1 wait_any_until, 2 poll(2). */
#define WAYS 3
static inline int wait_for_record(struct shr_cursor *cursor, struct shr_record *record, int way)
{
	int64_t end = SOON;
	size_t which = 0;
	int err;

	if (way == 0)
		return shr_cursor_next_until(cursor, record, end);
	if (way == 1) {
		do {
			err = shr_cursor_wait_any_until(&cursor, 1, &which, end);
			if (err)
				return err;
			err = shr_cursor_next(cursor, record);
		} while (err == -EAGAIN && clock_ns() < end);
		return err;
	}
	while ((err = shr_cursor_next(cursor, record)) == -EAGAIN) {
		struct pollfd fd = {.fd = shr_cursor_fd(cursor), .events = POLLIN};

		if (fd.fd < 0)
			return fd.fd;
		if (clock_ns() > end)
			return -ETIMEDOUT;
		poll(&fd, 1, 20000);
	}
	return err;
}

/* Where positions begin: at @i, just below what overflows. */
#define FIRSTS 4
static inline uint64_t first_of(int i)
{
	static const uint64_t firsts[FIRSTS] = {0, ((uint64_t)1 << 32) - 64, ((uint64_t)1 << 63) - 64,
						(uint64_t)0 - 64};

	return firsts[i];
}

#endif
