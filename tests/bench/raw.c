/* SPDX-License-Identifier: MIT */
/*
 * What the machine does without a ring: the figures that ours are held against.
 *
 * ideal	a block of messages without headers is handed off by one store of
 *		tail, and given back by one of head
 * dirty	the same; the reader also writes a word in each line it has read,
 *		so that the line comes back to the writer owned
 * bare	a word a record, published in place, and zeroed by the reader
 * gap		what the machine takes away from two busy processes at a time
 * line		a cache line there, another one back
 * futex	a wake there, another one back
 */
#include "bench.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef SYS_futex
#define FUTEX_CALL SYS_futex
#else
#define FUTEX_CALL SYS_futex_time64
#endif

/* A block for each call; @number says where in the ring it begins. */
static ALWAYS void raw_put(size_t size, struct shared *shared, void *source, uint64_t number,
			   uint64_t count)
{
	uint64_t tail = number * size, end = tail + count * size;
	const uint64_t ahead = ahead_of(size);

	while (end - atomic_load_explicit(&shared->head.word, memory_order_acquire) > RING_BYTES)
		;
	for (uint64_t done = 0; done < count; done += ahead) {
		for (uint64_t i = 0; i < ahead; i++)
			message_make(nth(source, size, i), size, number + done + i);
		for (uint64_t i = 0; i < ahead; i++, tail += size)
			memcpy(shared->data + tail % RING_BYTES, nth(source, size, i), size);
	}
	atomic_store_explicit(&shared->tail.word, end, memory_order_release);
}

/* The block that begins with @next, when it is there. */
static ALWAYS uint64_t raw_take(size_t size, struct shared *shared, void *buffer, uint64_t *next,
				uint64_t count, int dirty)
{
	uint64_t head = *next * size;
	uint8_t *data = shared->data + head % RING_BYTES;

	if (atomic_load_explicit(&shared->tail.word, memory_order_acquire) == head)
		return 0;
	for (uint64_t i = 0; i < count; i++, data += size) {
		memcpy(buffer, data, size);
		message_check(buffer, size, *next + i);
		if (!dirty)
			continue;
		/* The line that ends with this message, or all of its lines. */
		if (size < LINE_BYTES && (i + 1) * size % LINE_BYTES == 0)
			*(volatile uint64_t *)(void *)(data + size - LINE_BYTES) = 0;
		for (size_t at = 0; size >= LINE_BYTES && at < size; at += LINE_BYTES)
			*(volatile uint64_t *)(void *)(data + at) = 0;
	}
	*next += count;
	atomic_store_explicit(&shared->head.word, head + count * size, memory_order_release);
	return count;
}

#define RAW_CALLS(name, sizes, dirty)                                                              \
	static void name##_put(void *object, void *source, size_t size, uint64_t number,           \
			       uint64_t count)                                                     \
	{                                                                                          \
		sizes(raw_put, ((struct bench *)object)->shared, source, number, count);           \
	}                                                                                          \
	static uint64_t name##_take(void *object, void *buffer, size_t size, uint64_t *next,       \
				    uint64_t count)                                                \
	{                                                                                          \
		sizes(raw_take, ((struct bench *)object)->shared, buffer, next, count, dirty);     \
	}
RAW_CALLS(ideal, ANY_SIZE, 0)
RAW_CALLS(dirty, ANY_SIZE, 1)
RAW_CALLS(dirty_known, FOR_SIZE, 1)

/*
 * A word a record, published in place, and nothing else: no handle, no check that is not
 * needed between two who trust each other. The reader zeroes what it gives back. What
 * of this a ring does not reach, it pays for more than that.
 */
#define BARE_READY ((uint64_t)1 << 32)
#define BARE_PAD ((uint64_t)2 << 32)
#define BARE_BATCH (RING_BYTES / 32)

/* One side, of this process: the next record, how far it may go, what is zeroed. */
static struct bare {
	uint64_t at, end, freed;
} bare_to, bare_from;

static void bare_init(void *object, size_t size)
{
	(void)size;
	memset(((struct bench *)object)->shared->data, 0, RING_BYTES);
}

static ALWAYS shr_word_ *bare_word(struct shared *shared, uint64_t at)
{
	return (shr_word_ *)(void *)(shared->data + at % RING_BYTES);
}

static ALWAYS void bare_room(struct shared *shared, struct bare *to, uint64_t end)
{
	while ((int64_t)(to->end - end) < 0)
		to->end = atomic_load_explicit(&shared->head.word, memory_order_acquire) +
			  RING_BYTES - 8;
}

