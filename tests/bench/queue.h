/* SPDX-License-Identifier: MIT */
/*
 * shmring-bench: messages, and what carries them from one process to another,
 * ours and the peers alike. C and C++: a peer's file includes this and no more.
 *
 * Each message is in memory of the producer's own, is copied in once and copied
 * out once, and is looked at there: its number and the sum of its words.
 */
#ifndef TESTS_BENCH_QUEUE_H
#define TESTS_BENCH_QUEUE_H

#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RING_BYTES     (256u << 10)     /* of each ring, ours, the peers' and the raw ones */
#define BLOCK_BYTES    (RING_BYTES / 8) /* between two looks at the clock and at stop */
#define MESSAGE_MAX    65536u
#define AHEAD_BYTES    2048 /* messages are made some at a time, as many as fit here */
#define AHEAD          8
#define BATCH          32
#define PRODUCERS_MAX  4
#define PRODUCER_SHIFT 56 /* of a message's number: which producer */
#define ARENA_BYTES    (1u << 20)
#define FILL           0x9e3779b97f4a7c15u

/* How a program calls it; ours of the same style is what a peer is held against. */
enum style { STYLE_INLINE, STYLE_CALLS, STYLE_BATCH, STYLES };

struct queue {
	const char *name; /* NULL ends a list */
	enum style style;
	int several; /* for several producers, on one cpu: they yield when it is full */
	int threads; /* it has threads of its own, which share the cpus */
	size_t size; /* of its messages; 0: any */
	/* Before fork: what the calls below get, NULL and *@reason if it cannot be. NULL: the
	 * arena. */
	void *(*open)(size_t size, const char **reason);
	void (*init)(void *object, size_t size); /* by the driver before each run, or NULL */
	/* Put @count messages, the first of number @number; @source has room for BATCH of them. */
	void (*put)(void *object, void *source, size_t size, uint64_t number, uint64_t count);
	/* Take at most @count, 0 when there is none; @next are the producers' next numbers. */
	uint64_t (*take)(void *object, void *buffer, size_t size, uint64_t *next, uint64_t count);
	/* One thread: put one, take one, and so on; or NULL. */
	void (*pair)(void *object, void *source, void *buffer, size_t size, uint64_t number,
		     uint64_t count);
};

__attribute__((noreturn)) void die_plain(const char *what);
__attribute__((noreturn)) void die_errno(const char *what); /* with strerror() */

#define ALWAYS inline __attribute__((always_inline))

static ALWAYS uint64_t burst_of(size_t size)
{
	return size < BLOCK_BYTES ? BLOCK_BYTES / size : 1;
}

static ALWAYS uint64_t ahead_of(size_t size)
{
	return size * AHEAD <= AHEAD_BYTES ? AHEAD
	       : size * 2 <= AHEAD_BYTES   ? AHEAD_BYTES / size
					   : 1;
}

/* A batch is no more than an eighth of the ring, so that two sides can be at work. */
static ALWAYS uint64_t batch_of(size_t size)
{
	return burst_of(size) < BATCH ? burst_of(size) : BATCH;
}

static ALWAYS void *nth(void *messages, size_t size, uint64_t n)
{
	return (char *)messages + size * n;
}

/* Sum of the words that are not the first and the last, of a source. */
static ALWAYS uint64_t fill_sum(size_t size)
{
	uint64_t last = size / 8 - 1;

	return size > 8 ? FILL * (last * (last - 1) / 2) : 0;
}

static inline void source_fill(void *source, size_t size, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t *words = (uint64_t *)nth(source, size, i);

		for (uint64_t at = 0; at < size / 8; at++)
			words[at] = FILL * at;
	}
}

/* Make a message of number @number where one was: its words sum up to 0 then. */
static ALWAYS void message_make(void *message, size_t size, uint64_t number)
{
	uint64_t *words = (uint64_t *)message;

	words[0] = number;
	if (size > 8)
		words[size / 8 - 1] = 0 - number - fill_sum(size);
}

