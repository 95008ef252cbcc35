/* SPDX-License-Identifier: MIT */
/* Our rows, by the public calls alone. */
#include "bench.h"

#include <errno.h>

/* --- One way ---------------------------------------------------------------- */

/* How a row calls the library. */
enum calls { INLINE, PLAIN };

/* The symbols of the library: the compiler cannot see through volatile. */
static int (*volatile plain_reserve)(struct shr_producer *, size_t, void **) = shr_producer_reserve;
static int (*volatile plain_commit)(struct shr_producer *) = shr_producer_commit;
static int (*volatile plain_next)(struct shr_cursor *, struct shr_record *) = shr_cursor_next;
static int (*volatile plain_release)(struct shr_cursor *) = shr_cursor_release;

static ALWAYS void ring_put(struct shr_producer *producer, const void *source, size_t size,
			    uint64_t number, enum calls calls)
{
	void *payload;
	int err;

	do {
		err = calls == INLINE ? shr_producer_reserve(producer, size, &payload)
				      : plain_reserve(producer, size, &payload);
	} while (err == -EAGAIN);
	if (err)
		die("reserve");
	message_put(payload, source, size, number);
	if (calls == INLINE ? shr_producer_commit(producer) : plain_commit(producer))
		die("commit");
}

/* Message @number, or 0: it is not there yet. */
static ALWAYS int ring_take(struct shr_cursor *cursor, void *buffer, size_t size, uint64_t number,
			    enum calls calls)
{
	struct shr_record record;
	int err = calls == INLINE ? shr_cursor_next(cursor, &record) : plain_next(cursor, &record);

	if (err == -EAGAIN)
		return 0;
	if (err)
		die("next");
	if (record.size != size)
		die_plain("a record has another size than it was sent with");
	message_take(buffer, record.payload, size, number);
	if (calls == INLINE ? shr_cursor_release(cursor) : plain_release(cursor))
		die("release");
	return 1;
}

static ALWAYS void ring_produce(struct bench *bench, struct shr_producer *producer,
				enum calls calls)
{
	const size_t size = bench->size;
	static uint64_t source[65536 / 8];
	struct shared *shared = bench->shared;
	uint64_t number = 0;

	while (!atomic_load_explicit(&shared->stop.word, memory_order_relaxed))
		for (uint64_t i = 0; i < burst_of(size); i++)
			ring_put(producer, source, size, number++, calls);
	atomic_store(&shared->sent.word, number + 1);
}

static ALWAYS void ring_consume(struct bench *bench, struct shr_cursor *cursor,
				enum calls calls)
{
	const size_t size = bench->size;
	static uint64_t buffer[65536 / 8];
	struct shared *shared = bench->shared;
	struct windows windows;
	uint64_t number = 0, sent;
	int more;

	windows_begin(&windows, &bench->samples);
	do {
		for (uint64_t i = 0; i < burst_of(size); number++, i++)
			while (!ring_take(cursor, buffer, size, number, calls))
				;
		more = windows_note(&windows, burst_of(size));
	} while (more);
	atomic_store(&shared->stop.word, 1);
	do {
		number += (uint64_t)ring_take(cursor, buffer, size, number, calls);
		sent = atomic_load(&shared->sent.word);
	} while (!sent || number != sent - 1);
}

void inline_driver(struct bench *bench)
{
	ring_consume(bench, bench->from_single, INLINE);
}

void inline_peer(struct bench *bench)
{
	ring_produce(bench, bench->to_single, INLINE);
}

void calls_driver(struct bench *bench)
{
	ring_consume(bench, bench->from_single, PLAIN);
}

void calls_peer(struct bench *bench)
{
	ring_produce(bench, bench->to_single, PLAIN);
}

void several_driver(struct bench *bench)
{
	ring_consume(bench, bench->from_several, INLINE);
}

void several_peer(struct bench *bench)
{
	ring_produce(bench, bench->to_several, INLINE);
}

/* --- Batches ---------------------------------------------------------------- */

#define BATCH 32

