/* SPDX-License-Identifier: MIT */
/* shmring-bench: the processes, and what runs when. */
#include "bench.h"

#include <errno.h>
#include <getopt.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef SYS_futex
#define SYS_FUTEX SYS_futex
#else
#define SYS_FUTEX SYS_futex_time64
#endif

#define BUDGET_S 60
#define QUICK_S  15
#define HELPERS  (PRODUCERS_MAX - 1)

static struct bench bench;
static struct results results;
static pid_t driver, child[1 + HELPERS]; /* the peer, and the helpers */
static char segment[64], big[64];        /* names; "" while there is none */

/* Rings whose segment has no name any more are stale, so it goes at the end. */
static void remove_segment(void)
{
	if (getpid() != driver)
		return;
	if (segment[0])
		shr_map_unlink(segment);
	if (big[0])
		shr_map_unlink(big);
}

/* The ends that can be caught. */
static void stopped(int number)
{
	remove_segment();
	_exit(128 + number);
}

static _Noreturn void leave(void)
{
	remove_segment();
	fflush(NULL);
	_exit(1);
}

static const struct row *running; /* of this process */

static _Noreturn void die_with(const char *what, const char *why)
{
	fprintf(stderr, "shmring-bench: ");
	if (running)
		fprintf(stderr, "%s, %s: ", running->group, running->name);
	fprintf(stderr, "%s%s%s\n", what, *why ? ": " : "", why);
	leave();
}

_Noreturn void die(const char *what)
{
	die_with(what, shr_last_error());
}

_Noreturn void die_errno(const char *what)
{
	die_with(what, strerror(errno));
}

_Noreturn void die_plain(const char *what)
{
	die_with(what, "");
}

/* --- The peer and the helpers ------------------------------------------------ */

#define JOB_ATTACH 65535 /* else a row */
#define JOB_PROBE  65534
#define JOB_MASK   65535
#define IDLE_LOOKS 1024 /* then helpers get the cpu */

static void row_take(const struct row *row)
{
	running = row;
	bench.size = row->size;
	bench.queue = row->queue;
	bench.object = row->object;
	bench.producers = row->producers ? row->producers : 1;
}

static void row_peer(const struct row *row)
{
	row_take(row);
	row->peer(&bench);
}

/* A process that ends with the driver, on @cpu. */
static void side_begin(int cpu)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		die_errno("prctl");
	if (getppid() != driver)
		_exit(1);
	machine_pin(cpu);
}

static _Noreturn void peer(const char *name, int cpu)
{
	struct shared *shared = bench.shared;
	uint64_t job = 0, seen;

	side_begin(cpu);
	for (;;) {
		for (unsigned int looks = 1;; looks++) {
			seen = atomic_load_explicit(&shared->job.word, memory_order_acquire);
			if (seen != job)
				break;
			if (looks % IDLE_LOOKS == 0)
				sched_yield();
		}
		job = seen;
		if ((job & JOB_MASK) == JOB_ATTACH)
			rings_open(&bench, name, 0);
		else if ((job & JOB_MASK) == JOB_PROBE)
			line_peer(&bench);
		else
			row_peer(&plan.row[job & JOB_MASK]);
		atomic_store_explicit(&shared->done.word, job, memory_order_release);
	}
}

static long crew_futex(int operation, uint32_t value)
{
	return syscall(SYS_FUTEX, (void *)&bench.shared->crew, operation, value, NULL, NULL, 0);
}

/* Asleep on crew, but for the runs with as many producers. */
static _Noreturn void helper(const char *name, int cpu, int producer)
{
	struct shared *shared = bench.shared;
	uint32_t seen = 0, now;

	side_begin(cpu);
	bench.producer = producer;
	for (;;) {
		while ((now = atomic_load(&shared->crew)) == seen)
			crew_futex(FUTEX_WAIT, seen);
		seen = now;
		if (shared->crew_job == JOB_ATTACH) {
			rings_open(&bench, name, producer);
		} else if ((uint32_t)producer < shared->crew_size) {
			atomic_fetch_add(&shared->crew_ready, 1);
			while (atomic_load(&shared->crew_go) != seen)
				sched_yield();
			row_peer(&plan.row[shared->crew_job]);
		} else {
			continue;
		}
		atomic_fetch_add(&shared->crew_done, 1);
	}
}

