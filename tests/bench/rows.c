/* SPDX-License-Identifier: MIT */
/* The rows in the order they run, what each is held against, and the verdicts. */
#include "bench.h"

#include "peers.h"

#include <stdio.h>
#include <stdlib.h>

struct plan plan;

#define BOTH(ratio)                                                                                \
	{                                                                                          \
		[NEAR] = (ratio), [FAR] = (ratio)                                                  \
	}

static const size_t sizes[] = {8, 64, 256, 1024, 4096, 65536};
#define SIZES ((int)(sizeof(sizes) / sizeof(sizes[0])))

/* A file each; what configure did not find is told in the results. */
static const struct {
	const char *name;
	const struct queue *queues; /* NULL: not found */
} peers[] = {
	{"the kernel", kernel_queues},
#ifdef HAVE_LIBQB
	{"libqb", qb_queues},
#else
	{"libqb", NULL},
#endif
#ifdef HAVE_BOOST
	{"boost", boost_queues},
#else
	{"boost", NULL},
#endif
#ifdef HAVE_CK
	{"ck_ring", ck_queues},
#else
	{"ck_ring", NULL},
#endif
#ifdef HAVE_ATOMIC_QUEUE
	{"atomic_queue", atomic_queue_queues},
#else
	{"atomic_queue", NULL},
#endif
#ifdef HAVE_DPDK
	{"rte_ring", rte_queues},
#else
	{"rte_ring", NULL},
#endif
#ifdef HAVE_ZMQ
	{"zmq", zmq_queues},
#else
	{"zmq", NULL},
#endif
};
#define PEERS ((int)(sizeof(peers) / sizeof(peers[0])))

static struct bench *the_bench;

static int row_add(struct row row, const char *name)
{
	struct row *added = &plan.row[plan.rows];

	if (plan.rows == ROWS_MAX)
		die_plain("too many rows");
	*added = row;
	snprintf(added->name, sizeof(added->name), "%s", name);
	added->runs = calloc(DISTANCES, sizeof(*added->runs));
	if (!added->runs)
		die_errno("memory");
	return plan.rows++;
}

static void compare(struct comparison comparison)
{
	if (plan.comparisons == COMPARISONS_MAX)
		die_plain("too many comparisons");
	plan.comparison[plan.comparisons++] = comparison;
}

void plan_left_out(const char *name, const char *why)
{
	if (plan.left_out == LEFT_OUT_MAX)
		die_plain("too much is left out");
	snprintf(plan.left[plan.left_out++], sizeof(plan.left[0]), "%s (%s)", name, why);
}

/* A row of a queue, or -1 and a note why not. */
static int queue_row(struct row row, const struct queue *queue)
{
	const char *reason = "cannot be opened";
	char name[100];

	row.queue = queue;
	row.unit = row.unit ? row.unit : "M/s";
	row.driver = row.driver ? row.driver : queue_driver;
	row.peer = row.peer ? row.peer : queue_peer;
	row.object = queue->open ? queue->open(row.size, &reason) : the_bench->shared->arena;
	if (!row.object) {
		snprintf(name, sizeof(name), "%s, %s", row.group, queue->name);
		plan_left_out(name, reason);
		return -1;
	}
	return row_add(row, queue->name);
}

/* Ours and the raw ones use the handles of their process. */
static int own_row(struct row row, const struct queue *queue)
{
	int added = queue_row(row, queue);

	plan.row[added].object = the_bench;
	return added;
}

/* --- One producer ---------------------------------------------------------------- */

static int dirty_64;

/* What is asked of ours of @style, against `ideal` or `ideal-dirty`. */
static void one_way_target(int row, enum style style, size_t size, int ideal, int dirty)
{
	struct comparison comparison = {.of = row, .to = dirty, .at = row};

	if (style != STYLE_CALLS && size == 65536)
		comparison = (struct comparison){
			.of = row, .to = ideal, .at = row, .target = {[NEAR] = 0.7, [FAR] = 1.0}};
	else if (style != STYLE_CALLS || size >= 1024)
		comparison.target[NEAR] = comparison.target[FAR] = 0.9;
	else if (size == 64)
		comparison.target[NEAR] = comparison.target[FAR] = 0.6;
	compare(comparison);
}

