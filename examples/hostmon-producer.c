/* SPDX-License-Identifier: MIT */
/*
 * Samples this machine's processors and memory into the rings of one segment:
 *
 *	hostmon-producer &
 *	hostmon-consumer
 *
 * Shows several typed rings in a segment, and a producer that can be killed at
 * any time, SIGKILL too: start another, and it continues where that one ended,
 * without a number missing or twice. hostmon.h tells how. Nothing is thrown
 * away: without a consumer it stops sampling when a ring is full, and waits.
 */
#include "hostmon.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS 100000000 /* longest wait between looks at @stopped */

static volatile sig_atomic_t stopped;

struct monitor {
	const char *name;
	int verbose;
	struct shr_segment *segment;
	struct shr_ring *ring[RINGS];
	struct shr_producer *producer[RINGS];
	uint64_t sequence[RINGS]; /* of the next record */
	uint64_t sent[RINGS];
	uint64_t rounds;
	uint64_t available_kib; /* in the last round */
};

static void on_signal(int number)
{
	stopped = number;
}

__attribute__((format(printf, 1, 2))) static int complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("hostmon-producer: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	return -1;
}

/* --- The rings ------------------------------------------------------------- */

static void close_rings(struct monitor *m)
{
	for (int i = 0; i < RINGS; i++) {
		shr_producer_close(m->producer[i]);
		shr_ring_close(m->ring[i]);
		m->producer[i] = NULL;
		m->ring[i] = NULL;
	}
	shr_segment_detach(m->segment);
	m->segment = NULL;
}

/* Become the producer of a ring, and learn its next number. */
static int open_ring(struct monitor *m, int i)
{
	struct shr_ring_status status;

	if (shr_ring_attach(&m->ring[i], m->segment, hostmon_rings[i], hostmon_schemas[i]) ||
	    shr_producer_open(&m->producer[i], m->ring[i]) || shr_ring_stat(m->ring[i], &status))
		return complain("%s", shr_last_error());
	if (shr_ring_max_record(m->ring[i]) != HOSTMON_PAYLOAD || status.tail % HOSTMON_RECORD)
		return complain("ring %s of %s was made by another program", hostmon_rings[i],
				m->name);
	m->sequence[i] = status.tail / HOSTMON_RECORD;
	return 0;
}

/* The segment, made if there is none. */
static int open_rings(struct monitor *m)
{
	struct shr_segment_options options = {.struct_size = sizeof(options),
					      .flags = SHR_SEGMENT_ATTACH,
					      .role = "hostmon-prod"};
	struct shr_object objects[RINGS];

	for (int i = 0; i < RINGS; i++) {
		struct shr_ring_options ring = {.struct_size = sizeof(ring),
						.flags = SHR_RING_SINGLE_PRODUCER,
						.capacity = HOSTMON_CAPACITY,
						.max_record = HOSTMON_PAYLOAD,
						.schema = hostmon_schemas[i]};

		if (shr_ring_describe(&objects[i], hostmon_rings[i], &ring))
			return complain("%s", shr_last_error());
	}
	if (shr_segment_create(&m->segment, m->name, objects, RINGS, &options))
		return complain("%s", shr_last_error());
	for (int i = 0; i < RINGS; i++)
		if (open_ring(m, i))
			return -1;
	m->rounds = 0;
	return 0;
}

/* Send a sample that carries the next number. 0, -EINTR, or what the ring says. */
static int send_sample(struct monitor *m, int i, const void *sample)
{
	int err;

	do {
		if (stopped)
			return -EINTR;
		err = shr_producer_write_until(m->producer[i], sample, HOSTMON_PAYLOAD,
					       shr_deadline_ns(LOOK_NS));
	} while (err == -ETIMEDOUT || err == -EINTR);
	if (err)
		return err;
	if (m->verbose)
		printf("%s %" PRIu64 "\n", hostmon_rings[i], m->sequence[i]);
	m->sequence[i]++;
	m->sent[i]++;
	return 0;
}

/* --- The samples ----------------------------------------------------------- */

/* Up to @size - 1 bytes of a file, and a zero. */
static int read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t done = 0;
	ssize_t n = 1;

	text[0] = 0;
	if (fd < 0)
		return -errno;
	while (n > 0 && done < size - 1) {
		n = read(fd, text + done, size - 1 - done);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			done += (size_t)n;
	}
	close(fd);
	text[done] = 0;
	return n < 0 ? -errno : 0;
}

static int parse_cpu(const char *line, struct cpu_sample *s)
{
	uint64_t total;

	if (sscanf(line,
		   "%7s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		   " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
		   s->name, &s->user, &s->nice, &s->system, &s->idle, &s->iowait, &s->irq,
		   &s->softirq, &s->steal, &s->guest, &s->guest_nice) < 5)
		return -EPROTO;
	s->cpu = s->name[3] ? atoi(s->name + 3) : -1;
	total = s->user + s->nice + s->system + s->idle + s->iowait + s->irq + s->softirq +
		s->steal;
	if (total)
		s->busy_percent = 100 - 100 * (float)(s->idle + s->iowait) / (float)total;
	return 0;
}