/* --- The driver ------------------------------------------------------------- */

static void job_start(uint64_t what)
{
	struct shared *shared = bench.shared;
	uint64_t job = atomic_load_explicit(&shared->job.word, memory_order_relaxed);

	atomic_store(&shared->stop.word, 0);
	for (int i = 0; i < PRODUCERS_MAX; i++)
		atomic_store(&shared->sent[i].word, 0);
	atomic_store(&shared->tail.word, 0);
	atomic_store(&shared->head.word, 0);
	atomic_store(&shared->ping.word, 0);
	atomic_store(&shared->pong.word, 0);
	atomic_store(&shared->futex_ping, 0);
	atomic_store(&shared->futex_pong, 0);
	atomic_store_explicit(&shared->job.word, (job | JOB_MASK) + 1 + what, memory_order_release);
}

static int job_over(void)
{
	struct shared *shared = bench.shared;

	return atomic_load_explicit(&shared->done.word, memory_order_acquire) ==
	       atomic_load_explicit(&shared->job.word, memory_order_relaxed);
}

/* The helpers awake and waiting for crew_go. */
static void crew_call(uint32_t job, int size)
{
	struct shared *shared = bench.shared;

	atomic_store(&shared->crew_ready, 0);
	atomic_store(&shared->crew_done, 0);
	shared->crew_job = job;
	shared->crew_size = (uint32_t)size;
	atomic_fetch_add(&shared->crew, 1);
	if (crew_futex(FUTEX_WAKE, HELPERS) < 0)
		die_errno("futex wake");
}

static int crew_over(int size)
{
	return atomic_load(&bench.shared->crew_done) == (uint32_t)size - 1;
}

static double probe_run(void)
{
	double ns;

	job_start(JOB_PROBE);
	ns = probe(&bench);
	while (!job_over())
		;
	return ns;
}

static void row_drive(int index)
{
	const struct row *row = &plan.row[index];
	struct shared *shared = bench.shared;

	row_take(row);
	if (row->queue && row->queue->init)
		row->queue->init(row->object, row->size);
	if (bench.producers > 1) {
		crew_call((uint32_t)index, bench.producers);
		while (atomic_load(&shared->crew_ready) != (uint32_t)bench.producers - 1)
			;
	}
	job_start((uint64_t)index);
	if (bench.producers > 1)
		atomic_store(&shared->crew_go, atomic_load(&shared->crew));
	row->driver(&bench);
	while (!job_over() || (bench.producers > 1 && !crew_over(bench.producers)))
		;
}

static void keep(int row, enum distance distance, int disturbed, double value)
{
	struct runs *runs = &plan.row[row].runs[distance];
	struct kept *kept = disturbed ? &runs->disturbed : &runs->calm;

	if (kept->count < KEPT_MAX)
		kept->value[kept->count++] = value;
}

/* --- Other processes on our cpus ------------------------------------------------ */

static int times_fd[2 + HELPERS]; /* the driver, the peer, the helpers */

static void times_begin(void)
{
	times_fd[0] = times_open(driver);
	for (int i = 0; i <= HELPERS; i++)
		times_fd[1 + i] = times_open(child[i]);
}

struct sides {
	int64_t waited_ns; /* the driver and the peer, for a cpu */
	int64_t ran_ns;    /* all on the peer's cpu */
};

static struct sides sides_read(void)
{
	struct times peer = times_read(times_fd[1]);
	struct sides sides = {times_read(times_fd[0]).waited_ns + peer.waited_ns, peer.ran_ns};

	for (int i = 1; i <= HELPERS; i++)
		sides.ran_ns += times_read(times_fd[1 + i]).ran_ns;
	return sides;
}

