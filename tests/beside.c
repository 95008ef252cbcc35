/* SPDX-License-Identifier: MIT */
/*
 * What a paced producer pays for a reader beside it.
 *
 *	shmring-beside DUMP [ROUNDS [SECONDS]]
 *
 * A producer on one cpu times each of its writes to a flight recorder, which waits for
 * nobody, in rounds: alone, with "DUMP follow" on another cpu, and with a process there that
 * only spins, which tells what of a difference is not the reading. The rounds take turns.
 * Of each percentile the median of the rounds is printed, and the spread of those alone: a
 * difference within it is noise. Never a test: other work on the machine is in the figures.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <shmring/shmring.h>

#define ROUNDS_MAX 1000
#define TICKS      (1 << 17) /* longer writes are counted as this */
#define WARM_NS    300000000 /* until the other process is there */

struct beat {
	uint64_t number, time_ns;
	char text[48];
};
SHR_SCHEMA(beat, 1, number, time_ns, text);

enum beside { ALONE, FOLLOW, SPIN, KINDS };
enum { P50, P99, P999, PERCENTILES };
static const double part_of[PERCENTILES] = {0.5, 0.99, 0.999};
static const char *const name_of[PERCENTILES] = {"p50", "p99", "p99.9"};

static uint32_t count_of[TICKS];
static double result[KINDS][PERCENTILES][ROUNDS_MAX];
static uint64_t shown, written; /* of the rounds with follow */
static double ns_a_tick = 1;
static char name[64];
static const char *dump;
static int cpus[2];

