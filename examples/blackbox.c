/* SPDX-License-Identifier: MIT */
/*
 * A flight recorder: the last events before a crash, whoever crashed.
 *
 *	blackbox run /box &
 *	blackbox read /box --last=10
 *	kill -9 %1
 *	blackbox read /box --last=10
 *
 * Shows a ring that overwrites its oldest records: logging waits for nobody. The
 * reader is an observer: it maps the segment read-only, needs only permission to read,
 * and cannot disturb the recorder. By the numbers of the events it knows how many it
 * did not see: those that were overwritten before it came, and those that were while
 * it read.
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

struct event {
	uint64_t step;
	int32_t height;
	uint32_t speed;
	char what[16];
};
SHR_SCHEMA(event, 1, step, (height, SHR_UNIT("m")), (speed, SHR_UNIT("m/s")), what);

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
	stopped = number;
}

__attribute__((format(printf, 1, 2))) static int complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("blackbox: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	return -1;
}

static int number(const char *text, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno;
}

/* --- The recorder ---------------------------------------------------------- */

/* In place: what is logged is written once, where it stays. */
static int log_event(struct shr_producer *producer, uint64_t step)
{
	static const char texts[][16] = {"climb", "cruise", "turn", "descend"};
	struct event *event;
	void *payload;
	int err = shr_producer_reserve(producer, sizeof(*event), &payload);

	if (err)
		return err;
	event = payload;
	event->step = step;
	event->height = (int32_t)(step % 12000);
	event->speed = (uint32_t)(200 + step % 60);
	memcpy(event->what, texts[step % 4], sizeof(event->what));
	return shr_producer_commit(producer);
}

static int record_events(struct shr_ring *ring, struct shr_producer *producer, uint64_t count)
{
	struct shr_ring_status status;
	uint64_t logged = 0;
	int err = shr_ring_stat(ring, &status);

	/* Steps go on where the recorder before this one was killed. */
	while (!err && !stopped && (!count || logged < count)) {
		err = log_event(producer, status.sequence + logged);
		logged += !err;
	}
	if (err)
		return complain("%s", shr_last_error());
	printf("logged %" PRIu64 " events from #%" PRIu64 " on\n", logged, status.sequence);
	return 0;
}

static int run(const char *name, uint64_t ring_bytes, uint64_t count)
{
	struct shr_ring_options options = {.struct_size = sizeof(options),
					   .flags = SHR_RING_SINGLE_PRODUCER | SHR_RING_TIME,
					   .mode = SHR_RING_OVERWRITE,
					   .capacity = ring_bytes,
					   .schema = SHR_SCHEMA_OF(event)};
	struct shr_segment_options segment = {.struct_size = sizeof(segment), .role = "recorder"};
	struct shr_ring *ring = NULL;
	struct shr_producer *producer = NULL;
	int err = shr_ring_open(&ring, name, "+>", &options, &segment);

	if (!err)
		err = shr_producer_open(&producer, ring);
	err = err ? complain("%s", shr_last_error()) : record_events(ring, producer, count);
	shr_producer_close(producer);
	shr_ring_close(ring);
	return err ? 1 : 0;
}

/* --- The reader ------------------------------------------------------------ */

struct reader {
	struct shr_segment *segment;
	struct shr_ring *ring;
	struct shr_cursor *cursor;
	uint64_t shown, read, missed; /* events */
};

/* To look only: no slot, no lock, nothing written. */
static int open_reader(struct reader *r, const char *name)
{
	struct shr_segment_options segment = {.struct_size = sizeof(segment),
					      .flags = SHR_SEGMENT_OBSERVE};
	struct shr_cursor_options cursor = {.struct_size = sizeof(cursor),
					    .flags = SHR_CURSOR_OBSERVE,
					    .join = SHR_JOIN_OLDEST};

	if (shr_segment_attach(&r->segment, name, &segment) ||
	    shr_ring_attach(&r->ring, r->segment, "ring", SHR_SCHEMA_OF(event)) ||
	    shr_cursor_open_with(&r->cursor, r->ring, NULL, &cursor))
		return complain("%s", shr_last_error());
	return 0;
}