/*
 * Others had more than a tenth of the run; several producers wait for each other,
 * there it is a fifth of their cpu (the kernel counts in ticks).
 */
static int is_disturbed(const struct row *row, const struct sides *before, int64_t run_ns)
{
	struct sides after = sides_read();

	if (times_fd[1] < 0 || (row->queue && row->queue->threads))
		return 0;
	if (row->producers > 1)
		return after.ran_ns - before->ran_ns < run_ns / 5 * 4;
	return after.waited_ns - before->waited_ns > run_ns / 10;
}

/* One run, between @before and the probe that is returned. */
static double row_run(int index, double before)
{
	enum distance distance = distance_of(before);
	struct sides sides = sides_read();
	int64_t start = now_ns();
	double after, value;
	int disturbed;

	row_drive(index);
	disturbed = is_disturbed(&plan.row[index], &sides, now_ns() - start);
	value = samples_median(&bench.samples);
	after = probe_run();
	if (distance == DISTANCES || distance_of(after) != distance || !bench.samples.count ||
	    (plan.row[index].queue && value <= 0)) {
		results.discarded[distance == DISTANCES ? FAR : distance]++;
		return after;
	}
	if (results.probes[distance] < KEPT_MAX)
		results.probe[distance][results.probes[distance]++] = before;
	keep(index, distance, disturbed, value);
	if (plan.row[index].stall) {
		keep(plan.row[index].whole, distance, disturbed, bench.whole);
		keep(plan.row[index].stall, distance, disturbed, bench.stall_ns / 1e3);
	}
	results.kept_runs[distance]++;
	results.disturbed += disturbed;
	return after;
}

static int is_wanted(const struct row *row, const char *text)
{
	char name[128];

	snprintf(name, sizeof(name), "%s: %s", row->group, row->name);
	return row->driver && (!text || strstr(name, text));
}

static void measure(double seconds, const char *only)
{
	int64_t start = now_ns(), end = start + (int64_t)(seconds * 1e9);
	double before = probe_run();
	int ran = 1;

	while (ran && now_ns() < end) {
		ran = 0;
		for (int i = 0; i < plan.rows && now_ns() < end; i++)
			if (is_wanted(&plan.row[i], only)) {
				before = row_run(i, before);
				ran = 1;
			}
	}
	if (!ran)
		die_plain("no row has that in its name");
	results.seconds = (double)(now_ns() - start) / 1e9;
}

static void side_ended(int number)
{
	static const char text[] = "shmring-bench: another process of it ended\n";

	(void)number;
	remove_segment();
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(2);
	_exit(1);
}

/* The others live; and from now on this process ends when one does. */
static void watch_sides(void)
{
	struct sigaction action = {.sa_handler = side_ended, .sa_flags = SA_NOCLDSTOP};

	sigaction(SIGCHLD, &action, NULL);
	if (waitpid(-1, NULL, WNOHANG))
		side_ended(0);
}

/* The segment, and all attached to it; with signals held back. */
static void connect_sides(const char *name)
{
	sigset_t all, old;
	int ended = 0;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	rings_create(&bench, name);
	snprintf(segment, sizeof(segment), "%s", name);
	crew_call(JOB_ATTACH, PRODUCERS_MAX);
	job_start(JOB_ATTACH);
	while (!ended && !(job_over() && crew_over(PRODUCERS_MAX)))
		ended = waitpid(-1, NULL, WNOHANG) != 0;
	if (ended)
		leave();
	rings_open(&bench, NULL, -1);
	snprintf(big, sizeof(big), "%s-big", name);
	memory_create(&bench, big);
	sigprocmask(SIG_SETMASK, &old, NULL);
	watch_sides();
}

