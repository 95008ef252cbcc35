/* SPDX-License-Identifier: MIT */
/* L4, queues: every record to one worker; acknowledged, given back, or lost and counted. */
#include "modes.h"

static void setup(void)
{
	fixture_setup("queue");
}

static struct shr_ring *queue_make(uint64_t capacity, uint32_t flags, uint64_t first)
{
	return ring_make((struct shr_ring_options){
		.mode = SHR_RING_QUEUE, .capacity = capacity, .flags = flags, .first_position = first});
}

static struct shr_cursor *worker_of(struct shr_ring *ring)
{
	return cursor_with(ring, NULL, 0, 0);
}

static uint64_t fill_up(struct shr_producer *producer, uint64_t from, uint32_t size)
{
	int err;

	while (!(err = try_put(producer, 1, from, size)))
		from++;
	ck_assert_int_eq(err, -EAGAIN);
	return from;
}

/* Until there is one to take; what its number is. */
static uint64_t get_soon(struct shr_cursor *worker, struct shr_record *record)
{
	MUST(shr_cursor_next_until(worker, record, SOON));
	return number_of(record);
}

START_TEST(each_record_goes_to_one_worker)
{
	struct shr_ring *ring = queue_make(4096, variant(_i), first_of(_i));
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *a = worker_of(ring), *b = worker_of(ring);
	struct shr_record record;

	for (uint64_t i = 0; i < 20; i++)
		put(producer, i, 40);
	for (uint64_t i = 0; i < 20; i++) {
		ck_assert_uint_eq(get(i % 3 ? a : b, &record), i);
		ck_assert_uint_eq(record.deliveries, 1);
		ck_assert_uint_eq(record.flags, 0);
		ck_assert_uint_eq(record.lost, 0);
		ck_assert_uint_eq(record.sequence, _i & 2 ? i + 1 : 0);
		ck_assert_uint_eq(!!record.time_ns, !!(_i & 2));
	}
	ck_assert_int_eq(shr_cursor_next(a, &record), -EAGAIN);
	ck_assert_int_eq(shr_cursor_next(b, &record), -EAGAIN);
	ck_assert_uint_eq(status_of(ring).delivered, status_of(ring).tail);
	ck_assert_uint_eq(shr_cursor_position(a), status_of(ring).delivered);
	MUST(shr_cursor_release(a));
	ck_assert_uint_eq(status_of(ring).acked, 0); /* the oldest is b's */
	MUST(shr_cursor_release(b));
	ck_assert_uint_eq(status_of(ring).acked, 20);
	ck_assert_uint_eq(status_of(ring).position, status_of(ring).tail);
	stats_agree(ring);
	shr_cursor_close(a);
	shr_cursor_close(b);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(acknowledged_in_any_order_the_gate_moves_over_all)
{
	struct shr_ring *ring = queue_make(4096, variant(_i), 0);
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *worker = worker_of(ring), *other = worker_of(ring);
	struct shr_record record[10];
	static const int order[] = {3, 1, 9, 2, 0, 5, 4, 8, 7, 6};
	static const uint64_t done[] = {0, 0, 0, 0, 4, 4, 6, 6, 6, 10};

	for (int round = 0; round < 50; round++) {
		for (uint64_t i = 0; i < 10; i++)
			put(producer, i, 40);
		for (uint64_t i = 0; i < 10; i++)
			ck_assert_uint_eq(get(worker, &record[i]), i);
		for (int i = 0; i < 10; i++) {
			/* The payload is as it was until it is acknowledged. */
			ck_assert_uint_eq(number_of(&record[order[i]]), (uint64_t)order[i]);
			ck_assert_int_eq(shr_cursor_ack(other, &record[order[i]]), -ENOENT);
			MUST(shr_cursor_ack(worker, &record[order[i]]));
			ck_assert_int_eq(shr_cursor_ack(worker, &record[order[i]]), -ENOENT);
			ck_assert_int_eq(shr_cursor_nack(worker, &record[order[i]]), -ENOENT);
			ck_assert_uint_eq(status_of(ring).acked, (uint64_t)round * 10 + done[i]);
		}
		ck_assert_uint_eq(status_of(ring).position, status_of(ring).tail);
	}
	stats_agree(ring);
	shr_cursor_close(other);
	shr_cursor_close(worker);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(what_comes_back_is_delivered_again_and_counted)
{
	struct shr_ring *ring = queue_make(4096, variant(_i), 0);
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *a = worker_of(ring), *b = worker_of(ring);
	struct shr_record record;

	for (uint64_t i = 0; i < 4; i++)
		put(producer, i, 40);
	for (uint16_t n = 1; n < 6; n++) {
		ck_assert_uint_eq(get(n % 2 ? a : b, &record), 0);
		ck_assert_uint_eq(record.deliveries, n);
		ck_assert_uint_eq(record.flags, n > 1 ? SHR_RECORD_REDELIVERED : 0);
		MUST(shr_cursor_nack(n % 2 ? a : b, &record));
	}
	ck_assert_uint_eq(status_of(ring).redelivered, 4);
	/* By close, too: all of them, and only those not acknowledged. */
	for (uint64_t i = 0; i < 3; i++)
		ck_assert_uint_eq(get(a, &record), i);
	MUST(shr_cursor_ack(a, &record));
	shr_cursor_close(a);
	for (uint64_t i = 0; i < 4; i++) {
		if (i == 2)
			continue;
		ck_assert_uint_eq(get(b, &record), i);
		ck_assert_uint_eq(record.deliveries, i == 0 ? 7 : i == 1 ? 2 : 1);
		ck_assert_uint_eq(record.flags, i < 2 ? SHR_RECORD_REDELIVERED : 0);
	}
	ck_assert_int_eq(shr_cursor_next(b, &record), -EAGAIN);
	MUST(shr_cursor_release(b));
	ck_assert_uint_eq(status_of(ring).redelivered, 7);
	ck_assert_uint_eq(status_of(ring).acked, 4);
	ck_assert_uint_eq(status_of(ring).lost, 0);
	stats_agree(ring);
	shr_cursor_close(b);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

/* A worker that has taken @count records, and sits. */
static pid_t start_taker(uint32_t count)
{
	volatile uint32_t *told = shared_page();
	pid_t pid = fork();

	if (!pid) {
		struct shr_cursor *worker = worker_of(ring_again());
		struct shr_record record;

		for (uint32_t i = 0; i < count; i++)
			get(worker, &record);
		say(told, 1);
		for (;;)
			pause();
	}
	ck_assert(until(told, 1));
	munmap((void *)(uintptr_t)told, 4096);
	return pid;
}

START_TEST(what_a_killed_worker_had_goes_to_another)
{
	struct shr_ring *ring = queue_make(4096, variant(_i), 0);
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *worker = worker_of(ring);
	struct shr_record record;
	pid_t pid;

	for (uint64_t i = 0; i < 10; i++)
		put(producer, i, 40);
	pid = start_taker(6);
	ck_assert_uint_eq(get(worker, &record), 6);
	/* A living one keeps what it has, stopped or not. */
	for (uint64_t i = 7; i < 10; i++)
		ck_assert_uint_eq(get(worker, &record), i);
	kill(pid, SIGSTOP);
	ck_assert_int_eq(shr_cursor_next_until(worker, &record, shr_deadline_ns(50000000)), -ETIMEDOUT);
	kill_now(pid);
	for (uint64_t i = 0; i < 6; i++) {
		ck_assert_uint_eq(get_soon(worker, &record), i);
		ck_assert_uint_eq(record.deliveries, 2);
		ck_assert_uint_eq(record.flags, SHR_RECORD_REDELIVERED);
	}
	ck_assert_int_eq(shr_cursor_next(worker, &record), -EAGAIN);
	MUST(shr_cursor_release(worker));
	ck_assert_uint_eq(status_of(ring).redelivered, 6);
	ck_assert_uint_eq(status_of(ring).acked, 10);
	stats_agree(ring);
	shr_cursor_close(worker);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(at_most_once_what_comes_back_is_lost_and_counted)
{
	struct shr_ring *ring = queue_make(4096, variant(_i) | SHR_RING_AT_MOST_ONCE, 0);
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *a = worker_of(ring), *b = worker_of(ring);
	struct shr_record record;
	char buffer[64];
	pid_t pid;

	for (uint64_t i = 0; i < 12; i++)
		put(producer, i, 40);
	ck_assert_int_eq(shr_cursor_read(b, buffer, 39, &record), -EMSGSIZE); /* was not taken */
	ck_assert_uint_eq(record.size, 40);
	ck_assert_uint_eq(get(b, &record), 0);
	MUST(shr_cursor_nack(b, &record));
	ck_assert_uint_eq(status_of(ring).lost, 1);
	ck_assert_uint_eq(get(a, &record), 1);
	ck_assert_uint_eq(get(a, &record), 2);
	MUST(shr_cursor_ack(a, &record));
	shr_cursor_close(a);
	pid = start_taker(3);
	kill_now(pid);
	for (uint64_t i = 6; i < 12; i++) {
		ck_assert_uint_eq(get_soon(b, &record), i);
		ck_assert_uint_eq(record.deliveries, 1);
		ck_assert_uint_eq(record.flags, 0);
	}
	ck_assert_int_eq(shr_cursor_next_until(b, &record, shr_deadline_ns(50000000)), -ETIMEDOUT);
	MUST(shr_cursor_release(b));
	ck_assert_int_eq(shr_cursor_next(b, &record), -EAGAIN);
	ck_assert_uint_eq(status_of(ring).lost, 5);
	ck_assert_uint_eq(status_of(ring).acked, 7);
	ck_assert_uint_eq(status_of(ring).redelivered, 0);
	ck_assert_uint_eq(status_of(ring).position, status_of(ring).tail);
	stats_agree(ring);
	shr_cursor_close(b);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

/* Some process takes the oldest and does not acknowledge: what is behind waits for it. */
START_TEST(a_full_queue_is_unblocked_by_what_is_oldest)
{
	uint32_t once = _i & VARIANTS ? SHR_RING_AT_MOST_ONCE : 0;
	struct shr_ring *ring = queue_make(2048, variant(_i) | once, first_of(_i % FIRSTS));
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *worker = worker_of(ring);
	struct shr_inspect *inspect = inspect_of();
	struct shr_blame blame;
	struct shr_record oldest, record;
	uint64_t sent = fill_up(producer, 0, 40), n = 1;
	void *payload;
	pid_t pid;

	ck_assert_uint_eq(get(worker, &oldest), 0);
	while (!shr_cursor_next(worker, &record)) {
		MUST(shr_cursor_ack(worker, &record));
		n++;
	}
	ck_assert_uint_eq(n, sent);
	ck_assert_int_eq(try_put(producer, 1, sent, 40), -EAGAIN);
	ck_assert_int_ge(shr_inspect_blame(inspect, 0, &blame, 1), 1);
	ck_assert_uint_eq(blame.what, SHR_BLAME_CONSUMER);
	ck_assert_uint_eq(blame.member, (uint32_t)shr_segment_member(shr_ring_segment(ring)));
	ck_assert_uint_eq(blame.position, oldest.position);
	ck_assert_uint_eq(number_of(&oldest), 0); /* intact until its ack */
	MUST(shr_cursor_ack(worker, &oldest));
	ck_assert_uint_eq(status_of(ring).acked, sent);
	put(producer, sent, 40);
	MUST(shr_cursor_next(worker, &record));
	MUST(shr_cursor_ack(worker, &record));
	/* The worker that has the oldest is killed: the producer itself finds out. */
	put(producer, 0, 40);
	pid = start_taker(1);
	fill_up(producer, 1, 40);
	while (!shr_cursor_next(worker, &record)) {
		MUST(shr_cursor_ack(worker, &record));
		n++;
	}
	ck_assert_int_eq(shr_producer_reserve_until(producer, 40, &payload, shr_deadline_ns(30000000)),
			 -ETIMEDOUT);
	kill_now(pid);
	if (!once) { /* it is to be done first */
		ck_assert_int_eq(shr_producer_reserve_until(producer, 40, &payload,
							    shr_deadline_ns(30000000)), -ETIMEDOUT);
		ck_assert_uint_eq(get_soon(worker, &record), 0);
		ck_assert_uint_eq(record.deliveries, 2);
		MUST(shr_cursor_ack(worker, &record));
	}
	MUST(shr_producer_reserve_until(producer, 40, &payload, SOON));
	MUST(shr_producer_abort(producer));
	ck_assert_uint_eq(status_of(ring).lost, once ? 1 : 0);
	shr_inspect_close(inspect);
	shr_cursor_close(worker);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(a_producer_asleep_is_woken_by_an_ack)
{
	struct shr_ring *ring = queue_make(1024, variant(_i), 0);
	volatile uint32_t *told = shared_page();
	struct shr_cursor *worker = worker_of(ring);
	int64_t fastest = INT64_MAX, before;
	struct shr_record record;
	pid_t pid = fork();

	if (!pid) {
		struct shr_producer *producer = producer_of(ring_again());

		for (uint32_t round = 1; round <= 8; round++) {
			void *payload;

			fill_up(producer, 0, 40);
			say(&told[0], round);
			MUST(shr_producer_reserve_until(producer, 40, &payload, SOON));
			fill(payload, 1, 0, 40);
			MUST(shr_producer_commit(producer));
			say(&told[1], round);
			if (!until(&told[0], 0))
				_exit(1);
		}
		_exit(0);
	}
	for (uint32_t round = 1; round <= 8; round++) {
		ck_assert(until(&told[0], round));
		ck_assert(until_asleep(pid));
		before = clock_ns();
		while (!shr_cursor_next(worker, &record))
			MUST(shr_cursor_ack(worker, &record));
		ck_assert(until(&told[1], round));
		if (clock_ns() - before < fastest)
			fastest = clock_ns() - before;
		say(&told[0], 0);
	}
	ck_assert_int_eq(ended(pid), 0);
	ck_assert_int_lt(fastest, 60000000);
	shr_cursor_close(worker);
	MUST(shr_ring_close(ring));
}
END_TEST

/* A worker asleep: a record comes, one is given back, one is closed, one is killed. */
enum { BY_RECORD, BY_NACK, BY_CLOSE, BY_DEATH, BYS };

START_TEST(a_worker_asleep_is_woken)
{
	int how = _i % BYS, way = _i / BYS;
	struct shr_ring *ring = queue_make(1024, SHR_RING_SEQUENCE, 0);
	volatile uint32_t *told = shared_page();
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *worker = worker_of(ring);
	struct shr_record record;
	pid_t taker = 0, pid;

	if (how == BY_DEATH) {
		put(producer, 0, 40);
		taker = start_taker(1);
	} else if (how != BY_RECORD) {
		put(producer, 0, 40);
		get(worker, &record);
	}
	pid = fork();
	if (!pid) {
		struct shr_cursor *waits = worker_of(ring_again());

		say(&told[0], 1);
		if (wait_for_record(waits, &record, way))
			_exit(1);
		_exit(number_of(&record) != 0 || record.deliveries != (how == BY_RECORD ? 1 : 2) ||
		      shr_cursor_ack(waits, &record));
	}
	ck_assert(until(&told[0], 1));
	ck_assert(until_asleep(pid));
	usleep(2000);
	switch (how) {
	case BY_RECORD:
		put(producer, 0, 40);
		break;
	case BY_NACK:
		MUST(shr_cursor_nack(worker, &record));
		break;
	case BY_CLOSE:
		shr_cursor_close(worker);
		worker = NULL;
		break;
	default:
		kill_now(taker);
	}
	ck_assert_int_eq(ended(pid), 0);
	shr_cursor_close(worker);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

/* Not only at the end of a slice of 100 ms. */
START_TEST(what_is_given_back_wakes_a_worker_at_once)
{
	struct shr_ring *ring = queue_make(1024, variant(_i % VARIANTS), 0);
	volatile uint32_t *told = shared_page();
	struct shr_producer *producer = producer_of(ring);
	int64_t fastest = INT64_MAX, before;
	struct shr_record record;
	pid_t pid = fork();

	if (!pid) {
		struct shr_cursor *waits = worker_of(ring_again());

		for (uint32_t round = 1; round <= 8; round++) {
			if (!until(&told[0], round))
				_exit(1);
			MUST(shr_cursor_next_until(waits, &record, SOON));
			say(&told[1], round);
			MUST(shr_cursor_ack(waits, &record));
		}
		_exit(0);
	}
	for (uint32_t round = 1; round <= 8; round++) {
		struct shr_cursor *worker = worker_of(ring);

		put(producer, round, 40);
		ck_assert_uint_eq(get(worker, &record), round);
		say(&told[0], round);
		usleep(5000);
		ck_assert(until_asleep(pid));
		before = clock_ns();
		if (_i < VARIANTS)
			MUST(shr_cursor_nack(worker, &record));
		shr_cursor_close(worker);
		ck_assert(until(&told[1], round));
		if (clock_ns() - before < fastest)
			fastest = clock_ns() - before;
	}
	ck_assert_int_eq(ended(pid), 0);
	ck_assert_int_lt(fastest, 60000000);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(a_queue_has_workers_without_a_name_and_observers)
{
	struct shr_ring *ring = queue_make(4096, variant(_i), 0);
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor, *worker, *observer;
	struct shr_cursor_info info;
	struct shr_record record;

	ck_assert_int_eq(cursor_try(&cursor, ring, "default", (struct shr_cursor_options){0}), -EINVAL);
	ck_assert_int_eq(cursor_try(&cursor, ring, NULL,
				    (struct shr_cursor_options){.flags = SHR_CURSOR_CREATE}), -EINVAL);
	ck_assert_int_eq(cursor_try(&cursor, ring, NULL,
				    (struct shr_cursor_options){.flags = SHR_CURSOR_LOSSY}), -EINVAL);
	ck_assert_int_eq(shr_ring_remove_cursor(ring, "queue"), -ENOENT);
	ck_assert_int_eq(shr_ring_cursor(ring, 0, &info), -ENOENT);
	worker = worker_of(ring);
	observer = observer_of(ring, SHR_JOIN_OLDEST);
	for (uint64_t i = 0; i < 4; i++)
		put(producer, i, 40);
	/* Who observes sees all of them, whatever became of them, and takes none. */
	ck_assert_uint_eq(get(worker, &record), 0);
	MUST(shr_cursor_ack(worker, &record));
	ck_assert_uint_eq(get(worker, &record), 1);
	for (uint64_t i = 0; i < 4; i++)
		ck_assert_uint_eq(get(observer, &record), i);
	ck_assert_int_eq(shr_cursor_ack(observer, &record), -EOPNOTSUPP);
	MUST(shr_cursor_release(observer));
	for (uint64_t i = 2; i < 4; i++)
		ck_assert_uint_eq(get(worker, &record), i);
	info = info_of(worker);
	ck_assert_uint_eq(info.position, status_of(ring).position);
	ck_assert_uint_eq(info.delivered, status_of(ring).delivered);
	ck_assert_uint_eq(info.member, (uint32_t)shr_segment_member(shr_ring_segment(ring)));
	shr_cursor_close(observer);
	shr_cursor_close(worker);
	ck_assert_uint_eq(status_of(ring).evicted, 0);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(batches_and_small_buffers)
{
	struct shr_ring *ring = queue_make(4096, variant(_i), 0);
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *a = worker_of(ring), *b = worker_of(ring);
	struct shr_record record[8], one;
	static char buffer[200];

	for (uint64_t i = 0; i < 8; i++)
		put(producer, i, 48);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(shr_cursor_read(a, buffer, 47, &one), -EMSGSIZE);
		ck_assert_uint_eq(one.size, 48);
		ck_assert_int_eq(shr_cursor_read_many(b, buffer, 47, record, 8), -EMSGSIZE);
		ck_assert_int_eq(shr_cursor_read_until(b, buffer, 47, &one, SOON), -EMSGSIZE);
	}
	ck_assert_int_eq(shr_cursor_next_many(a, record, 2), 2);
	ck_assert_int_eq(shr_cursor_read_many(b, buffer, 147, record + 2, 6), 3);
	for (int i = 0; i < 5; i++) {
		ck_assert_uint_eq(number_of(&record[i]), (uint64_t)i);
		ck_assert_uint_eq(record[i].deliveries, 1);
	}
	ck_assert_uint_eq(status_of(ring).redelivered, 0);
	ck_assert_int_eq(shr_cursor_ack(b, &record[2]), -ENOENT); /* read has released it */
	MUST(shr_cursor_nack(a, &record[1]));
	MUST(shr_cursor_release(a));
	ck_assert_int_eq(shr_cursor_next_many(b, record, 8), 4);
	ck_assert_uint_eq(number_of(&record[0]), 1);
	ck_assert_uint_eq(number_of(&record[3]), 7);
	MUST(shr_cursor_release(b));
	ck_assert_uint_eq(status_of(ring).acked, 8);
	/* Many at a time: what a worker holds has no limit but the ring. */
	for (uint64_t i = 0; i < 30; i++)
		put(producer, i, 16);
	for (uint64_t i = 0; i < 30; i++)
		ck_assert_uint_eq(get(a, &one), i);
	MUST(shr_cursor_release(a));
	ck_assert_uint_eq(status_of(ring).acked, 38);
	shr_cursor_close(a);
	shr_cursor_close(b);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(drop_newest_in_a_queue)
{
	struct shr_ring *ring = queue_make(1024, variant(_i) | SHR_RING_DROP_NEWEST, 0);
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *worker = worker_of(ring), *observer = observer_of(ring, SHR_JOIN_OLDEST);
	struct shr_record record;
	uint64_t sent = 0, got = 0, seen = 0;

	while (!try_put(producer, 1, sent, 40))
		sent++;
	for (int i = 1; i < 7; i++)
		ck_assert_int_eq(try_put(producer, 1, sent, 40), -ENOBUFS);
	ck_assert_uint_eq(status_of(ring).dropped, 7);
	while (!shr_cursor_next(worker, &record)) {
		ck_assert_uint_eq(number_of(&record), got++);
		ck_assert_uint_eq(record.sequence, got);
		MUST(shr_cursor_ack(worker, &record));
	}
	ck_assert_uint_eq(got, sent);
	put(producer, sent, 40);
	MUST(shr_cursor_next(worker, &record));
	ck_assert_uint_eq(record.sequence, sent + 8);
	while (!shr_cursor_next(observer, &record))
		seen += 1 + record.lost;
	ck_assert_uint_eq(seen, sent + 8);
	ck_assert_uint_eq(status_of(ring).sequence, sent + 9);
	stats_agree(ring);
	shr_cursor_close(observer);
	shr_cursor_close(worker);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(a_walk_tells_what_became_of_each)
{
	uint32_t once = _i & VARIANTS ? SHR_RING_AT_MOST_ONCE : 0;
	struct shr_ring *ring = queue_make(4096, variant(_i) | once, 0);
	struct shr_producer *producer = producer_of(ring), *second = NULL;
	struct shr_cursor *worker = worker_of(ring);
	uint32_t me = (uint32_t)shr_segment_member(shr_ring_segment(ring));
	struct shr_inspect *inspect = inspect_of();
	struct shr_walk *walk = NULL;
	struct shr_walk_record seen;
	struct shr_record record[5];
	static const uint32_t states[2][6] = {
		{SHR_STATE_TAKEN, SHR_STATE_DONE, SHR_STATE_READY, SHR_STATE_TAKEN, SHR_STATE_READY,
		 SHR_STATE_BUSY},
		{SHR_STATE_TAKEN, SHR_STATE_DONE, SHR_STATE_LOST, SHR_STATE_TAKEN, SHR_STATE_READY,
		 SHR_STATE_BUSY}};
	void *payload;

	for (uint64_t i = 0; i < 5; i++)
		put(producer, i, 40);
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(get(worker, &record[i]), (uint64_t)i);
	MUST(shr_cursor_ack(worker, &record[1]));
	MUST(shr_cursor_nack(worker, &record[2]));
	if (!(_i & 1)) {
		second = producer_of(ring);
		MUST(shr_producer_reserve(second, 40, &payload));
	}
	MUST(shr_walk_open(&walk, inspect, 0, SHR_WALK_UNREAD | SHR_WALK_BUSY, 4096));
	for (int i = 0; i < (_i & 1 ? 5 : 6); i++) {
		MUST(shr_walk_next(walk, &seen));
		ck_assert_uint_eq(seen.state, states[!!once][i]);
		ck_assert_uint_eq(seen.sequence, _i & 2 ? (uint64_t)i + 1 : 0);
		if (i < 5) {
			ck_assert_uint_eq(check_payload(seen.payload, seen.copied).sequence, (uint64_t)i);
			ck_assert_uint_eq(!!seen.time_ns, !!(_i & 2));
			ck_assert_uint_eq(seen.deliveries, i < 4 ? 1 : 0);
			ck_assert_uint_eq(seen.worker, i < 4 ? me : 0);
		}
	}
	ck_assert_int_eq(shr_walk_next(walk, &seen), -EAGAIN);
	shr_walk_close(walk);
	shr_inspect_close(inspect);
	shr_producer_close(second);
	shr_cursor_close(worker);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(every_offset_wraps_in_a_queue)
{
	uint32_t flags = variant(_i), most = 96;

	for (int f = 0; f < FIRSTS; f++)
		for (uint64_t start = 0; start < 256; start += 8)
			for (uint32_t size = 16; size <= most; size += 10) {
				struct shr_ring *ring = ring_make((struct shr_ring_options){
					.mode = SHR_RING_QUEUE, .capacity = 256, .max_record = most, .flags = flags,
					.first_position = first_of(f) + start});
				struct shr_producer *producer = producer_of(ring);
				struct shr_cursor *all[2] = {worker_of(ring), worker_of(ring)};
				struct shr_record record;
				uint64_t sent = 0, got = 0;

				for (int lap = 0; lap < 6; lap++) {
					sent = fill_up(producer, sent, size);
					for (int c = 0; !shr_cursor_next(all[c], &record); c ^= 1)
						ck_assert_uint_eq(number_of(&record), got++);
					ck_assert_uint_eq(got, sent);
					MUST(shr_cursor_release(all[lap & 1]));
					MUST(shr_cursor_release(all[!(lap & 1)]));
				}
				ck_assert_uint_ge(sent, 6);
				MUST(shr_cursor_next(all[0], &record) == -EAGAIN ? 0 : 1);
				ck_assert_uint_eq(status_of(ring).acked, sent);
				ck_assert_uint_eq(status_of(ring).skipped, 0);
				shr_cursor_close(all[0]);
				shr_cursor_close(all[1]);
				shr_producer_close(producer);
				MUST(shr_ring_close(ring));
			}
}
END_TEST

/* --- Competing processes, killed at random ------------------------------------------ */

#define JOBS 60000
#define WORKERS 3

struct ledger {
	_Atomic uint64_t sent, error, done;
	_Atomic uint8_t taken[JOBS], acked[JOBS];
};

static void work(struct ledger *ledger, unsigned seed)
{
	struct shr_cursor *worker = worker_of(ring_again());
	struct shr_record held[4];
	int n = 0;

	for (;;) {
		struct head head;

		if (shr_cursor_next_until(worker, &held[n], SHR_FOREVER)) {
			ledger->error = 1;
			_exit(1);
		}
		head = check_payload(held[n].payload, held[n].size);
		if (head.producer != 1 || head.sequence >= JOBS) {
			ledger->error = 2;
			_exit(1);
		}
		if (ledger->acked[head.sequence]) /* done, and given again */
			ledger->error = 3;
		if (held[n].deliveries > 1 && !(held[n].flags & SHR_RECORD_REDELIVERED))
			ledger->error = 4;
		if (ledger->taken[head.sequence]++ && held[n].deliveries == 1)
			ledger->error = 5;
		n++;
		if (n < 4 && mix(seed++) % 4)
			continue;
		while (n) { /* out of order */
			int i = (int)(mix(seed++) % (uint64_t)n);

			head = check_payload(held[i].payload, held[i].size);
			if (head.producer != 1)
				ledger->error = 6;
			if (mix(seed++) % 16 == 0) {
				if (shr_cursor_nack(worker, &held[i]))
					ledger->error = 7;
			} else {
				/* Before the ack: one that is killed between may have it done twice. */
				if (shr_cursor_ack(worker, &held[i]))
					ledger->error = 8;
				ledger->acked[head.sequence] = 1;
				ledger->done++;
			}
			held[i] = held[--n];
		}
	}
}

static pid_t start_worker(struct ledger *ledger, unsigned seed)
{
	pid_t pid = fork();

	if (!pid)
		work(ledger, seed);
	return pid;
}

START_TEST(competing_workers_killed_at_random_and_the_account_is_exact)
{
	uint32_t once = _i & VARIANTS ? SHR_RING_AT_MOST_ONCE : 0, kills = 0;
	struct shr_ring *ring = queue_make(16384, variant(_i) | once, first_of(_i % FIRSTS));
	struct ledger *ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t worker[WORKERS], producer = fork();
	struct shr_ring_status status;
	struct shr_cursor *last;
	struct shr_record record;
	uint64_t lost = 0, twice = 0;
	int64_t end;

	if (!producer) {
		struct shr_producer *own = producer_of(ring_again());

		for (uint64_t i = 0; i < JOBS; i++) {
			void *payload;
			uint32_t size = 16 + (uint32_t)(mix(i) % 120);

			MUST(shr_producer_reserve_until(own, size, &payload, SOON));
			fill(payload, 1, i, size);
			MUST(shr_producer_commit(own));
			ledger->sent = i + 1;
		}
		_exit(0);
	}
	srand((unsigned)_i);
	for (int i = 0; i < WORKERS; i++)
		worker[i] = start_worker(ledger, (unsigned)rand());
	end = clock_ns() + 60000000000;
	while (ledger->sent < JOBS && !ledger->error && clock_ns() < end) {
		int i = rand() % WORKERS;

		usleep(1000 + (unsigned)rand() % 4000);
		kill_now(worker[i]);
		kills++;
		worker[i] = start_worker(ledger, (unsigned)rand());
	}
	ck_assert_msg(!ledger->error, "error %d", (int)ledger->error);
	ck_assert_int_eq(ended(producer), 0);
	ck_assert_uint_gt(kills, 10);
	for (int i = 0; i < WORKERS; i++)
		kill_now(worker[i]);
	last = worker_of(ring);
	while (!shr_cursor_next_until(last, &record, shr_deadline_ns(100000000))) {
		uint64_t number = number_of(&record);

		ck_assert_uint_lt(number, JOBS);
		ck_assert(!ledger->acked[number]);
		ledger->taken[number]++;
		ledger->acked[number] = 1;
		MUST(shr_cursor_ack(last, &record));
	}
	status = status_of(ring);
	ck_assert_uint_eq(status.position, status.tail);
	for (uint64_t i = 0; i < JOBS; i++) {
		/* A worker may be killed between taking and noting it. */
		lost += !ledger->acked[i];
		twice += ledger->taken[i] > 1;
		if (once)
			ck_assert_uint_le(ledger->taken[i], 1);
	}
	ck_assert_uint_eq(status.acked + status.lost, JOBS);
	ck_assert_uint_eq(status.skipped, 0);
	if (once) {
		ck_assert_uint_eq(twice, 0);
		ck_assert_uint_eq(status.redelivered, 0);
		ck_assert_uint_gt(status.lost, JOBS / 64);
		/* Acknowledged, and killed before it could note that. */
		ck_assert_uint_ge(lost, status.lost);
		ck_assert_uint_le(lost, status.lost + kills + WORKERS);
	} else {
		ck_assert_uint_eq(status.lost, 0);
		ck_assert_uint_gt(twice, JOBS / 64);
		ck_assert_uint_ge(status.redelivered, twice);
		ck_assert_uint_le(lost, kills + WORKERS);
	}
	stats_agree(ring);
	shr_cursor_close(last);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(a_reservation_in_the_way_of_a_queue)
{
	struct shr_ring *ring = queue_make(4096, _i ? SHR_RING_SEQUENCE : 0, 0);
	volatile uint32_t *told = shared_page();
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *worker = worker_of(ring);
	struct shr_record record;
	pid_t pid = fork();

	if (!pid) {
		void *payload;

		MUST(shr_producer_reserve(producer_of(ring_again()), 40, &payload));
		say(told, 1);
		for (;;)
			pause();
	}
	ck_assert(until(told, 1));
	put(producer, 1, 40);
	ck_assert_int_eq(shr_cursor_next_until(worker, &record, shr_deadline_ns(30000000)), -ETIMEDOUT);
	kill_now(pid);
	ck_assert_uint_eq(get_soon(worker, &record), 1);
	MUST(shr_cursor_ack(worker, &record));
	ck_assert_int_eq(shr_cursor_next(worker, &record), -EAGAIN);
	ck_assert_uint_eq(status_of(ring).skipped, 1);
	ck_assert_uint_eq(status_of(ring).position, status_of(ring).tail);
	stats_agree(ring);
	shr_cursor_close(worker);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("queue");
	TCase *tc = tcase_create("queue");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, each_record_goes_to_one_worker, 0, VARIANTS);
	tcase_add_loop_test(tc, acknowledged_in_any_order_the_gate_moves_over_all, 0, VARIANTS);
	tcase_add_loop_test(tc, what_comes_back_is_delivered_again_and_counted, 0, VARIANTS);
	tcase_add_loop_test(tc, what_a_killed_worker_had_goes_to_another, 0, VARIANTS);
	tcase_add_loop_test(tc, at_most_once_what_comes_back_is_lost_and_counted, 0, VARIANTS);
	tcase_add_loop_test(tc, a_full_queue_is_unblocked_by_what_is_oldest, 0, 2 * VARIANTS);
	tcase_add_loop_test(tc, a_producer_asleep_is_woken_by_an_ack, 0, VARIANTS);
	tcase_add_loop_test(tc, a_worker_asleep_is_woken, 0, BYS * WAYS);
	tcase_add_loop_test(tc, what_is_given_back_wakes_a_worker_at_once, 0, 2 * VARIANTS);
	tcase_add_loop_test(tc, a_queue_has_workers_without_a_name_and_observers, 0, VARIANTS);
	tcase_add_loop_test(tc, batches_and_small_buffers, 0, VARIANTS);
	tcase_add_loop_test(tc, drop_newest_in_a_queue, 0, VARIANTS);
	tcase_add_loop_test(tc, a_walk_tells_what_became_of_each, 0, 2 * VARIANTS);
	tcase_add_loop_test(tc, every_offset_wraps_in_a_queue, 0, VARIANTS);
	tcase_add_loop_test(tc, competing_workers_killed_at_random_and_the_account_is_exact, 0, 2 * VARIANTS);
	tcase_add_loop_test(tc, a_reservation_in_the_way_of_a_queue, 0, 2);
	suite_add_tcase(suite, tc);
	return tap_run(suite);
}
