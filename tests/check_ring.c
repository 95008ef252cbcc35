/* SPDX-License-Identifier: MIT */
/* L4: rings. Records describe themselves; every account is exact. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"
#include "format.h"

static void setup(void)
{
	fixture_setup("ring");
}

static struct shr_ring *ring_again(void)
{
	struct shr_ring *ring = NULL;

	MUST(shr_ring_open(&ring, name, "+<", NULL, NULL));
	return ring;
}

static struct head check(const struct shr_record *record)
{
	return check_payload(record->payload, record->size);
}

START_TEST(records_pass_in_order_of_every_size)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.capacity = 4096, .flags = _i});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = cursor_of(ring);
	struct shr_record record;
	void *payload;

	ck_assert_int_eq(shr_cursor_next(cursor, &record), -EAGAIN);
	ck_assert_int_eq(shr_producer_commit(producer), -EINVAL);
	for (uint32_t size = 8; size <= shr_ring_max_record(ring); size++) {
		MUST(shr_producer_set_type(producer, (uint16_t)size));
		MUST(shr_producer_reserve(producer, size, &payload));
		ck_assert_int_eq(shr_producer_reserve(producer, size, &payload), -EBUSY);
		fill(payload, 1, size, size);
		ck_assert_int_eq(shr_cursor_next(cursor, &record), -EAGAIN);
		MUST(shr_producer_commit(producer));
		MUST(shr_cursor_next(cursor, &record));
		ck_assert_uint_eq(check(&record).sequence, size);
		ck_assert_uint_eq(record.type, (uint16_t)size);
		ck_assert_uint_eq(record.member, 1);
		MUST(shr_cursor_release(cursor));
	}
	ck_assert_int_eq(shr_producer_reserve(producer, shr_ring_max_record(ring) + 1, &payload),
			 -EMSGSIZE);
	ck_assert_int_eq(shr_ring_close(ring), -EBUSY);
	shr_producer_close(producer);
	shr_cursor_close(cursor);
	MUST(shr_ring_close(ring));
}
END_TEST

/* Capacity 256: every start modulo the ring, every size, full and empty again. */
START_TEST(every_offset_wraps)
{
	static const uint64_t firsts[] = {0, ((uint64_t)1 << 32) - 64, (uint64_t)0 - 64};

	for (int f = 0; f < 3; f++)
		for (uint64_t start = 0; start < 256; start += 8)
			for (uint32_t size = 8; size <= 120; size += 13) {
				struct shr_ring *ring = ring_make((struct shr_ring_options){
					.capacity = 256, .flags = _i, .max_record = 120,
					.first_position = firsts[f] + start});
				struct shr_producer *producer = producer_of(ring);
				struct shr_cursor *cursor = cursor_of(ring);
				struct shr_record record;
				uint64_t sent = 0, received = 0;
				unsigned char data[128];

				for (int lap = 0; lap < 6; lap++) {
					int err;

					for (;;) {
						fill(data, 7, sent, size);
						err = shr_producer_write(producer, data, size);
						if (err)
							break;
						sent++;
					}
					ck_assert_int_eq(err, -EAGAIN);
					while (!(err = shr_cursor_next(cursor, &record))) {
						ck_assert_uint_eq(check(&record).sequence, received);
						received++;
						MUST(shr_cursor_release(cursor));
					}
					ck_assert_int_eq(err, -EAGAIN);
					ck_assert_uint_eq(sent, received);
				}
				ck_assert_uint_ge(sent, 6);
				shr_producer_close(producer);
				shr_cursor_close(cursor);
				MUST(shr_ring_close(ring));
			}
}
END_TEST