/* The records are made in memory of one's own, and copied again by the library. */
static void batch_produce(struct bench *bench, struct shr_producer *producer)
{
	const size_t size = bench->size;
	static uint64_t source[65536 / 8], made[BATCH][8];
	struct shared *shared = bench->shared;
	struct iovec records[BATCH];
	uint64_t number = 0;

	for (int i = 0; i < BATCH; i++)
		records[i] = (struct iovec){made[i], size};
	while (!atomic_load_explicit(&shared->stop.word, memory_order_relaxed)) {
		int n = 0;

		for (int i = 0; i < BATCH; i++)
			message_put(made[i], source, size, number + (uint64_t)i);
		while (n < BATCH) {
			int m = shr_producer_write_many(producer, records + n, (size_t)(BATCH - n));

			if (m < 0 && m != -EAGAIN)
				die("write many");
			n += m > 0 ? m : 0;
		}
		number += BATCH;
	}
	atomic_store(&shared->sent.word, number + 1);
}

static uint64_t batch_take(struct shr_cursor *cursor, size_t size, uint64_t number)
{
	static uint64_t buffer[65536 / 8];
	struct shr_record records[BATCH];
	int n = shr_cursor_next_many(cursor, records, BATCH);

	if (n < 0 && n != -EAGAIN)
		die("next many");
	for (int i = 0; i < n; i++)
		message_take(buffer, records[i].payload, size, number + (uint64_t)i);
	if (n > 0 && shr_cursor_release(cursor))
		die("release");
	return n > 0 ? (uint64_t)n : 0;
}

static void batch_consume(struct bench *bench, struct shr_cursor *cursor)
{
	struct shared *shared = bench->shared;
	struct windows windows;
	uint64_t number = 0, sent;
	int more;

	windows_begin(&windows, &bench->samples);
	do {
		uint64_t n = 0;

		while (n < 8 * BATCH)
			n += batch_take(cursor, bench->size, number + n);
		number += n;
		more = windows_note(&windows, n);
	} while (more);
	atomic_store(&shared->stop.word, 1);
	do {
		number += batch_take(cursor, bench->size, number);
		sent = atomic_load(&shared->sent.word);
	} while (!sent || number != sent - 1);
}

void batch_driver(struct bench *bench)
{
	batch_consume(bench, bench->from_single);
}

void batch_peer(struct bench *bench)
{
	batch_produce(bench, bench->to_single);
}

void several_batch_driver(struct bench *bench)
{
	batch_consume(bench, bench->from_several);
}

void several_batch_peer(struct bench *bench)
{
	batch_produce(bench, bench->to_several);
}

/* --- Round trips ------------------------------------------------------------ */

/* The payload: a number, two times, and a fill. */
struct trip {
	uint64_t number;
	int64_t got_ns, sent_ns;
	uint64_t fill[ROUND_TRIP_BYTES / 8 - 3];
};
_Static_assert(sizeof(struct trip) == ROUND_TRIP_BYTES, "struct trip");

static ALWAYS void trip_put(struct shr_producer *producer, const struct trip *trip)
{
	void *payload;

	if (shr_producer_reserve(producer, sizeof(*trip), &payload))
		die("reserve"); /* never full: one message is under way */
	memcpy(payload, trip, sizeof(*trip));
	if (shr_producer_commit(producer))
		die("commit");
}

static ALWAYS void trip_take(struct shr_cursor *cursor, struct trip *trip, int until)
{
	struct shr_record record;
	int err;

	do {
		err = until ? shr_cursor_next_until(cursor, &record, SHR_FOREVER)
			    : shr_cursor_next(cursor, &record);
	} while (err == -EAGAIN || err == -EINTR);
	if (err)
		die("next");
	if (record.size != sizeof(*trip))
		die_plain("a record has another size than it was sent with");
	memcpy(trip, record.payload, sizeof(*trip));
	if (shr_cursor_release(cursor))
		die("release");
}

static ALWAYS void trip_start(struct bench *bench, int until)
{
	int64_t start = now_ns(), then = start;
	struct trip trip = {0}, answer;

	bench->samples.count = 0;
	while (then - start < ROUND_TRIP_NS) {
		int64_t now;

		for (int i = 0; i < GROUP; i++) {
			trip.number++;
			trip_put(bench->to_peer, &trip);
			trip_take(bench->from_peer, &answer, until);
			if (answer.number != trip.number)
				die_plain("an answer is not to the question");
		}
		now = now_ns();
		samples_add(&bench->samples, (double)(now - then) / GROUP, 1);
		then = now;
	}
	trip.number = LAST;
	trip_put(bench->to_peer, &trip);
}

