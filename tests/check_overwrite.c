/* SPDX-License-Identifier: MIT */
/* L4, overwrite: producers never wait; readers get whole records, and are told of the others. */
#include "modes.h"

static void setup(void)
{
	fixture_setup("overwrite");
}

static struct shr_ring *recorder_make(uint64_t capacity, uint32_t flags, uint64_t first)
{
	return ring_make((struct shr_ring_options){
		.mode = SHR_RING_OVERWRITE, .capacity = capacity, .flags = flags, .first_position = first});
}

/* Flags of a loop's number: single producer; time. A sequence is there always. */
static uint32_t kind_of(int i)
{
	return (i & 1 ? SHR_RING_SINGLE_PRODUCER : 0) | (i & 2 ? SHR_RING_TIME : 0);
}

START_TEST(producers_never_wait_and_the_oldest_go)
{
	struct shr_ring *ring = recorder_make(4096, kind_of(_i), first_of(_i));
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = gate_of(ring, "x"), *none = NULL;
	struct shr_cursor_info info;
	struct shr_record record;
	uint64_t oldest;

	ck_assert_int_eq(shr_cursor_open(&none, ring, NULL), -ENOENT); /* there is no default */
	info = info_of(cursor);
	ck_assert_uint_eq(info.flags, SHR_CURSOR_LOSSY); /* whatever was asked for */
	for (uint64_t i = 0; i < 10000; i++)
		put(producer, i, 16 + (uint32_t)(mix(i) % 100));
	ck_assert_uint_eq(status_of(ring).full, 0);
	ck_assert_uint_eq(status_of(ring).dropped, 0);
	ck_assert_uint_eq(status_of(ring).sequence, 10001);
	ck_assert_uint_eq(status_of(ring).position, status_of(ring).tail);
	/* All of the ring is history, but for what is cleaned ahead. */
	ck_assert_uint_gt(status_of(ring).tail - status_of(ring).reclaim, 4096 * 3 / 4);
	oldest = get(cursor, &record);
	ck_assert_uint_eq(record.position, status_of(ring).reclaim);
	ck_assert_uint_eq(record.lost, oldest);
	ck_assert_uint_eq(record.sequence, oldest + 1);
	ck_assert_uint_eq(record.flags, SHR_RECORD_LOST);
	while (++oldest < 10000) {
		ck_assert_uint_eq(get(cursor, &record), oldest);
		ck_assert_uint_eq(record.lost, 0);
	}
	ck_assert_int_eq(shr_cursor_next(cursor, &record), -EAGAIN);
	MUST(shr_cursor_release(cursor));
	stats_agree(ring);
	shr_cursor_close(cursor);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(losses_are_told_exactly_at_every_pace)
{
	struct shr_ring *ring = recorder_make(2048, kind_of(_i & 1), first_of(_i));
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *all[3] = {gate_of(ring, "a"),
				     cursor_with(ring, "d", SHR_CURSOR_CREATE | SHR_CURSOR_DURABLE, 0),
				     observer_of(ring, SHR_JOIN_OLDEST)};
	uint64_t sent = 0, next[3] = {1, 1, 1}, got[3] = {0}, lost[3] = {0};
	static char buffer[128];
	struct shr_record record;

	srand((unsigned)_i);
	for (int round = 0; round < 3000; round++) {
		for (int n = rand() % 40; n > 0; n--) /* 64 bytes each: no PAD */
			put(producer, sent++, 48);
		for (int c = 0; c < 3; c++)
			for (int n = round < 2999 ? rand() % 25 : 10000; n > 0; n--) {
				int err = shr_cursor_read(all[c], buffer, 47, &record);

				if (err == -EAGAIN)
					break;
				ck_assert_int_eq(err, -EMSGSIZE); /* and nothing is forgotten by that */
				ck_assert_uint_eq(record.size, 48);
				if (rand() % 8 == 0)
					put(producer, sent++, 48);
				MUST(shr_cursor_read(all[c], buffer, 48, &record));
				ck_assert_uint_eq(number_of(&record) + 1, record.sequence);
				ck_assert_uint_eq(record.sequence, next[c] + record.lost);
				ck_assert_uint_eq(!!(record.flags & SHR_RECORD_LOST), record.lost != 0);
				next[c] = record.sequence + 1;
				got[c]++;
				lost[c] += record.lost;
			}
		if (round % 16 == 0) {
			shr_cursor_close(all[1]);
			all[1] = cursor_with(ring, "d", 0, 0);
		}
	}
	for (int c = 0; c < 3; c++) {
		while (!shr_cursor_next(all[c], &record)) {
			got[c]++;
			lost[c] += record.lost;
		}
		MUST(shr_cursor_release(all[c]));
		ck_assert_uint_gt(lost[c], 1000);
		ck_assert_uint_eq(got[c] + lost[c], sent);
		ck_assert_uint_eq(info_of(all[c]).lost, lost[c]);
		ck_assert_uint_eq(info_of(all[c]).lost_bytes, 64 * lost[c]);
		ck_assert_uint_eq(info_of(all[c]).sequence, sent + 1);
		ck_assert_uint_eq(info_of(all[c]).redelivered, 0);
	}
	stats_agree(ring);
	for (int c = 0; c < 3; c++)
		shr_cursor_close(all[c]);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

/* --- A fast writer in another process ------------------------------------------------ */

static uint32_t size_of(uint64_t number)
{
	return 16 + (uint32_t)(mix(number) % (number % 16 ? 120 : 900));
}

static pid_t start_writer(uint32_t who, volatile uint32_t *stop, int many)
{
	pid_t pid = fork();

	if (!pid) {
		struct shr_producer *producer = producer_of(ring_again());
		static unsigned char bytes[8][1024];
		struct iovec records[8];

		for (uint64_t i = 0; !*stop;) {
			int n = 1, err;

			if (many) {
				for (uint64_t k = 0; k < 8; k++) {
					records[k] = (struct iovec){bytes[k], size_of(i + k)};
					fill(bytes[k], who, i + k, size_of(i + k));
				}
				n = err = shr_producer_write_many(producer, records, 8);
			} else {
				err = try_put(producer, who, i, size_of(i));
			}
			if (err == -ENOBUFS || err == -EAGAIN) /* another's record is in the way; or its lock */
				continue;
			if (err < 0)
				_exit(1);
			i += (uint64_t)n;
		}
		_exit(shr_producer_close(producer) != 0);
	}
	return pid;
}

/* Two laps and more: whole records, each writer's in order, and an exact account. */
static void read_all(struct shr_cursor *cursor, uint32_t writers, int slow)
{
	uint64_t next[2] = {0}, sequence = 0, time_ns[2] = {0}, lost = 0;
	int64_t end = SOON;

	for (uint64_t n = 0; n < 100000 && (n < 1000 || lost < 1000) && clock_ns() < end; n++) {
		struct shr_record record;
		struct head head;

		MUST(shr_cursor_next_until(cursor, &record, SOON));
		head = check_payload(record.payload, record.size);
		ck_assert_msg(head.producer < writers, "a torn record at %llu",
			      (unsigned long long)record.position);
		ck_assert_uint_eq(record.size, size_of(head.sequence));
		ck_assert_uint_ge(head.sequence, next[head.producer]);
		if (sequence)
			ck_assert_uint_eq(record.sequence, sequence + 1 + record.lost);
		sequence = record.sequence;
		next[head.producer] = head.sequence + 1;
		ck_assert_uint_ge(record.time_ns, time_ns[head.producer]);
		time_ns[head.producer] = record.time_ns;
		lost += record.lost;
		MUST(shr_cursor_release(cursor));
		if (slow && n % 64 == 0)
			usleep(1000);
	}
	ck_assert_uint_gt(sequence, 1000);
}

START_TEST(no_reader_sees_a_torn_record)
{
	uint32_t writers = _i & 1 ? 1 : 2;
	struct shr_ring *ring = recorder_make(_i & 4 ? 4096 : 32768, kind_of(_i), first_of(_i % FIRSTS));
	volatile uint32_t *stop = shared_page();
	struct shr_cursor *cursor = gate_of(ring, "x");
	pid_t writer[2], reader[2];

	for (uint32_t i = 0; i < writers; i++)
		writer[i] = start_writer(i, stop, _i & 4 && i == 0);
	for (int i = 0; i < 2; i++) {
		reader[i] = fork();
		if (!reader[i]) {
			struct shr_segment *segment;
			struct shr_ring *own = i ? ring_again() : ring_observed(&segment);
			struct shr_cursor *observer = observer_of(own, SHR_JOIN_OLDEST);

			read_all(observer, writers, i);
			shr_cursor_close(observer);
			_exit(0);
		}
	}
	read_all(cursor, writers, 0);
	ck_assert_int_eq(ended(reader[0]), 0);
	ck_assert_int_eq(ended(reader[1]), 0);
	*stop = 1;
	for (uint32_t i = 0; i < writers; i++)
		ck_assert_int_eq(ended(writer[i]), 0);
	if (writers == 1) /* several wait for each other's claims, too */
		ck_assert_uint_eq(status_of(ring).full, 0);
	stats_agree(ring);
	shr_cursor_close(cursor);
	MUST(shr_ring_close(ring));
}
END_TEST

/* --- A record in work is in the way ------------------------------------------------------ */

START_TEST(a_record_in_work_is_not_overwritten_while_its_producer_lives)
{
	struct shr_ring *ring = recorder_make(2048, kind_of(_i & 2), first_of(_i));
	volatile uint32_t *told = shared_page();
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = gate_of(ring, "x"), *observer = observer_of(ring, SHR_JOIN_OLDEST);
	struct shr_record record;
	struct iovec piece = {(char *)"12345678", 8};
	uint64_t sent = 0, dropped = 0, got = 0, lost = 0, told_lost = 0;
	pid_t pid = fork();
	int err;

	if (!pid) {
		struct shr_producer *own = producer_of(ring_again());
		void *payload;

		MUST(shr_producer_reserve(own, 40, &payload));
		fill(payload, 1, 77, 40);
		say(&told[0], 1);
		if (!until(&told[1], 1))
			_exit(1);
		MUST(shr_producer_commit(own));
		say(&told[0], 2);
		for (;;)
			pause();
	}
	ck_assert(until(&told[0], 1));
	kill(pid, SIGSTOP);
	while (!(err = try_put(producer, 1, sent, 40)))
		sent++;
	ck_assert_int_eq(err, -ENOBUFS);
	ck_assert_uint_gt(sent, 20);
	for (dropped = 1; dropped < 10; dropped++) {
		/* Also who would wait does not. */
		int64_t before = clock_ns();

		err = dropped % 3 == 0 ? shr_producer_write_until(producer, "12345678", 8, SHR_FOREVER)
		      : dropped % 3 == 1 ? shr_producer_write_many(producer, &piece, 1)
					 : try_put(producer, 1, sent, 40);
		if (err == 1 || err == 0) { /* a smaller one has found room */
			sent++;
			dropped--;
			continue;
		}
		ck_assert_int_eq(err, -ENOBUFS);
		ck_assert_int_lt(clock_ns() - before, 10000000000);
	}
	ck_assert_uint_eq(status_of(ring).dropped, dropped);
	ck_assert_uint_eq(status_of(ring).sequence, 1 + 1 + sent + dropped);
	ck_assert_int_eq(shr_cursor_next(cursor, &record), -EAGAIN);
	ck_assert_int_eq(shr_cursor_next(observer, &record), -EAGAIN);
	if (_i & 1) { /* it goes on: its record is there */
		say(&told[1], 1);
		kill(pid, SIGCONT);
		ck_assert(until(&told[0], 2));
		ck_assert_uint_eq(get(cursor, &record), 77);
		ck_assert_uint_eq(record.sequence, 1);
	} else { /* it is killed: its record is mended by who needs the room */
		kill_now(pid);
	}
	err = -ENOBUFS;
	for (int64_t end = SOON; err == -ENOBUFS && clock_ns() < end; usleep(500)) {
		err = try_put(producer, 1, sent, 40);
		sent += !err;
		dropped += err != 0;
	}
	ck_assert_int_eq(err, 0);
	for (int i = 0; i < 500; i++)
		put(producer, sent++, 40);
	ck_assert_uint_eq(status_of(ring).dropped, dropped);
	for (got = !!(_i & 1); !shr_cursor_next(cursor, &record); got++)
		lost += record.lost;
	ck_assert_uint_eq(got + lost, 1 + sent + dropped);
	for (got = 0; !shr_cursor_next(observer, &record); got++)
		told_lost += record.lost;
	ck_assert_uint_eq(got + told_lost, 1 + sent + dropped);
	stats_agree(ring);
	if (_i & 1)
		kill_now(pid);
	shr_cursor_close(cursor);
	shr_cursor_close(observer);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

/* Whoever reads, and also an observer once somebody has mended it, passes what the dead left. */
START_TEST(a_reservation_of_the_dead_is_skipped)
{
	struct shr_ring *ring = recorder_make(2048, kind_of(_i * 2), 0);
	volatile uint32_t *told = shared_page();
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = gate_of(ring, "x"), *observer = observer_of(ring, SHR_JOIN_OLDEST);
	struct shr_walk *walk = NULL;
	struct shr_walk_record seen;
	struct shr_inspect *inspect = inspect_of();
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
	MUST(shr_walk_open(&walk, inspect, 0, SHR_WALK_OLDEST | SHR_WALK_BUSY | SHR_WALK_SKIPPED, 64));
	MUST(shr_walk_next(walk, &seen));
	ck_assert_uint_eq(seen.state, SHR_STATE_BUSY);
	ck_assert_uint_eq(seen.sequence, 1);
	shr_walk_close(walk);
	kill_now(pid);
	MUST(shr_cursor_next_until(cursor, &record, SOON));
	ck_assert_uint_eq(number_of(&record), 1);
	ck_assert_uint_eq(record.sequence, 2);
	ck_assert_uint_eq(record.lost, 0);
	MUST(shr_cursor_release(cursor));
	ck_assert_uint_eq(info_of(cursor).skipped, 1);
	MUST(shr_cursor_next_until(observer, &record, SOON));
	ck_assert_uint_eq(number_of(&record), 1);
	ck_assert_uint_eq(record.lost, 0);
	MUST(shr_cursor_release(observer));
	ck_assert_uint_eq(info_of(observer).skipped, 1);
	walk = NULL;
	MUST(shr_walk_open(&walk, inspect, 0, SHR_WALK_OLDEST | SHR_WALK_SKIPPED, 64));
	MUST(shr_walk_next(walk, &seen));
	ck_assert_uint_eq(seen.state, SHR_STATE_SKIPPED);
	MUST(shr_walk_next(walk, &seen));
	ck_assert_uint_eq(seen.state, SHR_STATE_READY);
	ck_assert_uint_eq(seen.sequence, 2);
	ck_assert_uint_eq(seen.lost, 0);
	shr_walk_close(walk);
	shr_inspect_close(inspect);
	shr_cursor_close(cursor);
	shr_cursor_close(observer);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(who_overtakes_itself_is_told)
{
	struct shr_ring *ring = recorder_make(1024, 0, 0);
	struct shr_producer *producer = producer_of(ring), *other = producer_of(ring);
	void *payload;
	int err;

	MUST(shr_producer_reserve(other, 40, &payload));
	for (int i = 0; !(err = try_put(producer, 1, 1, 40)); i++)
		ck_assert_int_lt(i, 1000);
	ck_assert_int_eq(err, -ENOBUFS);
	MUST(shr_producer_abort(other));
	for (int i = 0; i < 1000; i++)
		put(producer, 1, 40);
	shr_producer_close(other);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(a_killed_writer_is_replaced_and_numbers_go_on)
{
	struct shr_ring *ring = recorder_make(4096, kind_of(_i), first_of(_i));
	volatile uint32_t *stop = shared_page();
	struct shr_cursor *cursor = gate_of(ring, "x");
	uint64_t sequence = 0, told = 0, got = 0, skipped;
	struct shr_record record;
	struct shr_producer *producer;
	int err = 0;

	for (int round = 0; round < 60; round++) {
		pid_t pid = start_writer(0, stop, 0);
		int64_t late = SOON, end = clock_ns() + (int64_t)(mix((uint64_t)round) % 5000000);
		uint64_t before = got;

		while (err != -EAGAIN || pid) {
			ck_assert_int_lt(clock_ns(), late);
			if (pid && clock_ns() > end && got > before) {
				kill_now(pid);
				pid = 0;
			}
			err = shr_cursor_next(cursor, &record);
			ck_assert(err == 0 || err == -EAGAIN);
			if (err)
				continue;
			number_of(&record);
			ck_assert_uint_gt(record.sequence, sequence);
			sequence = record.sequence;
			told += record.lost;
			got++;
			MUST(shr_cursor_release(cursor));
		}
		err = 0;
	}
	producer = producer_of(ring); /* what the last one left is mended, or never was */
	for (int64_t end = SOON; clock_ns() < end; usleep(200)) {
		err = try_put(producer, 1, 1, 40);
		if (!err)
			break;
		ck_assert_int_eq(err, -ENOBUFS);
	}
	ck_assert_int_eq(err, 0);
	while (!shr_cursor_next_until(cursor, &record, shr_deadline_ns(30000000))) {
		ck_assert_uint_gt(record.sequence, sequence);
		sequence = record.sequence;
		told += record.lost;
		got++;
	}
	MUST(shr_cursor_release(cursor));
	skipped = info_of(cursor).skipped;
	ck_assert_uint_gt(got, 60);
	ck_assert_uint_eq(sequence + 1, status_of(ring).sequence);
	/* Every number is a record that was given, or lost, or skipped. */
	ck_assert_uint_eq(got + told + skipped, sequence);
	if (_i & 1) {
		ck_assert_uint_eq(skipped, 0);
		ck_assert_uint_eq(status_of(ring).producer_takeovers, 60);
	} else {
		ck_assert_uint_le(skipped, 61);
	}
	stats_agree(ring);
	shr_producer_close(producer);
	shr_cursor_close(cursor);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(every_offset_wraps_when_overwritten)
{
	uint32_t flags = kind_of(_i), most = _i & 2 ? 104 : 112;

	for (int f = 0; f < FIRSTS; f++)
		for (uint64_t start = 0; start < 256; start += 8)
			for (uint32_t size = 16; size <= most; size += 11) {
				struct shr_ring *ring = ring_make((struct shr_ring_options){
					.mode = SHR_RING_OVERWRITE, .capacity = 256, .max_record = most,
					.flags = flags, .first_position = first_of(f) + start});
				struct shr_producer *producer = producer_of(ring);
				struct shr_cursor *all[2] = {gate_of(ring, "x"),
							     observer_of(ring, SHR_JOIN_OLDEST)};
				uint64_t sent = 0, next[2] = {0};
				struct shr_record record;

				for (int lap = 0; lap < 12; lap++) {
					for (int n = 0; n < 3 + lap % 5; n++)
						put(producer, sent++, size);
					for (int c = 0; c < (lap % 3 ? 2 : 1); c++) {
						while (!shr_cursor_next(all[c], &record)) {
							ck_assert_uint_eq(number_of(&record), next[c] + record.lost);
							next[c] += record.lost + 1;
							MUST(shr_cursor_release(all[c]));
						}
						ck_assert_uint_eq(next[c], sent);
					}
				}
				ck_assert_uint_eq(status_of(ring).sequence, sent + 1);
				shr_cursor_close(all[0]);
				shr_cursor_close(all[1]);
				shr_producer_close(producer);
				MUST(shr_ring_close(ring));
			}
}
END_TEST

START_TEST(the_largest_record_passes_at_each_offset)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.mode = SHR_RING_OVERWRITE, .capacity = 1024, .flags = kind_of(_i),
		.max_record = 512 - (_i & 2 ? 24 : 16)});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *observer = observer_of(ring, SHR_JOIN_OLDEST);
	struct shr_record record;
	void *payload;
	uint64_t last = 0;

	ck_assert_int_eq(shr_producer_reserve(producer, shr_ring_max_record(ring) + 1, &payload), -EMSGSIZE);
	for (uint64_t i = 0; i < 2000; i++) {
		uint32_t size = i % 2 ? (uint32_t)shr_ring_max_record(ring) : 16 + (uint32_t)(i * 8 % 400);

		put(producer, i, size);
		while (!shr_cursor_next(observer, &record))
			last = number_of(&record);
		ck_assert_uint_eq(last, i); /* the newest is there always */
	}
	shr_cursor_close(observer);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(a_walk_beside_a_fast_writer_tells_what_it_missed)
{
	struct shr_ring *ring = recorder_make(16384, kind_of(_i), 0);
	volatile uint32_t *stop = shared_page();
	struct shr_inspect *inspect = inspect_of();
	struct shr_walk *walk = NULL;
	struct shr_walk_record record;
	uint64_t sequence = 0, seen = 0, lost = 0;
	pid_t pid = start_writer(0, stop, 0);
	int64_t end = SOON;

	MUST(shr_walk_open(&walk, inspect, 0, SHR_WALK_OLDEST, 4096));
	while ((seen < 2000 || !lost) && clock_ns() < end) {
		int err = shr_walk_next(walk, &record);

		if (err == -EAGAIN)
			continue;
		ck_assert_msg(!err, "%d %s", err, shr_last_error());
		ck_assert_uint_eq(check_payload(record.payload, record.copied).producer, 0);
		ck_assert_uint_eq(check_payload(record.payload, record.copied).sequence + 1, record.sequence);
		if (sequence)
			ck_assert_uint_eq(record.sequence, sequence + 1 + record.lost);
		ck_assert_uint_eq(!!record.time_ns, !!(_i & 2));
		sequence = record.sequence;
		lost += record.lost;
		seen++;
	}
	*stop = 1;
	ck_assert_int_eq(ended(pid), 0);
	ck_assert_uint_ge(seen, 2000);
	ck_assert_uint_gt(lost, 0);
	ck_assert_uint_gt(shr_walk_lost(walk), 0);
	shr_walk_close(walk);
	shr_inspect_close(inspect);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(waiting_for_a_recorder)
{
	int way = _i % WAYS, observe = _i / WAYS;
	struct shr_ring *ring = recorder_make(1024, SHR_RING_TIME, 0);
	struct shr_cursor *cursor = observe ? observer_of(ring, SHR_JOIN_NEWEST)
					    : cursor_with(ring, "x", SHR_CURSOR_CREATE, SHR_JOIN_NEWEST);
	pid_t sleeper = getpid(), pid = fork();
	struct shr_record record;

	if (!pid) {
		struct shr_producer *producer = producer_of(ring_again());

		if (!until_asleep(sleeper))
			_exit(1);
		usleep(2000);
		put(producer, 5, 40);
		_exit(0);
	}
	MUST(wait_for_record(cursor, &record, way));
	ck_assert_uint_eq(number_of(&record), 5);
	ck_assert_int_eq(ended(pid), 0);
	shr_cursor_close(cursor);
	MUST(shr_ring_close(ring));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("overwrite");
	TCase *tc = tcase_create("overwrite");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, producers_never_wait_and_the_oldest_go, 0, 4);
	tcase_add_loop_test(tc, losses_are_told_exactly_at_every_pace, 0, FIRSTS);
	tcase_add_loop_test(tc, no_reader_sees_a_torn_record, 0, 8);
	tcase_add_loop_test(tc, a_record_in_work_is_not_overwritten_while_its_producer_lives, 0, 4);
	tcase_add_loop_test(tc, a_reservation_of_the_dead_is_skipped, 0, 2);
	tcase_add_test(tc, who_overtakes_itself_is_told);
	tcase_add_loop_test(tc, a_killed_writer_is_replaced_and_numbers_go_on, 0, 4);
	tcase_add_loop_test(tc, every_offset_wraps_when_overwritten, 0, 4);
	tcase_add_loop_test(tc, the_largest_record_passes_at_each_offset, 0, 4);
	tcase_add_loop_test(tc, a_walk_beside_a_fast_writer_tells_what_it_missed, 0, 4);
	tcase_add_loop_test(tc, waiting_for_a_recorder, 0, 2 * WAYS);
	suite_add_tcase(suite, tc);
	return tap_run(suite);
}