START_TEST(abort_and_shorter_commit_leave_no_trace)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.capacity = 4096, .flags = _i});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = cursor_of(ring);
	struct shr_ring_status stat;
	struct shr_record record;
	void *payload;

	for (uint32_t i = 0; i < 200; i++) {
		MUST(shr_producer_reserve(producer, 200, &payload));
		memset(payload, 0xff, 200);
		MUST(shr_producer_abort(producer));
		MUST(shr_producer_reserve(producer, 200, &payload));
		memset(payload, 0xff, 200);
		fill(payload, 1, i, 16 + i % 180);
		MUST(shr_producer_commit_size(producer, 16 + i % 180));
		MUST(shr_cursor_next(cursor, &record));
		ck_assert_uint_eq(check(&record).sequence, i);
		MUST(shr_cursor_release(cursor));
		ck_assert_int_eq(shr_cursor_next(cursor, &record), -EAGAIN);
	}
	MUST(shr_ring_stat(ring, &stat));
	ck_assert_uint_eq(stat.skipped, _i ? 0 : 200);
	shr_producer_close(producer);
	shr_cursor_close(cursor);
	MUST(shr_ring_close(ring));
}
END_TEST

/* Dropped, then skipped, released, and closed before the next record: told all the same. */
START_TEST(loss_before_a_skipped_record_is_told_to_the_next_owner)
{
	struct shr_ring *ring = ring_make(
		(struct shr_ring_options){.capacity = 1024, .flags = SHR_RING_DROP_NEWEST});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = cursor_of(ring);
	struct shr_cursor_info info;
	struct shr_record record;
	void *payload;
	char data[40];
	int err;

	for (uint32_t i = 0; !(err = shr_producer_write(producer, data, 40)); i++)
		fill(data, 1, i, 40);
	ck_assert_int_eq(err, -ENOBUFS);
	while (!shr_cursor_next(cursor, &record))
		;
	MUST(shr_cursor_release(cursor));
	MUST(shr_producer_reserve(producer, 40, &payload));
	MUST(shr_producer_abort(producer));
	ck_assert_int_eq(shr_cursor_next(cursor, &record), -EAGAIN);
	MUST(shr_cursor_release(cursor));
	MUST(shr_cursor_close(cursor));
	cursor = cursor_of(ring);
	MUST(shr_producer_write(producer, data, 40));
	MUST(shr_cursor_next(cursor, &record));
	ck_assert_uint_eq(record.lost, 1);
	ck_assert_uint_eq(record.flags, SHR_RECORD_LOST);
	MUST(shr_cursor_release(cursor));
	MUST(shr_cursor_get(cursor, &info));
	ck_assert_uint_eq(info.lost, 1);
	ck_assert_uint_eq(info.skipped, 1);
	MUST(shr_cursor_close(cursor));
	MUST(shr_producer_close(producer));
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(held_records_come_again_to_the_next_consumer)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.flags = _i});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = cursor_of(ring);
	struct shr_ring_status stat;
	struct shr_record record;
	char data[64];

	for (uint32_t i = 0; i < 5; i++) {
		fill(data, 1, i, 64);
		MUST(shr_producer_write(producer, data, 64));
	}
	MUST(shr_cursor_next(cursor, &record));
	MUST(shr_cursor_release(cursor));
	MUST(shr_cursor_next(cursor, &record));
	MUST(shr_cursor_next(cursor, &record));
	shr_cursor_close(cursor);
	cursor = cursor_of(ring);
	for (uint32_t i = 1; i < 5; i++) {
		MUST(shr_cursor_read(cursor, data, sizeof(data), &record));
		ck_assert_uint_eq(check(&record).sequence, i);
		ck_assert_uint_eq(record.flags, i < 3 ? SHR_RECORD_REDELIVERED : 0);
	}
	MUST(shr_ring_stat(ring, &stat));
	ck_assert_uint_eq(stat.redelivered, 2);
	ck_assert_uint_eq(stat.position, stat.tail);
	shr_producer_close(producer);
	shr_cursor_close(cursor);
	MUST(shr_ring_close(ring));
}
END_TEST