static void one_way_peers(struct row row, const int ours[STYLES])
{
	for (int i = 0; i < PEERS; i++)
		for (const struct queue *queue = peers[i].queues; queue && queue->name; queue++) {
			int peer;

			if (queue->several || (queue->size && queue->size != row.size))
				continue;
			peer = queue_row(row, queue);
			if (peer >= 0)
				compare((struct comparison){.of = ours[queue->style],
							    .to = peer,
							    .at = peer,
							    .target = {[NEAR] = 1.0, [FAR] = 1.5}});
		}
}

static void one_way_rows(size_t size, const char *group)
{
	static const int by_style[STYLES] = {OUR_INLINE, OUR_CALLS, OUR_BATCH};
	static const int known_by_style[STYLES] = {OUR_INLINE_KNOWN, OUR_CALLS_KNOWN,
						   OUR_BATCH_KNOWN};
	struct row row = {.group = group, .size = size};
	int ideal = own_row(row, &raw_queues[RAW_IDEAL]),
	    dirty = own_row(row, &raw_queues[RAW_DIRTY]);
	int bare = own_row(row, &raw_queues[RAW_BARE]);
	int ours[STYLES];

	compare((struct comparison){.of = bare, .to = dirty, .at = bare});
	for (int style = 0; style < STYLES; style++)
		one_way_target(own_row(row, &our_queues[by_style[style]]), (enum style)style, size,
			       ideal, dirty);
	if (size == 64) {
		int inline_64 = plan.rows - STYLES + STYLE_INLINE;
		int several = own_row(row, &our_queues[OUR_SHARED]);
		int batch = own_row(row, &our_queues[OUR_SHARED_BATCH]);

		dirty_64 = dirty;
		for (int i = OUR_BRIEF; i <= OUR_BOTH; i++) {
			int kind = own_row(row, &our_queues[i]);

			compare((struct comparison){.of = kind,
						    .to = inline_64,
						    .at = kind,
						    .target = {[NEAR] = i == OUR_BOTH ? 0.4 : 0,
							       [FAR] = i == OUR_BOTH ? 0.4 : 0}});
		}
		compare((struct comparison){.of = several, .to = dirty, .at = several});
		compare((struct comparison){
			.of = batch, .to = dirty, .at = batch, .target = BOTH(0.65)});
	}
	dirty = own_row(row, &raw_queues[RAW_DIRTY_KNOWN]);
	bare = own_row(row, &raw_queues[RAW_BARE_KNOWN]);
	compare((struct comparison){.of = bare, .to = dirty, .at = bare});
	for (int style = 0; style < STYLES; style++) {
		ours[style] = own_row(row, &our_queues[known_by_style[style]]);
		compare((struct comparison){.of = ours[style], .to = dirty, .at = ours[style]});
	}
	one_way_peers(row, ours);
}

/* --- Several producers ------------------------------------------------------------ */

/* The rows that come with @row: of the whole run, and the longest stall. */
static void several_add(int row)
{
	struct row added = {.group = plan.row[row].group, .unit = "M/s"};
	char name[80];

	snprintf(name, sizeof(name), "%s, whole run", plan.row[row].name);
	plan.row[row].whole = row_add(added, name);
	added.unit = "us";
	added.longest = 1;
	snprintf(name, sizeof(name), "%s, longest stall", plan.row[row].name);
	plan.row[row].stall = row_add(added, name);
}

/* Against these four there is a target; the others are for the reader. */
static double several_target(const struct queue *queue)
{
	static const char *const named[] = {"ck_ring", "rte_ring HTS", "boost message_queue",
					    "POSIX mq"};

	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
		if (!strcmp(queue->name, named[i]))
			return 4;
	return 0;
}

