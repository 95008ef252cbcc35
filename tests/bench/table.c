/* SPDX-License-Identifier: MIT */
/* The rows, their targets, and how they are printed. */
#include "bench.h"

#include <stdio.h>
#include <sys/utsname.h>

/* In the order they run: what is compared lies side by side. */
enum {
	IDEAL_8, DIRTY_8, INLINE_8,
	IDEAL_64, DIRTY_64, INLINE_64, CALLS_64, BATCH_64, SEVERAL_64, SEVERAL_BATCH_64,
	IDEAL_1024, DIRTY_1024, INLINE_1024,
	IDEAL_65536, DIRTY_65536, INLINE_65536,
	LINE, TRIP, TRIP_UNTIL, FUTEX, TRIP_ASLEEP, EVENT,
	CAS, ROBUST, MUTEX, FENCE, NOTIFY, ROBUST_SHARED, MUTEX_SHARED, ROWS
};

#define RUN(name) .driver = name##_driver, .peer = name##_peer
#define RUN_ALONE(name) .driver = name##_driver, .peer = nothing_peer
#define RAW(name) RUN(name), .against = -1
#define IDEAL(name, bytes) .driver = name##_driver, .peer = raw_peer, .size = bytes, .against = -1
#define BOTH(ratio) {[NEAR] = ratio, [FAR] = ratio}
#define SIZE_ROWS(bytes, text, ...)                                                                \
	[IDEAL_##bytes] = {text " bytes ideal", "M/s", IDEAL(ideal, bytes)},                       \
	[DIRTY_##bytes] = {text " bytes ideal-dirty", "M/s", IDEAL(dirty, bytes)},                 \
	[INLINE_##bytes] = {text " bytes shmring", "M/s", RUN(inline), .size = bytes, __VA_ARGS__}

/* clang-format off */
const struct row rows[ROWS] = {
	SIZE_ROWS(8, "     8", .against = DIRTY_8, .target = BOTH(0.9)),
	SIZE_ROWS(64, "    64", .against = DIRTY_64, .target = BOTH(0.9)),
	[CALLS_64] = {"    64 bytes shmring, plain calls", "M/s", RUN(calls), .size = 64,
		      .against = DIRTY_64, .target = BOTH(0.6)},
	[BATCH_64] = {"    64 bytes shmring, batches of 32", "M/s", RUN(batch), .size = 64,
		      .against = DIRTY_64, .target = BOTH(0.9)},
	[SEVERAL_64] = {"    64 bytes shmring, several", "M/s", RUN(several), .size = 64,
			.against = DIRTY_64},
	[SEVERAL_BATCH_64] = {"    64 bytes, several, batches of 32", "M/s", RUN(several_batch),
			      .size = 64, .against = DIRTY_64, .target = BOTH(0.65)},
	SIZE_ROWS(1024, " 1,024", .against = DIRTY_1024, .target = BOTH(0.9)),
	SIZE_ROWS(65536, "65,536", .against = IDEAL_65536,
		  .target = {[NEAR] = 0.7, [FAR] = 1.0}),
	[LINE] = {"a line there and back", "ns", RAW(line)},
	[TRIP] = {"shmring, busy", "ns", RUN(trip), .against = LINE, .at_most = 1,
		  .target = {[NEAR] = 1.3, [FAR] = 1.1}},
	[TRIP_UNTIL] = {"shmring, _until, answered in the spin", "ns", RUN(trip_until),
			.against = TRIP, .at_most = 1, .target = BOTH(1.2)},
	[FUTEX] = {"futex, asleep", "ns", RAW(futex)},
	[TRIP_ASLEEP] = {"shmring, _until, asleep", "ns", RUN(trip_asleep), .against = FUTEX,
			 .at_most = 1, .target = BOTH(1.1)},
	[EVENT] = {"shmring event, asleep", "ns", RUN(event), .against = FUTEX,
		   .at_most = 1, .target = BOTH(1.2)},
	[CAS] = {"a CAS and a store", "ns", RUN_ALONE(cas), .against = ROBUST},
	[ROBUST] = {"robust pthread mutex, lock and unlock", "ns", RUN_ALONE(robust), .against = -1},
	[MUTEX] = {"shmring mutex, lock and unlock", "ns", RUN_ALONE(mutex), .against = ROBUST,
		   .at_most = 1, .target = BOTH(0.35)},
	[FENCE] = {"a fence, over the store", "ns", RUN_ALONE(fence), .against = -1},
	[NOTIFY] = {"shmring notify, nobody asleep, the same", "ns", RUN_ALONE(notify), .against = -1,
		    .most = 3},
	[ROBUST_SHARED] = {"robust pthread mutex, two want it", "M/s", RUN(robust_shared),
			   .against = -1},
	[MUTEX_SHARED] = {"shmring mutex, two want it", "M/s", RUN(mutex_shared),
			  .against = ROBUST_SHARED},
};
/* clang-format on */
const int row_count = ROWS;

static const char *short_name(int row)
{
	switch (row) {
	case LINE:
		return "line";
	case TRIP:
		return "busy";
	case FUTEX:
		return "futex";
	case ROBUST:
	case ROBUST_SHARED:
		return "robust";
	case IDEAL_65536:
		return "ideal";
	default:
		return "ideal-dirty";
	}
}

static void print_row(struct results *results, int index, enum distance distance)
{
	const struct row *row = &rows[index];
	struct kept *kept = &results->kept[index][distance];
	double value = median(kept->value, kept->count), base = 0, ratio;

	printf("  %-38s", row->name);
	if (!kept->count) {
		printf("      -          0\n");
		return;
	}
	printf(" %9.*f %-3s %5d", row->unit[0] == 'n' ? (value < 100 ? 1 : 0) : value < 10 ? 3 : 1, value, row->unit,
	       kept->count);
	if (row->against >= 0) {
		struct kept *other = &results->kept[row->against][distance];

		base = median(other->value, other->count);
	}
	if (base <= 0) {
		if (row->most > 0)
			printf("  %19s  <= %.1f ns  %s", "", row->most,
			       value <= row->most ? "met" : "not met");
		printf("\n");
		return;
	}
	ratio = value / base;
	printf("  %5.2f x %-11s", ratio, short_name(row->against));
	if (row->target[distance] > 0)
		printf("  %s %.2f  %s", row->at_most ? "<=" : ">=", row->target[distance],
		       (row->at_most ? ratio <= row->target[distance] : ratio >= row->target[distance])
			       ? "met"
			       : "not met");
	printf("\n");
}

static void print_distance(struct results *results, enum distance distance)
{
	printf("\n%s: a line's round trip is %.0f ns (median of the probes)\n", distance_name[distance],
	       median(results->probe[distance], results->probes[distance]));
	printf("  %-38s %13s %5s  %-19s  %s\n", "one way", "median", "runs", "ratio", "target");
	for (int i = 0; i < ROWS; i++) {
		if (i == LINE)
			printf("  %-38s %13s %5s\n", "round trip, 64 bytes", "p50", "runs");
		if (i == CAS)
			printf("  %-38s %13s %5s\n", "locks and events", "median", "runs");
		print_row(results, i, distance);
	}
}

void table_print(struct results *results, const int cpu[2])
{
	struct utsname system = {.release = "?"};
	char model[120];

	uname(&system);
	machine_model(model, sizeof(model));
	printf("shmring %s, %s %s %s, %s, cpus %d and %d; runs kept (discarded):", shr_version(),
	       system.sysname, system.release, system.machine, model, cpu[0], cpu[1]);
	for (int i = DISTANCES - 1; i >= 0; i--)
		printf(" %s %d (%d)%s", distance_name[i], results->kept_runs[i], results->discarded[i],
		       i ? "," : "\n");
	printf("One producer, one consumer, rings of %u KiB; million messages a second, ns.\n"
	       "plain calls: through pointers; several: a ring for several producers.\n"
	       "Asleep: each side is let sleep for %d us before each wake; that is taken off.\n",
	       RING_BYTES >> 10, PAUSE_NS / 1000);
	for (int i = DISTANCES - 1; i >= 0; i--)
		if (results->kept_runs[i])
			print_distance(results, (enum distance)i);
}