/* A consumer dies between counting a skip and moving over it. */
START_TEST(a_skip_is_counted_once_whenever_the_consumer_dies)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.capacity = 1024});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor;
	struct shr_record record;
	struct shr_ring_status stat;
	struct shr_inspect *inspect = NULL;
	struct shr_object_info object;
	const uint64_t total = RECORD_TOTAL(8, 40), one = 1;
	void *payload;
	int fd = open(path, O_RDWR);

	MUST(shr_producer_reserve(producer, 40, &payload));
	MUST(shr_producer_abort(producer));
	MUST(shr_producer_reserve(producer, 50, &payload));
	fill(payload, 1, 7, 50);
	MUST(shr_producer_commit(producer));
	MUST(shr_inspect_open(&inspect, name));
	MUST(shr_inspect_object(inspect, 0, &object));
	/* What release stores, in its order; position comes last. */
#define STORE(field, value)                                                              \
	ck_assert_int_eq(pwrite(fd, &(value), 8,                                         \
				(off_t)(object.offset + offsetof(struct shm_ring, cursor[0].field))), \
			 8)
	STORE(journal_skipped, one);
	STORE(journal_position, total);
	if (_i)
		STORE(skipped, one);
	cursor = cursor_of(ring);
	MUST(shr_ring_stat(ring, &stat));
	ck_assert_uint_eq(stat.skipped, 1);
	ck_assert_uint_eq(stat.position, total);
	MUST(shr_cursor_next(cursor, &record));
	ck_assert_uint_eq(check(&record).sequence, 7);
	ck_assert_uint_eq(record.flags, 0);
	MUST(shr_cursor_release(cursor));
	MUST(shr_ring_stat(ring, &stat));
	ck_assert_uint_eq(stat.skipped, 1);
	close(fd);
	shr_inspect_close(inspect);
	shr_cursor_close(cursor);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(read_into_a_small_buffer_loses_nothing)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.flags = _i});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = cursor_of(ring);
	struct shr_record record;
	char data[64];

	fill(data, 1, 9, 64);
	MUST(shr_producer_write(producer, data, 64));
	ck_assert_int_eq(shr_cursor_read(cursor, data, 63, &record), -EMSGSIZE);
	ck_assert_uint_eq(record.size, 64);
	MUST(shr_cursor_read(cursor, data, 64, &record));
	ck_assert_uint_eq(check(&record).sequence, 9);
	shr_producer_close(producer);
	shr_cursor_close(cursor);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(impossible_geometry_is_refused)
{
	struct shr_object object;
	struct shr_ring_options o = {.struct_size = sizeof(o)};

	o.capacity = 1000;
	ck_assert_int_eq(shr_ring_describe(&object, "r", &o), -EINVAL);
	o.capacity = 128;
	ck_assert_int_eq(shr_ring_describe(&object, "r", &o), -EINVAL);
	o.capacity = 4096;
	o.max_record = 2041;
	ck_assert_int_eq(shr_ring_describe(&object, "r", &o), -EINVAL);
	o.max_record = 2040;
	MUST(shr_ring_describe(&object, "r", &o));
	ck_assert_uint_eq(object.param[2], 0);
	o.history = 8;
	ck_assert_int_eq(shr_ring_describe(&object, "r", &o), -EINVAL);
	o.history = 0;
	o.first_position = 4;
	ck_assert_int_eq(shr_ring_describe(&object, "r", &o), -EINVAL);
	o.first_position = 0;
	o.flags = 8;
	ck_assert_int_eq(shr_ring_describe(&object, "r", &o), -EINVAL);
	o.flags = 0;
	ck_assert_int_eq(shr_ring_describe(&object, "", &o), -EINVAL);
}
END_TEST

struct one {
	uint64_t a;
};
struct other {
	uint32_t a, b;
};
SHR_SCHEMA(one, 1, a);
SHR_SCHEMA(other, 1, a, b);

