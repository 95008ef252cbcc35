/* SPDX-License-Identifier: MIT */
/*
 * Prints a line for each round of hostmon-producer:
 *
 *	hostmon-producer &
 *	hostmon-consumer
 *
 * Shows a consumer of two rings that can be killed at any time, SIGKILL too:
 * what it prints is out before it gives records back, so the next consumer is
 * given again, and marked, what this one may not have printed. At its end it
 * says what it received, and whether anything was lost; hostmon.h tells how it
 * can know.
 */
#include "hostmon.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CPUS_MAX 4096
#define LOOK_NS  100000000 /* longest wait on one ring; then a look at the other and @stopped */

static volatile sig_atomic_t stopped;

struct account {
	uint64_t received;    /* all records */
	uint64_t redelivered; /* of these an earlier consumer was given */
	uint64_t skipped;     /* reserved, and the producer died */
	uint64_t lost;        /* numbers that never came */
	uint64_t repeated;    /* that came again to this consumer */
	uint64_t misplaced;   /* the number is not that of the place */
};

struct monitor {
	const char *name;
	int verbose, drain;
	struct shr_segment *segment;
	struct shr_ring *ring[RINGS];
	struct shr_cursor *cursor[RINGS];
	uint64_t sequence[RINGS]; /* of the next record */
	uint64_t skipped[RINGS];  /* before us */
	struct account account;
	uint64_t rounds;
	/* Of each processor, and behind them of all together, at its last sample. */
	struct {
		uint64_t busy, total; /* ticks */
	} cpu[CPUS_MAX + 1];
	uint64_t cpu_time_ns; /* of the round that is read whole */
	double busy, busiest; /* percent; below 0: not known */
	int32_t busiest_cpu;
};

static void on_signal(int number)
{
	stopped = number;
}

__attribute__((format(printf, 1, 2))) static int complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("hostmon-consumer: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	return -1;
}

