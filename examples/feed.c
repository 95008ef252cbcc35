/* SPDX-License-Identifier: MIT */
/*
 * A feed of quotes that everybody gets who wants it:
 *
 *	feed send /feed &
 *	feed watch /feed screen --lossy
 *	feed watch /feed audit --durable --from=oldest
 *	feed archive /feed quotes.txt
 *
 * Shows a stream with several cursors, its records typed, numbered and timed. The
 * sender waits for gates: a plain one as long as its process lives, a durable one
 * until somebody goes on with it, or removes it (--remove). It does not wait for
 * lossy ones, which are told how many quotes they lost. Made with --drop, it waits
 * for nobody: quotes that find no room are dropped, and all watchers are told how many.
 * feed-archive.c keeps its place in a file of its own.
 */
#include "feed.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PLACES 8 /* for cursors */

volatile sig_atomic_t feed_stopped;

struct arguments {
	const char *name;
	uint64_t count;	     /* quotes, and then end; 0: for ever */
	uint64_t every_us;   /* send */
	uint64_t ring_bytes; /* send */
	uint32_t flags;	     /* send: of a ring that is made: SHR_RING_DROP_NEWEST, or 0 */
	struct shr_cursor_options cursor; /* watch */
	int removes;			  /* watch */
};

static void on_signal(int number)
{
	feed_stopped = number;
}

int feed_complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("feed: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	return -1;
}

/* --- The sender ------------------------------------------------------------ */

/* Quote @number: the same whenever it is sent, so that a test knows it. */
static void make_quote(struct quote *quote, uint64_t number)
{
	static const char symbols[][12] = {"EURUSD", "USDJPY", "GBPUSD"};

	memcpy(quote->symbol, symbols[number % 3], sizeof(quote->symbol));
	quote->price = 100 + (double)(number % 1000) / 8;
	quote->size = (uint32_t)(number % 9 + 1) * 100;
}

/* The ring is full: who is waited for? The gate with the most unread. */
static void tell_slowest(const struct shr_ring *ring)
{
	struct shr_cursor_info info, slowest = {0};
	struct shr_ring_status status;
	struct shr_member_info owner;
	uint64_t most = 0;

	if (shr_ring_stat(ring, &status))
		return;
	for (uint32_t i = 0; i < PLACES; i++) {
		if (shr_ring_cursor(ring, i, &info) || info.flags & SHR_CURSOR_LOSSY ||
		    status.tail - info.position < most)
			continue;
		most = status.tail - info.position;
		slowest = info;
	}
	if (slowest.member && !shr_member_get(shr_ring_segment(ring), slowest.member, &owner))
		feed_complain("full, waits for %s, pid %" PRIu32 ", %s", slowest.name, owner.pid,
			      owner.state == SHR_MEMBER_ALIVE ? "which lives" : "which is dead");
	else
		feed_complain("full, waits for %s, which nobody has open", slowest.name);
}

static int send_quote(struct shr_ring *ring, struct shr_producer *producer,
		      const struct quote *quote)
{
	int err = shr_producer_write(producer, quote, sizeof(*quote)), told = 0;

	while ((err == -EAGAIN || err == -ETIMEDOUT || err == -EINTR) && !feed_stopped) {
		err = shr_producer_write_until(producer, quote, sizeof(*quote),
					       shr_deadline_ns(FEED_LOOK_NS));
		if (err == -ETIMEDOUT && !told++)
			tell_slowest(ring);
	}
	return err;
}

static int send_quotes(const struct arguments *a, struct shr_ring *ring,
		       struct shr_producer *producer)
{
	struct timespec pause = {(time_t)(a->every_us / 1000000), (long)(a->every_us % 1000000) * 1000};
	struct shr_ring_status status;
	uint64_t sent = 0, dropped = 0;
	int err = shr_ring_stat(ring, &status);

