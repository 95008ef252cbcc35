/* SPDX-License-Identifier: MIT */
/* L4: several records, pieces or rings at a time. */
#include <errno.h>
#include <limits.h>
#include <sys/resource.h>

#include "fixture.h"
#include "procs.h"

static void setup(void)
{
	fixture_setup("batch");
}

static uint64_t skipped_of(struct shr_ring *ring)
{
	struct shr_ring_status status;

	MUST(shr_ring_stat(ring, &status));
	return status.skipped;
}

START_TEST(writev_gathers_pieces)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 4096, .flags = _i ? SHR_RING_SINGLE_PRODUCER : 0});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = cursor_of(ring);
	struct iovec pieces[3] = {{(char *)"one", 3}, {NULL, 0}, {(char *)" two", 4}}, large[2];
	static char bytes[4096];
	struct shr_record record;

	MUST(shr_producer_writev(producer, pieces, 3));
	MUST(shr_producer_writev(producer, NULL, 0));
	MUST(shr_cursor_next(cursor, &record));
	ck_assert_uint_eq(record.size, 7);
	ck_assert_int_eq(memcmp(record.payload, "one two", 7), 0);
	MUST(shr_cursor_next(cursor, &record));
	ck_assert_uint_eq(record.size, 0);
	large[0] = large[1] = (struct iovec){bytes, sizeof(bytes)};
	ck_assert_int_eq(shr_producer_writev(producer, large, 2), -EMSGSIZE);
	large[0].iov_len = SIZE_MAX;
	ck_assert_int_eq(shr_producer_writev(producer, large, 2), -EMSGSIZE);
	ck_assert_int_eq(shr_producer_writev(producer, pieces, IOV_MAX + 1), -EINVAL);
	shr_producer_close(producer);
	shr_cursor_close(cursor);
	MUST(shr_ring_close(ring));
}
END_TEST

/* Batches of every size around a small ring, read back in batches. */
START_TEST(batches_pass_whole_and_in_order)
{
	struct shr_ring *ring = ring_make(
		(struct shr_ring_options){.capacity = 8192,
					  .flags = _i ? SHR_RING_SINGLE_PRODUCER : 0,
					  .first_position = UINT64_MAX - 4095});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = cursor_of(ring);
	static unsigned char source[200][64], buffer[4096];
	struct iovec records[200];
	struct shr_record got[100];
	uint64_t sent = 0, received = 0;

	for (int round = 0; round < 3000; round++) {
		size_t count = 1 + (size_t)round % 150;
		int n, m;

		for (size_t i = 0; i < count; i++) {
			uint32_t size = 16 + (uint32_t)((sent + i) * 7 % 40);

			fill(source[i], 1, sent + i, size);
			records[i] = (struct iovec){source[i], size};
		}
		n = shr_producer_write_many(producer, records, count);
		ck_assert_msg(n > 0 || n == -EAGAIN, "%d %s", n, shr_last_error());
		sent += n > 0 ? (uint64_t)n : 0;
		while (received < sent) {
			if (round & 1) {
				m = shr_cursor_next_many(cursor, got, 100);
			} else {
				m = shr_cursor_read_many(cursor, buffer, sizeof(buffer), got, 100);
			}
			ck_assert_msg(m > 0, "%d %s", m, shr_last_error());
			for (int i = 0; i < m; i++) {
				struct head head = check_payload(got[i].payload, got[i].size);

				ck_assert_uint_eq(head.producer, 1);
				ck_assert_uint_eq(head.sequence, received);
				ck_assert_uint_eq((uintptr_t)got[i].payload % 8, 0);
				received++;
			}
			if (round & 1)
				MUST(shr_cursor_release(cursor));
		}
		ck_assert_int_eq(shr_cursor_next_many(cursor, got, 100), -EAGAIN);
		ck_assert_int_eq(shr_cursor_read_many(cursor, buffer, 64, got, 100), -EAGAIN);
	}
	ck_assert_uint_gt(sent, 100000);
	shr_producer_close(producer);
	shr_cursor_close(cursor);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(a_batch_ends_where_it_must)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 4096, .flags = _i ? SHR_RING_SINGLE_PRODUCER : 0});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = cursor_of(ring);
	static char bytes[5000];
	struct iovec records[5];
	struct shr_record got[5];
	void *payload;
	int n, total = 0;

	for (int i = 0; i < 5; i++)
		records[i] = (struct iovec){bytes, 100};
	ck_assert_int_eq(shr_producer_write_many(producer, records, 0), 0);
	ck_assert_int_eq(shr_cursor_next_many(cursor, got, 0), 0);
	records[2].iov_len = sizeof(bytes); /* impossible: what is before it is written */
	ck_assert_int_eq(shr_producer_write_many(producer, records, 5), 2);
	ck_assert_int_eq(shr_producer_write_many(producer, records + 2, 3), -EMSGSIZE);
	records[2].iov_len = 100;
	MUST(shr_producer_reserve(producer, 10, &payload));
	ck_assert_int_eq(shr_producer_write_many(producer, records, 5), -EBUSY);
	MUST(shr_producer_commit(producer));
	while ((n = shr_producer_write_many(producer, records, 5)) > 0)
		total += n;
	ck_assert_int_eq(n, -EAGAIN);
	ck_assert_int_gt(total, 10);
	/* A buffer that is too small for the next one: what fits is read, the rest is not lost. */
	ck_assert_int_eq(shr_cursor_read_many(cursor, bytes, 215, got, 5), 2);
	ck_assert_int_eq(shr_cursor_read_many(cursor, bytes, 9, got, 5), -EMSGSIZE);
	ck_assert_uint_eq(got[0].size, 10);
	ck_assert_int_eq(shr_cursor_read_many(cursor, bytes, 10, got, 5), 1);
	while ((n = shr_cursor_next_many(cursor, got, 5)) > 0)
		total -= n;
	ck_assert_int_eq(total, 0);
	ck_assert_uint_eq(skipped_of(ring), 0);
	shr_producer_close(producer);
	shr_cursor_close(cursor);
	MUST(shr_ring_close(ring));
}
END_TEST