static void several_peer(struct row row, const struct queue *queue, int ours)
{
	double target = several_target(queue);
	int peer = queue_row(row, queue);

	if (peer < 0)
		return;
	several_add(peer);
	compare((struct comparison){.of = ours, .to = peer, .at = peer, .target = BOTH(target)});
	compare((struct comparison){.of = plan.row[ours].whole,
				    .to = plan.row[peer].whole,
				    .at = plan.row[peer].whole});
}

static void several_rows(int producers, const char *group)
{
	static const int kinds[] = {OUR_SEVERAL, OUR_SEVERAL_BATCH};
	struct row row = {.group = group, .size = 64, .producers = producers};
	int ours[STYLES] = {0};
	int gap = row_add((struct row){.group = group,
				       .unit = "us",
				       .longest = 1,
				       .driver = gap_driver,
				       .peer = gap_peer},
			  "the machine's longest gap");

	for (int i = 0; i < 2; i++) {
		const struct queue *queue = &our_queues[kinds[i]];
		int added = own_row(row, queue), stall;

		several_add(added);
		stall = plan.row[added].stall;
		ours[queue->style] = added;
		compare((struct comparison){
			.of = added, .to = dirty_64, .at = added, .target = BOTH(0.65)});
		compare((struct comparison){
			.of = stall, .to = gap, .at = stall, .at_most = 1, .target = BOTH(3)});
	}
	for (int i = 0; i < PEERS; i++)
		for (const struct queue *queue = peers[i].queues; queue && queue->name; queue++)
			if (queue->several && (!queue->size || queue->size == 64))
				several_peer(row, queue,
					     ours[queue->style == STYLE_BATCH ? STYLE_BATCH
									      : STYLE_INLINE]);
}

/* --- One thread -------------------------------------------------------------------- */

static void alone_rows(size_t size, const char *group)
{
	struct row row = {.group = group,
			  .size = size,
			  .unit = "ns",
			  .driver = pair_driver,
			  .peer = nothing_peer};
	int calls = own_row(row, &our_queues[OUR_ALONE_CALLS]);
	int ours = own_row(row, &our_queues[OUR_ALONE]);
	int bare = own_row(row, &raw_queues[RAW_BARE_KNOWN]), count = 0, least;

	compare((struct comparison){.of = ours, .to = bare, .at = bare, .at_most = 1});

	for (const struct queue *queue = cxx_queues; queue->name; queue++)
		if (queue->size == size) {
			int cxx = queue_row(row, queue);

			compare((struct comparison){.of = cxx,
						    .to = ours,
						    .at = cxx,
						    .at_most = 1,
						    .target = BOTH(1.1)});
		}
	for (int i = 0; i < PEERS; i++)
		for (const struct queue *queue = peers[i].queues; queue && queue->name; queue++)
			if (queue->pair && queue->style == STYLE_INLINE && !queue->several &&
			    (!queue->size || queue->size == size))
				count += queue_row(row, queue) >= 0;
	if (!count)
		return;
	least = row_add((struct row){.group = group, .unit = "ns", .least_of = count},
			"the leanest slot queue");
	compare((struct comparison){
		.of = ours, .to = least, .at = least, .at_most = 1, .target = BOTH(1.4)});
	compare((struct comparison){.of = calls, .to = least, .at = calls});
}

/* --- Round trips, locks and events, memory ------------------------------------------- */

static int plain_row(const char *group, const char *name, const char *unit,
		     void (*driver)(struct bench *), void (*peer)(struct bench *))
{
	return row_add((struct row){.group = group, .unit = unit, .driver = driver, .peer = peer},
		       name);
}

static void at_most(int of, int to, double near, double far)
{
	compare((struct comparison){.of = of,
				    .to = to,
				    .at = of,
				    .at_most = 1,
				    .target = {[NEAR] = near, [FAR] = far}});
}

