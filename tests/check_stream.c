/* SPDX-License-Identifier: MIT */
/* L4, streams: every cursor sees every record; gates are waited for, lossy ones are told. */
#include <fcntl.h>
#include <limits.h>

#include "format.h"
#include "modes.h"

static void setup(void)
{
	fixture_setup("stream");
}

/* --- Every cursor sees every record, in one order ------------------------------- */

#define EACH 20000
#define GATES 3

struct told {
	uint32_t ready, done;
	uint64_t hash[GATES + 1];
};

static uint32_t size_of(uint64_t number)
{
	return 16 + (uint32_t)(mix(number) % (number % 64 ? 100 : 1000));
}

static pid_t start_producer(uint32_t who, uint64_t count)
{
	pid_t pid = fork();

	if (!pid) {
		struct shr_ring *ring = ring_again();
		struct shr_producer *producer = producer_of(ring);

		for (uint64_t i = 0; i < count; i++) {
			void *payload;

			MUST(shr_producer_reserve_until(producer, size_of(i), &payload, SOON));
			fill(payload, who, i, size_of(i));
			MUST(shr_producer_commit(producer));
		}
		shr_producer_close(producer);
		_exit(shr_ring_close(ring) != 0);
	}
	return pid;
}

/* All of @count producers; what it has seen, as a number. */
static uint64_t consume_all(struct shr_cursor *cursor, uint32_t count, uint32_t flags)
{
	uint64_t next[2] = {0}, sequence = 1, time_ns[2] = {0}, hash = 0;
	int64_t margin = 60000000000; /* of a machine whose clock is not set meanwhile */

	for (uint64_t n = 0; n < count * EACH; n++) {
		struct shr_record record;
		struct timespec now;
		struct head head;

		MUST(shr_cursor_next_until(cursor, &record, SOON));
		head = check_payload(record.payload, record.size);
		ck_assert_uint_lt(head.producer, count);
		ck_assert_uint_eq(head.sequence, next[head.producer]++);
		ck_assert_uint_eq(record.size, size_of(head.sequence));
		ck_assert_uint_eq(record.lost, 0);
		ck_assert_uint_eq(record.flags, 0);
		ck_assert_uint_eq(record.deliveries, 0);
		ck_assert_uint_eq(record.sequence, flags & SHR_RING_SEQUENCE ? sequence++ : 0);
		clock_gettime(CLOCK_REALTIME, &now);
		if (flags & SHR_RING_TIME) {
			ck_assert_uint_ge(record.time_ns, time_ns[head.producer]);
			time_ns[head.producer] = record.time_ns;
			ck_assert_int_lt(llabs((int64_t)now.tv_sec * 1000000000 - (int64_t)record.time_ns),
					 margin);
		} else {
			ck_assert_uint_eq(record.time_ns, 0);
		}
		hash = mix(hash + mix(record.position) + head.producer);
		if (n % 3 == 0)
			MUST(shr_cursor_release(cursor));
	}
	MUST(shr_cursor_release(cursor));
	return hash;
}

START_TEST(all_gates_see_all_records_in_one_order)
{
	uint32_t flags = variant(_i), producers = _i & 1 ? 1 : 2;
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 16384, .cursors = 8, .flags = flags, .first_position = first_of(_i)});
	struct told *told = shared_page();
	pid_t consumer[GATES], producer[2];

	for (int i = 0; i < GATES; i++) {
		consumer[i] = fork();
		if (!consumer[i]) {
			char who[] = {(char)('a' + i), 0};
			struct shr_ring *own = ring_again();
			struct shr_cursor *cursor = gate_of(own, who);

			__atomic_add_fetch(&told->ready, 1, __ATOMIC_SEQ_CST);
			told->hash[i] = consume_all(cursor, producers, flags);
			shr_cursor_close(cursor);
			_exit(shr_ring_close(own) != 0);
		}
	}
	ck_assert(until(&told->ready, GATES));
	for (uint32_t i = 0; i < producers; i++)
		producer[i] = start_producer(i, EACH);
	{
		struct shr_cursor *cursor = cursor_of(ring);

		told->hash[GATES] = consume_all(cursor, producers, flags);
		shr_cursor_close(cursor);
	}
	for (uint32_t i = 0; i < producers; i++)
		ck_assert_int_eq(ended(producer[i]), 0);
	for (int i = 0; i < GATES; i++)
		ck_assert_int_eq(ended(consumer[i]), 0);
	for (int i = 0; i < GATES; i++)
		ck_assert_uint_eq(told->hash[i], told->hash[GATES]);
	ck_assert_uint_eq(status_of(ring).skipped, 0);
	ck_assert_uint_eq(status_of(ring).evicted, 0);
	stats_agree(ring);
	MUST(shr_ring_close(ring));
}
END_TEST

/* --- Gates are waited for ------------------------------------------------------- */

static uint64_t fill_up(struct shr_producer *producer, uint64_t from, uint32_t size)
{
	int err;

	while (!(err = try_put(producer, 1, from, size)))
		from++;
	ck_assert_int_eq(err, -EAGAIN);
	return from;
}

START_TEST(the_slowest_gate_makes_the_ring_full)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 4096, .history = 8, .cursors = 3, .flags = variant(_i) | SHR_RING_NO_DEFAULT});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *fast = gate_of(ring, "fast"), *slow = gate_of(ring, "slow");
	struct shr_inspect *inspect = inspect_of();
	struct shr_blame blame;
	struct shr_record record;
	uint64_t sent = fill_up(producer, 0, 40), seen = 0, more = sent;

	ck_assert_uint_gt(sent, 20);
	ck_assert_uint_eq(status_of(ring).full, 1);
	while (!shr_cursor_next(fast, &record))
		ck_assert_uint_eq(number_of(&record), seen++);
	ck_assert_uint_eq(seen, sent);
	MUST(shr_cursor_release(fast));
	ck_assert_int_eq(try_put(producer, 1, sent, 40), -EAGAIN);
	/* What is read and not released is still waited for. */
	for (seen = 0; seen < 20; seen++)
		ck_assert_uint_eq(get(slow, &record), seen);
	ck_assert_int_eq(try_put(producer, 1, sent, 40), -EAGAIN);
	ck_assert_uint_eq(status_of(ring).position, info_of(slow).position);
	ck_assert_uint_eq(status_of(ring).delivered, info_of(slow).delivered);
	ck_assert_uint_eq(info_of(slow).delivered, shr_cursor_position(slow));
	ck_assert_uint_lt(info_of(slow).position, info_of(fast).position);
	ck_assert_int_eq(shr_inspect_blame(inspect, 0, &blame, 1), 1);
	ck_assert_uint_eq(blame.what, SHR_BLAME_CONSUMER);
	ck_assert_uint_eq(blame.member, (uint32_t)shr_segment_member(shr_ring_segment(ring)));
	ck_assert_uint_eq(blame.position, info_of(slow).position);
	stats_agree(ring);
	/* Exactly as many as were released go in again, not more. */
	MUST(shr_cursor_release(slow));
	more = fill_up(producer, sent, 40);
	ck_assert_uint_ge(more - sent, 18);
	ck_assert_uint_le(more - sent, 21);
	for (; seen < more; seen++)
		ck_assert_uint_eq(get(slow, &record), seen);
	ck_assert_int_eq(shr_cursor_next(slow, &record), -EAGAIN);
	for (seen = sent; seen < more; seen++)
		ck_assert_uint_eq(get(fast, &record), seen);
	shr_inspect_close(inspect);
	shr_producer_close(producer);
	shr_cursor_close(fast);
	shr_cursor_close(slow);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(history_behind_the_slowest_gate_stays_readable)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 4096, .history = 2048, .cursors = 2, .flags = variant(_i)});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = cursor_of(ring);
	struct shr_ring_status status;
	struct shr_record record;
	uint64_t sent = 0, full = 0;

	for (int round = 0; round < 2000; round++) {
		int err = try_put(producer, 1, sent, 16 + (uint32_t)(mix((uint64_t)round) % 100));

		ck_assert(err == 0 || err == -EAGAIN);
		sent += !err;
		full += err != 0;
		status = status_of(ring);
		if (status.position >= 2048) /* up to the end of the record that lies there */
			ck_assert_uint_ge(status.position - status.reclaim, 2048 - 144);
		if (err || round % 7 == 0) {
			get(cursor, &record);
			MUST(shr_cursor_release(cursor));
		}
	}
	ck_assert_uint_gt(full, 100);
	ck_assert_uint_gt(status.reclaim, 2 * 4096);
	shr_cursor_close(cursor);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

/* By release, by close, by removal of the gate in the way, by the death of its owner. */
enum { BY_RELEASE, BY_CLOSE, BY_REMOVE, BY_EVICTION, BYS };
#define ROUNDS 8