static void pause_ns(long ns)
{
	nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

/* --- The rings ------------------------------------------------------------- */

static void close_rings(struct monitor *m)
{
	struct shr_ring_status status;

	for (int i = 0; i < RINGS; i++) {
		if (m->cursor[i] && !shr_ring_stat(m->ring[i], &status))
			m->account.skipped += status.skipped - m->skipped[i];
		shr_cursor_close(m->cursor[i]);
		shr_ring_close(m->ring[i]);
		m->cursor[i] = NULL;
		m->ring[i] = NULL;
	}
	shr_segment_detach(m->segment);
	m->segment = NULL;
}

/* Become the consumer of a ring, and learn which number must come first. */
static int open_ring(struct monitor *m, int i)
{
	struct shr_ring_status status;

	if (shr_ring_attach(&m->ring[i], m->segment, hostmon_rings[i], hostmon_schemas[i]) ||
	    shr_cursor_open(&m->cursor[i], m->ring[i], NULL) || shr_ring_stat(m->ring[i], &status))
		return complain("%s", shr_last_error());
	if (shr_ring_max_record(m->ring[i]) != HOSTMON_PAYLOAD || status.position % HOSTMON_RECORD)
		return complain("ring %s of %s was made by another program", hostmon_rings[i],
				m->name);
	m->sequence[i] = status.position / HOSTMON_RECORD;
	m->skipped[i] = status.skipped;
	return 0;
}

/* Wait for a segment. 0, -EINTR, or -1 and said why. */
static int open_rings(struct monitor *m)
{
	struct shr_segment_options options = {.struct_size = sizeof(options),
					      .role = "hostmon-cons"};
	int err, waits = 0;

	while ((err = shr_segment_attach(&m->segment, m->name, &options)) != 0) {
		if ((err != -ENOENT && err != -ESTALE) || m->drain)
			return complain("%s", shr_last_error());
		if (!waits++)
			complain("waiting for a producer of %s", m->name);
		if (stopped)
			return -EINTR;
		pause_ns(LOOK_NS);
	}
	for (int i = 0; i < RINGS; i++)
		if (open_ring(m, i))
			return -1;
	return 0;
}

/* The record is the next number, and lies where that number says. */
static void account_for(struct monitor *m, int i, const struct shr_record *record)
{
	const struct sample_head *head = record->payload;
	uint64_t sequence = head->sequence;

	m->account.received++;
	m->account.redelivered += record->flags & SHR_RECORD_REDELIVERED ? 1 : 0;
	m->account.misplaced += record->position != sequence * HOSTMON_RECORD;
	if (sequence < m->sequence[i]) {
		m->account.repeated++;
	} else {
		m->account.lost += sequence - m->sequence[i];
		m->sequence[i] = sequence + 1;
	}
	if (m->verbose)
		printf("%s %" PRIu64 "%s\n", hostmon_rings[i], sequence,
		       record->flags & SHR_RECORD_REDELIVERED ? " redelivered" : "");
}

/* Take the next record, wait for it @timeout_ns: 0, or as next. */
static int take(struct monitor *m, int i, void *sample, int64_t timeout_ns)
{
	struct shr_record record;
	int err = timeout_ns ? shr_cursor_next_until(m->cursor[i], &record,
						     shr_deadline_ns(timeout_ns))
			     : shr_cursor_next(m->cursor[i], &record);

	if (err)
		return err;
	if (record.size != HOSTMON_PAYLOAD)
		return -EPROTO;
	account_for(m, i, &record);
	memcpy(sample, record.payload, HOSTMON_PAYLOAD);
	return 0;
}

/* Give back what was taken, when all that was printed of it is out. */
static int release(struct monitor *m)
{
	int err;

	if (fflush(stdout) || ferror(stdout))
		return -EIO;
	err = shr_cursor_release(m->cursor[MEMORY]);
	return err ? err : shr_cursor_release(m->cursor[CPU]);
}

/* --- The figures ----------------------------------------------------------- */

/* How busy was the processor since its last sample? */
static void count_cpu(struct monitor *m, const struct cpu_sample *s)
{
	int32_t index = s->cpu < 0 ? CPUS_MAX : s->cpu;
	uint64_t busy = s->user + s->nice + s->system + s->irq + s->softirq + s->steal;
	uint64_t total = busy + s->idle + s->iowait, busy_before, total_before;
	double percent = -1;

	if (s->cpu >= CPUS_MAX)
		return;
	busy_before = m->cpu[index].busy;
	total_before = m->cpu[index].total;
	m->cpu[index].busy = busy;
	m->cpu[index].total = total;
	if (total_before && total > total_before && busy >= busy_before)
		percent = 100.0 * (double)(busy - busy_before) / (double)(total - total_before);
	if (percent > 100) /* the kernel's iowait may go back */
		percent = 100;
	if (s->cpu < 0) {
		m->busy = percent;
		m->busiest = -1;
	} else if (percent > m->busiest) {
		m->busiest = percent;
		m->busiest_cpu = s->cpu;
	}
}

/* Read the processors' samples up to the end of the round of @time_ns, or all that are there. */
static int take_cpus(struct monitor *m, uint64_t time_ns)
{
	struct cpu_sample sample;
	int err;

	while (m->cpu_time_ns != time_ns) {
		err = take(m, CPU, &sample, 0);
		if (err)
			return err == -EAGAIN || err == -ESTALE ? 0 : err;
		count_cpu(m, &sample);
		if (sample.last)
			m->cpu_time_ns = sample.time_ns;
	}
	return 0;
}

static void print_percent(const char *name, double percent)
{
	if (percent < 0)
		printf("  %s   -   ", name);
	else
		printf("  %s %5.1f%%", name, percent);
}

static void print_round(const struct monitor *m, const struct memory_sample *s)
{
	time_t seconds = (time_t)(s->time_ns / 1000000000);
	char clock[16] = "", cpu[16];
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	snprintf(cpu, sizeof(cpu), "cpu%d", (int)m->busiest_cpu);
	printf("%s", clock);
	print_percent("cpu", m->busy);
	print_percent(m->busiest < 0 ? "busiest" : cpu, m->busiest);
	print_percent("memory", s->total_kib ? 100.0 * (double)(s->total_kib - s->available_kib) /
						       (double)s->total_kib
					     : -1);
	printf(" of %.1f GiB  load %.2f%s\n", (double)s->total_kib / (1 << 20), s->load[0],
	       s->first ? "  (a new producer)" : "");
}

/* --- The program ----------------------------------------------------------- */

/*
 * There is no wait on two rings yet: wait a little on one, look at the other.
 * A memory sample ends its round. If none comes, processors' samples may all
 * the same: the producer waits if they fill their ring.
 */
static int follow(struct monitor *m, uint64_t count)
{
	struct memory_sample sample;
	uint64_t done = 0;

	while (!stopped) {
		int err = take(m, MEMORY, &sample, m->drain ? 0 : LOOK_NS), failed;

		if (err && err != -EAGAIN && err != -ETIMEDOUT && err != -EINTR && err != -ESTALE)
			return err;
		failed = take_cpus(m, err ? UINT64_MAX : sample.time_ns);
		if (!failed && !err)
			print_round(m, &sample);
		if (!failed)
			failed = release(m);
		if (failed || err == -ESTALE || (m->drain && err))
			return failed ? failed : err;
		if (!err && ++done == count)
			break;
	}
	return 0;
}

static int run(struct monitor *m, uint64_t count)
{
	const struct account *a = &m->account;
	int err;

	for (;;) {
		err = open_rings(m);
		if (err)
			break;
		err = follow(m, count);
		close_rings(m);
		if (err != -ESTALE || m->drain)
			break;
	}
	close_rings(m);
	if (err == -EAGAIN || err == -EINTR || err == -ESTALE)
		err = 0;
	else if (err == -EIO)
		complain("cannot write");
	else if (err && err != -1)
		complain("%s", err == -EBADMSG ? shr_last_error() : strerror(-err));
	if (err == -1 && !a->received)
		return 1;
	printf("received %" PRIu64 ", redelivered %" PRIu64 ", skipped %" PRIu64 ", lost %" PRIu64
	       ", repeated %" PRIu64 "\n",
	       a->received, a->redelivered, a->skipped, a->lost, a->repeated);
	if (a->misplaced)
		complain("%" PRIu64 " records with a number that is not of their place",
			 a->misplaced);
	return err || a->lost || a->repeated || a->misplaced ? 1 : 0;
}

static int usage(FILE *to)
{
	fputs("usage: hostmon-consumer [-dfv] [-n NAME] [-c COUNT]\n"
	      "  -n, --name=NAME     of the segment (" HOSTMON_NAME ")\n"
	      "  -c, --count=COUNT   end after as many rounds\n"
	      "  -d, --drain         end when the rings are empty\n"
	      "  -f, --follow        do not: wait for more, and for a producer\n"
	      "                      (if neither is told)\n"
	      "  -v, --verbose       a line for each record\n"
	      "  -h, --help\n",
	      to);
	return to == stdout ? 0 : 2;
}

static int number(const char *text, uint64_t *value)
{
	char *end;

	*value = strtoull(text, &end, 10);
	return *value && end != text && !*end;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"name", required_argument, NULL, 'n'},
						{"count", required_argument, NULL, 'c'},
						{"drain", no_argument, NULL, 'd'},
						{"follow", no_argument, NULL, 'f'},
						{"verbose", no_argument, NULL, 'v'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	static struct monitor monitor = {.name = HOSTMON_NAME, .busy = -1, .busiest = -1};
	struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: sleeps end */
	uint64_t count = 0;
	int c;

	while ((c = getopt_long(argc, argv, "n:c:dfvh", options, NULL)) != -1) {
		if (c == 'h')
			return usage(stdout);
		if (c == 'n')
			monitor.name = optarg;
		if (c == 'd' || c == 'f')
			monitor.drain = c == 'd';
		if (c == 'v')
			monitor.verbose = 1;
		if (c == '?' || (c == 'c' && !number(optarg, &count)))
			return usage(stderr);
	}
	if (optind < argc)
		return usage(stderr);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0); /* a line is out whole, or not */
	return run(&monitor, count);
}