static void trip_rows(void)
{
	const char *group = "round trip, 64 bytes, p50";
	int line = plain_row(group, "a line there and back", "ns", line_driver, line_peer);
	int trip = plain_row(group, "shmring, busy", "ns", trip_driver, trip_peer);
	int until = plain_row(group, "shmring, _until, answered in the spin", "ns",
			      trip_until_driver, trip_until_peer);
	int futex = plain_row(group, "futex, asleep", "ns", futex_driver, futex_peer);
	int asleep = plain_row(group, "shmring, _until, asleep", "ns", trip_asleep_driver,
			       trip_asleep_peer);
	int event = plain_row(group, "shmring event, asleep", "ns", event_driver, event_peer);

	at_most(trip, line, 1.3, 1.1);
	at_most(until, trip, 1.2, 1.2);
	at_most(asleep, futex, 1.1, 1.1);
	at_most(event, futex, 1.2, 1.2);
}

static void lock_rows(void)
{
	const char *group = "locks and events";
	int cas = plain_row(group, "a CAS and a store", "ns", cas_driver, nothing_peer);
	int robust = plain_row(group, "robust pthread mutex, lock and unlock", "ns", robust_driver,
			       nothing_peer);
	int mutex = plain_row(group, "shmring mutex, lock and unlock", "ns", mutex_driver,
			      nothing_peer);
	int robust_two, mutex_two, notify;

	at_most(cas, robust, 0, 0);
	at_most(mutex, robust, 0.35, 0.35);
	plain_row(group, "a fence, over the store", "ns", fence_driver, nothing_peer);
	notify = plain_row(group, "shmring notify, nobody asleep, over the store", "ns",
			   notify_driver, nothing_peer);
	at_most(notify, -1, 3, 3);
	robust_two = plain_row(group, "robust pthread mutex, two want it", "M/s",
			       robust_shared_driver, robust_shared_peer);
	mutex_two = plain_row(group, "shmring mutex, two want it", "M/s", mutex_shared_driver,
			      mutex_shared_peer);
	compare((struct comparison){.of = mutex_two, .to = robust_two, .at = mutex_two});
}

static void table_rows(void)
{
	const char *group = "tables, a record of 64 bytes";
	int spin = plain_row(group, "spinlock and memcpy", "ns", spin_table_driver, nothing_peer);
	int robust = plain_row(group, "robust pthread mutex and memcpy", "ns", robust_table_driver,
			       nothing_peer);
	int write = plain_row(group, "shmring, write", "ns", table_write_driver, nothing_peer);
	int update = plain_row(group, "shmring, begin to commit", "ns", table_update_driver,
			       nothing_peer);
	int seqlock = plain_row(group, "bare seqlock, read", "ns", seqlock_read_driver, nothing_peer);
	int slots = plain_row(group, "seqlock of slots behind a handle, read", "ns", slots_read_driver,
			      nothing_peer);
	int read = plain_row(group, "shmring, read", "ns", table_read_driver, nothing_peer);
	int both = plain_row(group, "shmring, write and read", "ns", table_both_driver, nothing_peer);
	int robust_two, spin_two, table_two;

	at_most(spin, robust, 0, 0);
	at_most(slots, seqlock, 0, 0);
	at_most(write, spin, 1.5, 1.5);
	compare((struct comparison){
		.of = write, .to = robust, .at = robust, .at_most = 1, .target = BOTH(0.4)});
	at_most(update, spin, 0, 0);
	at_most(read, seqlock, 1.3, 1.3);
#ifdef HAVE_LMDB
	{
		int lmdb = plain_row(group, "LMDB, put and get", "ns", lmdb_driver, nothing_peer);

		compare((struct comparison){
			.of = lmdb, .to = both, .at = lmdb, .target = BOTH(50)});
	}
#else
	at_most(both, -1, 0, 0);
	plan_left_out("LMDB", "not found by configure");
#endif
	robust_two = plain_row(group, "robust pthread mutex and memcpy, two want it", "M/s",
			       robust_one_driver, robust_one_peer);
	spin_two = plain_row(group, "spinlock and memcpy, two want it", "M/s", spin_one_driver,
			     spin_one_peer);
	compare((struct comparison){.of = spin_two, .to = robust_two, .at = spin_two});
	table_two = plain_row(group, "shmring, write, two want it", "M/s", table_one_driver,
			      table_one_peer);
	compare((struct comparison){
		.of = table_two, .to = robust_two, .at = table_two, .target = BOTH(1.5)});
}