static void close_reader(struct reader *r)
{
	shr_cursor_close(r->cursor);
	shr_ring_close(r->ring);
	shr_segment_detach(r->segment);
}

static void show_event(struct reader *r, const struct shr_record *record)
{
	struct event event = {0}; /* what an older, shorter record has not */

	memcpy(&event, record->payload,
	       record->size < sizeof(event) ? record->size : sizeof(event));
	if (record->lost)
		printf("missed %" PRIu64 " events\n", record->lost);
	printf("#%" PRIu64 " step %" PRIu64 ": %.16s at %" PRId32 " m, %" PRIu32 " m/s\n",
	       record->sequence, event.step, event.what, event.height, event.speed);
	r->shown++;
}

static void tell_recorder(const struct reader *r, uint32_t member)
{
	struct shr_member_info info;

	if (!member || shr_member_get(r->segment, member, &info))
		printf("the recorder has ended\n");
	else
		printf("the recorder, pid %" PRIu32 ", %s\n", info.pid,
		       info.state == SHR_MEMBER_ALIVE ? "is at work" : "was killed");
}

/* Up to the last event there is now, of which the last @last are shown. */
static int read_events(struct reader *r, uint64_t last)
{
	struct shr_ring_status status;
	struct shr_record record;
	uint64_t number = 0;
	int err = shr_ring_stat(r->ring, &status);

	while (!err && !stopped && number + 1 < status.sequence) {
		err = shr_cursor_next(r->cursor, &record);
		if (err)
			break;
		/* What was overwritten before we came is not lost to this cursor, but missed. */
		r->missed += r->read++ ? record.lost : record.sequence - 1;
		number = record.sequence;
		if (number + last >= status.sequence)
			show_event(r, &record);
	}
	if (err && err != -EAGAIN)
		return complain("%s", shr_last_error());
	printf("%" PRIu64 " events: %" PRIu64 " read, %" PRIu64 " missed\n", number, r->read,
	       r->missed);
	tell_recorder(r, status.producer);
	return 0;
}

static int read_box(const char *name, uint64_t last)
{
	struct reader reader = {0};
	int err = open_reader(&reader, name);

	if (!err)
		err = read_events(&reader, last);
	close_reader(&reader);
	return err ? 1 : 0;
}

/* --- The program ----------------------------------------------------------- */

static int usage(FILE *to)
{
	fputs("usage: blackbox run SEGMENT [-b RING_BYTES] [N]\n"
	      "       blackbox read SEGMENT [-n N]\n"
	      "  N                       end after as many events (for ever)\n"
	      "  -b, --ring=RING_BYTES   a power of two from 256 (1048576)\n"
	      "  -n, --last=N            show no more than the last N events (all)\n"
	      "  -h, --help\n"
	      "The segment is made by run if there is none, and stays.\n",
	      to);
	return to == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"ring", required_argument, NULL, 'b'},
						{"last", required_argument, NULL, 'n'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	struct sigaction action = {.sa_handler = on_signal};
	uint64_t ring_bytes = 0, last = UINT64_MAX / 2, count = 0;
	const char *command;
	int given, c;

	while ((c = getopt_long(argc, argv, "b:n:h", options, NULL)) != -1) {
		if (c == 'h')
			return usage(stdout);
		if (c == '?' || (c == 'b' && !number(optarg, &ring_bytes)) ||
		    (c == 'n' && !number(optarg, &last)))
			return usage(stderr);
	}
	given = argc - optind - 2;
	if (given < 0 || (given == 1 && !number(argv[optind + 2], &count)))
		return usage(stderr);
	command = argv[optind];
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (!strcmp(command, "run") && given < 2)
		return run(argv[optind + 1], ring_bytes, count);
	if (!strcmp(command, "read") && !given)
		return read_box(argv[optind + 1], last);
	return usage(stderr);
}
