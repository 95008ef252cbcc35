/* SPDX-License-Identifier: MIT */
/* Our rows, by the public calls alone. */
#include "bench.h"

#include <errno.h>

/* --- One way ---------------------------------------------------------------- */

/* The symbols of the library: the compiler cannot see through volatile. */
static int (*volatile plain_reserve)(struct shr_producer *, size_t, void **) = shr_producer_reserve;
static int (*volatile plain_commit)(struct shr_producer *) = shr_producer_commit;
static int (*volatile plain_next)(struct shr_cursor *, struct shr_record *) = shr_cursor_next;
static int (*volatile plain_release)(struct shr_cursor *) = shr_cursor_release;

static ALWAYS int ring_push(struct shr_producer *producer, const void *message, size_t size)
{
	void *payload;
	int err = shr_producer_reserve(producer, size, &payload);

	if (err == -EAGAIN)
		return 0;
	if (err)
		die("reserve");
	memcpy(payload, message, size);
	if (shr_producer_commit(producer))
		die("commit");
	return 1;
}

static ALWAYS int ring_pop(struct shr_cursor *cursor, void *buffer, size_t size)
{
	struct shr_record record;
	int err = shr_cursor_next(cursor, &record);

	if (err == -EAGAIN)
		return 0;
	if (err)
		die("next");
	if (record.size != size)
		die_plain("a record has another size than it was sent with");
	memcpy(buffer, record.payload, size);
	if (shr_cursor_release(cursor))
		die("release");
	return 1;
}

static ALWAYS int plain_push(struct shr_producer *producer, const void *message, size_t size)
{
	void *payload;
	int err = plain_reserve(producer, size, &payload);

	if (err == -EAGAIN)
		return 0;
	if (err)
		die("reserve");
	memcpy(payload, message, size);
	if (plain_commit(producer))
		die("commit");
	return 1;
}

static ALWAYS int plain_pop(struct shr_cursor *cursor, void *buffer, size_t size)
{
	struct shr_record record;
	int err = plain_next(cursor, &record);

	if (err == -EAGAIN)
		return 0;
	if (err)
		die("next");
	if (record.size != size)
		die_plain("a record has another size than it was sent with");
	memcpy(buffer, record.payload, size);
	if (plain_release(cursor))
		die("release");
	return 1;
}

static ALWAYS uint64_t batch_push(struct shr_producer *producer, void *messages, size_t size,
				  uint64_t count)
{
	struct iovec records[BATCH];
	int n;

	for (uint64_t i = 0; i < count; i++)
		records[i] = (struct iovec){nth(messages, size, i), size};
	n = shr_producer_write_many(producer, records, (size_t)count);
	if (n < 0 && n != -EAGAIN)
		die("write many");
	return n > 0 ? (uint64_t)n : 0;
}

static ALWAYS uint64_t batch_pop(struct shr_cursor *cursor, void *buffer, size_t size,
				 uint64_t count)
{
	struct shr_record records[BATCH];
	int n = shr_cursor_next_many(cursor, records, (size_t)count);

	if (n < 0 && n != -EAGAIN)
		die("next many");
	for (int i = 0; i < n; i++) {
		if (records[i].size != size)
			die_plain("a record has another size than it was sent with");
		memcpy(nth(buffer, size, (uint64_t)i), records[i].payload, size);
	}
	if (n > 0 && shr_cursor_release(cursor))
		die("release");
	return n > 0 ? (uint64_t)n : 0;
}

/* The calls on the handles of this process. */
#define ON(ring, style)                                                                            \
	static ALWAYS int ring##_##style##_push(void *object, const void *message, size_t size)    \
	{                                                                                          \
		return style##_push(((struct bench *)object)->to_##ring, message, size);           \
	}                                                                                          \
	static ALWAYS int ring##_##style##_pop(void *object, void *buffer, size_t size)            \
	{                                                                                          \
		return style##_pop(((struct bench *)object)->from_##ring, buffer, size);           \
	}