START_TEST(records_of_another_type_are_refused)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.schema = SHR_SCHEMA_OF(one)});
	struct shr_ring *b = NULL;
	struct shr_ring_options o = {.struct_size = sizeof(o), .schema = SHR_SCHEMA_OF(other)};
	struct shr_producer *producer = producer_of(ring);
	void *payload;

	ck_assert_int_eq(shr_ring_open(&b, name, "+>", &o, NULL), -EPROTOTYPE);
	ck_assert_ptr_nonnull(strstr(shr_last_error(), "other"));
	ck_assert_int_eq(shr_ring_open(&b, name, "+<", NULL, NULL), -EPROTOTYPE);
	ck_assert_int_eq(shr_producer_reserve(producer, 7, &payload), -EINVAL);
	MUST(shr_producer_reserve(producer, 8, &payload));
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(one_owner_a_role_and_none_in_a_child)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.flags = SHR_RING_SINGLE_PRODUCER});
	struct shr_ring *b = ring_again();
	struct shr_producer *producer = producer_of(ring), *p2 = NULL;
	struct shr_cursor *cursor = cursor_of(ring), *c2 = NULL;
	struct shr_record record;
	void *payload;
	int status;

	ck_assert_int_eq(shr_producer_open(&p2, b), -EBUSY);
	ck_assert_int_eq(shr_cursor_open(&c2, b, NULL), -EBUSY);
	ck_assert_int_eq(shr_cursor_open(&c2, ring, NULL), -EBUSY);
	ck_assert_int_eq(shr_cursor_open(&c2, ring, "none"), -ENOENT);
	ck_assert_int_eq(shr_producer_open_version(&p2, b, 99), -EPROTO);
	if (!fork())
		_exit(!(shr_producer_reserve(producer, 8, &payload) == -ECHILD &&
			shr_producer_commit(producer) == -ECHILD &&
			shr_cursor_next(cursor, &record) == -ECHILD &&
			shr_cursor_release(cursor) == -ECHILD &&
			shr_producer_write_until(producer, "", 1, 0) == -ECHILD &&
			shr_cursor_next_until(cursor, &record, 0) == -ECHILD &&
			shr_producer_close(producer) == 0 && shr_cursor_close(cursor) == 0 &&
			shr_ring_close(ring) == 0));
	wait(&status);
	ck_assert_int_eq(status, 0);
	shr_producer_close(producer);
	shr_cursor_close(cursor);
	p2 = producer_of(b);
	c2 = cursor_of(b);
	shr_producer_close(p2);
	shr_cursor_close(c2);
	MUST(shr_ring_close(b));
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(unlink_ends_both_ends_after_the_last_record)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.flags = _i});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor;
	struct shr_record record;
	int status, ready[2];
	char byte = 0;
	pid_t pid;

	fill(&byte, 1, 1, 1);
	MUST(shr_producer_write(producer, &byte, 1));
	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		struct shr_ring *b = ring_again();

		cursor = cursor_of(b);
		if (shr_cursor_next_until(cursor, &record, SHR_FOREVER) ||
		    shr_cursor_release(cursor) || write(ready[1], "x", 1) != 1)
			_exit(1);
		_exit(shr_cursor_next_until(cursor, &record, SHR_FOREVER) == -ESTALE ? 0 : 2);
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	usleep(20000);
	MUST(shr_segment_unlink(name));
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(shr_producer_write_until(producer, &byte, 1, 0), _i ? 0 : -ESTALE);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