static void write_when_full(volatile uint32_t *full, volatile uint32_t *through)
{
	struct shr_ring *ring = ring_again();
	struct shr_producer *producer = producer_of(ring);
	uint64_t number = 0;

	for (uint32_t round = 1; round <= ROUNDS; round++) {
		void *payload;

		number = fill_up(producer, number, 40);
		say(full, round);
		MUST(shr_producer_reserve_until(producer, 40, &payload, SOON));
		fill(payload, 1, number++, 40);
		MUST(shr_producer_commit(producer));
		say(through, round);
		if (!until(full, 0))
			_exit(2);
	}
	shr_producer_close(producer);
	_exit(shr_ring_close(ring) != 0);
}

/* A process that has the gate "g" and sits. */
static pid_t start_holder(volatile uint32_t *holds)
{
	pid_t pid = fork();

	if (!pid) {
		gate_of(ring_again(), "g");
		say(holds, 1);
		for (;;)
			pause();
	}
	ck_assert(until(holds, 1));
	say(holds, 0);
	return pid;
}

START_TEST(a_producer_asleep_is_woken)
{
	int how = _i % BYS;
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 1024, .cursors = 2, .flags = variant(_i / BYS) | SHR_RING_NO_DEFAULT});
	uint32_t *told = shared_page();
	struct shr_cursor *cursor = NULL;
	struct shr_record record;
	int64_t fastest = INT64_MAX, before;
	pid_t holder = 0, pid;
	uint32_t durable = how == BY_REMOVE ? SHR_CURSOR_DURABLE : 0;

	if (how == BY_EVICTION)
		holder = start_holder(&told[2]);
	else
		cursor = cursor_with(ring, "g", SHR_CURSOR_CREATE | durable, SHR_JOIN_OLDEST);
	pid = fork();
	if (!pid)
		write_when_full(&told[0], &told[1]);
	for (uint32_t round = 1; round <= ROUNDS; round++) {
		ck_assert(until(&told[0], round));
		ck_assert(until_asleep(pid));
		if (how == BY_REMOVE)
			shr_cursor_close(cursor);
		before = clock_ns();
		switch (how) {
		case BY_RELEASE:
			while (!shr_cursor_next(cursor, &record))
				;
			MUST(shr_cursor_release(cursor));
			break;
		case BY_CLOSE:
			shr_cursor_close(cursor);
			break;
		case BY_REMOVE:
			MUST(shr_ring_remove_cursor(ring, "g"));
			break;
		default:
			kill_now(holder);
		}
		ck_assert(until(&told[1], round));
		if (clock_ns() - before < fastest)
			fastest = clock_ns() - before;
		if (how == BY_EVICTION)
			holder = start_holder(&told[2]);
		else if (how != BY_RELEASE)
			cursor = cursor_with(ring, "g", SHR_CURSOR_CREATE | durable, SHR_JOIN_OLDEST);
		say(&told[0], 0);
	}
	ck_assert_int_eq(ended(pid), 0);
	/* Woken, and not by the end of a slice of 100 ms; a death wakes nobody. */
	if (how != BY_EVICTION)
		ck_assert_int_lt(fastest, 60000000);
	if (holder)
		kill_now(holder);
	ck_assert_uint_eq(status_of(ring).evicted, how == BY_EVICTION ? ROUNDS : 0);
	shr_cursor_close(cursor);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(without_a_gate_nobody_is_waited_for)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 1024, .cursors = 2, .flags = variant(_i) | SHR_RING_NO_DEFAULT});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = NULL;
	struct shr_record record;
	uint64_t seen;

	ck_assert_int_eq(shr_cursor_open(&cursor, ring, NULL), -ENOENT);
	for (uint64_t i = 0; i < 1000; i++)
		put(producer, i, 16 + i % 60);
	ck_assert_uint_eq(status_of(ring).full, 0);
	ck_assert_uint_eq(status_of(ring).position, status_of(ring).tail);
	stats_agree(ring);
	cursor = gate_of(ring, "late");
	seen = get(cursor, &record);
	ck_assert_uint_gt(seen, 900);
	while (++seen < 1000)
		ck_assert_uint_eq(get(cursor, &record), seen);
	ck_assert_int_eq(shr_cursor_next(cursor, &record), -EAGAIN);
	ck_assert_uint_lt(fill_up(producer, 1000, 40), 1020); /* waited for from now on */
	shr_cursor_close(cursor);
	for (uint64_t i = 0; i < 1000; i++)
		put(producer, i, 16 + i % 60);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

/* --- Where a cursor begins ------------------------------------------------------ */

enum { AS_GATE, AS_DURABLE, AS_OBSERVER, AS_LOSSY, KINDS };

static int join(struct shr_cursor **cursor, struct shr_ring *ring, int kind,
		struct shr_cursor_options options)
{
	static const uint32_t flags[KINDS] = {SHR_CURSOR_CREATE, SHR_CURSOR_CREATE | SHR_CURSOR_DURABLE,
					      SHR_CURSOR_OBSERVE, SHR_CURSOR_CREATE | SHR_CURSOR_LOSSY};

	options.flags = flags[kind];
	return cursor_try(cursor, ring, kind == AS_OBSERVER ? NULL : "joined", options);
}

static void leave(struct shr_cursor *cursor, struct shr_ring *ring, int kind)
{
	shr_cursor_close(cursor);
	if (kind == AS_DURABLE)
		MUST(shr_ring_remove_cursor(ring, "joined"));
}

START_TEST(cursors_join_where_they_are_told)
{
	uint32_t flags = variant(_i % VARIANTS);
	int kind = _i / VARIANTS;
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 4096, .cursors = 3, .flags = flags, .first_position = first_of(_i % FIRSTS)});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *first = cursor_of(ring), *cursor = NULL;
	uint64_t epoch = shr_segment_epoch(shr_ring_segment(ring)), at[11], time_ns[11];
	struct shr_cursor_options o = {.join = SHR_JOIN_OLDEST};
	struct shr_record record;

	if (kind == AS_LOSSY && !(flags & SHR_RING_SEQUENCE)) {
		ck_assert_int_eq(join(&cursor, ring, kind, o), -EOPNOTSUPP);
		goto out;
	}
	/* In an empty ring the oldest is the one to come. */
	MUST(join(&cursor, ring, kind, o));
	put(producer, 0, 40);
	ck_assert_uint_eq(get(cursor, &record), 0);
	ck_assert_uint_eq(record.lost, 0);
	leave(cursor, ring, kind);
	for (uint64_t i = 1; i < 10; i++) {
		usleep(10);
		put(producer, i, 20 + (uint32_t)i);
	}
	for (int i = 0; i < 10; i++) {
		at[i] = shr_cursor_position(first);
		ck_assert_uint_eq(get(first, &record), (uint64_t)i);
		ck_assert_uint_lt(record.position - at[i], 64); /* behind a PAD */
		time_ns[i] = record.time_ns;
	}
	at[10] = shr_cursor_position(first);
	MUST(join(&cursor, ring, kind, o));
	ck_assert_uint_eq(get(cursor, &record), 0);
	leave(cursor, ring, kind);
	for (uint64_t i = 0; i <= 10; i++) {
		o = (struct shr_cursor_options){.join = SHR_JOIN_POSITION, .position = at[i],
						.epoch = i & 1 ? epoch : 0};
		MUST(join(&cursor, ring, kind, o));
		ck_assert_uint_lt(shr_cursor_position(cursor) - at[i], 64);
		if (i < 10) {
			ck_assert_uint_eq(get(cursor, &record), i);
			ck_assert_uint_eq(record.lost, 0);
			ck_assert_uint_eq(record.sequence, flags & SHR_RING_SEQUENCE ? i + 1 : 0);
		} else {
			ck_assert_int_eq(shr_cursor_next(cursor, &record), -EAGAIN);
		}
		leave(cursor, ring, kind);
		o.position = at[i] + 4;
		ck_assert_int_eq(join(&cursor, ring, kind, o), -EINVAL);
		o.position = at[i] + 8; /* in a record, or beyond the last */
		ck_assert_int_eq(join(&cursor, ring, kind, o), -EINVAL);
		o.position = at[i];
		o.epoch = epoch + 1;
		ck_assert_int_eq(join(&cursor, ring, kind, o), -ESTALE);
	}
	o = (struct shr_cursor_options){.join = SHR_JOIN_POSITION, .position = at[10] + 100 * 4096};
	ck_assert_int_eq(join(&cursor, ring, kind, o), -EINVAL);
	for (uint64_t i = 0; i <= 10; i++) {
		o = (struct shr_cursor_options){.join = SHR_JOIN_TIME,
						.time_ns = i < 10 ? time_ns[i] : time_ns[9] + 1};
		if (!(flags & SHR_RING_TIME)) {
			ck_assert_int_eq(join(&cursor, ring, kind, o), -EOPNOTSUPP);
			continue;
		}
		MUST(join(&cursor, ring, kind, o));
		if (i < 10)
			ck_assert_uint_eq(get(cursor, &record), i);
		else
			ck_assert_int_eq(shr_cursor_next(cursor, &record), -EAGAIN);
		leave(cursor, ring, kind);
	}
	o = (struct shr_cursor_options){.join = SHR_JOIN_NEWEST};
	MUST(join(&cursor, ring, kind, o));
	ck_assert_int_eq(shr_cursor_next(cursor, &record), -EAGAIN);
	put(producer, 10, 40);
	ck_assert_uint_eq(get(cursor, &record), 10);
	ck_assert_uint_eq(record.lost, 0);
	leave(cursor, ring, kind);
	/* What is overwritten is told so. */
	for (uint64_t i = 11; i < 300; i++) {
		while (!shr_cursor_next(first, &record))
			;
		MUST(shr_cursor_release(first));
		put(producer, i, 40);
	}
	o = (struct shr_cursor_options){.join = SHR_JOIN_POSITION, .position = at[3]};
	ck_assert_int_eq(join(&cursor, ring, kind, o), -ERANGE);
	o.position = at[3] - 8;
	ck_assert_int_eq(join(&cursor, ring, kind, o), -ERANGE);
	o.join = 4;
	ck_assert_int_eq(join(&cursor, ring, kind, o), -EINVAL);
	o.join = SHR_JOIN_OLDEST;
	MUST(join(&cursor, ring, kind, o));
	ck_assert_uint_gt(get(cursor, &record), 11);
	ck_assert_uint_eq(record.lost, 0);
	ck_assert_uint_eq(record.position, status_of(ring).reclaim);
	leave(cursor, ring, kind);
