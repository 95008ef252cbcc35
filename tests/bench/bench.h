/* SPDX-License-Identifier: MIT */
/*
 * shmring-bench: what its files share.
 *
 * Two processes, made by fork and pinned to a cpu each. The first, the driver,
 * is the consumer of the one-way rows and begins the round trips; it measures.
 * The second, the peer, does the other side. Where there are several producers,
 * helpers run beside it on its cpu; else they sleep. A *run* is some milliseconds
 * of one row; a *probe*, the round trip of a cache line, goes before and after
 * each.
 */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

#include <shmring/shmring.h>

#include "queue.h"

#define LINE_BYTES 64u			 /* what a reader dirties once */
#define ROUND_TRIP_BYTES 64u
#define ONE_WAY_NS 12000000		 /* a run */
#define SEVERAL_NS 40000000		 /* with several producers */
#define ROUND_TRIP_NS 6000000
#define ASLEEP_NS 30000000
#define ALONE_NS 2000000
#define WINDOW_NS 200000
#define GROUP 16			 /* round trips between two looks at the clock */
#define PAUSE_NS 100000			 /* of sleep before a wake that is measured */
#define SPIN_NS 50000			 /* what the library spins before it sleeps */
#define LAST UINT64_MAX			 /* the message that ends a round-trip run */
#define ENOUGH 5			 /* runs near or far before a target is judged */

typedef _Atomic(uint64_t) bench_u64 __attribute__((aligned(8)));
struct bench_line {
	_Alignas(128) bench_u64 word;
};

/* Memory of all processes. Each line has one writer at a time. */
struct shared {
	struct bench_line job;	/* driver: what to do, and a count above, so that each differs */
	struct bench_line done; /* peer: the last job it has finished */
	struct bench_line stop; /* driver: enough messages */
	struct bench_line sent[PRODUCERS_MAX]; /* all its messages + 1, when it has stopped */
	struct bench_line ping, pong;
	struct bench_line tail, head; /* of the raw ring */
	_Alignas(128) _Atomic(uint32_t) crew; /* driver: a job for helpers; they sleep on it */
	uint32_t crew_job, crew_size;
	_Alignas(128) _Atomic(uint32_t) crew_ready;
	_Alignas(128) _Atomic(uint32_t) crew_done;
	_Alignas(128) _Atomic(uint32_t) crew_go; /* driver: the crew's job begins */
	_Alignas(128) _Atomic(uint32_t) futex_ping;
	_Alignas(128) _Atomic(uint32_t) futex_pong;
	_Alignas(128) int64_t got_ns; /* peer: when it was woken, and when it answered */
	int64_t sent_ns;
	_Alignas(128) uint8_t robust[128]; /* a pthread_mutex_t */
	_Alignas(128) pthread_spinlock_t spin;
	_Alignas(4096) uint8_t data[RING_BYTES];
	_Alignas(4096) uint8_t arena[ARENA_BYTES]; /* of the peer that runs */
};

#define SAMPLES 8192
struct samples {
	int count;
	double value[SAMPLES];	/* M/s, or ns */
	double weight[SAMPLES]; /* messages */
};