typedef uint64_t word_pair __attribute__((vector_size(16)));

static ALWAYS void message_sum(const void *message, size_t size)
{
	const char *at = (const char *)message;
	word_pair sum[4] = {{0, 0}, {0, 0}, {0, 0}, {0, 0}}, part;

	for (size_t done = 0; done < size; done += 64)
		for (unsigned int i = 0; i < 4; i++) {
			memcpy(&part, at + done + sizeof(part) * i, sizeof(part));
			sum[i] += part;
		}
	sum[0] += sum[1] + sum[2] + sum[3];
	if (sum[0][0] + sum[0][1] != 0)
		die_plain("a message is not what was sent");
}

static ALWAYS void message_check(const void *message, size_t size, uint64_t number)
{
	uint64_t first;

	__asm__ volatile("" : : "r"(message) : "memory"); /* as if it were used */
	memcpy(&first, message, sizeof(first));
	if (first != number)
		die_plain("a message is lost, doubled or out of order");
	if (size > 8)
		message_sum(message, size);
}

static ALWAYS void message_check_any(const void *message, size_t size, uint64_t *next)
{
	uint64_t first, producer;

	memcpy(&first, message, sizeof(first));
	producer = first >> PRODUCER_SHIFT;
	if (producer >= PRODUCERS_MAX)
		die_plain("a message of an unknown producer");
	message_check(message, size, next[producer]++);
}

/* Push one, 0 if it is full. Pop one, 0 if it is empty. */
typedef int push_one(void *object, const void *message, size_t size);
typedef int pop_one(void *object, void *buffer, size_t size);
/* The same of many, and how many they were. */
typedef uint64_t push_many(void *object, void *messages, size_t size, uint64_t count);
typedef uint64_t pop_many(void *object, void *buffer, size_t size, uint64_t count);

static ALWAYS void put_each(size_t size, push_one *push, void *object, void *source,
			    uint64_t number, uint64_t count, int yield)
{
	const uint64_t ahead = ahead_of(size);

	for (uint64_t done = 0; done < count; done += ahead) {
		uint64_t n = count - done < ahead ? count - done : ahead;

		for (uint64_t i = 0; i < n; i++)
			message_make(nth(source, size, i), size, number + done + i);
		for (uint64_t i = 0; i < n; i++)
			while (!push(object, nth(source, size, i), size))
				if (yield)
					sched_yield();
	}
}

static ALWAYS uint64_t take_each(size_t size, pop_one *pop, void *object, void *buffer,
				 uint64_t *next, uint64_t count, int several)
{
	uint64_t number = next[0], n = 0;

	for (; n < count && pop(object, buffer, size); n++) {
		if (several)
			message_check_any(buffer, size, next);
		else
			message_check(buffer, size, number++);
	}
	if (!several)
		next[0] = number;
	return n;
}

static ALWAYS void put_batches(size_t size, push_many *push, void *object, void *source,
			       uint64_t number, uint64_t count, int yield)
{
	const uint64_t batch = batch_of(size);

	for (uint64_t done = 0; done < count; done += batch) {
		uint64_t n = count - done < batch ? count - done : batch, pushed = 0;

		for (uint64_t i = 0; i < n; i++)
			message_make(nth(source, size, i), size, number + done + i);
		while (pushed < n) {
			uint64_t more = push(object, nth(source, size, pushed), size, n - pushed);

			if (!more && yield)
				sched_yield();
			pushed += more;
		}
	}
}

static ALWAYS uint64_t take_batches(size_t size, pop_many *pop, void *object, void *buffer,
				    uint64_t *next, uint64_t count, int several)
{
	uint64_t number = next[0], n = 0, got;

	while (n < count) {
		got = pop(object, buffer, size,
			  count - n < batch_of(size) ? count - n : batch_of(size));
		if (!got)
			break;
		for (uint64_t i = 0; i < got; i++)
			if (several)
				message_check_any(nth(buffer, size, i), size, next);
			else
				message_check(nth(buffer, size, i), size, number++);
		n += got;
	}
	if (!several)
		next[0] = number;
	return n;
}