out:
	stats_agree(ring);
	shr_cursor_close(first);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

/* --- Who stays, and who goes ---------------------------------------------------- */

/* Takes, releases and holds; ends by close, or is killed. */
static void take_and_hold(struct shr_ring *ring, uint32_t flags)
{
	struct shr_cursor *cursor = cursor_with(ring, "c", flags, SHR_JOIN_OLDEST);
	struct shr_record record;

	for (uint64_t i = 0; i < 3; i++)
		ck_assert_uint_eq(get(cursor, &record), i);
	MUST(shr_cursor_release(cursor));
	for (uint64_t i = 3; i < 5; i++)
		ck_assert_uint_eq(get(cursor, &record), i);
	shr_cursor_close(cursor);
}

static void in_a_process(uint32_t flags, int killed)
{
	volatile uint32_t *told = shared_page();
	pid_t pid = fork();

	if (!pid) {
		struct shr_ring *ring = ring_again();

		if (killed) {
			struct shr_cursor *cursor = cursor_with(ring, "c", flags, SHR_JOIN_OLDEST);
			struct shr_record record;

			for (uint64_t i = 0; i < 3; i++)
				ck_assert_uint_eq(get(cursor, &record), i);
			MUST(shr_cursor_release(cursor));
			for (uint64_t i = 3; i < 5; i++)
				ck_assert_uint_eq(get(cursor, &record), i);
			say(told, 1);
			for (;;)
				pause();
		}
		take_and_hold(ring, flags);
		say(told, 1);
		_exit(shr_ring_close(ring) != 0);
	}
	ck_assert(until(told, 1));
	if (killed)
		kill_now(pid);
	else
		ck_assert_int_eq(ended(pid), 0);
}

START_TEST(a_durable_cursor_goes_on_where_it_had_released)
{
	uint32_t flags = variant(_i % VARIANTS), lossy = _i / VARIANTS & 1, killed = _i / VARIANTS & 2;
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 4096, .cursors = 2, .flags = flags | SHR_RING_NO_DEFAULT});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor;
	struct shr_record record;

	if (lossy && !(flags & SHR_RING_SEQUENCE))
		goto out;
	for (uint64_t i = 0; i < 10; i++)
		put(producer, i, 40);
	in_a_process(SHR_CURSOR_CREATE | SHR_CURSOR_DURABLE | (lossy ? SHR_CURSOR_LOSSY : 0),
		     (int)killed);
	cursor = cursor_with(ring, "c", 0, SHR_JOIN_NEWEST); /* it exists: joins have no meaning */
	ck_assert_uint_eq(info_of(cursor).takeovers, killed ? 1 : 0);
	ck_assert_uint_eq(info_of(cursor).flags,
			  SHR_CURSOR_DURABLE | (lossy ? SHR_CURSOR_LOSSY : 0));
	for (uint64_t i = 3; i < 10; i++) {
		ck_assert_uint_eq(get(cursor, &record), i);
		ck_assert_uint_eq(record.flags, i < 5 ? SHR_RECORD_REDELIVERED : 0);
		ck_assert_uint_eq(record.lost, 0);
	}
	MUST(shr_cursor_release(cursor));
	ck_assert_uint_eq(info_of(cursor).redelivered, 2);
	ck_assert_uint_eq(info_of(cursor).lost, 0);
	ck_assert_uint_eq(info_of(cursor).position, status_of(ring).tail);
	stats_agree(ring);
	shr_cursor_close(cursor);
	ck_assert_uint_eq(status_of(ring).evicted, 0);
out:
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(a_cursor_that_is_not_durable_goes_with_its_owner)
{
	uint32_t flags = variant(_i % VARIANTS), lossy = _i / VARIANTS & 1, killed = _i / VARIANTS & 2;
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 4096, .cursors = 1 + 1, .flags = flags | SHR_RING_NO_DEFAULT});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = NULL, *other[3] = {NULL};
	uint32_t how = SHR_CURSOR_CREATE | (lossy ? SHR_CURSOR_LOSSY : 0);
	struct shr_cursor_info info;
	struct shr_record record;

	if (lossy && !(flags & SHR_RING_SEQUENCE))
		goto out;
	for (uint64_t i = 0; i < 10; i++)
		put(producer, i, 40);
	in_a_process(how, (int)killed);
	ck_assert_int_eq(shr_cursor_open(&cursor, ring, "c"), -ENOENT);
	ck_assert_uint_eq(status_of(ring).evicted, killed ? 1 : 0);
	ck_assert_int_eq(shr_ring_cursor(ring, 0, &info), -ENOENT);
	/* Made again it is a new one, that has nothing of the old one. */
	cursor = cursor_with(ring, "c", how, SHR_JOIN_OLDEST);
	ck_assert_uint_eq(get(cursor, &record), 0);
	ck_assert_uint_eq(record.flags, 0);
	ck_assert_uint_eq(info_of(cursor).takeovers, 0);
	other[0] = gate_of(ring, "d");
	ck_assert_int_eq(cursor_try(&other[1], ring, "e",
				    (struct shr_cursor_options){.flags = SHR_CURSOR_CREATE}),
			 -ENOSPC);
	shr_cursor_close(cursor);
	other[1] = gate_of(ring, "e");
	/* The other of a killed process: its place is found free by who needs one. */
	shr_cursor_close(other[0]);
	in_a_process(how, (int)killed);
	cursor = gate_of(ring, "f");
	ck_assert_uint_eq(status_of(ring).evicted, killed ? 2 : 0);
	shr_cursor_close(other[1]);
	shr_cursor_close(cursor);
	stats_agree(ring);
out:
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

/* --- Errors ----------------------------------------------------------------------- */