	while (!err && !feed_stopped && (!a->count || sent + dropped < a->count)) {
		struct quote quote = {0};

		/* As the ring will number it: dropped ones have their numbers, too. */
		make_quote(&quote, status.sequence + sent + dropped);
		err = send_quote(ring, producer, &quote);
		if (err == -ENOBUFS) {
			dropped++;
			err = 0;
		} else {
			sent += !err;
		}
		if (!a->every_us || err)
			continue;
		/* Who never waits for room does not see that the file was removed. */
		nanosleep(&pause, NULL);
		err = shr_segment_check(shr_ring_segment(ring));
	}
	printf("sent %" PRIu64 " quotes from #%" PRIu64 " on", sent, status.sequence);
	printf(dropped ? ", dropped %" PRIu64 "\n" : "\n", dropped);
	return err && !feed_stopped ? feed_complain("%s", shr_last_error()) : 0;
}

static int send_feed(const struct arguments *a)
{
	struct shr_ring_options options = {
		.struct_size = sizeof(options),
		.flags = SHR_RING_SINGLE_PRODUCER | SHR_RING_SEQUENCE | SHR_RING_TIME |
			 SHR_RING_NO_DEFAULT | a->flags,
		.mode = SHR_RING_STREAM,
		.capacity = a->ring_bytes,
		.cursors = PLACES,
		.schema = SHR_SCHEMA_OF(quote)};
	struct shr_segment_options segment = {.struct_size = sizeof(segment), .role = "send"};
	struct shr_ring *ring = NULL;
	struct shr_producer *producer = NULL;
	int err = shr_ring_open(&ring, a->name, "+>", &options, &segment);

	if (!err)
		err = shr_producer_open(&producer, ring);
	err = err ? feed_complain("%s", shr_last_error()) : send_quotes(a, ring, producer);
	shr_producer_close(producer);
	shr_ring_close(ring);
	return err ? 1 : 0;
}

/* --- A watcher ------------------------------------------------------------- */

int feed_open(struct feed *feed, const char *name, const char *role)
{
	struct shr_ring_options options = {.struct_size = sizeof(options),
					   .schema = SHR_SCHEMA_OF(quote)};
	struct shr_segment_options segment = {.struct_size = sizeof(segment), .role = role};

	if (shr_ring_open(&feed->ring, name, "+<", &options, &segment))
		return feed_complain("%s", shr_last_error());
	return 0;
}

void feed_close(struct feed *feed)
{
	shr_cursor_close(feed->cursor);
	shr_ring_close(feed->ring);
}

static void show_quote(const struct shr_record *record)
{
	struct quote quote = feed_quote(record);
	time_t seconds = (time_t)(record->time_ns / 1000000000);
	char clock[16] = "?";
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	if (record->lost)
		printf("lost %" PRIu64 " quotes\n", record->lost);
	printf("#%" PRIu64 " %s.%06" PRIu64 " %.12s %.3f x %" PRIu32 "%s\n", record->sequence, clock,
	       record->time_ns / 1000 % 1000000, quote.symbol, quote.price, quote.size,
	       record->flags & SHR_RECORD_REDELIVERED ? " (again)" : "");
}

static int watch_on(struct shr_cursor *cursor, uint64_t count)
{
	struct shr_record record;
	uint64_t seen = 0;
	int err = 0;

	while (!feed_stopped && (!count || seen < count)) {
		err = shr_cursor_next_until(cursor, &record, shr_deadline_ns(FEED_LOOK_NS));
		if (err == -ETIMEDOUT || err == -EINTR)
			continue;
		if (err)
			return feed_complain("%s", shr_last_error());
		show_quote(&record);
		seen++;
		/* It is out: killed from here on, a durable cursor does not see it again. */
		if (shr_cursor_release(cursor))
			return feed_complain("%s", shr_last_error());
	}
	return 0;
}

static int watch_feed(const struct arguments *a, const char *cursor)
{
	struct feed feed = {0};
	int err = feed_open(&feed, a->name, "watch");

	if (!err && (a->removes ? shr_ring_remove_cursor(feed.ring, cursor)
				: shr_cursor_open_with(&feed.cursor, feed.ring, cursor, &a->cursor)))
		err = feed_complain("%s", shr_last_error());
	if (!err && !a->removes)
		err = watch_on(feed.cursor, a->count);
	feed_close(&feed);
	return err ? 1 : 0;
}

/* --- The program ----------------------------------------------------------- */

