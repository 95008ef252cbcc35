/* SPDX-License-Identifier: MIT */
/* shmring/test.h: killed at every step, by the kernel's single steps. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include <shmring/test.h>

#include "fixture.h"

static struct shr_ring *ring;
static struct shr_producer *producer;
static struct shr_cursor *cursor;

static void setup(void)
{
	fixture_setup("test");
}

static void prepare_producer(void *argument)
{
	(void)argument;
	ring = NULL;
	producer = NULL;
	if (shr_ring_open(&ring, name, "+<", NULL, NULL) || shr_producer_open(&producer, ring))
		_exit(1);
}

static void call_write(void *argument)
{
	if (shr_producer_write(producer, argument, 24))
		_exit(2);
}

static void prepare_consumer(void *argument)
{
	(void)argument;
	ring = NULL;
	cursor = NULL;
	if (shr_ring_open(&ring, name, "+<", NULL, NULL) || shr_cursor_open(&cursor, ring, NULL))
		_exit(1);
}

static void call_read(void *argument)
{
	struct shr_record record;

	(void)argument;
	if (shr_cursor_next(cursor, &record) || shr_cursor_release(cursor))
		_exit(2);
}

static void call_exit(void *argument)
{
	_exit(*(int *)argument);
}

/* Each record that a killed producer wrote is there, or is counted, or never was. */
START_TEST(a_producer_killed_at_every_step)
{
	const char text[24] = "twenty-four bytes long.";
	uint32_t flags = _i ? SHR_RING_SINGLE_PRODUCER : 0;
	struct shr_ring *mine = ring_make((struct shr_ring_options){.flags = flags, .capacity = 1024});
	struct shr_cursor *consumer = cursor_of(mine);
	uint64_t step, got = 0, before = 0;
	int killed = 1;

	for (step = 1; killed == 1; step++) {
		struct shr_ring_status stat;
		struct shr_record record;
		int64_t deadline;
		int err;

		killed = shr_test_kill_at(step, prepare_producer, call_write, (void *)(uintptr_t)text);
		ck_assert_int_ge(killed, 0);
		/* What is claimed by the dead is proven within some milliseconds. */
		deadline = shr_deadline_ns(20000000000);
		do {
			err = shr_cursor_next(consumer, &record);
			MUST(shr_ring_stat(mine, &stat));
		} while (err == -EAGAIN && stat.position != stat.tail && shr_deadline_ns(0) < deadline);
		if (!err) {
			ck_assert_uint_eq(record.size, 24);
			ck_assert_mem_eq(record.payload, text, 24);
			MUST(shr_cursor_release(consumer));
			got++;
		} else {
			ck_assert_int_eq(err, -EAGAIN);
		}
		MUST(shr_ring_stat(mine, &stat));
		ck_assert_uint_eq(stat.position, stat.tail);
		ck_assert_uint_le(stat.skipped - before, 1);
		before = stat.skipped;
	}
	ck_assert_int_eq(killed, 0);
	ck_assert_uint_gt(step, 20);
	ck_assert_uint_gt(got, 1); /* by the last steps, and the call that was not killed */
	ck_assert_uint_lt(got, step);
	if (!_i)
		ck_assert_uint_gt(before, 0); /* killed between claim and commit */
	MUST(shr_cursor_close(consumer));
	MUST(shr_ring_close(mine));
}
END_TEST

START_TEST(a_consumer_killed_at_every_step)
{
	struct shr_ring *mine = ring_make((struct shr_ring_options){.capacity = 1024});
	struct shr_producer *writer = producer_of(mine);
	uint64_t step, again = 0, released = 0;
	int killed = 1;

	for (step = 1; killed == 1; step++) {
		struct shr_cursor *successor = NULL;
		struct shr_record record;
		int err;

		MUST(shr_producer_write(writer, &step, sizeof(step)));
		killed = shr_test_kill_at(step, prepare_consumer, call_read, NULL);
		ck_assert_int_ge(killed, 0);
		MUST(shr_cursor_open(&successor, mine, NULL));
		err = shr_cursor_next(successor, &record);
		if (!err) { /* not released: it comes, marked if it had been given */
			ck_assert_int_eq(memcmp(record.payload, &step, sizeof(step)), 0);
			again += record.flags & SHR_RECORD_REDELIVERED;
			MUST(shr_cursor_release(successor));
		} else {
			ck_assert_int_eq(err, -EAGAIN);
			released++;
		}
		MUST(shr_cursor_close(successor));
	}
	ck_assert_int_eq(killed, 0);
	ck_assert_uint_gt(again, 0);
	ck_assert_uint_gt(released, 1);
	MUST(shr_producer_close(writer));
	MUST(shr_ring_close(mine));
}
END_TEST

START_TEST(what_is_not_a_kill_is_told)
{
	int status = 3;

	ck_assert_int_eq(shr_test_kill_at(1000000, NULL, call_exit, &status), -ECHILD);
	ck_assert_int_eq(shr_test_kill_at(1, call_exit, call_exit, &status), -ECHILD);
	ck_assert_int_eq(shr_test_kill_at(1, NULL, call_exit, &status), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("test");
	TCase *tc = tcase_create("test");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, a_producer_killed_at_every_step, 0, 2);
	tcase_add_test(tc, a_consumer_killed_at_every_step);
	tcase_add_test(tc, what_is_not_a_kill_is_told);
	suite_add_tcase(suite, tc);
	return tap_run(suite);
}