/* Two processes send batches into one ring: each batch lies side by side. */
#define SENT 20000

static pid_t send_batches(uint32_t who)
{
	pid_t pid = fork();

	if (!pid) {
		struct shr_ring *ring = NULL;
		struct shr_producer *producer = NULL;
		static unsigned char source[10][32];
		struct iovec records[10];

		if (shr_ring_open(&ring, name, "+<", NULL, NULL) || shr_producer_open(&producer, ring))
			_exit(1);
		for (uint64_t at = 0; at < SENT;) {
			int n;

			for (uint64_t i = 0; i < 10; i++) {
				fill(source[i], who, at + i, 32);
				records[i] = (struct iovec){source[i], 32};
			}
			n = shr_producer_write_many(producer, records, 10);
			if (n < 0 && n != -EAGAIN)
				_exit(2);
			at += n > 0 ? (uint64_t)n : 0;
			for (; n > 0 && n < 10 && at % 10;) { /* the rest of it, where it was full */
				int m = shr_producer_write_many(producer, records + n, (size_t)(10 - n));

				if (m < 0 && m != -EAGAIN)
					_exit(3);
				n += m > 0 ? m : 0;
				at += m > 0 ? (uint64_t)m : 0;
			}
		}
		_exit(shr_producer_close(producer) || shr_ring_close(ring));
	}
	return pid;
}

START_TEST(batches_of_two_processes)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.capacity = 32768});
	struct shr_cursor *cursor = cursor_of(ring);
	pid_t pid[2] = {send_batches(0), send_batches(1)};
	uint64_t next[2] = {0}, changes = 0;
	uint32_t last = 2;

	for (uint64_t n = 0; n < 2 * SENT; n++) {
		struct shr_record record;
		struct head head;

		MUST(shr_cursor_next_until(cursor, &record, shr_deadline_ns(20000000000)));
		head = check_payload(record.payload, record.size);
		ck_assert_uint_lt(head.producer, 2);
		ck_assert_uint_eq(head.sequence, next[head.producer]++);
		changes += head.producer != last;
		last = head.producer;
		MUST(shr_cursor_release(cursor));
	}
	ck_assert_int_eq(ended(pid[0]), 0);
	ck_assert_int_eq(ended(pid[1]), 0);
	/* Side by side: at most one change for each batch, and for each that was cut by a full ring. */
	ck_assert_uint_lt(changes, 2 * SENT / 4);
	shr_cursor_close(cursor);
	MUST(shr_ring_close(ring));
}
END_TEST