static ALWAYS void pair_each(size_t size, push_one *push, pop_one *pop, void *object, void *source,
			     void *buffer, uint64_t number, uint64_t count)
{
	const uint64_t ahead = ahead_of(size);

	for (uint64_t done = 0; done < count; done += ahead) {
		uint64_t n = count - done < ahead ? count - done : ahead;

		for (uint64_t i = 0; i < n; i++)
			message_make(nth(source, size, i), size, number + done + i);
		for (uint64_t i = 0; i < n; i++) {
			if (!push(object, nth(source, size, i), size) || !pop(object, buffer, size))
				die_plain("a message that was just put cannot be taken");
			message_check(buffer, size, number + done + i);
		}
	}
}

/*
 * One loop a size, as a program that knows its records has; and none more where
 * @size is a constant.
 */
#define FOR_SIZE(call, ...)                                                                        \
	do {                                                                                       \
		switch (size) {                                                                    \
		case 8:                                                                            \
			return call(8, __VA_ARGS__);                                               \
		case 64:                                                                           \
			return call(64, __VA_ARGS__);                                              \
		case 256:                                                                          \
			return call(256, __VA_ARGS__);                                             \
		case 1024:                                                                         \
			return call(1024, __VA_ARGS__);                                            \
		case 4096:                                                                         \
			return call(4096, __VA_ARGS__);                                            \
		case 65536:                                                                        \
			return call(65536, __VA_ARGS__);                                           \
		default:                                                                           \
			die_plain("no such size of messages");                                     \
		}                                                                                  \
	} while (0)

/* The size is known when the program runs, and no sooner. */
#define ANY_SIZE(call, ...) return call(size, __VA_ARGS__)

/* name_put and name_take of @push and @pop; @sizes is FOR_SIZE or ANY_SIZE. */
#define QUEUE_LOOPS(name, put, take, push, pop, sizes, the_size, several)                          \
	static void name##_put(void *object, void *source, size_t size, uint64_t number,           \
			       uint64_t count)                                                     \
	{                                                                                          \
		size = (the_size);                                                                 \
		sizes(put, push, object, source, number, count, several);                          \
	}                                                                                          \
	static uint64_t name##_take(void *object, void *buffer, size_t size, uint64_t *next,       \
				    uint64_t count)                                                \
	{                                                                                          \
		size = (the_size);                                                                 \
		sizes(take, pop, object, buffer, next, count, several);                            \
	}
#define QUEUE_EACH(name, push, pop, the_size, several)                                             \
	QUEUE_LOOPS(name, put_each, take_each, push, pop, FOR_SIZE, the_size, several)
#define QUEUE_BATCHES(name, push, pop, the_size, several)                                          \
	QUEUE_LOOPS(name, put_batches, take_batches, push, pop, FOR_SIZE, the_size, several)
#define QUEUE_EACH_ANY(name, push, pop, several)                                                   \
	QUEUE_LOOPS(name, put_each, take_each, push, pop, ANY_SIZE, size, several)
#define QUEUE_BATCHES_ANY(name, push, pop, several)                                                \
	QUEUE_LOOPS(name, put_batches, take_batches, push, pop, ANY_SIZE, size, several)
#define QUEUE_PAIR(name, push, pop, the_size)                                                      \
	static void name##_pair(void *object, void *source, void *buffer, size_t size,             \
				uint64_t number, uint64_t count)                                   \
	{                                                                                          \
		size = (the_size);                                                                 \
		FOR_SIZE(pair_each, push, pop, object, source, buffer, number, count);             \
	}

#ifdef __cplusplus
}
#endif

#endif