START_TEST(what_cannot_be_opened_is_told)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.capacity = 4096, .cursors = 3,
								    .flags = variant(_i)});
	struct shr_ring *b = ring_again(), *observed;
	struct shr_segment *segment;
	struct shr_cursor *cursor = gate_of(ring, "g"), *durable, *none = NULL;
	struct shr_producer *producer = NULL;
	struct shr_record record;
	static const uint32_t others[] = {SHR_CURSOR_CREATE | SHR_CURSOR_DURABLE,
					  SHR_CURSOR_CREATE | SHR_CURSOR_LOSSY};
	const struct shr_cursor_options create = {.flags = SHR_CURSOR_CREATE};
	char longest[SHR_CURSOR_NAME_MAX + 2];

	ck_assert_int_eq(shr_cursor_open(&cursor, ring, "g"), -EBUSY); /* the handle is in use */
	ck_assert_int_eq(shr_cursor_open(&none, ring, "g"), -EBUSY);
	ck_assert_int_eq(shr_cursor_open(&none, b, "g"), -EBUSY);
	ck_assert_int_eq(cursor_try(&none, b, "g", create), -EBUSY);
	ck_assert_int_eq(shr_cursor_open(&none, b, "none"), -ENOENT);
	ck_assert_int_eq(cursor_try(&none, b, "default", create), -EEXIST);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(cursor_try(&none, b, "g", (struct shr_cursor_options){.flags = others[i]}),
				 i && !(_i & 2) ? -EOPNOTSUPP : -EEXIST);
	durable = cursor_with(b, "d", SHR_CURSOR_CREATE | SHR_CURSOR_DURABLE, SHR_JOIN_OLDEST);
	ck_assert_int_eq(cursor_try(&none, ring, "e", create), -ENOSPC);
	ck_assert_int_eq(cursor_try(&none, ring, "d", create), -EEXIST);
	ck_assert_int_eq(cursor_try(&none, ring, "", create), -EINVAL);
	memset(longest, 'x', sizeof(longest));
	longest[SHR_CURSOR_NAME_MAX + 1] = 0;
	ck_assert_int_eq(cursor_try(&none, ring, longest, create), -EINVAL);
	ck_assert_int_eq(cursor_try(&none, ring, "e", (struct shr_cursor_options){.flags = 64}), -EINVAL);
	ck_assert_int_eq(cursor_try(&none, ring, "e",
				    (struct shr_cursor_options){.flags = SHR_CURSOR_OBSERVE}), -EINVAL);
	ck_assert_int_eq(cursor_try(&none, ring, NULL, (struct shr_cursor_options){
				 .flags = SHR_CURSOR_OBSERVE | SHR_CURSOR_CREATE}), -EINVAL);
	ck_assert_int_eq(shr_cursor_open_version(&none, ring, "g", NULL, 99), -EPROTO);
	ck_assert_int_eq(shr_cursor_ack(cursor, &record), -EOPNOTSUPP);
	ck_assert_int_eq(shr_cursor_nack(cursor, &record), -EOPNOTSUPP);
	/* Removal. */
	ck_assert_int_eq(shr_ring_remove_cursor(ring, "none"), -ENOENT);
	ck_assert_int_eq(shr_ring_remove_cursor(ring, "g"), -EBUSY);
	ck_assert_int_eq(shr_ring_remove_cursor(b, "g"), -EBUSY);
	ck_assert_int_eq(shr_ring_remove_cursor(ring, "d"), -EBUSY);
	ck_assert_int_eq(shr_ring_close(b), -EBUSY);
	shr_cursor_close(durable);
	MUST(shr_ring_remove_cursor(ring, "d"));
	ck_assert_int_eq(shr_ring_remove_cursor(ring, "d"), -ENOENT);
	longest[SHR_CURSOR_NAME_MAX] = 0;
	durable = gate_of(ring, longest);
	ck_assert_str_eq(info_of(durable).name, longest);
	shr_cursor_close(durable);
	/* An observer's ring. */
	observed = ring_observed(&segment);
	ck_assert_int_eq(shr_producer_open(&producer, observed), -EROFS);
	ck_assert_int_eq(shr_cursor_open(&none, observed, NULL), -EROFS);
	ck_assert_int_eq(cursor_try(&none, observed, "e", create), -EROFS);
	ck_assert_int_eq(shr_ring_remove_cursor(observed, "g"), -EROFS);
	stats_agree(observed);
	MUST(shr_ring_close(observed));
	MUST(shr_segment_detach(segment));
	shr_cursor_close(cursor);
	MUST(shr_ring_close(b));
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(the_only_cursor_stays)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.capacity = 4096, .flags = variant(_i)});

	ck_assert_int_eq(shr_ring_remove_cursor(ring, "default"), -EPERM);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(options_of_a_ring_go_together_or_are_refused)
{
	static const struct {
		uint32_t mode, flags, cursors;
		int err;
	} cases[] = {
		{SHR_RING_STREAM, 0, SHR_RING_CURSORS_MAX, 0},
		{SHR_RING_STREAM, 0, SHR_RING_CURSORS_MAX + 1, -EINVAL},
		{SHR_RING_STREAM, SHR_RING_AT_MOST_ONCE, 0, -EINVAL},
		{SHR_RING_STREAM, SHR_RING_NO_DEFAULT, 0, -EINVAL},
		{SHR_RING_STREAM, SHR_RING_NO_DEFAULT, 2, 0},
		{SHR_RING_STREAM, SHR_RING_DROP_NEWEST, 0, 0},
		{SHR_RING_STREAM, 64, 0, -EINVAL},
		{SHR_RING_QUEUE, 0, 0, 0},
		{SHR_RING_QUEUE, 0, 1, -EINVAL},
		{SHR_RING_QUEUE, SHR_RING_NO_DEFAULT, 0, -EINVAL},
		{SHR_RING_QUEUE, SHR_RING_AT_MOST_ONCE | SHR_RING_DROP_NEWEST, 0, 0},
		{SHR_RING_OVERWRITE, 0, 0, 0},
		{SHR_RING_OVERWRITE, SHR_RING_SINGLE_PRODUCER | SHR_RING_TIME, 28, 0},
		{SHR_RING_OVERWRITE, SHR_RING_DROP_NEWEST, 0, -EINVAL},
		{SHR_RING_OVERWRITE, SHR_RING_AT_MOST_ONCE, 0, -EINVAL},
		{3, 0, 0, -EINVAL},
	};
	struct shr_object object;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct shr_ring_options o = {.struct_size = sizeof(o), .mode = cases[i].mode,
					     .flags = cases[i].flags, .cursors = cases[i].cursors};

		ck_assert_msg(shr_ring_describe(&object, "r", &o) == cases[i].err, "case %zu", i);
	}
	/* Capacity / 2 less the 8 to 32 bytes a record starts with. */
	for (uint32_t mode = 0; mode < 3; mode++)
		for (int i = 0; i < VARIANTS; i++) {
			uint32_t header = 8 + (i & 2 ? 16 : 0) + (mode == SHR_RING_QUEUE ? 8 : 0) +
					  (mode == SHR_RING_OVERWRITE && !(i & 2) ? 8 : 0);
			struct shr_ring_options o = {.struct_size = sizeof(o), .mode = mode,
						     .flags = variant(i), .capacity = 256,
						     .max_record = 128 - header};

			MUST(shr_ring_describe(&object, "r", &o));
			o.max_record++;
			ck_assert_int_eq(shr_ring_describe(&object, "r", &o), -EINVAL);
			o.max_record = 0;
			MUST(shr_ring_describe(&object, "r", &o));
		}
}
END_TEST

/* Every call with a handle of the parent's, and what it says. */
#define CHILD(call) \
	do { \
		int said_ = (call); \
		if (said_ != -ECHILD) { \
			fprintf(stderr, "%s: %d\n", #call, said_); \
			_exit(1); \
		} \
	} while (0)

START_TEST(every_call_in_a_child_is_echild)
{
	static const uint32_t modes[] = {SHR_RING_STREAM, SHR_RING_QUEUE, SHR_RING_OVERWRITE};
	uint32_t mode = modes[_i % 3];
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 4096, .mode = mode, .cursors = mode == SHR_RING_QUEUE ? 0 : 4,
		.flags = variant(_i / 3)});
	struct shr_producer *producer = producer_of(ring), *p2 = NULL;
	struct shr_cursor *cursor[2] = {mode == SHR_RING_STREAM	 ? cursor_of(ring)
					: mode == SHR_RING_QUEUE ? cursor_with(ring, NULL, 0, 0)
								 : gate_of(ring, "x"),
					observer_of(ring, SHR_JOIN_OLDEST)},
			  *c2 = NULL;
	struct shr_record record;
	struct shr_ring_status status;
	struct shr_cursor_info info;
	struct iovec piece = {(char *)"12345678", 8};
	void *payload;
	char buffer[64];
	size_t which = 0;
	pid_t pid;

	put(producer, 1, 40);
	ck_assert_uint_eq(get(cursor[0], &record), 1);
	MUST(shr_producer_reserve(producer, 8, &payload));
	pid = fork();
	if (!pid) {
		CHILD(shr_producer_open(&p2, ring));
		CHILD(shr_cursor_open(&c2, ring, NULL));
		CHILD(cursor_try(&c2, ring, NULL, (struct shr_cursor_options){.flags = SHR_CURSOR_OBSERVE}));
		CHILD(shr_ring_stat(ring, &status));
		CHILD(shr_ring_cursor(ring, 0, &info));
		CHILD(shr_ring_remove_cursor(ring, "x"));
		CHILD(shr_producer_set_type(producer, 1));
		CHILD(shr_producer_reserve(producer, 8, &payload));
		CHILD(shr_producer_reserve(producer, 0, &payload));
		CHILD(shr_producer_reserve_until(producer, 8, &payload, SHR_FOREVER));
		CHILD(shr_producer_commit(producer));
		CHILD(shr_producer_commit_size(producer, 4));
		CHILD(shr_producer_abort(producer));
		CHILD(shr_producer_write(producer, "x", 1));
		CHILD(shr_producer_write_until(producer, "x", 1, SHR_FOREVER));
		CHILD(shr_producer_writev(producer, &piece, 1));
		CHILD(shr_producer_write_many(producer, &piece, 1));
		for (int i = 0; i < 2; i++) {
			CHILD(shr_cursor_next(cursor[i], &record));
			CHILD(shr_cursor_next_until(cursor[i], &record, SHR_FOREVER));
			CHILD(shr_cursor_next_many(cursor[i], &record, 1));
			CHILD(shr_cursor_read(cursor[i], buffer, sizeof(buffer), &record));
			CHILD(shr_cursor_read_until(cursor[i], buffer, sizeof(buffer), &record, SHR_FOREVER));
			CHILD(shr_cursor_read_many(cursor[i], buffer, sizeof(buffer), &record, 1));
			CHILD(shr_cursor_release(cursor[i]));
			CHILD(shr_cursor_ack(cursor[i], &record));
			CHILD(shr_cursor_nack(cursor[i], &record));
			CHILD(shr_cursor_get(cursor[i], &info));
			CHILD(shr_cursor_fd(cursor[i]));
			CHILD(shr_cursor_wait_any_until(&cursor[i], 1, &which, SHR_FOREVER));
			shr_cursor_position(cursor[i]);
			if (shr_cursor_close(cursor[i]))
				_exit(2);
		}
		_exit(shr_producer_close(producer) || shr_ring_close(ring));
	}
	ck_assert_int_eq(ended(pid), 0);
	/* And the parent's are as before. */
	fill(payload, 1, 2, 8);
	MUST(shr_producer_commit(producer));
	ck_assert_uint_eq(get(cursor[0], &record), 2);
	ck_assert_uint_eq(get(cursor[1], &record), 1);
	MUST(shr_cursor_release(cursor[0]));
	shr_cursor_close(cursor[0]);
	shr_cursor_close(cursor[1]);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