/* Dead in the middle of a batch: the first are there, the others skipped, each counted. */
START_TEST(a_batch_of_the_dead)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 4096, .flags = _i ? SHR_RING_SINGLE_PRODUCER : 0});
	struct shr_cursor *cursor = cursor_of(ring);
	struct shr_record got[20];
	pid_t pid = fork();
	int n, total = 0;

	if (!pid) {
		struct rlimit no_core = {0, 0};
		struct shr_ring *own = NULL;
		struct shr_producer *producer = NULL;
		struct iovec records[8];

		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGSEGV, SIG_DFL);
		if (shr_ring_open(&own, name, "+<", NULL, NULL) || shr_producer_open(&producer, own))
			_exit(1);
		for (int i = 0; i < 8; i++)
			records[i] = (struct iovec){(char *)"payload.", 8};
		records[5].iov_base = (void *)16; /* nothing is there */
		shr_producer_write_many(producer, records, 8);
		_exit(2);
	}
	ck_assert_int_eq(ended(pid), -SIGSEGV);
	for (int i = 0; i < 100 && total < 5; i++) {
		n = shr_cursor_next_many(cursor, got, 20);
		total += n > 0 ? n : 0;
		usleep(1000);
	}
	ck_assert_int_eq(total, 5);
	MUST(shr_cursor_release(cursor));
	for (int i = 0; i < 100 && !_i && skipped_of(ring) < 3; i++) {
		ck_assert_int_eq(shr_cursor_next(cursor, got), -EAGAIN);
		usleep(1000);
	}
	ck_assert_uint_eq(skipped_of(ring), _i ? 0 : 3);
	shr_cursor_close(cursor);
	MUST(shr_ring_close(ring));
}
END_TEST

/* --- Many rings ---------------------------------------------------------------- */

static struct shr_segment *many;
static struct shr_ring *rings[SHR_OBJECTS_MAX];
static struct shr_cursor *cursors[SHR_CURSORS_MAX + 1];

static void open_many(size_t count, int consume)
{
	struct shr_object objects[SHR_OBJECTS_MAX] = {0};
	struct shr_ring_options options = {.struct_size = sizeof(options), .capacity = 1024};

	for (size_t i = 0; i < count; i++) {
		char object[24];

		snprintf(object, sizeof(object), "r%zu", i);
		MUST(shr_ring_describe(&objects[i], object, &options));
	}
	many = NULL;
	MUST(shr_segment_create(&many, name, objects, count, &(struct shr_segment_options){
		.struct_size = sizeof(struct shr_segment_options), .flags = SHR_SEGMENT_ATTACH}));
	for (size_t i = 0; i < count; i++) {
		char object[24];

		snprintf(object, sizeof(object), "r%zu", i);
		rings[i] = NULL;
		cursors[i] = NULL;
		MUST(shr_ring_attach(&rings[i], many, object, NULL));
		if (consume)
			MUST(shr_cursor_open(&cursors[i], rings[i], NULL));
	}
}

static void close_many(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		shr_cursor_close(cursors[i]);
		MUST(shr_ring_close(rings[i]));
	}
	MUST(shr_segment_detach(many));
}

static void put(size_t ring, uint32_t value)
{
	struct shr_producer *producer = producer_of(rings[ring]);

	MUST(shr_producer_write(producer, &value, sizeof(value)));
	shr_producer_close(producer);
}

START_TEST(any_of_many_rings)
{
	struct shr_record record;
	size_t which = 7;
	int64_t before;

	open_many(30, 1);
	before = clock_ns();
	ck_assert_int_eq(shr_cursor_wait_any_until(cursors, 30, &which, shr_deadline_ns(30000000)),
			 -ETIMEDOUT);
	ck_assert_int_ge(clock_ns() - before, 30000000);
	ck_assert_int_eq(shr_cursor_wait_any_until(cursors, 30, &which, 0), -ETIMEDOUT);
	ck_assert_int_eq(shr_cursor_wait_any_until(cursors, 0, &which, 0), -EINVAL);
	ck_assert_int_eq(shr_cursor_wait_any_until(cursors, SHR_CURSORS_MAX + 1, &which, 0), -E2BIG);
	for (uint32_t i = 0; i < 300; i++) {
		uint32_t ring = i * 7 % 30;
		pid_t pid = 0;

		if (i % 10)
			put(ring, i);
		else
			pid = fork();
		if (i % 10 == 0 && !pid) {
			usleep(2000); /* it sleeps by then */
			open_many(30, 0);
			put(ring, i);
			_exit(0);
		}
		MUST(shr_cursor_wait_any_until(cursors, 30, &which, shr_deadline_ns(20000000000)));
		ck_assert_uint_eq(which, ring);
		MUST(shr_cursor_next(cursors[which], &record));
		ck_assert_uint_eq(*(const uint32_t *)record.payload, i);
		MUST(shr_cursor_release(cursors[which]));
		if (pid)
			ck_assert_int_eq(ended(pid), 0);
	}
	close_many(30);
}
END_TEST