static ALWAYS void bare_push(struct shared *shared, struct bare *to, const void *message, size_t size)
{
	uint64_t total = (size + 15) & ~(uint64_t)7, rest = RING_BYTES - to->at % RING_BYTES;

	if (rest < total) {
		bare_room(shared, to, to->at + rest);
		__atomic_store_n(bare_word(shared, to->at), BARE_PAD, __ATOMIC_RELEASE);
		to->at += rest;
	}
	bare_room(shared, to, to->at + total);
	memcpy(shared->data + to->at % RING_BYTES + 8, message, size);
	__atomic_store_n(bare_word(shared, to->at), BARE_READY | size, __ATOMIC_RELEASE);
	to->at += total;
}

/* Zero what was read, and give it back. */
static ALWAYS void bare_free(struct shared *shared, struct bare *from)
{
	uint64_t index = from->freed % RING_BYTES, bytes = from->at - from->freed;
	uint64_t first = bytes < RING_BYTES - index ? bytes : RING_BYTES - index;

	memset(shared->data + index, 0, first);
	memset(shared->data, 0, bytes - first);
	from->freed = from->at;
	atomic_store_explicit(&shared->head.word, from->at, memory_order_release);
}

static ALWAYS int bare_pop(struct shared *shared, struct bare *from, void *buffer, size_t size)
{
	uint64_t word;

	while ((word = __atomic_load_n(bare_word(shared, from->at), __ATOMIC_ACQUIRE)) & BARE_PAD)
		from->at += RING_BYTES - from->at % RING_BYTES;
	if (!word)
		return 0;
	if ((uint32_t)word != size)
		die_plain("a record has another size than it was sent with");
	memcpy(buffer, shared->data + from->at % RING_BYTES + 8, size);
	from->at += ((uint32_t)word + 15) & ~(uint64_t)7;
	if (from->at - from->freed >= BARE_BATCH)
		bare_free(shared, from);
	return 1;
}

static ALWAYS void bare_put(size_t size, struct shared *shared, void *source, uint64_t number,
			    uint64_t count)
{
	const uint64_t ahead = ahead_of(size);
	struct bare to = bare_to;

	if (!number)
		to = (struct bare){.end = RING_BYTES - 8};
	for (uint64_t done = 0; done < count; done += ahead) {
		for (uint64_t i = 0; i < ahead; i++)
			message_make(nth(source, size, i), size, number + done + i);
		for (uint64_t i = 0; i < ahead; i++)
			bare_push(shared, &to, nth(source, size, i), size);
	}
	bare_to = to;
}

static ALWAYS uint64_t bare_take(size_t size, struct shared *shared, void *buffer, uint64_t *next,
				 uint64_t count)
{
	struct bare from = bare_from;
	uint64_t n = 0;

	if (!*next)
		from = (struct bare){0};
	for (; n < count && bare_pop(shared, &from, buffer, size); n++)
		message_check(buffer, size, *next + n);
	bare_from = from;
	*next += n;
	return n;
}

static ALWAYS void bare_both(size_t size, struct shared *shared, void *source, void *buffer,
			     uint64_t number, uint64_t count)
{
	const uint64_t ahead = ahead_of(size);
	struct bare to = bare_to, from = bare_from;

	if (!number) {
		to = (struct bare){.end = RING_BYTES - 8};
		from = (struct bare){0};
	}
	for (uint64_t done = 0; done < count; done += ahead) {
		for (uint64_t i = 0; i < ahead; i++)
			message_make(nth(source, size, i), size, number + done + i);
		for (uint64_t i = 0; i < ahead; i++) {
			bare_push(shared, &to, nth(source, size, i), size);
			if (!bare_pop(shared, &from, buffer, size))
				die_plain("a record that was put is not there");
			message_check(buffer, size, number + done + i);
		}
	}
	bare_to = to;
	bare_from = from;
}

#define BARE_CALLS(name, sizes)                                                                    \
	static void name##_put(void *object, void *source, size_t size, uint64_t number,           \
			       uint64_t count)                                                     \
	{                                                                                          \
		sizes(bare_put, ((struct bench *)object)->shared, source, number, count);          \
	}                                                                                          \
	static uint64_t name##_take(void *object, void *buffer, size_t size, uint64_t *next,       \
				    uint64_t count)                                                \
	{                                                                                          \
		sizes(bare_take, ((struct bench *)object)->shared, buffer, next, count);           \
	}
BARE_CALLS(bare_any, ANY_SIZE)
BARE_CALLS(bare_known, FOR_SIZE)

static void bare_pair(void *object, void *source, void *buffer, size_t size, uint64_t number,
		      uint64_t count)
{
	FOR_SIZE(bare_both, ((struct bench *)object)->shared, source, buffer, number, count);
}