/* --- Losses ----------------------------------------------------------------------- */

/* A cursor of a ring with a sequence: nothing is missing that was not told. */
struct account {
	struct shr_cursor *cursor;
	uint64_t next; /* sequence */
	uint64_t got, lost;
};

static int account_next(struct account *a)
{
	struct shr_record record;
	int err = shr_cursor_next(a->cursor, &record);

	if (err)
		return err;
	number_of(&record);
	ck_assert_uint_eq(record.sequence, a->next + record.lost);
	ck_assert_uint_eq(!!(record.flags & SHR_RECORD_LOST), record.lost != 0);
	a->next = record.sequence + 1;
	a->got++;
	a->lost += record.lost;
	MUST(shr_cursor_release(a->cursor));
	return 0;
}

START_TEST(dropped_records_are_told_in_every_cursor_exactly)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 2048, .cursors = 4, .first_position = first_of(_i % FIRSTS),
		.flags = variant(_i) | SHR_RING_DROP_NEWEST});
	struct shr_producer *producer = producer_of(ring);
	struct account all[4] = {{.cursor = cursor_of(ring), .next = 1},
				 {.cursor = gate_of(ring, "slow"), .next = 1},
				 {.cursor = cursor_with(ring, "lossy", SHR_CURSOR_CREATE | SHR_CURSOR_LOSSY, 0),
				  .next = 1},
				 {.cursor = observer_of(ring, SHR_JOIN_OLDEST), .next = 1}};
	uint64_t sent = 0, dropped = 0;
	static unsigned char bytes[8][64];
	struct iovec records[8];

	srand((unsigned)_i);
	for (int round = 0; round < 3000; round++) {
		int n = rand() % 12, err;

		if (rand() % 3) {
			while (n--) {
				err = rand() % 2 ? try_put(producer, 1, sent, 16 + (uint32_t)rand() % 100)
						 : shr_producer_write_until(producer, "\0\0\0\0\0\0\0\0", 8, SOON);
				ck_assert(err == 0 || err == -ENOBUFS); /* and waits for nobody */
				sent += !err;
				dropped += err != 0;
			}
		} else {
			for (int i = 0; i < 8; i++) {
				fill(bytes[i], 1, sent, 64);
				records[i] = (struct iovec){bytes[i], 16 + (uint32_t)i * 4};
				fill(bytes[i], 1, sent + (uint64_t)i, (uint32_t)records[i].iov_len);
			}
			n = shr_producer_write_many(producer, records, 8);
			ck_assert(n == -ENOBUFS || (n > 0 && n <= 8));
			sent += n > 0 ? (uint64_t)n : 0;
			dropped += n < 0;
		}
		ck_assert_uint_eq(status_of(ring).dropped, dropped);
		ck_assert_uint_eq(status_of(ring).sequence, sent + dropped + 1);
		for (int i = 0; i < 4; i++)
			for (n = rand() % (i == 1 ? 6 : 12); n > 0 && !account_next(&all[i]); n--)
				;
	}
	for (int i = 0; i < 4; i++)
		while (!account_next(&all[i]))
			;
	put(producer, 7, 40); /* the last losses are told with this one */
	sent++;
	ck_assert_uint_gt(dropped, 1000);
	for (int i = 0; i < 4; i++) {
		MUST(account_next(&all[i]));
		ck_assert_uint_eq(all[i].got + all[i].lost, sent + dropped);
		ck_assert_uint_eq(info_of(all[i].cursor).lost, all[i].lost);
		ck_assert_uint_eq(info_of(all[i].cursor).sequence, sent + dropped + 1);
		if (i < 2) { /* gates lose what was dropped, and nothing else */
			ck_assert_uint_eq(all[i].lost, dropped);
			ck_assert_uint_eq(info_of(all[i].cursor).lost_bytes, 0);
		} else {
			ck_assert_uint_ge(all[i].lost, dropped);
		}
	}
	stats_agree(ring);
	for (int i = 0; i < 4; i++)
		shr_cursor_close(all[i].cursor);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