static void memory_rows(void)
{
	const char *group = "memory";
	int attach;

	plain_row(group, "shmring, beyond a record", "bytes", record_bytes_driver, nothing_peer);
	plain_row(group, "shmring, a ring beyond its records", "bytes", ring_bytes_driver,
		  nothing_peer);
	attach = plain_row(group, "shmring, attach to the big ring", "us", attach_driver,
			   nothing_peer);
	at_most(attach, -1, 1000, 1000);
}

void plan_make(struct bench *bench)
{
	static char groups[SIZES][40];

	the_bench = bench;
	for (int i = 0; i < SIZES; i++) {
		snprintf(groups[i], sizeof(groups[i]), "1 to 1, %zu bytes", sizes[i]);
		one_way_rows(sizes[i], groups[i]);
	}
	several_rows(2, "2 to 1, 64 bytes");
	several_rows(4, "4 to 1, 64 bytes");
	alone_rows(8, "one thread, write and read, 8 bytes");
	alone_rows(64, "one thread, write and read, 64 bytes");
	trip_rows();
	lock_rows();
	table_rows();
	memory_rows();
#ifdef HAVE_ATOMIC_QUEUE
	plan_left_out("several producers, atomic_queue",
		      "does not keep the order of a producer's messages");
#endif
	for (int i = 0; i < PEERS; i++)
		if (!peers[i].queues)
			plan_left_out(peers[i].name, "not found by configure");
}

/* --- Figures and verdicts --------------------------------------------------------------- */

static struct figure least_figure(int row, int count, enum distance distance)
{
	struct figure least = {.runs = 0};

	for (int i = row - count; i < row; i++) {
		struct figure figure = figure_of(i, distance);

		if (figure.runs && (!least.runs || figure.value < least.value))
			least = figure;
	}
	return least;
}

/* Of the undisturbed runs if there are enough, else of all. */
static void runs_of(const struct row *row, enum distance distance, struct kept *kept)
{
	const struct kept *calm = &row->runs[distance].calm;
	const struct kept *disturbed = &row->runs[distance].disturbed;

	*kept = *calm;
	if (calm->count >= ENOUGH)
		return;
	for (int i = 0; i < disturbed->count && kept->count < KEPT_MAX; i++)
		kept->value[kept->count++] = disturbed->value[i];
}

struct figure figure_of(int index, enum distance distance)
{
	const struct row *row = &plan.row[index];
	struct figure figure = {.runs = 0};
	static struct kept kept;

	if (row->least_of)
		return least_figure(index, row->least_of, distance);
	runs_of(row, distance, &kept);
	if (!kept.count)
		return figure;
	figure.runs = kept.count;
	figure.disturbed = kept.count > row->runs[distance].calm.count;
	figure.value = median(kept.value, kept.count); /* sorts */
	figure.least = kept.value[0];
	figure.most = kept.value[kept.count - 1];
	if (row->longest)
		figure.value = figure.most;
	return figure;
}

struct judged judge(const struct comparison *comparison, enum distance distance)
{
	struct figure of = figure_of(comparison->of, distance), to = {.runs = 0};
	struct judged judged = {.verdict = NO_FIGURE, .disturbed = of.disturbed, .value = of.value};
	double target = comparison->target[distance], held = of.value;
	int runs = of.runs;

	if (comparison->to >= 0) {
		to = figure_of(comparison->to, distance);
		runs = to.runs < runs ? to.runs : runs;
		judged.disturbed |= to.disturbed;
	}
	if (!runs || (comparison->to >= 0 && to.value <= 0))
		return judged;
	if (comparison->to >= 0)
		held = judged.ratio = of.value / to.value;
	if (target <= 0)
		judged.verdict = NO_TARGET;
	else if (runs < ENOUGH)
		judged.verdict = TOO_FEW;
	else if (judged.disturbed)
		judged.verdict = DISTURBED;
	else
		judged.verdict =
			(comparison->at_most ? held <= target : held >= target) ? MET : NOT_MET;
	return judged;
}