#define BATCHES_ON(ring)                                                                           \
	static ALWAYS uint64_t ring##_batch_push(void *object, void *messages, size_t size,        \
						 uint64_t count)                                   \
	{                                                                                          \
		return batch_push(((struct bench *)object)->to_##ring, messages, size, count);     \
	}                                                                                          \
	static ALWAYS uint64_t ring##_batch_pop(void *object, void *buffer, size_t size,           \
						uint64_t count)                                    \
	{                                                                                          \
		return batch_pop(((struct bench *)object)->from_##ring, buffer, size, count);      \
	}
ON(single, ring)
ON(single, plain)
ON(several, ring)
ON(alone, ring)
ON(alone, plain)
BATCHES_ON(single)
BATCHES_ON(several)

ON(brief, ring)
ON(numbered, ring)
ON(jobs, ring)
ON(both, ring)

/* One process with two gates: a record counts when both have had it. */
static ALWAYS int both_pop(void *object, void *buffer, size_t size)
{
	struct bench *bench = object;
	uint64_t other[MESSAGE_MAX / 8];

	if (!ring_pop(bench->from_both, buffer, size))
		return 0;
	if (!ring_pop(bench->also_from_both, other, size))
		die_plain("a record is there for one gate only");
	if (memcmp(other, buffer, size))
		die_plain("two gates were given two records");
	return 1;
}

QUEUE_EACH_ANY(brief, brief_ring_push, brief_ring_pop, 0)
QUEUE_EACH_ANY(numbered, numbered_ring_push, numbered_ring_pop, 0)
QUEUE_EACH_ANY(jobs, jobs_ring_push, jobs_ring_pop, 0)
QUEUE_EACH_ANY(both, both_ring_push, both_pop, 0)
QUEUE_EACH_ANY(single, single_ring_push, single_ring_pop, 0)
QUEUE_EACH_ANY(plain, single_plain_push, single_plain_pop, 0)
QUEUE_BATCHES_ANY(batch, single_batch_push, single_batch_pop, 0)
QUEUE_EACH(single_known, single_ring_push, single_ring_pop, size, 0)
QUEUE_EACH(plain_known, single_plain_push, single_plain_pop, size, 0)
QUEUE_BATCHES(batch_known, single_batch_push, single_batch_pop, size, 0)
QUEUE_EACH_ANY(shared, several_ring_push, several_ring_pop, 0)
QUEUE_BATCHES_ANY(shared_batch, several_batch_push, several_batch_pop, 0)
QUEUE_EACH_ANY(several, several_ring_push, several_ring_pop, 1)
QUEUE_BATCHES_ANY(several_batch, several_batch_push, several_batch_pop, 1)
QUEUE_PAIR(alone, alone_ring_push, alone_ring_pop, size)
QUEUE_PAIR(alone_plain, alone_plain_push, alone_plain_pop, size)

#define OURS(name_, style_, several_, calls)                                                       \
	{                                                                                          \
		.name = name_, .style = style_, .several = several_, .put = calls##_put,           \
		.take = calls##_take,                                                              \
	}
const struct queue our_queues[] = {
	[OUR_INLINE] = OURS("shmring, inline", STYLE_INLINE, 0, single),
	[OUR_CALLS] = OURS("shmring, plain calls", STYLE_CALLS, 0, plain),
	[OUR_BATCH] = OURS("shmring, batches", STYLE_BATCH, 0, batch),
	[OUR_INLINE_KNOWN] = OURS("shmring, inline, size known", STYLE_INLINE, 0, single_known),
	[OUR_CALLS_KNOWN] = OURS("shmring, plain calls, size known", STYLE_CALLS, 0, plain_known),
	[OUR_BATCH_KNOWN] = OURS("shmring, batches, size known", STYLE_BATCH, 0, batch_known),
	[OUR_SHARED] = OURS("shmring, inline, for several", STYLE_INLINE, 0, shared),
	[OUR_SHARED_BATCH] = OURS("shmring, batches, for several", STYLE_BATCH, 0, shared_batch),
	[OUR_SEVERAL] = OURS("shmring, inline", STYLE_INLINE, 1, several),
	[OUR_SEVERAL_BATCH] = OURS("shmring, batches", STYLE_BATCH, 1, several_batch),
	[OUR_ALONE] = {.name = "shmring, inline", .style = STYLE_INLINE, .pair = alone_pair},
	[OUR_ALONE_CALLS] = {.name = "shmring, plain calls",
			     .style = STYLE_CALLS,
			     .pair = alone_plain_pair},
	[OUR_BRIEF] = OURS("shmring, inline, history of 1/32", STYLE_INLINE, 0, brief),
	[OUR_NUMBERED] = OURS("shmring, inline, numbered", STYLE_INLINE, 0, numbered),
	[OUR_QUEUE] = OURS("shmring, inline, queue", STYLE_INLINE, 0, jobs),
	[OUR_BOTH] = OURS("shmring, inline, to two gates, each", STYLE_INLINE, 0, both),
	{.name = NULL},
};

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
		samples_add(&bench->samples, (double)(answer.got_ns - then + now - answer.sent_ns),
			    1);
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
	uint32_t flags, mode, cursors;
	uint64_t history;
} kinds[] = {{"single", SHR_RING_SINGLE_PRODUCER, 0, 0, 0},
	     {"several", 0, 0, 0, 0},
	     {"alone", SHR_RING_SINGLE_PRODUCER, 0, 0, 0},
	     {"ping", SHR_RING_SINGLE_PRODUCER, 0, 0, 0},
	     {"pong", SHR_RING_SINGLE_PRODUCER, 0, 0, 0},
	     {"brief", SHR_RING_SINGLE_PRODUCER, 0, 0, RING_BYTES / 32},
	     {"numbered", SHR_RING_SINGLE_PRODUCER | SHR_RING_SEQUENCE, 0, 0, 0},
	     {"jobs", SHR_RING_SINGLE_PRODUCER, SHR_RING_QUEUE, 0, 0},
	     {"both", SHR_RING_SINGLE_PRODUCER | SHR_RING_NO_DEFAULT, 0, 2, 0}};