/* 64 bytes a record with what it starts with: no PAD, so bytes are exact, too. */
START_TEST(a_lossy_cursor_that_is_overtaken_is_told_exactly)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 2048, .cursors = 3, .first_position = first_of(_i % FIRSTS),
		.flags = (_i & 1 ? SHR_RING_SINGLE_PRODUCER : 0) | SHR_RING_SEQUENCE | SHR_RING_NO_DEFAULT});
	struct shr_producer *producer = producer_of(ring);
	struct account lossy = {.cursor = cursor_with(ring, "l", SHR_CURSOR_CREATE | SHR_CURSOR_LOSSY |
							      SHR_CURSOR_DURABLE, 0), .next = 1},
		       observer = {.cursor = observer_of(ring, SHR_JOIN_OLDEST), .next = 1};
	uint64_t sent = 0;

	srand((unsigned)_i);
	for (int round = 0; round < 2000; round++) {
		for (int n = rand() % 50; n > 0; n--)
			put(producer, sent++, 48);
		for (int n = rand() % 20; n > 0 && !account_next(&lossy); n--)
			;
		for (int n = rand() % 20; n > 0 && !account_next(&observer); n--)
			;
		if (round % 10 == 0) { /* the place is kept, and what was lost of it meanwhile is told */
			shr_cursor_close(lossy.cursor);
			lossy.cursor = cursor_with(ring, "l", 0, SHR_JOIN_NEWEST);
		}
	}
	while (!account_next(&lossy))
		;
	while (!account_next(&observer))
		;
	ck_assert_uint_gt(lossy.lost, 1000);
	ck_assert_uint_eq(lossy.got + lossy.lost, sent);
	ck_assert_uint_eq(observer.got + observer.lost, sent);
	ck_assert_uint_eq(info_of(lossy.cursor).lost, lossy.lost);
	ck_assert_uint_eq(info_of(lossy.cursor).lost_bytes, 64 * lossy.lost);
	ck_assert_uint_eq(info_of(observer.cursor).lost, observer.lost);
	ck_assert_uint_eq(info_of(observer.cursor).lost_bytes, 64 * observer.lost);
	ck_assert_uint_eq(info_of(observer.cursor).flags, SHR_CURSOR_LOSSY);
	ck_assert_str_eq(info_of(observer.cursor).name, "");
	ck_assert_uint_eq(status_of(ring).full, 0);
	ck_assert_uint_eq(status_of(ring).dropped, 0);
	stats_agree(ring);
	shr_cursor_close(lossy.cursor);
	shr_cursor_close(observer.cursor);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(an_observer_without_sequence_is_told_that_some_are_lost)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 1024, .cursors = _i & 2 ? 2 : 0, .flags = variant(_i & 1)});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = cursor_of(ring), *observer = observer_of(ring, SHR_JOIN_OLDEST);
	struct shr_record record;
	uint64_t begin;

	put(producer, 0, 56);
	ck_assert_uint_eq(get(observer, &record), 0);
	begin = shr_cursor_position(observer);
	for (uint64_t i = 0; i < 100; i++) {
		while (!shr_cursor_next(cursor, &record))
			;
		MUST(shr_cursor_release(cursor));
		put(producer, i, 56);
	}
	get(observer, &record);
	ck_assert_uint_eq(record.lost, 1);
	ck_assert_uint_eq(record.flags, SHR_RECORD_LOST);
	ck_assert_uint_eq(info_of(observer).lost_bytes, record.position - begin);
	ck_assert_uint_gt(record.position, begin);
	get(observer, &record);
	ck_assert_uint_eq(record.lost, 0);
	ck_assert_uint_eq(record.flags, 0);
	shr_cursor_close(observer);
	shr_cursor_close(cursor);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(a_small_buffer_loses_nothing_and_tells_nothing_twice)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 1024, .cursors = 3, .flags = variant(_i) | SHR_RING_DROP_NEWEST});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *all[3] = {cursor_of(ring),
				     cursor_with(ring, "l", SHR_CURSOR_CREATE | SHR_CURSOR_LOSSY, 0),
				     observer_of(ring, SHR_JOIN_OLDEST)};
	uint64_t dropped = 0, sent = 0, held;
	struct shr_record record;
	char buffer[64];
	int err;

	/* Some are given, and not released: they come again. */
	put(producer, sent++, 40);
	put(producer, sent++, 40);
	get(all[0], &record);
	get(all[0], &record);
	shr_cursor_close(all[0]);
	all[0] = cursor_of(ring);
	while (!(err = try_put(producer, 1, sent, 40)))
		sent++;
	for (dropped = 1; dropped < 5; dropped++)
		ck_assert_int_eq(try_put(producer, 1, sent, 40), -ENOBUFS);
	held = sent;
	for (uint64_t i = 0; i < held; i++) {
		for (int again = 0; again < 3; again++) {
			ck_assert_int_eq(shr_cursor_read(all[0], buffer, 39, &record), -EMSGSIZE);
			ck_assert_uint_eq(record.size, 40);
			ck_assert_int_eq(shr_cursor_read_many(all[0], buffer, 39, &record, 1), -EMSGSIZE);
		}
		MUST(shr_cursor_read(all[0], buffer, 40, &record));
		ck_assert_uint_eq(number_of(&record), i);
		ck_assert_uint_eq(record.lost, 0);
		ck_assert_uint_eq(record.flags, i < 2 ? SHR_RECORD_REDELIVERED : 0);
	}
	ck_assert_uint_eq(info_of(all[0]).redelivered, 2);
	put(producer, sent++, 40);
	for (int i = 0; i < 3; i++) {
		uint64_t lost = 0, got = 0, last = 0;

		for (;;) {
			err = shr_cursor_read(all[i], buffer, 39, &record);
			if (err == -EAGAIN)
				break;
			ck_assert_int_eq(err, -EMSGSIZE);
			ck_assert_int_eq(shr_cursor_read_until(all[i], buffer, 39, &record, SOON), -EMSGSIZE);
			MUST(shr_cursor_read(all[i], buffer, 40, &record));
			lost += record.lost;
			last = number_of(&record);
			got++;
		}
		ck_assert_uint_eq(last, sent - 1);
		ck_assert_uint_eq(lost + got, i ? sent + dropped : 1 + dropped);
		ck_assert_uint_eq(info_of(all[i]).lost, lost);
		ck_assert_uint_eq(record.lost, dropped);
		ck_assert_uint_eq(record.flags, SHR_RECORD_LOST);
		ck_assert_uint_eq(info_of(all[i]).redelivered, i ? 0 : 2);
	}
	stats_agree(ring);
	/* After a size that was too small the next owner is not told that it was delivered. */
	put(producer, sent++, 40);
	ck_assert_int_eq(shr_cursor_read(all[0], buffer, 39, &record), -EMSGSIZE);
	shr_cursor_close(all[0]);
	all[0] = cursor_of(ring);
	MUST(shr_cursor_read(all[0], buffer, 40, &record));
	ck_assert_uint_eq(record.flags, 0);
	for (int i = 0; i < 3; i++)
		shr_cursor_close(all[i]);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

/* --- Waiting ------------------------------------------------------------------------ */

/* Writes one record each time that it is told to, when who waits sleeps. */
static pid_t start_writer(volatile uint32_t *told, pid_t sleeper, uint32_t count)
{
	pid_t pid = fork();

	if (!pid) {
		struct shr_ring *ring = ring_again();
		struct shr_producer *producer = producer_of(ring);

		for (uint32_t i = 1; i <= count; i++) {
			if (!until(told, i) || !until_asleep(sleeper))
				_exit(2);
			usleep(i % 2 * 3000);
			put(producer, i, 40);
		}
		shr_producer_close(producer);
		_exit(shr_ring_close(ring) != 0);
	}
	return pid;
}

START_TEST(cursors_of_every_kind_are_woken)
{
	int way = _i % WAYS, kind = _i / WAYS % KINDS, flags = _i / WAYS / KINDS;
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 1024, .cursors = 3,
		.flags = variant(2 | flags) | SHR_RING_NO_DEFAULT});
	volatile uint32_t *told = shared_page();
	struct shr_cursor *cursor;
	int64_t fastest = INT64_MAX;
	struct shr_record record;
	pid_t pid;

	MUST(join(&cursor, ring, kind, (struct shr_cursor_options){0}));
	pid = start_writer(told, getpid(), 8);
	for (uint32_t i = 1; i <= 8; i++) {
		struct timespec now;

		say(told, i);
		MUST(wait_for_record(cursor, &record, way));
		clock_gettime(CLOCK_REALTIME, &now);
		if (now.tv_sec * (int64_t)1000000000 + now.tv_nsec - (int64_t)record.time_ns < fastest)
			fastest = now.tv_sec * (int64_t)1000000000 + now.tv_nsec - (int64_t)record.time_ns;
		ck_assert_uint_eq(number_of(&record), i);
		MUST(shr_cursor_release(cursor));
	}
	ck_assert_int_eq(ended(pid), 0);
	ck_assert_int_lt(fastest, 60000000);
	shr_cursor_close(cursor);
	MUST(shr_ring_close(ring));
}
END_TEST