/* A plain rm tells nobody; also who waits in short slices finds out. */
START_TEST(a_removed_file_is_stale_to_who_waits_in_slices)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.capacity = 256, .flags = _i});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = cursor_of(ring);
	struct shr_record record;
	int err = -ETIMEDOUT;

	MUST(shr_segment_check(shr_ring_segment(ring)));
	unlink(path);
	ck_assert_int_eq(shr_segment_check(shr_ring_segment(ring)), -ESTALE);
	for (int i = 0; i < 500 && err == -ETIMEDOUT; i++)
		err = shr_cursor_next_until(cursor, &record, shr_deadline_ns(10000000));
	ck_assert_int_eq(err, -ESTALE);
	while (!(err = shr_producer_write(producer, "12345678", 8)))
		;
	ck_assert_int_eq(err, -EAGAIN);
	err = -ETIMEDOUT;
	for (int i = 0; i < 500 && err == -ETIMEDOUT; i++)
		err = shr_producer_write_until(producer, "12345678", 8, shr_deadline_ns(10000000));
	ck_assert_int_eq(err, -ESTALE);
	shr_producer_close(producer);
	shr_cursor_close(cursor);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(waits_end_at_their_deadline)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.capacity = 256, .flags = _i});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = cursor_of(ring);
	struct shr_record record;
	int64_t before = shr_deadline_ns(0);
	int err;

	ck_assert_int_eq(shr_cursor_next_until(cursor, &record, shr_deadline_ns(20000000)), -ETIMEDOUT);
	ck_assert_int_ge(shr_deadline_ns(0) - before, 20000000);
	while (!(err = shr_producer_write(producer, "12345678", 8)))
		;
	ck_assert_int_eq(err, -EAGAIN);
	before = shr_deadline_ns(0);
	ck_assert_int_eq(shr_producer_write_until(producer, "12345678", 8, shr_deadline_ns(20000000)),
			 -ETIMEDOUT);
	ck_assert_int_ge(shr_deadline_ns(0) - before, 20000000);
	shr_producer_close(producer);
	shr_cursor_close(cursor);
	MUST(shr_ring_close(ring));
}
END_TEST

/* --- Across processes ------------------------------------------------------ */

static uint32_t size_of(uint64_t sequence)
{
	return 8 + (uint32_t)(mix(sequence) % (sequence % 64 ? 56 : 4089));
}

/* @next: where to begin, and where the writer tells how far it has come. */
static void produce(uint32_t number, uint64_t count, _Atomic uint64_t *next)
{
	struct shr_ring *ring = NULL;
	struct shr_producer *producer = NULL;
	void *payload;

	if (shr_ring_open(&ring, name, "+<", NULL, NULL) || shr_producer_open(&producer, ring))
		_exit(1);
	for (uint64_t i = *next; i < count; i++) {
		uint32_t size = size_of(i);

		if (shr_producer_reserve_until(producer, size, &payload, SHR_FOREVER))
			_exit(2);
		fill(payload, number, i, size);
		if (count == UINT64_MAX && i % 64 == 0) /* to be killed: be found in a reservation */
			sched_yield();
		if (shr_producer_commit(producer))
			_exit(3);
		*next = i + 1;
	}
	shr_producer_close(producer);
	shr_ring_close(ring);
	_exit(0);
}

#define RECORDS 2000000

START_TEST(two_million_records_between_processes)
{
	int producers = _i;
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 1 << 18,
		.flags = producers == 1 ? SHR_RING_SINGLE_PRODUCER : 0,
		.first_position = (uint64_t)0 - (1 << 20)});
	struct shr_cursor *cursor = cursor_of(ring);
	_Atomic uint64_t *begin = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				       -1, 0);
	uint64_t expected[2] = {0, 0};
	struct shr_ring_status stat;
	int status;

	for (int i = 0; i < producers; i++)
		if (!fork())
			produce((uint32_t)i, RECORDS / (uint64_t)producers, &begin[i * 16]);
	for (uint64_t i = 0; i < RECORDS; i++) {
		struct shr_record record;
		struct head head;

		MUST(shr_cursor_next_until(cursor, &record, shr_deadline_ns(20000000000)));
		head = check(&record);
		if (head.producer >= (uint32_t)producers || head.sequence != expected[head.producer])
			ck_abort_msg("record %llu of producer %u", (unsigned long long)head.sequence,
				     head.producer);
		expected[head.producer]++;
		MUST(shr_cursor_release(cursor));
	}
	for (int i = 0; i < producers; i++) {
		wait(&status);
		ck_assert_int_eq(status, 0);
	}
	MUST(shr_ring_stat(ring, &stat));
	ck_assert_uint_eq(stat.skipped, 0);
	ck_assert_uint_eq(stat.position, stat.tail);
	shr_cursor_close(cursor);
	MUST(shr_ring_close(ring));
}
END_TEST

