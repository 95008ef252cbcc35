/* SPDX-License-Identifier: MIT */
/* The runs of one queue, whosever it is: one way, and in one thread. */
#include "bench.h"

static _Alignas(64) uint64_t source[MESSAGE_MAX / 8];
static _Alignas(64) uint64_t buffer[MESSAGE_MAX / 8];

_Static_assert(MESSAGE_MAX >= BLOCK_BYTES && MESSAGE_MAX >= AHEAD_BYTES, "source");

static uint64_t producer_base(int producer)
{
	return (uint64_t)producer << PRODUCER_SHIFT;
}

/* Each producer, the first one in the peer and the others in the helpers. */
void queue_peer(struct bench *bench)
{
	/* Few where others are waited for on the same cpu: stop is to be seen soon. */
	const uint64_t burst = bench->producers == 1                ? burst_of(bench->size)
			       : bench->queue->style == STYLE_BATCH ? BATCH
								    : AHEAD;
	struct shared *shared = bench->shared;
	uint64_t number = producer_base(bench->producer), first = number;

	source_fill(source, bench->size, batch_of(bench->size));
	while (!atomic_load_explicit(&shared->stop.word, memory_order_relaxed)) {
		bench->queue->put(bench->object, source, bench->size, number, burst);
		number += burst;
	}
	atomic_store(&shared->sent[bench->producer].word, number - first + 1);
}

/* Looks that found nothing, and since when. */
struct waiting {
	unsigned int looks;
	int64_t since;
	int64_t longest;
};
#define LOOKS 64 /* before the clock is read */

static void waiting_note(struct waiting *waiting, uint64_t got)
{
	int64_t waited;

	if (got && waiting->looks < LOOKS) {
		waiting->looks = 0;
		return;
	}
	if (got) {
		waited = now_ns() - waiting->since;
		waiting->longest = waited > waiting->longest ? waited : waiting->longest;
		waiting->looks = 0;
	} else if (++waiting->looks == LOOKS) {
		waiting->since = now_ns();
	}
}

/* All that was sent has come. */
static int drained(struct bench *bench, const uint64_t *next)
{
	for (int i = 0; i < bench->producers; i++) {
		uint64_t sent = atomic_load(&bench->shared->sent[i].word);

		if (!sent || next[i] != producer_base(i) + sent - 1)
			return 0;
	}
	return 1;
}

void queue_driver(struct bench *bench)
{
	const uint64_t burst = burst_of(bench->size);
	const struct queue *queue = bench->queue;
	struct waiting waiting = {0, 0, 0};
	struct windows windows;
	uint64_t next[PRODUCERS_MAX], n, got, messages = 0;
	int64_t start;

	for (int i = 0; i < PRODUCERS_MAX; i++)
		next[i] = producer_base(i);
	windows_begin(&windows, &bench->samples, bench->producers > 1 ? SEVERAL_NS : ONE_WAY_NS);
	start = windows.start;
	do {
		for (n = 0; n < burst; n += got) {
			got = queue->take(bench->object, buffer, bench->size, next, burst - n);
			waiting_note(&waiting, got);
			if (!got && waiting.looks % 4096 == 0)
				break; /* perhaps the run is over */
		}
		if (!windows.warm)
			waiting.longest = 0;
		messages += n;
	} while (windows_note(&windows, n));
	atomic_store(&bench->shared->stop.word, 1);
	bench->whole = (double)messages * 1e3 / (double)(now_ns() - start);
	waiting_note(&waiting, waiting.looks >= LOOKS); /* one that has not ended */
	bench->stall_ns = (double)waiting.longest;
	while (!drained(bench, next))
		queue->take(bench->object, buffer, bench->size, next, burst);
}

/* Put and take in turn; ns of both. */
void pair_driver(struct bench *bench)
{
	const uint64_t burst = 512;
	int64_t then = now_ns(), end = then + ALONE_NS, now = then;
	uint64_t number = 0;

	bench->samples.count = 0;
	source_fill(source, bench->size, batch_of(bench->size));
	while (now < end) {
		bench->queue->pair(bench->object, source, buffer, bench->size, number, burst);
		number += burst;
		now = now_ns();
		samples_add(&bench->samples, (double)(now - then) / (double)burst, 1);
		then = now;
	}
}

void nothing_peer(struct bench *bench)
{
	(void)bench;
}
