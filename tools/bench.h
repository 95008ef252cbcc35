/* SPDX-License-Identifier: MIT */
/* What shmring bench measures (bench.c), and shows (operate-bench.c). */
#ifndef TOOLS_BENCH_H
#define TOOLS_BENCH_H

#include <stddef.h>
#include <stdint.h>

#define SIZES_MAX   16
#define SIZE_MIN    8 /* each record has a number */
#define SIZE_LIMIT  65536
#define TRIP_SIZE   64 /* bytes of a record that goes there and back */
#define SLOTS       1024
#define RECORD_SIZE 64 /* bytes of a record of the table */

struct quantiles {
	double p50, p99;
};

struct bench {
	double seconds;
	size_t sizes;
	uint64_t size[SIZES_MAX];
	/* What bench_run() fills in: */
	int one_cpu;
	int cpu[2];                    /* -1: not pinned */
	double stream[SIZES_MAX];      /* records a second */
	struct quantiles busy, asleep; /* ns */
	double write_ns, read_ns;
	double waited; /* part of the time, 0 to 1, that a cpu was another process's; -1: not known
			*/
};

/*
 * Measure in a segment @name that is made for it, and removed. 0, or the exit status,
 * told.
 */
int bench_run(struct bench *bench, const char *name);

#endif