static int sample_cpus(struct monitor *m, uint64_t time_ns)
{
	static char text[256 * 1024];
	uint16_t number = 0;
	int err = read_text("/proc/stat", text, sizeof(text));

	for (char *line = text, *next; !err && !strncmp(line, "cpu", 3); line = next) {
		struct cpu_sample sample = {.time_ns = time_ns,
					    .sequence = m->sequence[CPU],
					    .ticks_per_s = (uint32_t)sysconf(_SC_CLK_TCK),
					    .line = number++,
					    .first = !m->rounds};

		next = line + strcspn(line, "\n");
		next += *next == '\n';
		sample.last = !!strncmp(next, "cpu", 3);
		err = parse_cpu(line, &sample);
		if (!err)
			err = send_sample(m, CPU, &sample);
	}
	return err;
}

/* The number of KiB behind @key in the text of /proc/meminfo; 0: not there. */
static uint64_t kib(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static int sample_memory(struct monitor *m, uint64_t time_ns)
{
	struct memory_sample s = {.time_ns = time_ns,
				  .sequence = m->sequence[MEMORY],
				  .pressure_percent = -1,
				  .first = !m->rounds};
	char text[8192];
	int err = read_text("/proc/meminfo", text, sizeof(text));

	if (err)
		return err;
	s.total_kib = kib(text, "MemTotal:");
	s.free_kib = kib(text, "MemFree:");
	s.available_kib = kib(text, "MemAvailable:");
	s.buffers_kib = kib(text, "Buffers:");
	s.cached_kib = kib(text, "\nCached:");
	s.swap_total_kib = kib(text, "SwapTotal:");
	s.swap_free_kib = kib(text, "SwapFree:");
	if (m->rounds)
		s.change_kib = (int64_t)(s.available_kib - m->available_kib);
	m->available_kib = s.available_kib;
	err = read_text("/proc/loadavg", text, sizeof(text));
	if (err)
		return err;
	if (sscanf(text, "%lf %lf %lf %" SCNu32 "/%" SCNu32, &s.load[0], &s.load[1], &s.load[2],
		   &s.runnable, &s.threads) < 5)
		return -EPROTO;
	if (!read_text("/proc/pressure/memory", text, sizeof(text)))
		sscanf(text, "some avg10=%f", &s.pressure_percent);
	return send_sample(m, MEMORY, &s);
}

/* A round: the processors first, so that who has the memory sample finds them. */
static int sample_all(struct monitor *m)
{
	struct timespec now;
	uint64_t time_ns;
	int err = shr_segment_check(m->segment);

	clock_gettime(CLOCK_REALTIME, &now);
	time_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	if (!err)
		err = sample_cpus(m, time_ns);
	if (!err)
		err = sample_memory(m, time_ns);
	if (!err)
		m->rounds++;
	return err;
}

/* --- The program ----------------------------------------------------------- */

/* Rounds until a signal, an error or @count. */
static int sample_on(struct monitor *m, int64_t interval_ns, uint64_t count)
{
	struct timespec interval = {.tv_sec = (time_t)(interval_ns / 1000000000),
				    .tv_nsec = (long)(interval_ns % 1000000000)};
	uint64_t done = 0;

	while (!stopped) {
		int err = sample_all(m);

		if (err == -ESTALE) { /* unlinked or replaced: begin anew */
			close_rings(m);
			if (open_rings(m))
				return -1;
			continue;
		}
		if (err == -EINTR)
			break;
		if (err)
			return complain("%s", err == -EBADMSG ? shr_last_error() : strerror(-err));
		if (++done == count)
			break;
		nanosleep(&interval, NULL);
	}
	return 0;
}

static int run(struct monitor *m, int64_t interval_ns, uint64_t count)
{
	int err = open_rings(m);

	if (!err) {
		err = sample_on(m, interval_ns, count);
		printf("sent %" PRIu64 " records (cpu %" PRIu64 ", memory %" PRIu64 ")\n",
		       m->sent[CPU] + m->sent[MEMORY], m->sent[CPU], m->sent[MEMORY]);
	}
	close_rings(m);
	return err ? 1 : 0;
}

static int usage(FILE *to)
{
	fputs("usage: hostmon-producer [-v] [-n NAME] [-i SECONDS] [-c COUNT]\n"
	      "  -n, --name=NAME          of the segment (" HOSTMON_NAME ")\n"
	      "  -i, --interval=SECONDS   between rounds (1)\n"
	      "  -c, --count=COUNT        end after as many rounds\n"
	      "  -v, --verbose            a line for each record, once it is sent\n"
	      "  -h, --help\n",
	      to);
	return to == stdout ? 0 : 2;
}

/* A decimal number from @low to @high. */
static int number(const char *text, double low, double high, double *value)
{
	char *end;

	*value = strtod(text, &end);
	return end != text && !*end && *value >= low && *value <= high;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"name", required_argument, NULL, 'n'},  {"interval", required_argument, NULL, 'i'},
		{"count", required_argument, NULL, 'c'}, {"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},        {0}};
	struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: sleeps end */
	struct monitor monitor = {.name = HOSTMON_NAME};
	double interval = 1, count = 0;
	int c;

	while ((c = getopt_long(argc, argv, "n:i:c:vh", options, NULL)) != -1) {
		if (c == 'h')
			return usage(stdout);
		if (c == 'n')
			monitor.name = optarg;
		if (c == 'v')
			monitor.verbose = 1;
		if (c == '?' || (c == 'i' && !number(optarg, 0, 1e6, &interval)) ||
		    (c == 'c' && !number(optarg, 1, 1e15, &count)))
			return usage(stderr);
	}
	if (optind < argc)
		return usage(stderr);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0); /* a line is out whole, or not */
	return run(&monitor, (int64_t)(interval * 1e9), (uint64_t)count);
}