static void memory_map(void)
{
	void *memory = mmap(NULL, sizeof(*bench.shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die_errno("memory");
	memset(memory, 0, sizeof(*bench.shared)); /* no page fault in a run */
	bench.shared = memory;
}

static void sides_fork(const char *name, const int cpu[2])
{
	for (int i = 0; i <= HELPERS; i++) {
		child[i] = fork();
		if (child[i] < 0)
			die_errno("fork");
		if (!child[i] && !i)
			peer(name, cpu[1]);
		if (!child[i])
			helper(name, cpu[1], i);
	}
}

static void sides_end(void)
{
	signal(SIGCHLD, SIG_DFL);
	for (int i = 0; i <= HELPERS; i++) {
		kill(child[i], SIGKILL);
		waitpid(child[i], NULL, 0);
	}
}

static void usage(void)
{
	printf("usage: shmring-bench [-t SECONDS] [-q] [-r TEXT] [-o FILE]\n\n"
	       "Measure shmring between two processes on two cpus, and in the same run its peers\n"
	       "and what the machine does without any of them.\n\n"
	       "  -t, --time=SECONDS  measure as long as this (%d)\n"
	       "  -q, --quick         as -t %d\n"
	       "  -r, --rows=TEXT     only rows with TEXT in \"group: name\"; no verdict where "
	       "what\n"
	       "                      a row is held against is not among them\n"
	       "  -o, --output=FILE   write the figures as JSON too\n"
	       "  -h, --help          print this\n\n"
	       "A run is kept when the round trip of a cache line before it and after it is of\n"
	       "one class: sibling (below 85 ns), near (below 350 ns) or far. One way: the\n"
	       "message-weighted median of windows of 0.2 ms; each message is copied in, copied\n"
	       "out and looked at. Round trips: the median of groups of %d, asleep of each one.\n"
	       "A target is judged when there are %d runs of what it is about.\n",
	       BUDGET_S, QUICK_S, GROUP, ENOUGH);
}

struct wanted {
	double seconds;
	const char *output, *only;
};

static struct wanted parse(int argc, char **argv)
{
	static const struct option options[] = {
		{"time", required_argument, NULL, 't'}, {"quick", no_argument, NULL, 'q'},
		{"rows", required_argument, NULL, 'r'}, {"output", required_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0}};
	struct wanted wanted = {BUDGET_S, NULL, NULL};
	char *end;
	int option;

	while ((option = getopt_long(argc, argv, "t:qr:o:h", options, NULL)) != -1) {
		switch (option) {
		case 't':
			wanted.seconds = strtod(optarg, &end);
			if (end == optarg || *end ||
			    !(wanted.seconds > 0 && wanted.seconds <= 86400))
				die_plain("-t takes a number of seconds, at most a day");
			break;
		case 'q':
			wanted.seconds = QUICK_S;
			break;
		case 'r':
			wanted.only = optarg;
			break;
		case 'o':
			wanted.output = optarg;
			break;
		case 'h':
			usage();
			exit(0);
		default:
			fprintf(stderr, "shmring-bench: try --help\n");
			exit(2);
		}
	}
	if (optind < argc)
		die_plain("no arguments are taken, but options; try --help");
	return wanted;
}

int main(int argc, char **argv)
{
	struct wanted wanted = parse(argc, argv);
	char name[56];
	int cpu[2];

	if (machine_pick(cpu))
		die_plain("two cpus are needed, and this process may run on one only");
	memory_map();
	driver = getpid();
	snprintf(name, sizeof(name), "/shmring-bench-%d", (int)driver);
	plan_make(&bench);
	sides_fork(name, cpu);
	machine_pin(cpu[0]);
	signal(SIGINT, stopped);
	signal(SIGTERM, stopped);
	signal(SIGHUP, stopped);
	connect_sides(name);
	times_begin();
	measure(wanted.seconds, wanted.only);
	sides_end();
	remove_segment();
	table_print(&results, cpu);
	if (wanted.output && json_write(wanted.output, &results)) {
		if (errno == ENOTSUP)
			printf("no %s: built without jansson\n", wanted.output);
		else
			die_errno(wanted.output);
	}
	return fflush(stdout) || ferror(stdout) ? 1 : 0;
}
