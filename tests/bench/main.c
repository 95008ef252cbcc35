/* SPDX-License-Identifier: MIT */
/* shmring-bench: the two processes, and what runs when. */
#include "bench.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUDGET_S 60
#define QUICK_S 8
#define ENOUGH 7 /* runs kept of each row, near and far */

static struct bench bench;
static struct results results;
static pid_t driver;
static char segment[64]; /* name; "" while there is none */

/* Rings whose segment has no name any more are stale, so it goes at the end. */
static void remove_segment(void)
{
	if (segment[0] && getpid() == driver)
		shr_map_unlink(segment);
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

_Noreturn void die(const char *what)
{
	fprintf(stderr, "shmring-bench: %s: %s\n", what, shr_last_error());
	leave();
}

_Noreturn void die_errno(const char *what)
{
	fprintf(stderr, "shmring-bench: %s: %s\n", what, strerror(errno));
	leave();
}

_Noreturn void die_plain(const char *what)
{
	fprintf(stderr, "shmring-bench: %s\n", what);
	leave();
}

/* --- The peer --------------------------------------------------------------- */

#define JOB_ATTACH 255 /* else a row */
#define JOB_PROBE 254

static void row_peer(const struct row *row)
{
	bench.size = row->size;
	row->peer(&bench);
}

static _Noreturn void peer(const char *name, int cpu)
{
	struct shared *shared = bench.shared;
	uint64_t job = 0, seen;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		die_errno("prctl");
	if (getppid() != driver)
		_exit(1);
	machine_pin(cpu);
	for (;;) {
		do {
			seen = atomic_load_explicit(&shared->job.word, memory_order_acquire);
		} while (seen == job);
		job = seen;
		if ((job & 255) == JOB_ATTACH)
			rings_open(&bench, name, 0);
		else if ((job & 255) == JOB_PROBE)
			line_peer(&bench);
		else
			row_peer(&rows[job & 255]);
		atomic_store_explicit(&shared->done.word, job, memory_order_release);
	}
}

/* --- The driver ------------------------------------------------------------- */

static void job_start(uint64_t what)
{
	struct shared *shared = bench.shared;
	uint64_t job = atomic_load_explicit(&shared->job.word, memory_order_relaxed);

	atomic_store(&shared->stop.word, 0);
	atomic_store(&shared->sent.word, 0);
	atomic_store(&shared->tail.word, 0);
	atomic_store(&shared->head.word, 0);
	atomic_store(&shared->ping.word, 0);
	atomic_store(&shared->pong.word, 0);
	atomic_store(&shared->futex_ping, 0);
	atomic_store(&shared->futex_pong, 0);
	atomic_store_explicit(&shared->job.word, (job | 255) + 1 + what, memory_order_release);
}

static int job_over(void)
{
	struct shared *shared = bench.shared;

	return atomic_load_explicit(&shared->done.word, memory_order_acquire) ==
	       atomic_load_explicit(&shared->job.word, memory_order_relaxed);
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

/* One run, between @before and the probe that is returned. */
static double row_run(int row, double before)
{
	enum distance distance = distance_of(before);
	struct kept *kept = &results.kept[row][distance];
	double after, value;

	job_start((uint64_t)row);
	bench.size = rows[row].size;
	rows[row].driver(&bench);
	while (!job_over())
		;
	value = samples_median(&bench.samples);
	after = probe_run();
	if (distance_of(after) != distance || !bench.samples.count) {
		results.discarded[distance]++;
		return after;
	}
	if (results.probes[distance] < KEPT_MAX)
		results.probe[distance][results.probes[distance]++] = before;
	if (kept->count < KEPT_MAX)
		kept->value[kept->count++] = value;
	results.kept_runs[distance]++;
	return after;
}

static int enough(void)
{
	for (int i = 0; i < row_count; i++)
		if (results.kept[i][NEAR].count < ENOUGH || results.kept[i][FAR].count < ENOUGH)
			return 0;
	return 1;
}

static void measure(double seconds)
{
	int64_t end = now_ns() + (int64_t)(seconds * 1e9);
	double before = probe_run();

	while (!enough())
		for (int i = 0; i < row_count; i++) {
			before = row_run(i, before);
			if (now_ns() > end)
				return;
		}
}

static void peer_ended(int number)
{
	static const char text[] = "shmring-bench: the second process ended\n";

	(void)number;
	remove_segment();
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(2);
	_exit(1);
}

/* The peer lives; and from now on this process ends when it does. */
static void watch_peer(pid_t child)
{
	struct sigaction action = {.sa_handler = peer_ended, .sa_flags = SA_NOCLDSTOP};

	sigaction(SIGCHLD, &action, NULL);
	if (waitpid(child, NULL, WNOHANG))
		peer_ended(0);
}

/* The segment, and the peer attached to it; with signals held back. */
static void connect_peer(const char *name, pid_t child)
{
	sigset_t all, old;
	int ended = 0;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	rings_create(&bench, name);
	snprintf(segment, sizeof(segment), "%s", name);
	job_start(JOB_ATTACH);
	while (!ended && !job_over())
		ended = waitpid(child, NULL, WNOHANG) != 0;
	if (ended)
		leave();
	sigprocmask(SIG_SETMASK, &old, NULL);
	watch_peer(child);
	rings_open(&bench, NULL, 1);
}

static void memory_map(void)
{
	void *memory = mmap(NULL, sizeof(*bench.shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	results.kept = calloc((size_t)row_count, sizeof(*results.kept));
	if (memory == MAP_FAILED || !results.kept)
		die_errno("memory");
	memset(memory, 0, sizeof(*bench.shared)); /* no page fault in a run */
	bench.shared = memory;
}

static void usage(void)
{
	printf("usage: shmring-bench [-t SECONDS] [-q]\n\n"
	       "Measure shmring between two processes on two cpus, and in the same run what\n"
	       "the machine does without it.\n\n"
	       "  -t, --time=SECONDS  measure no longer than this (%d); ends earlier with %d runs\n"
	       "                      of each row near and far\n"
	       "  -q, --quick         as -t %d\n"
	       "  -h, --help          print this\n\n"
	       "A run is kept when the round trip of a cache line before it and after it is of\n"
	       "one class: sibling (below 85 ns), near (below 250 ns) or far. One way: the\n"
	       "message-weighted median of windows of 0.2 ms; each message is copied in, copied\n"
	       "out and looked at. Round trips: the median of groups of %d, asleep of each one.\n",
	       BUDGET_S, ENOUGH, QUICK_S, GROUP);
}

static double parse(int argc, char **argv)
{
	static const struct option options[] = {{"time", required_argument, NULL, 't'},
						{"quick", no_argument, NULL, 'q'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	double seconds = BUDGET_S;
	char *end;
	int option;

	while ((option = getopt_long(argc, argv, "t:qh", options, NULL)) != -1) {
		switch (option) {
		case 't':
			seconds = strtod(optarg, &end);
			if (end == optarg || *end || !(seconds > 0 && seconds <= 86400))
				die_plain("-t takes a number of seconds, at most a day");
			break;
		case 'q':
			seconds = QUICK_S;
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
	return seconds;
}

int main(int argc, char **argv)
{
	double seconds = parse(argc, argv);
	char name[64];
	int cpu[2];
	pid_t child;

	if (machine_pick(cpu))
		die_plain("two cpus are needed, and this process may run on one only");
	memory_map();
	driver = getpid();
	snprintf(name, sizeof(name), "/shmring-bench-%d", (int)driver);
	child = fork();
	if (child < 0)
		die_errno("fork");
	if (!child)
		peer(name, cpu[1]);
	machine_pin(cpu[0]);
	signal(SIGINT, stopped);
	signal(SIGTERM, stopped);
	signal(SIGHUP, stopped);
	connect_peer(name, child);
	measure(seconds);
	signal(SIGCHLD, SIG_DFL);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	remove_segment();
	table_print(&results, cpu);
	return fflush(stdout) || ferror(stdout) ? 1 : 0;
}