/* A child that reserves, scribbles over all of it, and is killed before it commits. */
static void die_with_a_reservation(void)
{
	int ready[2], status;
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		struct shr_ring *ring = NULL;
		struct shr_producer *producer = NULL;
		void *payload;

		if (shr_ring_open(&ring, name, "+<", NULL, NULL) ||
		    shr_producer_open(&producer, ring) ||
		    shr_producer_reserve(producer, 500, &payload))
			_exit(1);
		memset(payload, 0xff, 500);
		if (write(ready[1], "x", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(ready[0]);
}

/*
 * 0: several producers, the slot is taken again. 1: single producer.
 * 2: several, the slot stays dead and the consumer mends.
 */
START_TEST(a_reservation_of_the_dead_is_skipped_or_never_was)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 4096, .flags = _i == 1 ? SHR_RING_SINGLE_PRODUCER : 0});
	struct shr_cursor *cursor = cursor_of(ring);
	struct shr_producer *producer;
	struct shr_ring *b = ring;
	struct shr_ring_status stat;
	struct shr_record record;
	char data[16];

	die_with_a_reservation();
	if (_i == 0) {
		usleep(50000); /* the kernel drops the dead one's mapping */
		b = ring_again();
		ck_assert_int_eq(shr_segment_member(shr_ring_segment(b)), 2);
	}
	producer = producer_of(b);
	for (uint32_t i = 0; i < 40; i++) {
		fill(data, 1, i, 16);
		MUST(shr_producer_write(producer, data, 16));
		MUST(shr_cursor_next_until(cursor, &record, shr_deadline_ns(10000000000)));
		ck_assert_uint_eq(check(&record).sequence, i);
		ck_assert_uint_eq(record.member, _i == 0 ? 2 : 1);
		MUST(shr_cursor_release(cursor));
		ck_assert_int_eq(shr_cursor_next(cursor, &record), -EAGAIN);
	}
	MUST(shr_ring_stat(ring, &stat));
	ck_assert_uint_eq(stat.skipped, _i == 1 ? 0 : 1);
	ck_assert_uint_eq(stat.producer_takeovers, _i == 1 ? 1 : 0);
	shr_producer_close(producer);
	shr_cursor_close(cursor);
	if (b != ring)
		MUST(shr_ring_close(b));
	MUST(shr_ring_close(ring));
}
END_TEST

/* What survives the killed: how far each has come. */
struct account {
	_Atomic uint64_t next[2];     /* producers: committed at least all below */
	_Atomic uint64_t received[2]; /* consumer: the highest released, + 1 */
	_Atomic uint64_t error;
};

static void consume(struct account *account)
{
	struct shr_ring *ring = NULL;
	struct shr_cursor *cursor = NULL;
	struct shr_record record;
	uint64_t seen[2];

	if (shr_ring_open(&ring, name, "+<", NULL, NULL) || shr_cursor_open(&cursor, ring, NULL)) {
		account->error = 1;
		_exit(1);
	}
	seen[0] = account->received[0];
	seen[1] = account->received[1];
	for (;;) {
		struct head head;

		if (shr_cursor_next_until(cursor, &record, SHR_FOREVER))
			account->error = 2;
		head = check(&record);
		if (head.producer > 1)
			account->error = 3;
		else if (head.sequence == seen[head.producer])
			seen[head.producer]++;
		else if (head.sequence + 1 != seen[head.producer] ||
			 !(record.flags & SHR_RECORD_REDELIVERED))
			account->error = 4; /* a gap, or twice and not marked */
		if (account->error)
			_exit(1);
		account->received[head.producer & 1] = seen[head.producer & 1];
		if (shr_cursor_release(cursor))
			account->error = 5;
	}
}