/* Who may only read, a user of no rights: in every mode, in every way of waiting. */
START_TEST(who_may_only_read_waits_and_is_told)
{
	int way = _i % WAYS, user = _i / WAYS % 2, mode = _i / WAYS / 2;
	struct shr_segment_options public = {.struct_size = sizeof(public), .perms = 0644,
					     .flags = SHR_SEGMENT_EXACT_PERMS};
	struct shr_ring_options options = {.struct_size = sizeof(options), .capacity = 1024,
					   .mode = (uint32_t)mode, .flags = SHR_RING_SEQUENCE};
	volatile uint32_t *told = shared_page();
	struct shr_ring *ring = NULL;
	struct shr_producer *producer;
	pid_t pid;

	if (user && getuid())
		return; /* only root can be another */
	MUST(shr_ring_open(&ring, name, "+>", &options, &public));
	producer = producer_of(ring);
	pid = fork();
	if (!pid) {
		struct shr_segment *segment;
		struct shr_ring *own;
		struct shr_cursor *cursor;
		struct shr_record record;

		if (user && (setgid(65534) || setuid(65534)))
			_exit(9);
		own = ring_observed(&segment);
		cursor = observer_of(own, SHR_JOIN_OLDEST);
		for (uint32_t i = 1; i <= 5; i++) {
			say(&told[0], i);
			MUST(wait_for_record(cursor, &record, way));
			if (number_of(&record) != i || record.sequence != i)
				_exit(2);
			MUST(shr_cursor_release(cursor));
		}
		stats_agree(own);
		if (info_of(cursor).member)
			_exit(3);
		shr_cursor_close(cursor);
		MUST(shr_ring_close(own));
		MUST(shr_segment_detach(segment));
		_exit(0);
	}
	for (uint32_t i = 1; i <= 5; i++) {
		ck_assert(until(&told[0], i));
		usleep(3000);
		put(producer, i, 40);
	}
	ck_assert_int_eq(ended(pid), 0);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

/* --- Each offset, each size, each overflow -------------------------------------------- */

START_TEST(every_offset_wraps_for_every_cursor)
{
	uint32_t flags = variant(_i);

	for (int f = 0; f < FIRSTS; f++)
		for (uint64_t start = 0; start < 256; start += 8)
			for (uint32_t size = 16; size <= 104; size += 11) {
				struct shr_ring *ring = ring_make((struct shr_ring_options){
					.capacity = 256, .max_record = 104, .cursors = 3, .flags = flags,
					.first_position = first_of(f) + start});
				struct shr_producer *producer = producer_of(ring);
				struct shr_cursor *all[3] = {cursor_of(ring), gate_of(ring, "b"),
							     observer_of(ring, SHR_JOIN_OLDEST)};
				struct shr_record record;
				uint64_t sent = 0, got[3] = {0}, last = 0;

				for (int lap = 0; lap < 5; lap++) {
					sent = fill_up(producer, sent, size);
					for (int c = 0; c < 2; c++) {
						while (!shr_cursor_next(all[c], &record))
							ck_assert_uint_eq(number_of(&record), got[c]++);
						ck_assert_uint_eq(got[c], sent);
						MUST(shr_cursor_release(all[c]));
					}
					while (!shr_cursor_next(all[2], &record)) {
						ck_assert_uint_ge(number_of(&record), last);
						last = number_of(&record);
						got[2] += 1 + (flags & SHR_RING_SEQUENCE ? record.lost : 0);
					}
					ck_assert_uint_eq(last, sent - 1);
					if (flags & SHR_RING_SEQUENCE)
						ck_assert_uint_eq(got[2], sent);
				}
				ck_assert_uint_ge(sent, 5);
				ck_assert_uint_eq(status_of(ring).skipped, 0);
				for (int c = 0; c < 3; c++)
					shr_cursor_close(all[c]);
				shr_producer_close(producer);
				MUST(shr_ring_close(ring));
			}
}
END_TEST

/* --- SIGKILL at random ------------------------------------------------------------------ */

struct random_told {
	_Atomic uint64_t sent;	      /* at least all below */
	_Atomic uint64_t released[2]; /* all below */
	_Atomic uint64_t error;
};

static pid_t start_random(struct random_told *told, int who, uint32_t flags)
{
	pid_t pid = fork();
	struct shr_record record;
	struct shr_ring *ring;

	if (pid)
		return pid;
	ring = ring_again();
	if (who == 2) {
		struct shr_producer *producer = producer_of(ring);

		for (uint64_t i = told->sent;; i++) {
			void *payload;

			if (shr_producer_reserve_until(producer, size_of(i) % 200 + 16, &payload, SHR_FOREVER))
				told->error = 1;
			fill(payload, 1, i, size_of(i) % 200 + 16);
			if (shr_producer_commit(producer))
				told->error = 2;
			told->sent = i + 1;
		}
	} else {
		struct shr_cursor *cursor = cursor_with(ring, who ? "b" : "a", 0, 0);
		uint64_t seen = told->released[who], sequence = 0;

		for (;;) {
			struct head head;

			if (shr_cursor_next_until(cursor, &record, SHR_FOREVER))
				told->error = 3;
			head = check_payload(record.payload, record.size);
			if (head.producer != 1)
				told->error = 4;
			if (sequence && record.sequence <= sequence)
				told->error = 5; /* skipped ones have a number, and are not lost */
			sequence = flags & SHR_RING_SEQUENCE ? record.sequence : 0;
			/* A killed producer may send one again of which it does not know. */
			if (head.sequence > seen)
				told->error = 6;
			if (head.sequence + 1 < seen)
				told->error = 7;
			if (head.sequence == seen)
				seen++;
			if (record.lost) /* nothing is dropped, and gates lose nothing */
				told->error = 8;
			told->released[who] = seen;
			if (shr_cursor_release(cursor))
				told->error = 9;
		}
	}
}

START_TEST(killed_at_random_no_gate_misses_a_record)
{
	uint32_t flags = variant(_i);
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 8192, .cursors = 3, .flags = flags | SHR_RING_NO_DEFAULT});
	struct random_told *told = shared_page();

	shr_cursor_close(cursor_with(ring, "a", SHR_CURSOR_CREATE | SHR_CURSOR_DURABLE, 0));
	shr_cursor_close(cursor_with(ring, "b", SHR_CURSOR_CREATE | SHR_CURSOR_DURABLE, 0));
	srand((unsigned)_i);
	for (int round = 0; round < 150; round++) {
		pid_t pid[3];

		for (int i = 0; i < 3; i++)
			pid[i] = start_random(told, i, flags);
		usleep(500 + (unsigned)(rand() % 4000));
		for (int i = 0; i < 3; i++)
			kill_now(pid[(i + round) % 3]);
		ck_assert_msg(!told->error, "error %d", (int)told->error);
	}
	for (int i = 0; i < 2; i++) { /* and what is left, to the last */
		struct shr_cursor *cursor = cursor_with(ring, i ? "b" : "a", 0, 0);
		uint64_t seen = told->released[i];
		struct shr_record record;
		int err;

		while (!(err = shr_cursor_next_until(cursor, &record, shr_deadline_ns(30000000)))) {
			uint64_t number = number_of(&record);

			ck_assert(number == seen || number + 1 == seen);
			seen = number + 1;
		}
		ck_assert_int_eq(err, -ETIMEDOUT);
		MUST(shr_cursor_release(cursor));
		ck_assert_uint_ge(seen, told->sent);
		ck_assert_uint_le(seen, told->sent + 1);
		ck_assert_uint_gt(seen, 150);
		ck_assert_uint_gt(info_of(cursor).takeovers, 50);
		shr_cursor_close(cursor);
	}
	ck_assert_uint_eq(status_of(ring).evicted, 0);
	stats_agree(ring);
	MUST(shr_ring_close(ring));
}
END_TEST

/* Gates that are not durable come and go by SIGKILL: the producer is never stuck. */
START_TEST(killed_gates_never_keep_a_producer)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 2048, .cursors = 3, .flags = variant(_i) | SHR_RING_NO_DEFAULT});
	struct shr_producer *producer = producer_of(ring);
	volatile uint32_t *told = shared_page();
	uint64_t sent = 0, before;

	for (int round = 0; round < 40; round++) {
		pid_t pid = fork();

		if (!pid) {
			struct shr_cursor *cursor = gate_of(ring_again(), round & 1 ? "x" : "y");
			struct shr_record record;

			for (int i = 0;; i++) {
				if (shr_cursor_next_until(cursor, &record, SHR_FOREVER) ||
				    check_payload(record.payload, record.size).producer != 1)
					_exit(1);
				if (i % 8 == 7 && shr_cursor_release(cursor))
					_exit(2);
				say(told, 1);
			}
		}
		say(told, 0);
		while (!*told) {
			int err = try_put(producer, 1, sent, 40);

			ck_assert(err == 0 || err == -EAGAIN);
			sent += !err;
		}
		kill(pid, round % 3 ? SIGKILL : SIGSTOP);
		if (round % 3 == 0)
			kill(pid, SIGKILL);
		ck_assert_int_eq(ended(pid), -SIGKILL);
		for (before = sent; sent < before + 100; sent++) {
			void *payload;

			MUST(shr_producer_reserve_until(producer, 40, &payload, SOON));
			fill(payload, 1, sent, 40);
			MUST(shr_producer_commit(producer));
		}
	}
	ck_assert_uint_eq(status_of(ring).evicted, 40);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

/* --- From outside ------------------------------------------------------------------------ */

START_TEST(a_walk_tells_sequence_time_and_what_is_missing)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 4096, .cursors = 2,
		.flags = variant(2 | _i) | SHR_RING_DROP_NEWEST});
	struct shr_producer *producer = producer_of(ring);
	struct shr_inspect *inspect = inspect_of();
	struct shr_walk *walk = NULL;
	struct shr_walk_record record;
	struct shr_cursor *cursor = cursor_of(ring);
	struct shr_record own[100];
	uint64_t sent = 0;
	int n = 0;

	while (!try_put(producer, 1, sent, 40))
		sent++;
	for (int i = 0; i < 9; i++)
		ck_assert_int_eq(try_put(producer, 1, sent, 40), -ENOBUFS);
	while (!shr_cursor_next(cursor, &own[n]))
		n++;
	ck_assert_int_gt(n, 20);
	MUST(shr_walk_open(&walk, inspect, 0, SHR_WALK_UNREAD, 4096));
	for (int i = 0; i < n; i++) {
		MUST(shr_walk_next(walk, &record));
		ck_assert_uint_eq(record.state, SHR_STATE_READY);
		ck_assert_uint_eq(record.position, own[i].position);
		ck_assert_uint_eq(record.sequence, own[i].sequence);
		ck_assert_uint_eq(record.time_ns, own[i].time_ns);
		ck_assert_uint_gt(record.time_ns, 0);
		ck_assert_uint_eq(record.lost, 0);
		ck_assert_uint_eq(record.deliveries, 0);
		ck_assert_uint_eq(check_payload(record.payload, record.copied).sequence, (uint64_t)i);
	}
	ck_assert_int_eq(shr_walk_next(walk, &record), -EAGAIN);
	MUST(shr_cursor_release(cursor));
	put(producer, sent, 40);
	MUST(shr_walk_next(walk, &record));
	ck_assert_uint_eq(record.lost, 10); /* 9, and the one that found the ring full */
	ck_assert_uint_eq(record.sequence, (uint64_t)n + 11);
	for (uint64_t i = 0; i < 200; i++) {
		put(producer, i, 40);
		while (!shr_cursor_next(cursor, &own[0]))
			;
		MUST(shr_cursor_release(cursor));
	}
	MUST(shr_walk_next(walk, &record));
	ck_assert_uint_gt(record.lost, 0);
	ck_assert_uint_eq(record.sequence, (uint64_t)n + 12 + record.lost);
	ck_assert_uint_gt(shr_walk_lost(walk), 0);
	shr_walk_close(walk);
	shr_inspect_close(inspect);
	shr_cursor_close(cursor);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

