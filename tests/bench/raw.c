/* SPDX-License-Identifier: MIT */
/*
 * What the machine does without a ring: the figures that ours are held against.
 *
 * ideal	a block of messages without headers is handed off by one store of
 *		tail, and given back by one of head
 * dirty	the same; the reader also writes a word in each line it has read,
 *		so that the line comes back to the writer owned
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

static ALWAYS uint64_t block_of(size_t size)
{
	return burst_of(size) * size;
}

void raw_peer(struct bench *bench)
{
	const size_t size = bench->size;
	static uint64_t source[65536 / 8];
	struct shared *shared = bench->shared;
	uint64_t tail = 0, head = 0, number = 0;

	while (!atomic_load_explicit(&shared->stop.word, memory_order_relaxed)) {
		while (tail + block_of(size) - head > RING_BYTES)
			head = atomic_load_explicit(&shared->head.word, memory_order_acquire);
		for (uint64_t i = 0; i < burst_of(size); i++) {
			message_put(shared->data + tail % RING_BYTES, source, size, number++);
			tail += size;
		}
		atomic_store_explicit(&shared->tail.word, tail, memory_order_release);
	}
	atomic_store(&shared->sent.word, number + 1);
}

/* The block at @head, when it is there. */
static ALWAYS void raw_take(struct shared *shared, uint64_t head, size_t size, int dirty)
{
	static uint64_t buffer[65536 / 8];
	uint8_t *data = shared->data + head % RING_BYTES;

	while (atomic_load_explicit(&shared->tail.word, memory_order_acquire) == head)
		;
	for (uint64_t i = 0; i < burst_of(size); i++, data += size) {
		message_take(buffer, data, size, head / size + i);
		if (!dirty)
			continue;
		/* The line that ends with this message, or all of its lines. */
		if (size < LINE_BYTES && (i + 1) * size % LINE_BYTES == 0)
			*(volatile uint64_t *)(void *)(data + size - LINE_BYTES) = 0;
		for (size_t at = 0; size >= LINE_BYTES && at < size; at += LINE_BYTES)
			*(volatile uint64_t *)(void *)(data + at) = 0;
	}
	head += block_of(size);
	atomic_store_explicit(&shared->head.word, head, memory_order_release);
}

static ALWAYS void raw_consume(struct bench *bench, int dirty)
{
	const size_t size = bench->size;
	struct shared *shared = bench->shared;
	struct windows windows;
	uint64_t head = 0, sent;
	int more;

	windows_begin(&windows, &bench->samples);
	do {
		raw_take(shared, head, size, dirty);
		head += block_of(size);
		more = windows_note(&windows, burst_of(size));
	} while (more);
	atomic_store(&shared->stop.word, 1);
	for (;;) {
		sent = atomic_load(&shared->sent.word);
		if (sent && head == (sent - 1) * size)
			return;
		if (atomic_load_explicit(&shared->tail.word, memory_order_acquire) == head)
			continue;
		raw_take(shared, head, size, dirty);
		head += block_of(size);
	}
}

void ideal_driver(struct bench *bench)
{
	raw_consume(bench, 0);
}

void dirty_driver(struct bench *bench)
{
	raw_consume(bench, 1);
}

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