const struct queue raw_queues[] = {
	[RAW_IDEAL] = {.name = "ideal", .put = ideal_put, .take = ideal_take},
	[RAW_DIRTY] = {.name = "ideal-dirty", .put = dirty_put, .take = dirty_take},
	[RAW_DIRTY_KNOWN] = {.name = "ideal-dirty, size known",
			     .put = dirty_known_put,
			     .take = dirty_known_take},
	[RAW_BARE] = {.name = "a word a record, bare",
		      .init = bare_init,
		      .put = bare_any_put,
		      .take = bare_any_take},
	[RAW_BARE_KNOWN] = {.name = "a word a record, bare, size known",
			    .init = bare_init,
			    .put = bare_known_put,
			    .take = bare_known_take,
			    .pair = bare_pair},
	{.name = NULL},
};

/* --- Gaps --------------------------------------------------------------------- */

/* The longest time between two looks at the clock: what this cpu was not given. */
static int64_t gap_longest(void)
{
	int64_t now = now_ns(), end = now + SEVERAL_NS, longest = 0;

	while (now < end) {
		int64_t then = now;

		now = now_ns();
		longest = now - then > longest ? now - then : longest;
	}
	return longest;
}

/* Both processes, as long as a run of several producers is. */
void gap_driver(struct bench *bench)
{
	int64_t longest = gap_longest(), other;

	while (!(other = (int64_t)atomic_load(&bench->shared->pong.word)))
		;
	bench->samples.count = 0;
	samples_add(&bench->samples, (double)(other > longest ? other : longest) / 1e3, 1);
}

void gap_peer(struct bench *bench)
{
	atomic_store(&bench->shared->pong.word, (uint64_t)gap_longest());
}

/* --- Round trips ---------------------------------------------------------------- */

static uint64_t line_group(struct shared *shared, uint64_t number)
{
	for (int i = 0; i < GROUP; i++) {
		atomic_store_explicit(&shared->ping.word, ++number, memory_order_release);
		while (atomic_load_explicit(&shared->pong.word, memory_order_acquire) != number)
			;
	}
	return number;
}

static void line_run(struct bench *bench, int groups, int64_t duration_ns)
{
	int64_t start = now_ns(), then = start;
	uint64_t number = 0;

	bench->samples.count = 0;
	for (int i = 0; i < groups && then - start < duration_ns; i++) {
		int64_t now;

		number = line_group(bench->shared, number);
		now = now_ns();
		samples_add(&bench->samples, (double)(now - then) / GROUP, 1);
		then = now;
	}
	atomic_store_explicit(&bench->shared->ping.word, LAST, memory_order_release);
}

void line_driver(struct bench *bench)
{
	line_run(bench, SAMPLES, ROUND_TRIP_NS);
}

double probe(struct bench *bench)
{
	line_run(bench, 64, ROUND_TRIP_NS);
	return samples_median(&bench->samples);
}

void line_peer(struct bench *bench)
{
	struct shared *shared = bench->shared;
	uint64_t number = 0, seen;

	for (;;) {
		do {
			seen = atomic_load_explicit(&shared->ping.word, memory_order_acquire);
		} while (seen == number);
		if (seen == LAST)
			return;
		number = seen;
		atomic_store_explicit(&shared->pong.word, number, memory_order_release);
	}
}

static void futex_post(_Atomic(uint32_t) *word, uint32_t value)
{
	atomic_store(word, value);
	if (syscall(FUTEX_CALL, (void *)word, FUTEX_WAKE, 1, NULL, NULL, 0) < 0)
		die_errno("futex wake");
}

static uint32_t futex_await(_Atomic(uint32_t) *word, uint32_t old)
{
	uint32_t seen;

	while ((seen = atomic_load(word)) == old)
		if (syscall(FUTEX_CALL, (void *)word, FUTEX_WAIT, old, NULL, NULL, 0) < 0 &&
		    errno != EAGAIN && errno != EINTR)
			die_errno("futex wait");
	return seen;
}

/* Each side lets the other sleep for PAUSE_NS; that is taken off. */
void futex_driver(struct bench *bench)
{
	struct shared *shared = bench->shared;
	int64_t then = now_ns(), end = then + ASLEEP_NS, now = then;
	uint32_t number = 0;

	bench->samples.count = 0;
	while (now < end) {
		wait_until_ns(then + PAUSE_NS);
		then = now_ns();
		futex_post(&shared->futex_ping, ++number);
		futex_await(&shared->futex_pong, number - 1);
		now = now_ns();
		samples_add(&bench->samples,
			    (double)(shared->got_ns - then + now - shared->sent_ns), 1);
		then = now;
	}
	futex_post(&shared->futex_ping, UINT32_MAX);
}

void futex_peer(struct bench *bench)
{
	struct shared *shared = bench->shared;
	uint32_t number = 0;

	while ((number = futex_await(&shared->futex_ping, number)) != UINT32_MAX) {
		shared->got_ns = now_ns();
		wait_until_ns(shared->got_ns + PAUSE_NS);
		shared->sent_ns = now_ns();
		futex_post(&shared->futex_pong, number);
	}
}