static ALWAYS void trip_answer(struct bench *bench, int until, int64_t pause_ns)
{
	struct trip trip;

	for (;;) {
		trip_take(bench->from_peer, &trip, until);
		if (trip.number == LAST)
			return;
		if (pause_ns) {
			trip.got_ns = now_ns();
			wait_until_ns(trip.got_ns + pause_ns);
			trip.sent_ns = now_ns();
		}
		trip_put(bench->to_peer, &trip);
	}
}

void trip_driver(struct bench *bench)
{
	trip_start(bench, 0);
}

void trip_peer(struct bench *bench)
{
	trip_answer(bench, 0, 0);
}

void trip_until_driver(struct bench *bench)
{
	trip_start(bench, 1);
}

void trip_until_peer(struct bench *bench)
{
	trip_answer(bench, 1, 0);
}

/* As futex_driver(); the library spins first, so the pause is longer by that. */
void trip_asleep_driver(struct bench *bench)
{
	int64_t then = now_ns(), end = then + ASLEEP_NS, now = then;
	struct trip trip = {0}, answer;

	bench->samples.count = 0;
	while (now < end) {
		wait_until_ns(then + SPIN_NS + PAUSE_NS);
		trip.number++;
		then = now_ns();
		trip_put(bench->to_peer, &trip);
		trip_take(bench->from_peer, &answer, 1);
		now = now_ns();
		if (answer.number != trip.number)
			die_plain("an answer is not to the question");
		samples_add(&bench->samples, (double)(answer.got_ns - then + now - answer.sent_ns), 1);
		then = now;
	}
	trip.number = LAST;
	trip_put(bench->to_peer, &trip);
}

void trip_asleep_peer(struct bench *bench)
{
	trip_answer(bench, 1, SPIN_NS + PAUSE_NS);
}

/* --- Set-up ----------------------------------------------------------------- */

static const struct {
	const char *name;
	uint32_t flags;
} kinds[] = {{"single", SHR_RING_SINGLE_PRODUCER},
	     {"several", 0},
	     {"ping", SHR_RING_SINGLE_PRODUCER},
	     {"pong", SHR_RING_SINGLE_PRODUCER}};

void rings_create(struct bench *bench, const char *name)
{
	struct shr_segment_options options = {.struct_size = sizeof(options), .role = "driver"};
	struct shr_object objects[6];

	for (int i = 0; i < 4; i++) {
		struct shr_ring_options ring = {.struct_size = sizeof(ring),
						.flags = kinds[i].flags,
						.capacity = RING_BYTES,
						.max_record = 65536};

		if (shr_ring_describe(&objects[i], kinds[i].name, &ring))
			die("describe a ring");
	}
	if (shr_mutex_describe(&objects[4], "mutex", 1) || shr_event_describe(&objects[5], "event", 2))
		die("describe");
	if (shr_segment_create(&bench->segment, name, objects, 6, &options))
		die("create the segment");
	locks_create(bench);
}

static struct shr_producer *producer_of(struct shr_ring *ring)
{
	struct shr_producer *producer = NULL;

	if (shr_producer_open(&producer, ring))
		die("open a producer");
	return producer;
}

static struct shr_cursor *cursor_of(struct shr_ring *ring)
{
	struct shr_cursor *cursor = NULL;

	if (shr_cursor_open(&cursor, ring, NULL))
		die("open a cursor");
	return cursor;
}

void rings_open(struct bench *bench, const char *name, int driver)
{
	struct shr_segment_options options = {.struct_size = sizeof(options), .role = "peer"};
	struct shr_ring **rings[] = {&bench->single, &bench->several, &bench->ping, &bench->pong};

	if (!driver && shr_segment_attach(&bench->segment, name, &options))
		die("attach to the segment");
	for (int i = 0; i < 4; i++)
		if (shr_ring_attach(rings[i], bench->segment, kinds[i].name, NULL))
			die("attach to a ring");
	if (shr_mutex_attach(&bench->mutex, bench->segment, "mutex") ||
	    shr_event_attach(&bench->event, bench->segment, "event"))
		die("attach to a mutex and events");
	bench->to_peer = producer_of(driver ? bench->ping : bench->pong);
	bench->from_peer = cursor_of(driver ? bench->pong : bench->ping);
	if (driver) {
		bench->from_single = cursor_of(bench->single);
		bench->from_several = cursor_of(bench->several);
	} else {
		bench->to_single = producer_of(bench->single);
		bench->to_several = producer_of(bench->several);
	}
}
