/* SPDX-License-Identifier: MIT */
/*
 * shmring-bench: what its files share.
 *
 * Two processes, made by fork and pinned to a cpu each. The first, the driver,
 * is the consumer of the one-way rows and begins the round trips; it measures.
 * The second, the peer, does the other side. A *run* is some milliseconds of
 * one row; a *probe*, the round trip of a cache line, goes before and after
 * each.
 */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <shmring/shmring.h>

#define RING_BYTES (256u << 10)		 /* of each ring, ours and the raw ones */
#define BLOCK_BYTES (RING_BYTES / 8)	 /* what `ideal` hands off, at least */
#define LINE_BYTES 64u			 /* what a reader dirties once */
#define ROUND_TRIP_BYTES 64u
#define ONE_WAY_NS 12000000		 /* a run */
#define ROUND_TRIP_NS 6000000
#define ASLEEP_NS 30000000
#define WINDOW_NS 200000
#define GROUP 16			 /* round trips between two looks at the clock */
#define PAUSE_NS 100000			 /* of sleep before a wake that is measured */
#define SPIN_NS 50000			 /* what the library spins before it sleeps */
#define LAST UINT64_MAX			 /* the message that ends a round-trip run */

typedef _Atomic(uint64_t) bench_u64 __attribute__((aligned(8)));
struct bench_line {
	_Alignas(128) bench_u64 word;
};

/* Memory of both processes. Each line has one writer at a time. */
struct shared {
	struct bench_line job;	/* driver: row + 1, and a count above, so that each differs */
	struct bench_line done; /* peer: the last job it has finished */
	struct bench_line stop; /* driver: enough messages */
	struct bench_line sent; /* peer: all its messages + 1, when it has stopped */
	struct bench_line ping, pong;
	struct bench_line tail, head; /* of the raw ring */
	_Alignas(128) _Atomic(uint32_t) futex_ping;
	_Alignas(128) _Atomic(uint32_t) futex_pong;
	_Alignas(128) int64_t got_ns; /* peer: when it was woken, and when it answered */
	int64_t sent_ns;
	_Alignas(128) uint8_t robust[128]; /* a pthread_mutex_t */
	_Alignas(4096) uint8_t data[RING_BYTES];
};

#define SAMPLES 8192
struct samples {
	int count;
	double value[SAMPLES];	/* M/s, or ns */
	double weight[SAMPLES]; /* messages */
};

/* Handles of this process: the driver has cursors where the peer has producers. */
struct bench {
	struct shared *shared;
	size_t size; /* of a message; the compiler does not know it */
	struct samples samples;
	struct shr_segment *segment;
	struct shr_ring *single, *several, *ping, *pong;
	struct shr_producer *to_single, *to_several, *to_peer;
	struct shr_cursor *from_single, *from_several, *from_peer;
	struct shr_mutex *mutex;
	struct shr_event *event;
};

/* --- stats.c --- */

static inline int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void wait_until_ns(int64_t then); /* busy */
void samples_add(struct samples *samples, double value, double weight);
double samples_median(struct samples *samples); /* weighted; sorts; 0 of none */
double median(double *value, int count);	/* sorts; 0 of none */

/* A run's windows of messages. */
struct windows {
	struct samples *samples;
	int64_t end;
	int64_t start;
	uint64_t messages;
	int warm; /* the first window is not kept */
};
void windows_begin(struct windows *windows, struct samples *samples);
int windows_note(struct windows *windows, uint64_t messages); /* 0 when the run is over */

/* --- machine.c --- */

enum distance { SIBLING, NEAR, FAR, DISTANCES };
extern const char *const distance_name[DISTANCES];
enum distance distance_of(double round_trip_ns);
int machine_pick(int cpu[2]); /* 0, or -1: there is only one */
void machine_pin(int cpu);
void machine_model(char *text, size_t size);

/* --- main.c --- */

_Noreturn void die(const char *what);	     /* with shr_last_error() */
_Noreturn void die_errno(const char *what);  /* with strerror() */
_Noreturn void die_plain(const char *what);

/* --- raw.c, ring.c, lock.c, table.c --- */

#define SIDES(name) void name##_driver(struct bench *), name##_peer(struct bench *)
void ideal_driver(struct bench *), dirty_driver(struct bench *);
void raw_peer(struct bench *);
SIDES(inline);
SIDES(calls);
SIDES(several);
SIDES(batch);
SIDES(several_batch);
SIDES(line);
SIDES(trip);
SIDES(trip_until);
SIDES(futex);
SIDES(trip_asleep);
void nothing_peer(struct bench *);
void cas_driver(struct bench *), robust_driver(struct bench *), mutex_driver(struct bench *);
void fence_driver(struct bench *), notify_driver(struct bench *);
SIDES(robust_shared);
SIDES(mutex_shared);
SIDES(event);
void locks_create(struct bench *bench);

double probe(struct bench *bench); /* driver; the peer runs line_peer() */
void rings_open(struct bench *bench, const char *name, int driver);
void rings_create(struct bench *bench, const char *name);

#define KEPT_MAX 2048
struct row {
	const char *name;
	const char *unit;
	void (*driver)(struct bench *);
	void (*peer)(struct bench *);
	size_t size; /* of a message; 0 of a round trip */
	int against;	   /* row of the ratio, -1 none */
	double target[DISTANCES]; /* of the ratio; 0 none */
	int at_most;	   /* the target is an upper bound */
	double most;	   /* of the value itself, an upper bound; 0 none */
};
struct kept {
	int count;
	double value[KEPT_MAX];
};
struct results {
	struct kept (*kept)[DISTANCES]; /* by row */
	double probe[DISTANCES][KEPT_MAX];
	int probes[DISTANCES];
	int kept_runs[DISTANCES], discarded[DISTANCES]; /* by the probe before */
};
extern const struct row rows[];
extern const int row_count;
void table_print(struct results *results, const int cpu[2]);

/* --- Messages of @size bytes. For both sides, always inline. --- */

#define ALWAYS inline __attribute__((always_inline))

/* Copied in from @source, and numbered at both ends. */
static ALWAYS void message_put(void *to, const void *source, size_t size, uint64_t number)
{
	uint64_t *words = to;

	memcpy(to, source, size);
	words[0] = number;
	if (size > 8)
		words[size / 8 - 1] = ~number;
}

/* Copied out to @buffer and looked at. */
static ALWAYS void message_take(void *buffer, const void *from, size_t size, uint64_t number)
{
	const uint64_t *words = buffer;

	memcpy(buffer, from, size);
	__asm__ volatile("" : : "r"(buffer) : "memory");
	if (words[0] != number || (size > 8 && words[size / 8 - 1] != ~number))
		die_plain("a message is not the one that was sent");
}

/* Messages between two looks at the clock and at stop. */
static ALWAYS uint64_t burst_of(size_t size)
{
	return size < BLOCK_BYTES ? BLOCK_BYTES / size : 1;
}

#endif