/* Handles of this process: the driver has cursors where the others have producers. */
struct bench {
	struct shared *shared;
	const struct queue *queue; /* of the row that runs, and what its calls get */
	void *object;
	size_t size; /* of a message */
	int producers, producer; /* how many, and which this one is */
	double stall_ns; /* the longest of the run */
	double whole;	 /* M/s of the whole run, stalls and all */
	struct samples samples;
	struct shr_segment *segment;
	struct shr_ring *single, *several, *alone, *ping, *pong;
	struct shr_ring *brief, *numbered, *jobs, *both;
	struct shr_producer *to_single, *to_several, *to_alone, *to_peer;
	struct shr_producer *to_brief, *to_numbered, *to_jobs, *to_both;
	struct shr_cursor *from_single, *from_several, *from_alone, *from_peer;
	struct shr_cursor *from_brief, *from_numbered, *from_jobs, *from_both, *also_from_both;
	struct shr_mutex *mutex;
	struct shr_event *event;
	struct shr_table *table;
	const char *big; /* name of a segment with a big ring, or NULL */
	uint64_t big_bytes;
	double ring_bytes, record_bytes; /* what they take beyond the records */
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
void windows_begin(struct windows *windows, struct samples *samples, int64_t length_ns);
int windows_note(struct windows *windows, uint64_t messages); /* 0 when the run is over */

#define ALONE 2000 /* operations between two looks at the clock */
#define ALONE_RUNS 20

/* ns an operation of @body, over those of @bare where that is not empty. */
#define MEASURE(bench, body, bare)                                                             \
	do {                                                                                   \
		(bench)->samples.count = 0;                                                    \
		for (int run = 0; run < ALONE_RUNS; run++) {                                   \
			int64_t start = now_ns(), middle, end;                                 \
			for (int i = 0; i < ALONE; i++) {                                      \
				bare;                                                          \
				__asm__ volatile("" ::: "memory");                             \
			}                                                                      \
			middle = now_ns();                                                     \
			for (int i = 0; i < ALONE; i++) {                                      \
				body;                                                          \
				__asm__ volatile("" ::: "memory");                             \
			}                                                                      \
			end = now_ns();                                                        \
			samples_add(&(bench)->samples,                                         \
				    (double)((end - middle) - (middle - start)) / ALONE, 1);   \
		}                                                                              \
	} while (0)

/* --- machine.c --- */

enum distance { SIBLING, NEAR, FAR, DISTANCES };
extern const char *const distance_name[DISTANCES];
enum distance distance_of(double round_trip_ns); /* DISTANCES: it cannot be told */
int machine_pick(int cpu[2]); /* 0, or -1: there is only one */
void machine_pin(int cpu);
void machine_model(char *text, size_t size);

/* What a process had of its cpu, and how long it was kept waiting for it. */
struct times {
	int64_t ran_ns, waited_ns;
};
int times_open(pid_t pid);
struct times times_read(int fd);

/* --- main.c --- */

_Noreturn void die(const char *what); /* with shr_last_error() */

/* --- raw.c, ring.c, queues.c, lock.c, memory.c --- */

#define SIDES(name) void name##_driver(struct bench *), name##_peer(struct bench *)
SIDES(queue);
SIDES(gap);
SIDES(line);
SIDES(trip);
SIDES(trip_until);
SIDES(futex);
SIDES(trip_asleep);
SIDES(robust_shared);
SIDES(mutex_shared);
SIDES(event);
void nothing_peer(struct bench *);
void pair_driver(struct bench *);
void cas_driver(struct bench *), robust_driver(struct bench *), mutex_driver(struct bench *);
void fence_driver(struct bench *), notify_driver(struct bench *);
void attach_driver(struct bench *), record_bytes_driver(struct bench *);
void ring_bytes_driver(struct bench *);
void locks_create(struct bench *bench);
/* Both processes do @pair all the time, which says 0. */
void both_drive(struct bench *bench, int (*pair)(struct bench *));
void both_peer(struct bench *bench, int (*pair)(struct bench *));

/* --- records.c --- */

void tables_create(struct shr_object *object);
void tables_fill(struct bench *bench);
void spin_table_driver(struct bench *), robust_table_driver(struct bench *);
void seqlock_read_driver(struct bench *), slots_read_driver(struct bench *);
void table_read_driver(struct bench *);
void spin_one_driver(struct bench *), spin_one_peer(struct bench *);
void table_write_driver(struct bench *), table_update_driver(struct bench *);
void table_both_driver(struct bench *), lmdb_driver(struct bench *);
void robust_one_driver(struct bench *), robust_one_peer(struct bench *);
void table_one_driver(struct bench *), table_one_peer(struct bench *);
void memory_create(struct bench *bench, const char *name);

double probe(struct bench *bench); /* driver; the peer runs line_peer() */
void rings_open(struct bench *bench, const char *name, int producer); /* -1: the driver */
void rings_create(struct bench *bench, const char *name);

extern const struct queue raw_queues[], our_queues[];
/* Places in them. "Known": the compiler knows the size of a message. */
enum { RAW_IDEAL, RAW_DIRTY, RAW_DIRTY_KNOWN, RAW_BARE, RAW_BARE_KNOWN };
enum {
	OUR_INLINE, OUR_CALLS, OUR_BATCH, OUR_INLINE_KNOWN, OUR_CALLS_KNOWN, OUR_BATCH_KNOWN,
	OUR_SHARED, OUR_SHARED_BATCH, OUR_SEVERAL, OUR_SEVERAL_BATCH, OUR_ALONE, OUR_ALONE_CALLS,
	OUR_BRIEF, OUR_NUMBERED, OUR_QUEUE, OUR_BOTH
};

/* --- rows.c --- */

#define KEPT_MAX 2048
struct kept {
	int count;
	double value[KEPT_MAX];
};

/* Runs near, far and so on: undisturbed ones, and those beside which others had the cpus. */
struct runs {
	struct kept calm, disturbed;
};

struct row {
	char name[64];
	const char *group; /* a heading */
	const char *unit;
	void (*driver)(struct bench *); /* NULL: figures come with another row */
	void (*peer)(struct bench *);
	const struct queue *queue;
	void *object;
	size_t size;	/* of a message; 0 of a round trip */
	int producers;	/* on the peer's cpu; 0: one */
	int whole, stall; /* rows that get the whole run's rate and its longest stall; 0 none */
	int longest;	/* its figure is the largest of the runs, not their median */
	int least_of;	/* it is the smallest figure of as many rows before it */
	struct runs *runs; /* [DISTANCES] */
};

/* Row @of held against row @to, or -1: against a number. Printed with row @at. */
struct comparison {
	int of, to, at;
	int at_most; /* the target is an upper bound */
	double target[DISTANCES]; /* of the ratio, or of the figure; 0 none */
};

#define ROWS_MAX 300
#define COMPARISONS_MAX 300
#define LEFT_OUT_MAX 64
struct plan {
	int rows, comparisons, left_out;
	struct row row[ROWS_MAX];
	struct comparison comparison[COMPARISONS_MAX];
	char left[LEFT_OUT_MAX][120]; /* what is not measured, and why */
};
extern struct plan plan;
void plan_make(struct bench *bench); /* before fork */
void plan_left_out(const char *name, const char *why);

struct figure {
	int runs;      /* 0: there is none */
	int disturbed; /* too few are not: it is of all */
	double value, least, most;
};
struct figure figure_of(int row, enum distance distance);

enum verdict { NO_TARGET, NO_FIGURE, TOO_FEW, DISTURBED, MET, NOT_MET };
struct judged {
	enum verdict verdict;
	int disturbed;
	double value, ratio; /* ratio 0: against a number */
};
struct judged judge(const struct comparison *comparison, enum distance distance);

/* --- table.c, json.c --- */

struct results {
	double seconds;
	double probe[DISTANCES][KEPT_MAX];
	int probes[DISTANCES];
	int kept_runs[DISTANCES], discarded[DISTANCES]; /* by the probe before */
	int disturbed; /* of those that were kept */
};
void table_print(struct results *results, const int cpu[2]);
int json_write(const char *path, struct results *results); /* 0, or -1 with errno */

#endif