static int usage(FILE *to)
{
	fputs("usage: feed send SEGMENT [-n N] [-e US] [-b RING_BYTES] [-D]\n"
	      "       feed watch SEGMENT NAME [-n N] [-l] [-d] [-f WHERE]\n"
	      "       feed watch SEGMENT NAME --remove\n"
	      "       feed archive SEGMENT FILE [-n N]\n"
	      "  -n, --count=N           end after as many quotes (for ever)\n"
	      "  -e, --every=US          send one in as many microseconds (100000), 0: no pause\n"
	      "  -b, --ring=RING_BYTES   a power of two from 256 (1048576)\n"
	      "  -D, --drop              the ring is made to drop quotes that find no room\n"
	      "  -l, --lossy             the sender does not wait for NAME\n"
	      "  -d, --durable           NAME keeps its place when it is not open\n"
	      "  -f, --from=WHERE        a new NAME begins at the oldest or the newest quote, or\n"
	      "                          at a time: seconds as date +%s.%N prints them (newest)\n"
	      "  -r, --remove            NAME, that nobody has open, and end\n"
	      "  -h, --help\n"
	      "The segment is made by send if there is none, and stays.\n",
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

/* Seconds and a fraction of them, to ns. */
static int point_in_time(const char *text, uint64_t *time_ns)
{
	uint64_t unit = 1000000000;

	if (*text < '0' || *text > '9')
		return 0;
	for (*time_ns = 0; *text >= '0' && *text <= '9' && *time_ns < UINT64_MAX / 100; text++)
		*time_ns = *time_ns * 10 + (uint64_t)(*text - '0') * unit;
	if (*text == '.')
		while (*++text >= '0' && *text <= '9')
			*time_ns += (uint64_t)(*text - '0') * (unit /= 10);
	return !*text;
}

static int where(const char *text, struct shr_cursor_options *cursor)
{
	cursor->join = !strcmp(text, "oldest")	 ? SHR_JOIN_OLDEST
		       : !strcmp(text, "newest") ? SHR_JOIN_NEWEST
						 : SHR_JOIN_TIME;
	return cursor->join != SHR_JOIN_TIME || point_in_time(text, &cursor->time_ns);
}

static int take_options(int argc, char **argv, struct arguments *a)
{
	static const struct option options[] = {{"count", required_argument, NULL, 'n'},
						{"every", required_argument, NULL, 'e'},
						{"ring", required_argument, NULL, 'b'},
						{"drop", no_argument, NULL, 'D'},
						{"lossy", no_argument, NULL, 'l'},
						{"durable", no_argument, NULL, 'd'},
						{"from", required_argument, NULL, 'f'},
						{"remove", no_argument, NULL, 'r'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	int c;

	while ((c = getopt_long(argc, argv, "n:e:b:Dldf:rh", options, NULL)) != -1) {
		if (c == 'h')
			exit(usage(stdout));
		if (c == 'D')
			a->flags = SHR_RING_DROP_NEWEST;
		if (c == 'l')
			a->cursor.flags |= SHR_CURSOR_LOSSY;
		if (c == 'd')
			a->cursor.flags |= SHR_CURSOR_DURABLE;
		if (c == 'r')
			a->removes = 1;
		if (c == '?' || (c == 'n' && !number(optarg, &a->count)) ||
		    (c == 'e' && !number(optarg, &a->every_us)) ||
		    (c == 'b' && !number(optarg, &a->ring_bytes)) ||
		    (c == 'f' && !where(optarg, &a->cursor)))
			return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct arguments a = {.every_us = 100000,
			      .cursor = {.struct_size = sizeof(a.cursor),
					 .flags = SHR_CURSOR_CREATE,
					 .join = SHR_JOIN_NEWEST}};
	struct sigaction action = {.sa_handler = on_signal};
	const char *command;
	int given;

	if (take_options(argc, argv, &a) || optind + 1 >= argc)
		return usage(stderr);
	command = argv[optind];
	a.name = argv[optind + 1];
	given = argc - optind - 2;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(command, "send") && given == 0)
		return send_feed(&a);
	if (!strcmp(command, "watch") && given == 1)
		return watch_feed(&a, argv[optind + 2]);
	if (!strcmp(command, "archive") && given == 1)
		return feed_archive(a.name, argv[optind + 2], a.count);
	return usage(stderr);
}
