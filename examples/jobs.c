/* SPDX-License-Identifier: MIT */
/*
 * Jobs that any number of workers share, each done by one of them:
 *
 *	jobs put /jobs resize.png rotate.png crop.png
 *	jobs work /jobs --crash-after=1
 *	jobs work /jobs
 *	jobs show /jobs
 *
 * Shows a queue. A worker takes a job, does it, and acknowledges it. If it is
 * killed in between, another gets that job, and is told how often it was taken: a job
 * can be done twice, which must do no harm. A job that nobody survives is put aside, or
 * it would kill one worker after another.
 *
 * Where doing a job twice is worse than not doing it, the queue is made with
 * --at-most-once: a job that was in the hands of a killed worker is lost, and counted.
 */
#include <shmring/shmring.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS INT64_C(100000000) /* longest wait between looks at @stopped */
#define MOST	5		   /* times that a job is tried */

static volatile sig_atomic_t stopped;

struct arguments {
	uint64_t count;	      /* jobs, and then end; 0: for ever */
	uint64_t takes_ms;    /* to do one */
	uint64_t crash_after; /* as many; UINT64_MAX: never */
	uint32_t flags;	      /* of a queue that is made: SHR_RING_AT_MOST_ONCE, or 0 */
};

static void on_signal(int number)
{
	stopped = number;
}

__attribute__((format(printf, 1, 2))) static int complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("jobs: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	return -1;
}

/* Whoever comes first makes the queue. */
static int open_queue(struct shr_ring **ring, const char *name, const char *role,
		      const struct arguments *a)
{
	struct shr_ring_options options = {.struct_size = sizeof(options),
					   .flags = SHR_RING_SEQUENCE | SHR_RING_TIME | a->flags,
					   .mode = SHR_RING_QUEUE,
					   .capacity = 65536};
	struct shr_segment_options segment = {.struct_size = sizeof(segment), .role = role};

	if (shr_ring_open(ring, name, "+>", &options, &segment))
		return complain("%s", shr_last_error());
	return 0;
}

/* --- Putting jobs ---------------------------------------------------------- */

static int put_job(struct shr_producer *producer, const char *text)
{
	int err;

	do /* full: until a worker is done with the oldest */
		err = shr_producer_write_until(producer, text, strlen(text),
					       shr_deadline_ns(LOOK_NS));
	while ((err == -ETIMEDOUT || err == -EINTR) && !stopped);
	return err && !stopped ? complain("%s", shr_last_error()) : err;
}

static int put(const char *name, char **texts, const struct arguments *a)
{
	struct shr_ring *ring = NULL;
	struct shr_producer *producer = NULL;
	int err = open_queue(&ring, name, "put", a);

	if (!err && shr_producer_open(&producer, ring))
		err = complain("%s", shr_last_error());
	while (!err && *texts)
		err = put_job(producer, *texts++);
	shr_producer_close(producer);
	shr_ring_close(ring);
	return err ? 1 : 0;
}

/* --- Working --------------------------------------------------------------- */

/* Text of another process, for a terminal. */
static void print_text(const struct shr_record *record)
{
	const char *text = record->payload;

	for (size_t i = 0; i < record->size; i++)
		putchar(text[i] < ' ' || text[i] > '~' ? '?' : text[i]);
}

static void do_job(const struct shr_record *record, const struct arguments *a)
{
	struct timespec takes = {(time_t)(a->takes_ms / 1000), (long)(a->takes_ms % 1000) * 1000000};

	if (a->takes_ms)
		nanosleep(&takes, NULL);
	printf("did #%" PRIu64 " ", record->sequence);
	print_text(record);
	if (record->deliveries > 1)
		printf(", time %u", record->deliveries);
	putchar('\n');
}

static int work_on(struct shr_cursor *cursor, const struct arguments *a)
{
	struct shr_record record;
	uint64_t done = 0;

	while (!stopped && (!a->count || done < a->count)) {
		int err = shr_cursor_next_until(cursor, &record, shr_deadline_ns(LOOK_NS));

		if (err == -ETIMEDOUT || err == -EINTR)
			continue;
		if (err)
			return complain("%s", shr_last_error());
		if (done == a->crash_after)
			raise(SIGKILL);
		if (record.deliveries > MOST)
			complain("#%" PRIu64 " is put aside: %d times taken, never done",
				 record.sequence, record.deliveries - 1);
		else
			do_job(&record, a);
		/* Here it is done, and not said yet: killed now, it will be done twice. */
		if (shr_cursor_ack(cursor, &record))
			return complain("%s", shr_last_error());
		done++;
	}
	return 0;
}