/* Rings that always have something, and one that seldom has: it is served in its turn. */
START_TEST(no_ring_starves)
{
	struct shr_record record;
	size_t which = 0;
	uint32_t served[5] = {0};

	open_many(5, 1);
	for (uint32_t i = 0; i < 500; i++) {
		uint32_t turns = 0;

		for (size_t ring = 0; ring < 4; ring++)
			if (!shr_cursor_next(cursors[ring], &record))
				cursors[ring]->next = record.position; /* only looked */
			else
				put(ring, i);
		put(4, i);
		do {
			MUST(shr_cursor_wait_any_until(cursors, 5, &which, 0));
			MUST(shr_cursor_next(cursors[which], &record));
			MUST(shr_cursor_release(cursors[which]));
			served[which]++;
			if (which != 4)
				put(which, i);
			ck_assert_uint_lt(++turns, 6);
		} while (which != 4);
	}
	for (int ring = 0; ring < 5; ring++)
		ck_assert_uint_gt(served[ring], 300);
	close_many(5);
}
END_TEST

START_TEST(what_is_wrong_with_one_is_told)
{
	struct shr_record record;
	size_t which = 0;
	pid_t pid;

	open_many(3, 1);
	pid = fork();
	if (!pid) {
		usleep(20000);
		_exit(shr_segment_unlink(name) != 0);
	}
	MUST(shr_cursor_wait_any_until(cursors, 3, &which, shr_deadline_ns(20000000000)));
	ck_assert_int_eq(shr_cursor_next(cursors[which], &record), -ESTALE);
	ck_assert_int_eq(ended(pid), 0);
	pid = fork();
	if (!pid)
		_exit(shr_cursor_wait_any_until(cursors, 3, &which, 0) != -ECHILD ||
		      shr_cursor_next_many(cursors[0], &record, 1) != -ECHILD);
	ck_assert_int_eq(ended(pid), 0);
	close_many(3);
}
END_TEST

/* A producer that dies in a reservation does not keep the waiter from its ring for ever. */
START_TEST(a_dead_producer_in_one_of_many)
{
	struct shr_record record;
	uint32_t *told = shared_page();
	size_t which = 0;
	pid_t pid;

	open_many(3, 1);
	pid = fork();
	if (!pid) {
		struct shr_producer *producer = NULL;
		void *payload;

		open_many(3, 0);
		MUST(shr_producer_open(&producer, rings[1]));
		MUST(shr_producer_reserve(producer, 8, &payload));
		say(told, 1);
		for (;;)
			pause();
	}
	ck_assert(until(told, 1));
	put(1, 5); /* behind the reserved one */
	ck_assert_int_eq(shr_cursor_wait_any_until(cursors, 3, &which, shr_deadline_ns(50000000)),
			 -ETIMEDOUT);
	kill_now(pid);
	MUST(shr_cursor_wait_any_until(cursors, 3, &which, shr_deadline_ns(20000000000)));
	ck_assert_uint_eq(which, 1);
	MUST(shr_cursor_next(cursors[1], &record));
	ck_assert_uint_eq(*(const uint32_t *)record.payload, 5);
	MUST(shr_cursor_release(cursors[1]));
	ck_assert_uint_eq(skipped_of(rings[1]), 1);
	close_many(3);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("batch");
	TCase *tc = tcase_create("batch");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, writev_gathers_pieces, 0, 2);
	tcase_add_loop_test(tc, batches_pass_whole_and_in_order, 0, 2);
	tcase_add_loop_test(tc, a_batch_ends_where_it_must, 0, 2);
	tcase_add_test(tc, batches_of_two_processes);
	tcase_add_loop_test(tc, a_batch_of_the_dead, 0, 2);
	tcase_add_test(tc, any_of_many_rings);
	tcase_add_test(tc, no_ring_starves);
	tcase_add_test(tc, what_is_wrong_with_one_is_told);
	tcase_add_test(tc, a_dead_producer_in_one_of_many);
	suite_add_tcase(suite, tc);
	return tap_run(suite);
}