static pid_t start(struct account *account, int who)
{
	pid_t pid = fork();

	if (!pid && who == 2)
		consume(account);
	if (!pid) {
		/* A killed one committed next, or next + 1 of which it could not tell. */
		produce((uint32_t)who, UINT64_MAX, &account->next[who]);
	}
	return pid;
}

/*
 * The record that the killed producer was at is committed or is not: the ring
 * tells, by walking it, where a single number cannot.
 */
static void settle(struct account *account, struct shr_ring *ring, int who)
{
	struct shr_cursor *cursor = NULL;
	struct shr_record record;
	uint64_t last = account->received[who];

	MUST(shr_cursor_open(&cursor, ring, NULL));
	/* Looks at all that is left, and releases nothing. */
	for (;;) {
		int err = shr_cursor_next_until(cursor, &record, shr_deadline_ns(30000000));
		struct head head;

		if (err == -ETIMEDOUT)
			break;
		ck_assert_msg(err == 0, "%d %s", err, shr_last_error());
		head = check(&record);
		ck_assert_uint_lt(head.producer, 2);
		if (head.producer == (uint32_t)who && head.sequence >= last)
			last = head.sequence + 1;
	}
	shr_cursor_close(cursor);
	ck_assert_uint_ge(last, account->next[who]); /* nothing committed is lost */
	ck_assert_uint_le(last, account->next[who] + 1);
	account->next[who] = last;
}

/* What the dead left, as one sees it who only looks. */
struct left {
	struct shr_ring_status status;
	unsigned busy;	   /* records reserved and not committed */
	uint64_t skipped;  /* records passed over, or yet to be */
};

static struct left look_at_ring(const struct shr_inspect *inspect)
{
	struct shr_walk *walk = NULL;
	struct shr_walk_record record;
	struct left left = {0};

	MUST(shr_inspect_ring(inspect, 0, &left.status));
	left.skipped = left.status.skipped;
	MUST(shr_walk_open(&walk, inspect, 0, SHR_WALK_UNREAD | SHR_WALK_BUSY | SHR_WALK_SKIPPED, 0));
	while (!shr_walk_next(walk, &record)) {
		left.busy += record.state == SHR_STATE_BUSY;
		left.skipped += record.state == SHR_STATE_SKIPPED;
	}
	ck_assert_uint_eq(shr_walk_lost(walk), 0);
	shr_walk_close(walk);
	return left;
}

static void kill_all(const pid_t *pid, int first, int freeze)
{
	int status;

	/* All stop where they are, so that what each was at can be seen. */
	for (int i = 0; i < 3 && freeze; i++) {
		if (!pid[i])
			continue;
		kill(pid[i], SIGSTOP);
		waitpid(pid[i], &status, WUNTRACED);
		ck_assert_msg(WIFSTOPPED(status), "%d ended by itself: %x", i, status);
	}
	for (int i = 0; i < 3; i++) {
		int at = (first + i) % 3;

		if (!pid[at])
			continue;
		kill(pid[at], SIGKILL);
		waitpid(pid[at], &status, 0);
		ck_assert_msg(WIFSIGNALED(status), "%d ended by itself: %x", at, status);
	}
}

/*
 * Kill the consumer and the producers, at random moments, and replace them.
 * After each round all that was committed must be there, received or in the
 * ring; and where all were stopped first, so that nobody went on meanwhile,
 * exactly the records that were reserved must become skipped ones. Whoever held
 * a role and died is counted once when it is replaced.
 */
