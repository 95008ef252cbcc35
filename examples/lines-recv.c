/* SPDX-License-Identifier: MIT */
/*
 * Writes what lines-send sends to a file or a pipe; start either first:
 *
 *	lines-recv > copy &
 *	lines-send < file
 *
 * Shows a consumer that takes what is there, writes it out in one go, and only
 * then gives it back: records of a receiver that was killed go to the next
 * one, and the sender ends when the last byte is out. If the output fails, the
 * receiver makes the segment obsolete: that tells the sender.
 */
#include "lines.h"
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

#define BATCH     ((size_t)256 * 1024) /* bytes, and what is over of the last record */
#define RETRY_NS  10000000             /* between looks for a sender */
#define IDLE_NS   500000000            /* without a record: is the sender alive? */
#define NO_STREAM 1                    /* it went away before it began */

struct receiver {
	const char *name;
	struct shr_ring *ring;
	struct shr_cursor *cursor;
	int out;
	char *batch; /* copied from the ring, not written yet */
	size_t batched;
	struct lines_total got;
};

__attribute__((format(printf, 1, 2))) static int complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("lines-recv: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	return -1;
}

/* The sender's segment, as soon as there is one. */
static int open_ring(struct receiver *r, int64_t deadline_ns)
{
	struct shr_segment_options segment = {.struct_size = sizeof(segment), .role = "lines-recv"};
	int err;

	while ((err = shr_ring_open(&r->ring, r->name, "+<", NULL, &segment)) != 0) {
		if ((err != -ENOENT && err != -ESTALE) || shr_deadline_ns(0) >= deadline_ns)
			return complain("%s", shr_last_error());
		nanosleep(&(struct timespec){.tv_nsec = RETRY_NS}, NULL);
	}
	if (shr_cursor_open(&r->cursor, r->ring, NULL))
		return complain("%s", shr_last_error());
	r->batch = malloc(BATCH + shr_ring_max_record(r->ring));
	return r->batch ? 0 : complain("out of memory");
}

static void close_ring(struct receiver *r)
{
	free(r->batch);
	shr_cursor_close(r->cursor);
	shr_ring_close(r->ring);
	r->batch = NULL;
	r->cursor = NULL;
	r->ring = NULL;
}

static int write_batch(struct receiver *r)
{
	for (size_t done = 0; done < r->batched;) {
		ssize_t n = write(r->out, r->batch + done, r->batched - done);

		if (n < 0 && errno != EINTR)
			return complain("cannot write: %s", strerror(errno));
		done += n < 0 ? 0 : (size_t)n;
	}
	r->batched = 0;
	return 0;
}

static int release(struct receiver *r)
{
	return shr_cursor_release(r->cursor) ? complain("%s", shr_last_error()) : 0;
}

static int take(struct receiver *r, const struct shr_record *record)
{
	memcpy(r->batch + r->batched, record->payload, record->size);
	r->batched += record->size;
	r->got.bytes += record->size;
	r->got.lines += record->size && r->batch[r->batched - 1] == '\n';
	if (r->batched < BATCH)
		return 0;
	return write_batch(r) || release(r) ? -1 : 0;
}

/* Only when everything is out, and was everything, is the end released. */
static int take_end(struct receiver *r, const struct shr_record *record)
{
	struct lines_total sent;

	if (record->size != sizeof(sent))
		return complain("an end of %zu bytes is not lines-send's", record->size);
	memcpy(&sent, record->payload, sizeof(sent));
	if (write_batch(r))
		return -1;
	if (sent.bytes != r->got.bytes || sent.lines != r->got.lines)
		return complain("received %" PRIu64 " bytes, %" PRIu64 " lines; sent were %" PRIu64
				" bytes, %" PRIu64 " lines",
				r->got.bytes, r->got.lines, sent.bytes, sent.lines);
	if (close(r->out))
		return complain("cannot write: %s", strerror(errno));
	return release(r);
}

/*
 * Nothing came for a while. The role of the single producer can be taken over
 * only from a sender that is dead: if we get it, it is.
 */
static int sender_died(struct receiver *r)
{
	struct shr_producer *producer = NULL;

	if (shr_producer_open(&producer, r->ring))
		return 0;
	shr_producer_close(producer);
	return 1;
}

/* The next record, when all that was there before is written out and released. */
static int wait_next(struct receiver *r, struct shr_record *record)
{
	int err, died = 0;

	if (r->batched && (write_batch(r) || release(r)))
		return -1;
	for (;;) {
		err = shr_cursor_next_until(r->cursor, record, shr_deadline_ns(IDLE_NS));
		if (!err)
			return 0;
		if (err != -ETIMEDOUT && err != -ESTALE)
			return complain("%s", shr_last_error());
		if (err == -ESTALE || died) { /* died, and a second look found nothing */
			if (!r->got.bytes)
				return NO_STREAM;
			return complain("the sender ended before its stream did");
		}
		died = sender_died(r);
	}
}

static int receive(struct receiver *r)
{
	struct shr_record record;
	int err;

	for (;;) {
		err = shr_cursor_next(r->cursor, &record);
		if (err == -EAGAIN || err == -ESTALE)
			err = wait_next(r, &record);
		else if (err)
			err = complain("%s", shr_last_error());
		if (err)
			return err;
		if (record.type == LINES_END)
			return take_end(r, &record);
		if (record.type != LINES_DATA)
			return complain("a record of type %u is not lines-send's", record.type);
		if (take(r, &record))
			return -1;
	}
}

static int run(const char *name, int out, int64_t deadline_ns)
{
	struct receiver receiver = {.name = name, .out = out};
	int err;

	do {
		err = open_ring(&receiver, deadline_ns);
		if (!err)
			err = receive(&receiver);
		/* Of no more use: the sender is told, or is dead. */
		if (err && receiver.batch && !shr_segment_check(shr_ring_segment(receiver.ring)))
			shr_segment_unlink(name);
		close_ring(&receiver);
	} while (err == NO_STREAM);
	return err;
}

static int usage(FILE *to)
{
	fputs("usage: lines-recv [-n NAME] [-w SECONDS] [FILE]\n"
	      "  -n, --name=NAME      of the segment (" LINES_NAME ")\n"
	      "  -w, --wait=SECONDS   longest wait for a sender (for ever)\n"
	      "  -h, --help\n",
	      to);
	return to == stdout ? 0 : 2;
}

static int deadline_in(const char *text, int64_t *deadline_ns)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds >= 0 && seconds <= 1e9))
		return 0;
	*deadline_ns = shr_deadline_ns((int64_t)(seconds * 1e9));
	return 1;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"name", required_argument, NULL, 'n'},
						{"wait", required_argument, NULL, 'w'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	const char *name = LINES_NAME;
	int64_t deadline_ns = SHR_FOREVER;
	int out = STDOUT_FILENO, c;

	while ((c = getopt_long(argc, argv, "n:w:h", options, NULL)) != -1) {
		if (c == 'h')
			return usage(stdout);
		if (c == 'n')
			name = optarg;
		if (c == '?' || (c == 'w' && !deadline_in(optarg, &deadline_ns)))
			return usage(stderr);
	}
	if (argc - optind > 1)
		return usage(stderr);
	if (optind < argc) {
		out = open(argv[optind], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		if (out < 0)
			complain("cannot write %s: %s", argv[optind], strerror(errno));
	}
	signal(SIGPIPE, SIG_IGN); /* write() says it */
	return out < 0 || run(name, out, deadline_ns) ? 1 : 0;
}
