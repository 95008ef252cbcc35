/* SPDX-License-Identifier: MIT */
/*
 * Moves a file or a pipe to lines-recv, line by line, any bytes, none lost:
 *
 *	lines-recv > copy &
 *	lines-send < file
 *
 * Shows an untyped ring with records of any length, written in place; types of
 * records; and who cleans up: the sender makes the segment, ends when the
 * receiver has written everything out, and leaves nothing behind. Until then
 * it waits for a receiver, as a named pipe does.
 */
#include "lines.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHUNK   ((size_t)256 * 1024) /* bytes read at a time */
#define LOOK_NS 100000000            /* longest wait between looks at @stopped */

static volatile sig_atomic_t stopped;

struct sender {
	const char *name;
	struct shr_ring *ring;
	struct shr_producer *producer;
	size_t largest; /* bytes in a record */
	struct lines_total sent;
};

static void on_signal(int number)
{
	stopped = number;
}

__attribute__((format(printf, 1, 2))) static int complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("lines-send: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	return -1;
}

/*
 * Is the ring that was there already a lines-send's that was killed? The role
 * of a single producer is only taken over from the dead, and it is ours.
 */
static int sender_died(const struct sender *s)
{
	struct shr_ring_status status;

	return !shr_ring_stat(s->ring, &status) &&
	       (int)status.producer == shr_segment_member(shr_ring_segment(s->ring));
}

static void close_ring(struct sender *s)
{
	shr_producer_close(s->producer);
	shr_ring_close(s->ring);
	s->producer = NULL;
	s->ring = NULL;
}

static int open_ring(struct sender *s, uint64_t ring_bytes)
{
	struct shr_ring_options options = {.struct_size = sizeof(options),
					   .flags = SHR_RING_SINGLE_PRODUCER,
					   .capacity = ring_bytes};
	struct shr_segment_options segment = {.struct_size = sizeof(segment), .role = "lines-send"};

	for (;;) {
		if (shr_ring_open(&s->ring, s->name, "+>", &options, &segment) ||
		    shr_producer_open(&s->producer, s->ring))
			return complain("%s", shr_last_error());
		if (shr_segment_created(shr_ring_segment(s->ring)))
			break;
		if (!sender_died(s)) {
			close_ring(s);
			return complain("%s is a ring of another program", s->name);
		}
		shr_segment_unlink(s->name);
		close_ring(s);
	}
	s->largest = shr_ring_max_record(s->ring) < CHUNK ? shr_ring_max_record(s->ring) : CHUNK;
	return 0;
}

static int send_record(struct sender *s, const void *data, size_t size)
{
	void *payload;
	int err = shr_producer_reserve(s->producer, size, &payload);

	/* Full. A signal may come just before the wait, so look at it again and again. */
	while (err == -EAGAIN || err == -ETIMEDOUT || err == -EINTR) {
		if (stopped)
			return complain("stopped by signal %d", (int)stopped);
		err = shr_producer_reserve_until(s->producer, size, &payload,
						 shr_deadline_ns(LOOK_NS));
	}
	if (err == -ESTALE)
		return complain("the receiver gave up: %s", shr_last_error());
	if (err)
		return complain("%s", shr_last_error());
	memcpy(payload, data, size);
	return shr_producer_commit(s->producer);
}

/*
 * Send the lines that are complete in @size bytes of @data; at the @end of the
 * input, and if it is over what a record can hold, also one that is not.
 * Returns the number of bytes sent, or -1.
 */
static ssize_t send_lines(struct sender *s, const char *data, size_t size, int end)
{
	size_t done = 0;

	while (done < size) {
		size_t rest = size - done, length = rest < s->largest ? rest : s->largest;
		const char *newline = memchr(data + done, '\n', length);

		if (newline)
			length = (size_t)(newline - data) + 1 - done;
		else if (length < s->largest && !end)
			break;
		if (send_record(s, data + done, length))
			return -1;
		done += length;
		s->sent.bytes += length;
		s->sent.lines += newline != NULL;
	}
	return (ssize_t)done;
}

static int send_input(struct sender *s, int fd)
{
	static char buffer[CHUNK];
	size_t have = 0;
	ssize_t got, sent;

	do {
		got = read(fd, buffer + have, sizeof(buffer) - have);
		if (stopped)
			return complain("stopped by signal %d", (int)stopped);
		if (got < 0)
			return complain("cannot read: %s", strerror(errno));
		have += (size_t)got;
		sent = send_lines(s, buffer, have, !got);
		if (sent < 0)
			return -1;
		have -= (size_t)sent;
		memmove(buffer, buffer + sent, have);
	} while (got);
	return 0;
}

/* Send the end, and wait until the receiver has released it. */
static int send_end(struct sender *s)
{
	struct shr_ring_status status;

	shr_producer_set_type(s->producer, LINES_END);
	if (send_record(s, &s->sent, sizeof(s->sent)))
		return -1;
	for (;;) {
		if (shr_ring_stat(s->ring, &status))
			return complain("%s", shr_last_error());
		if (status.position == status.tail)
			return 0;
		if (shr_segment_check(shr_ring_segment(s->ring)))
			return complain("the receiver gave up: %s", shr_last_error());
		if (stopped)
			return complain("stopped by signal %d", (int)stopped);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

static int run(const char *name, uint64_t ring_bytes, int fd)
{
	struct sender sender = {.name = name};
	int err = open_ring(&sender, ring_bytes);

	if (!err)
		err = send_input(&sender, fd);
	if (!err)
		err = send_end(&sender);
	/* Whoever is the producer owns the name, as long as it is of this segment. */
	if (sender.producer && !shr_segment_check(shr_ring_segment(sender.ring)))
		shr_segment_unlink(name);
	close_ring(&sender);
	return err;
}

static int usage(FILE *to)
{
	fputs("usage: lines-send [-n NAME] [-b RING_BYTES] [FILE]\n"
	      "  -n, --name=NAME         of the segment (" LINES_NAME ")\n"
	      "  -b, --ring=RING_BYTES   a power of two from 256 (1048576)\n"
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
						{"ring", required_argument, NULL, 'b'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	struct sigaction action = {.sa_handler = on_signal};
	const char *name = LINES_NAME;
	uint64_t ring_bytes = 0;
	int fd = STDIN_FILENO, c;

	while ((c = getopt_long(argc, argv, "n:b:h", options, NULL)) != -1) {
		if (c == 'h')
			return usage(stdout);
		if (c == 'n')
			name = optarg;
		if (c == '?' || (c == 'b' && !number(optarg, &ring_bytes)))
			return usage(stderr);
	}
	if (argc - optind > 1)
		return usage(stderr);
	if (optind < argc && (fd = open(argv[optind], O_RDONLY | O_CLOEXEC)) < 0) {
		complain("cannot open %s: %s", argv[optind], strerror(errno));
		return 1;
	}
	sigaction(SIGINT, &action, NULL); /* no SA_RESTART: read() ends */
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	return run(name, ring_bytes, fd) ? 1 : 0;
}