#define KINDS ((int)(sizeof(kinds) / sizeof(kinds[0])))

void rings_create(struct bench *bench, const char *name)
{
	struct shr_segment_options options = {.struct_size = sizeof(options), .role = "driver"};
	struct shr_object objects[KINDS + 3];

	for (int i = 0; i < KINDS; i++) {
		struct shr_ring_options ring = {.struct_size = sizeof(ring),
						.flags = kinds[i].flags,
						.mode = kinds[i].mode,
						.cursors = kinds[i].cursors,
						.history = kinds[i].history,
						.capacity = RING_BYTES,
						.max_record = MESSAGE_MAX};

		if (shr_ring_describe(&objects[i], kinds[i].name, &ring))
			die("describe a ring");
	}
	if (shr_mutex_describe(&objects[KINDS], "mutex", 1) ||
	    shr_event_describe(&objects[KINDS + 1], "event", 2))
		die("describe");
	tables_create(&objects[KINDS + 2]);
	if (shr_segment_create(&bench->segment, name, objects, KINDS + 3, &options))
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

static struct shr_cursor *gate_of(struct shr_ring *ring, const char *name)
{
	struct shr_cursor_options options = {.struct_size = sizeof(options),
					     .flags = SHR_CURSOR_CREATE | SHR_CURSOR_DURABLE};
	struct shr_cursor *cursor = NULL;

	if (shr_cursor_open_with(&cursor, ring, name, &options))
		die("open a gate");
	return cursor;
}

static struct shr_cursor *cursor_of(struct shr_ring *ring)
{
	struct shr_cursor *cursor = NULL;

	if (shr_cursor_open(&cursor, ring, NULL))
		die("open a cursor");
	return cursor;
}

void rings_open(struct bench *bench, const char *name, int producer)
{
	struct shr_segment_options options = {.struct_size = sizeof(options), .role = "producer"};
	struct shr_ring **rings[] = {&bench->single, &bench->several, &bench->alone, &bench->ping,
				     &bench->pong,   &bench->brief,   &bench->numbered, &bench->jobs,
				     &bench->both};

	if (producer >= 0 && shr_segment_attach(&bench->segment, name, &options))
		die("attach to the segment");
	for (int i = 0; i < KINDS; i++)
		if (shr_ring_attach(rings[i], bench->segment, kinds[i].name, NULL))
			die("attach to a ring");
	if (shr_mutex_attach(&bench->mutex, bench->segment, "mutex") ||
	    shr_event_attach(&bench->event, bench->segment, "event") ||
	    shr_table_attach(&bench->table, bench->segment, "table", NULL))
		die("attach to a mutex, events and a table");
	if (producer < 0)
		tables_fill(bench);
	if (producer < 0) {
		bench->from_single = cursor_of(bench->single);
		bench->from_several = cursor_of(bench->several);
		bench->from_alone = cursor_of(bench->alone);
		bench->to_alone = producer_of(bench->alone);
		bench->from_brief = cursor_of(bench->brief);
		bench->from_numbered = cursor_of(bench->numbered);
		bench->from_jobs = cursor_of(bench->jobs);
		bench->from_both = gate_of(bench->both, "one");
		bench->also_from_both = gate_of(bench->both, "another");
	} else {
		bench->to_several = producer_of(bench->several);
	}
	if (producer == 0) {
		bench->to_single = producer_of(bench->single);
		bench->to_brief = producer_of(bench->brief);
		bench->to_numbered = producer_of(bench->numbered);
		bench->to_jobs = producer_of(bench->jobs);
		bench->to_both = producer_of(bench->both);
	}
	if (producer <= 0) {
		bench->to_peer = producer_of(producer < 0 ? bench->ping : bench->pong);
		bench->from_peer = cursor_of(producer < 0 ? bench->pong : bench->ping);
	}
}