/* As a peer would: at byte @at of the ring that is the first object. */
static void spoil(uint64_t at, uint64_t word)
{
	struct shr_inspect *inspect = inspect_of();
	struct shr_object_info object;
	int fd = open(path, O_RDWR | O_CLOEXEC);

	MUST(shr_inspect_object(inspect, 0, &object));
	ck_assert_int_eq(pwrite(fd, &word, sizeof(word), (off_t)(object.offset + at)), sizeof(word));
	close(fd);
	shr_inspect_close(inspect);
}

/* The last word of the lap says that a PAD is claimed: what is behind it is not the ring's. */
START_TEST(a_number_behind_the_end_of_the_ring_is_not_read)
{
	struct shr_ring_options options = {.struct_size = sizeof(options), .capacity = 4096,
					   .flags = SHR_RING_SINGLE_PRODUCER | SHR_RING_SEQUENCE};
	struct shr_object objects[2] = {{0}, {.kind = SHR_OBJECT_BYTES, .name = "behind", .size = 4096}};
	struct shr_segment *segment = NULL;
	struct shr_ring_status status = {0};
	struct shr_cursor_options newest = {.flags = SHR_CURSOR_OBSERVE, .join = SHR_JOIN_NEWEST};
	struct shr_cursor *cursor;
	struct shr_ring *ring = NULL;
	size_t size;
	void *behind;
	int err;

	MUST(shr_ring_describe(&objects[0], "ring", &options));
	MUST(shr_segment_create(&segment, name, objects, 2, NULL));
	MUST(shr_ring_attach(&ring, segment, "ring", NULL));
	MUST(shr_segment_bytes(segment, "behind", &behind, &size));
	memset(behind, 0x77, size);
	spoil(FORMAT_RING_DATA, WORD_MAKE(WORD_READY, 1, 0, 2040 - 16));
	spoil(FORMAT_RING_DATA + 2040, WORD_MAKE(WORD_READY, 1, 0, 1024 - 16));
	spoil(FORMAT_RING_DATA + 3064, WORD_MAKE(WORD_READY, 1, 0, 1024 - 16));
	spoil(FORMAT_RING_DATA + 4088, WORD_MAKE(WORD_BUSY, 1, WORD_CLAIM_PAD, 0));
	/* The lap ends there, and the next one is full: impossible, or some tail. */
	err = shr_ring_stat(ring, &status);
	ck_assert(err == 0 || err == -EBADMSG);
	spoil(FORMAT_RING_DATA, 0);
	spoil(offsetof(struct shm_ring, reclaim), 4088);
	spoil(offsetof(struct shm_ring, tail), 4088);
	err = shr_ring_stat(ring, &status);
	ck_assert(err == 0 || err == -EBADMSG);
	ck_assert_uint_lt(status.sequence, 1000);
	err = cursor_try(&cursor, ring, NULL, newest);
	ck_assert(err == 0 || err == -EBADMSG);
	if (!err)
		ck_assert_uint_lt(info_of(cursor).sequence, 1000);
	shr_cursor_close(cursor);
	MUST(shr_ring_close(ring));
	MUST(shr_segment_detach(segment));
}
END_TEST

/* It cleans as it releases: a peer that says it is lossy must not send it anywhere. */
START_TEST(the_only_cursor_is_a_gate_whatever_a_peer_writes)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 4096, .history = 8, .flags = _i ? SHR_RING_SINGLE_PRODUCER : 0});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor;
	struct shr_record record;

	for (uint64_t i = 0; i < 20; i++)
		put(producer, i, 40);
	spoil(offsetof(struct shm_ring, cursor[0].mode), CURSOR_USED | CURSOR_DURABLE);
	cursor = cursor_of(ring);
	spoil(offsetof(struct shm_ring, reclaim), (uint64_t)1 << 40);
	for (uint64_t i = 0; i < 20; i++) {
		ck_assert_uint_eq(get(cursor, &record), i);
		MUST(shr_cursor_release(cursor));
	}
	ck_assert_int_eq(shr_cursor_next(cursor, &record), -EAGAIN);
	shr_cursor_close(cursor);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(unlink_ends_every_kind_of_cursor_after_the_last_record)
{
	int kind = _i % KINDS, way = _i / KINDS;
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 1024, .cursors = 3, .flags = SHR_RING_SEQUENCE | SHR_RING_NO_DEFAULT});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor;
	struct shr_record record;
	pid_t sleeper = getpid(), pid;

	MUST(join(&cursor, ring, kind, (struct shr_cursor_options){0}));
	put(producer, 1, 40);
	MUST(wait_for_record(cursor, &record, way));
	MUST(shr_cursor_release(cursor));
	pid = fork();
	if (!pid)
		_exit(!until_asleep(sleeper) || shr_segment_unlink(name));
	ck_assert_int_eq(wait_for_record(cursor, &record, way), -ESTALE);
	ck_assert_int_eq(ended(pid), 0);
	shr_cursor_close(cursor);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stream");
	TCase *tc = tcase_create("stream");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, all_gates_see_all_records_in_one_order, 0, VARIANTS);
	tcase_add_loop_test(tc, the_slowest_gate_makes_the_ring_full, 0, VARIANTS);
	tcase_add_loop_test(tc, history_behind_the_slowest_gate_stays_readable, 0, VARIANTS);
	tcase_add_loop_test(tc, a_producer_asleep_is_woken, 0, BYS * VARIANTS);
	tcase_add_loop_test(tc, without_a_gate_nobody_is_waited_for, 0, VARIANTS);
	tcase_add_loop_test(tc, cursors_join_where_they_are_told, 0, KINDS * VARIANTS);
	tcase_add_loop_test(tc, a_durable_cursor_goes_on_where_it_had_released, 0, 4 * VARIANTS);
	tcase_add_loop_test(tc, a_cursor_that_is_not_durable_goes_with_its_owner, 0, 4 * VARIANTS);
	tcase_add_loop_test(tc, what_cannot_be_opened_is_told, 0, VARIANTS);
	tcase_add_loop_test(tc, the_only_cursor_stays, 0, VARIANTS);
	tcase_add_test(tc, options_of_a_ring_go_together_or_are_refused);
	tcase_add_loop_test(tc, every_call_in_a_child_is_echild, 0, 3 * VARIANTS);
	tcase_add_loop_test(tc, dropped_records_are_told_in_every_cursor_exactly, 0, VARIANTS);
	tcase_add_loop_test(tc, a_lossy_cursor_that_is_overtaken_is_told_exactly, 0, FIRSTS);
	tcase_add_loop_test(tc, an_observer_without_sequence_is_told_that_some_are_lost, 0, 4);
	tcase_add_loop_test(tc, a_small_buffer_loses_nothing_and_tells_nothing_twice, 0, VARIANTS);
	tcase_add_loop_test(tc, cursors_of_every_kind_are_woken, 0, WAYS * KINDS * 2);
	tcase_add_loop_test(tc, who_may_only_read_waits_and_is_told, 0, WAYS * 2 * 3);
	tcase_add_loop_test(tc, every_offset_wraps_for_every_cursor, 0, VARIANTS);
	tcase_add_loop_test(tc, killed_at_random_no_gate_misses_a_record, 0, VARIANTS);
	tcase_add_loop_test(tc, killed_gates_never_keep_a_producer, 0, VARIANTS);
	tcase_add_loop_test(tc, a_walk_tells_sequence_time_and_what_is_missing, 0, 2);
	tcase_add_test(tc, a_number_behind_the_end_of_the_ring_is_not_read);
	tcase_add_loop_test(tc, the_only_cursor_is_a_gate_whatever_a_peer_writes, 0, 2);
	tcase_add_loop_test(tc, unlink_ends_every_kind_of_cursor_after_the_last_record, 0, KINDS * WAYS);
	suite_add_tcase(suite, tc);
	return tap_run(suite);
}