START_TEST(killed_at_random_and_the_account_is_exact)
{
	int single = _i, rounds = 150;
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 1 << 15, .flags = single ? SHR_RING_SINGLE_PRODUCER : 0});
	struct account *account = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct shr_inspect *inspect = NULL;
	struct left before = {0}, dead = {0}, after;
	unsigned reserved = 0;

	MUST(shr_inspect_open(&inspect, name));
	srand((unsigned)single + 1);
	for (int round = 0; round < rounds; round++) {
		pid_t pid[3] = {start(account, 0), single ? 0 : start(account, 1), start(account, 2)};
		uint64_t begun = account->next[0], held = dead.status.producer != 0;

		usleep(500 + (unsigned)(rand() % 4000));
		kill_all(pid, round % 3, round & 1);
		ck_assert_uint_eq(account->error, 0);
		held += dead.status.producer_takeovers;
		dead = look_at_ring(inspect);
		settle(account, ring, 0);
		if (!single)
			settle(account, ring, 1);
		after = look_at_ring(inspect);
		ck_assert_uint_eq(after.busy, 0);
		if (round & 1)
			ck_assert_uint_eq(after.skipped - before.skipped, dead.busy);
		else
			ck_assert_uint_le(after.skipped - before.skipped, single ? 0 : 2);
		reserved += dead.busy;
		ck_assert_uint_eq(after.status.consumer_takeovers,
				  dead.status.consumer_takeovers + (dead.status.consumer != 0));
		if (single && account->next[0] > begun) /* it held the role, and died in it */
			ck_assert_uint_eq(dead.status.producer_takeovers + (dead.status.producer != 0),
					  held + 1);
		before = after;
	}
	ck_assert_uint_gt(account->received[0], (uint64_t)rounds);
	ck_assert_uint_gt(after.status.consumer_takeovers, (uint64_t)rounds / 8);
	if (single) {
		ck_assert_uint_eq(after.skipped, 0);
		ck_assert_uint_gt(after.status.producer_takeovers, (uint64_t)rounds / 8);
	} else {
		ck_assert_uint_gt(reserved, 3);
	}
	shr_inspect_close(inspect);
	MUST(shr_ring_close(ring));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ring");
	TCase *tc = tcase_create("ring");

	tcase_set_timeout(tc, 200);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, records_pass_in_order_of_every_size, 0, 2);
	tcase_add_loop_test(tc, every_offset_wraps, 0, 2);
	tcase_add_loop_test(tc, abort_and_shorter_commit_leave_no_trace, 0, 2);
	tcase_add_test(tc, loss_before_a_skipped_record_is_told_to_the_next_owner);
	tcase_add_loop_test(tc, held_records_come_again_to_the_next_consumer, 0, 2);
	tcase_add_loop_test(tc, a_skip_is_counted_once_whenever_the_consumer_dies, 0, 2);
	tcase_add_loop_test(tc, read_into_a_small_buffer_loses_nothing, 0, 2);
	tcase_add_test(tc, impossible_geometry_is_refused);
	tcase_add_test(tc, records_of_another_type_are_refused);
	tcase_add_test(tc, one_owner_a_role_and_none_in_a_child);
	tcase_add_loop_test(tc, unlink_ends_both_ends_after_the_last_record, 0, 2);
	tcase_add_loop_test(tc, a_removed_file_is_stale_to_who_waits_in_slices, 0, 2);
	tcase_add_loop_test(tc, waits_end_at_their_deadline, 0, 2);
	tcase_add_loop_test(tc, a_reservation_of_the_dead_is_skipped_or_never_was, 0, 3);
	tcase_add_loop_test(tc, two_million_records_between_processes, 1, 3);
	tcase_add_loop_test(tc, killed_at_random_and_the_account_is_exact, 0, 2);
	suite_add_tcase(suite, tc);
	return tap_run(suite);
}