static void die(const char *what)
{
	fprintf(stderr, "shmring-beside: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void must(int err, const char *what)
{
	if (!err)
		return;
	fprintf(stderr, "shmring-beside: %s: %s\n", what, shr_last_error());
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Not before what comes before it has been done. */
static inline uint64_t ticks(void)
{
#if defined(__x86_64__)
	uint64_t now;

	__asm__ volatile("lfence\n\trdtsc\n\tshl $32, %%rdx\n\tor %%rdx, %0\n\tlfence"
			 : "=a"(now)
			 :
			 : "rdx", "memory");
	return now;
#else
	return (uint64_t)now_ns();
#endif
}

static void learn_ticks(void)
{
	int64_t from_ns = now_ns();
	uint64_t from = ticks();

	while (now_ns() - from_ns < 100000000)
		;
	ns_a_tick = (double)(now_ns() - from_ns) / (double)(ticks() - from);
}

static void pin(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		die("sched_setaffinity");
}

static int pick_cpus(void)
{
	cpu_set_t allowed;
	int found = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		die("sched_getaffinity");
	for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
		if (CPU_ISSET(cpu, &allowed))
			cpus[found++] = cpu;
	return found == 2;
}

/* --- The other process ---------------------------------------------------------- */

/* In the child. What follow says of itself goes to @said. */
static void be_other(enum beside kind, int said)
{
	int null = open("/dev/null", O_WRONLY);

	pin(cpus[1]);
	if (kind == SPIN)
		for (;;)
			__atomic_signal_fence(__ATOMIC_SEQ_CST);
	dup2(null, STDOUT_FILENO);
	dup2(said, STDERR_FILENO);
	execl(dump, dump, "follow", name, (char *)NULL);
	_exit(127);
}

static pid_t start_other(enum beside kind, int said[2])
{
	pid_t pid;

	if (kind == ALONE)
		return 0;
	if (pipe2(said, O_CLOEXEC))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid)
		be_other(kind, said[1]);
	close(said[1]);
	return pid;
}

/* 0, or -EAGAIN: follow had not begun yet. */
static int end_other(enum beside kind, pid_t pid, int said)
{
	char text[400] = "";
	uint64_t records;
	size_t have = 0;
	ssize_t n;
	int status;

	if (!pid)
		return 0;
	kill(pid, kind == FOLLOW ? SIGTERM : SIGKILL);
	do {
		n = read(said, text + have, sizeof(text) - 1 - have);
		have += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	close(said);
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	if (kind != FOLLOW)
		return 0;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM)
		return -EAGAIN;
	if (status || sscanf(text, "shmring-dump: %" SCNu64 " records shown", &records) != 1) {
		fprintf(stderr, "shmring-beside: follow did not end well: %s\n", text);
		exit(1);
	}
	shown += records;
	return 0;
}

/* --- The producer --------------------------------------------------------------- */

/* Write at @rate until @end_ns; counts how long each takes. */
static uint64_t produce(struct shr_producer *producer, double rate, int64_t end_ns)
{
	uint64_t step = (uint64_t)(1e9 / rate / ns_a_tick), next = ticks();
	struct beat beat = {.text = "beside"};

	do {
		for (int i = 0; !i || (i < 1000 && i < rate / 1000); i++) {
			uint64_t from, took;

			while ((from = ticks()) < next)
				;
			beat.number++;
			beat.time_ns = from;
			from = ticks();
			must(shr_producer_write(producer, &beat, sizeof(beat)), "write");
			took = ticks() - from;
			count_of[took < TICKS ? took : TICKS - 1]++;
			/* What was late makes the later ones late, not a burst. */
			next += step;
			if (next < from)
				next = from;
		}
	} while (now_ns() < end_ns);
	return beat.number;
}

static double percentile(double part)
{
	uint64_t total = 0, below = 0;

	for (int i = 0; i < TICKS; i++)
		total += count_of[i];
	for (int i = 0; i < TICKS; i++) {
		below += count_of[i];
		if ((double)below >= part * (double)total)
			return i * ns_a_tick;
	}
	return TICKS * ns_a_tick;
}

/* Likewise. */
static int one_round(struct shr_producer *producer, enum beside kind, int round, double rate,
		     double seconds)
{
	int said[2] = {-1, -1};
	pid_t pid = start_other(kind, said);
	uint64_t warm = produce(producer, rate, now_ns() + WARM_NS);

	memset(count_of, 0, sizeof(count_of));
	warm += produce(producer, rate, now_ns() + (int64_t)(seconds * 1e9));
	for (int i = 0; i < PERCENTILES; i++)
		result[kind][i][round] = percentile(part_of[i]);
	if (end_other(kind, pid, said[0]))
		return -EAGAIN;
	if (kind == FOLLOW)
		written += warm;
	return 0;
}

/* --- What comes of it ------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(const double *sorted, int count)
{
	return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
}

static void report(double rate, int rounds)
{
	printf("%.0f records/s, medians of %d rounds in ns; follow showed %.1f%% of the records\n",
	       rate, rounds, 100 * (double)shown / (double)written);
	printf("         alone  (least, most)    follow  ratio      spin  ratio\n");
	for (int i = 0; i < PERCENTILES; i++) {
		double *alone = result[ALONE][i], of[KINDS];

		for (int kind = 0; kind < KINDS; kind++) {
			qsort(result[kind][i], (size_t)rounds, sizeof(double), by_value);
			of[kind] = median(result[kind][i], rounds);
		}
		printf("%-6s %7.0f  (%.0f, %.0f) %9.0f  %5.2f %9.0f  %5.2f\n", name_of[i],
		       of[ALONE], alone[0], alone[rounds - 1], of[FOLLOW], of[FOLLOW] / of[ALONE],
		       of[SPIN], of[SPIN] / of[ALONE]);
	}
}

static void measure(double rate, int rounds, double seconds)
{
	struct shr_ring_options options = {.struct_size = sizeof(options),
					   .mode = SHR_RING_OVERWRITE,
					   .schema = SHR_SCHEMA_OF(beat)};
	struct shr_producer *producer = NULL;
	struct shr_ring *ring = NULL;

	must(shr_ring_open(&ring, name, "+>", &options, NULL), name);
	must(shr_producer_open(&producer, ring), "producer");
	produce(producer, 1e7, now_ns() + WARM_NS); /* laps: each page has been touched */
	shown = written = 0;
	for (int round = 0; round < rounds; round++)
		for (int kind = 0; kind < KINDS; kind++)
			while (one_round(producer, (enum beside)((kind + round) % KINDS), round,
					 rate, seconds))
				;
	must(shr_producer_close(producer), "close");
	must(shr_ring_close(ring), "close");
	must(shr_segment_unlink(name), "unlink");
	report(rate, rounds);
}

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? atoi(argv[2]) : 15;
	double seconds = argc > 3 ? atof(argv[3]) : 1;

	if (argc < 2 || rounds < 1 || rounds > ROUNDS_MAX || seconds <= 0) {
		fputs("Usage: shmring-beside DUMP [ROUNDS [SECONDS]]\n", stderr);
		return 2;
	}
	if (!pick_cpus()) {
		fputs("shmring-beside: needs two cpus\n", stderr);
		return 77;
	}
	dump = argv[1];
	snprintf(name, sizeof(name), "/shmring-beside-%d", (int)getpid());
	pin(cpus[0]);
	learn_ticks();
	measure(10000, rounds, seconds);
	measure(1000000, rounds, seconds);
	return 0;
}