static int work(const char *name, const struct arguments *a)
{
	struct shr_ring *ring = NULL;
	struct shr_cursor *cursor = NULL;
	int err = open_queue(&ring, name, "work", a);

	if (!err && shr_cursor_open(&cursor, ring, NULL))
		err = complain("%s", shr_last_error());
	if (!err)
		err = work_on(cursor, a);
	shr_cursor_close(cursor);
	shr_ring_close(ring);
	return err ? 1 : 0;
}

/* --- A look at it ---------------------------------------------------------- */

/* Done are those before which all are done, too. */
static int show(const char *name)
{
	struct shr_segment_options options = {.struct_size = sizeof(options),
					      .flags = SHR_SEGMENT_OBSERVE};
	struct shr_segment *segment = NULL;
	struct shr_ring *ring = NULL;
	struct shr_ring_status status;
	char lost[40] = "";
	int err = shr_segment_attach(&segment, name, &options);

	if (!err)
		err = shr_ring_attach(&ring, segment, "ring", NULL);
	if (!err)
		err = shr_ring_stat(ring, &status);
	if (err)
		complain("%s", shr_last_error());
	else if (status.lost) /* at most once */
		snprintf(lost, sizeof(lost), ", lost %" PRIu64, status.lost);
	if (!err && !status.sequence)
		err = complain("%s is no queue of jobs: nothing is numbered there", name);
	if (!err)
		printf("put %" PRIu64 ", done %" PRIu64 ", taken again %" PRIu64 "%s, oldest %s\n",
		       status.sequence - 1, status.acked, status.redelivered, lost,
		       status.position == status.tail	     ? "none"
		       : status.position == status.delivered ? "waits"
							     : "is taken");
	shr_ring_close(ring);
	shr_segment_detach(segment);
	return err ? 1 : 0;
}

/* --- The program ----------------------------------------------------------- */

static int usage(FILE *to)
{
	fputs("usage: jobs put SEGMENT [-o] TEXT...\n"
	      "       jobs work SEGMENT [-o] [-n N] [-t MS] [-c N]\n"
	      "       jobs show SEGMENT\n"
	      "  -n, --count=N         end after as many jobs (for ever)\n"
	      "  -t, --takes=MS        a job takes as many milliseconds (0)\n"
	      "  -c, --crash-after=N   do N jobs, and die by SIGKILL with the next one taken\n"
	      "  -o, --at-most-once    a job is not done again if its worker is killed\n"
	      "  -h, --help\n"
	      "The segment is made if there is none, as -o says, and stays.\n",
	      to);
	return to == stdout ? 0 : 2;
}

static int number(const char *text, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"count", required_argument, NULL, 'n'},
						{"takes", required_argument, NULL, 't'},
						{"crash-after", required_argument, NULL, 'c'},
						{"at-most-once", no_argument, NULL, 'o'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	struct sigaction action = {.sa_handler = on_signal};
	struct arguments a = {.crash_after = UINT64_MAX};
	const char *command;
	int given, c;

	while ((c = getopt_long(argc, argv, "n:t:c:oh", options, NULL)) != -1) {
		if (c == 'h')
			return usage(stdout);
		if (c == 'o')
			a.flags = SHR_RING_AT_MOST_ONCE;
		if (c == '?' || (c == 'n' && !number(optarg, &a.count)) ||
		    (c == 't' && !number(optarg, &a.takes_ms)) ||
		    (c == 'c' && !number(optarg, &a.crash_after)))
			return usage(stderr);
	}
	given = argc - optind - 2;
	if (given < 0)
		return usage(stderr);
	command = argv[optind];
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(command, "put") && given > 0)
		return put(argv[optind + 1], argv + optind + 2, &a);
	if (!strcmp(command, "work") && !given)
		return work(argv[optind + 1], &a);
	if (!strcmp(command, "show") && !given)
		return show(argv[optind + 1]);
	return usage(stderr);
}
