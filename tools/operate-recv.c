/* SPDX-License-Identifier: MIT */
/*
 * shmring recv: a consumer. A record is released when it was written and flushed, so
 * that one whose output failed, or that died, leaves it to the next.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "operate.h"

#define LETTER_CURSOR LONG_ONLY
#define LETTER_CREATE (LONG_ONLY + 1)

struct recv {
	struct style style;
	int raw;
	int null;
	int no_wait;
	int create;
	uint64_t most;
	const char *cursor_name;
	const char *segment;
	const struct shr_object_info *object;
	struct shr_cursor *cursor;
	unsigned char *copy; /* of the payload, which others may write to */
	size_t room;
	uint64_t received;
	int member;
};

static const struct option_row options[] = {
	{'n', "count", "N", "end after N records"},
	{'o', "output", "FORMAT", "text (the default) or jsonl, as shmring-dump records"},
	{'r', "raw", NULL, "the payload as it is, and a newline"},
	{'0', "null", NULL, "the same with a zero byte instead of the newline"},
	{'W', "no-wait", NULL, "end when there is no record"},
	{LETTER_CURSOR, "cursor", "NAME", "by the cursor NAME, not the default one"},
	{LETTER_CREATE, "create", NULL, "make that cursor, a durable one, if it is absent"},
	{0}};

static int take(void *request, int letter, const char *argument)
{
	struct recv *recv = request;

	switch (letter) {
	case 'n':
		if (operate_number(argument, 0, UINT64_MAX, &recv->most))
			return operate_usage("%s is no number", argument);
		return 0;
	case 'o':
		if (strcmp(argument, "text") && strcmp(argument, "jsonl"))
			return operate_usage("%s is neither text nor jsonl", argument);
		recv->style.format = strcmp(argument, "text") ? FORMAT_JSONL : FORMAT_TEXT;
		return 0;
	case '0':
		recv->null = 1;
		recv->raw = 1;
		return 0;
	case 'r':
		recv->raw = 1;
		return 0;
	case 'W':
		recv->no_wait = 1;
		return 0;
	case LETTER_CURSOR:
		recv->cursor_name = argument;
		return 0;
	default:
		recv->create = 1;
		return 0;
	}
}

/* --- One record --------------------------------------------------------------------- */

static void put_time(uint64_t time_ns)
{
	time_t seconds = (time_t)(time_ns / 1000000000u);
	struct tm tm;
	char text[32];

	if (localtime_r(&seconds, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm))
		printf(" %s.%09" PRIu64, text, time_ns % 1000000000u);
	else
		printf(" %" PRIu64 " ns", time_ns);
}

static void show_text(const struct recv *recv, const struct shr_walk_record *record, int again)
{
	if (record->lost)
		printf("%s: %" PRIu64 " records are missing\n", recv->object->name, record->lost);
	text_string(stdout, recv->object->name);
	printf(" @%" PRIu64, record->position);
	if (record->sequence)
		printf(" #%" PRIu64, record->sequence);
	if (record->time_ns)
		put_time(record->time_ns);
	if (record->type)
		printf(" type %u", record->type);
	if (record->deliveries)
		printf(" times %" PRIu64, record->deliveries);
	else if (again)
		fputs(" delivered again", stdout);
	putchar(':');
	text_record(stdout, &recv->style, recv->object->schema, record);
	putchar('\n');
}

static int show_json(const struct recv *recv, const struct shr_walk_record *record, int again)
{
	json_t *json = json_record(recv->object->name, record);
	int err;

	json_payload(json, recv->object->schema, record);
	if (again)
		json_put(json, "redelivered", json_true());
	err = json_write(json, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(json);
	return err ? -EIO : 0;
}

/* Written and flushed: 0. Else -errno. */
static int show(struct recv *recv, const struct shr_record *is)
{
	struct shr_walk_record record = {.payload = recv->copy,
					 .size = is->size,
					 .copied = is->size,
					 .position = is->position,
					 .state =
						 is->deliveries ? SHR_STATE_TAKEN : SHR_STATE_READY,
					 .type = is->type,
					 .member = is->member,
					 .sequence = is->sequence,
					 .time_ns = is->time_ns,
					 .lost = is->lost,
					 .deliveries = is->deliveries,
					 .worker = is->deliveries ? (uint32_t)recv->member : 0};
	int again = !!(is->flags & SHR_RECORD_REDELIVERED), err = 0;

	if (is->size > recv->room) {
		unsigned char *larger = realloc(recv->copy, is->size);

		if (!larger)
			return -ENOMEM;
		record.payload = recv->copy = larger;
		recv->room = is->size;
	}
	memcpy(recv->copy, is->payload, is->size);
	errno = 0;
	if (recv->raw) {
		fwrite(recv->copy, 1, is->size, stdout);
		putchar(recv->null ? 0 : '\n');
	} else if (recv->style.format == FORMAT_JSONL) {
		err = show_json(recv, &record, again);
	} else {
		show_text(recv, &record, again);
	}
	if (fflush(stdout) || ferror(stdout))
		return errno ? -errno : -EIO;
	return err;
}

/* --- All of them ---------------------------------------------------------------------- */

/* Is the output a pipe that nobody reads any more? */
static int nobody_reads(void)
{
	struct pollfd out = {.fd = STDOUT_FILENO};

	return poll(&out, 1, 0) > 0 && out.revents & POLLERR;
}

static int next(struct recv *recv, struct shr_record *record)
{
	int err;

	if (recv->no_wait)
		return shr_cursor_next(recv->cursor, record);
	do {
		err = shr_cursor_next_until(recv->cursor, record, shr_deadline_ns(SLICE_NS));
		if (err && nobody_reads())
			return -EPIPE;
	} while ((err == -ETIMEDOUT || err == -EINTR || err == -EAGAIN) && !operate_stopped);
	return err;
}

static int receive(struct recv *recv)
{
	struct shr_record record;
	int err = 0;

	while (!err && recv->received < recv->most && !operate_stopped) {
		err = next(recv, &record);
		if (err == -ESTALE) {
			operate_say("the segment is obsolete: it was unlinked or replaced");
			return 0;
		}
		if (err == -EAGAIN || err == -EPIPE || (err && operate_stopped))
			return 0;
		if (err)
			return operate_failed(recv->segment, err);
		err = show(recv, &record);
		if (err == -EPIPE)
			return 0;
		if (err) {
			operate_say("cannot write: %s", strerror(-err));
			return EXIT_FAILURE;
		}
		err = shr_cursor_release(recv->cursor);
		if (err)
			return operate_failed(recv->segment, err);
		recv->received++;
	}
	return 0;
}

static int open_cursor(struct recv *recv, struct shr_ring *ring)
{
	struct shr_cursor_options how = {.struct_size = sizeof(how)};

	if (recv->create)
		how.flags = SHR_CURSOR_CREATE | SHR_CURSOR_DURABLE |
			    (recv->object->ring.mode == SHR_RING_OVERWRITE ? SHR_CURSOR_LOSSY : 0);
	return shr_cursor_open_with(&recv->cursor, ring, recv->cursor_name, &how);
}

static int receive_from(struct recv *recv, const struct shr_inspect *inspect, const char *name)
{
	struct shr_segment_options how = {.struct_size = sizeof(how), .role = "shmring recv"};
	int index = sink_find(inspect, recv->segment, name), err, result;
	struct shr_segment *segment = NULL;
	struct shr_object_info object;
	struct shr_ring *ring = NULL;

	if (index < 0)
		return -1 - index;
	err = shr_inspect_object(inspect, (uint32_t)index, &object);
	if (!err && object.kind != SHR_OBJECT_RING)
		return operate_usage("%s is no ring", object.name);
	recv->object = &object;
	if (!err)
		err = shr_segment_attach(&segment, recv->segment, &how);
	if (!err)
		err = shr_ring_attach(&ring, segment, object.name, object.schema);
	if (!err)
		err = open_cursor(recv, ring);
	if (!err)
		recv->member = shr_segment_member(segment);
	result = err ? operate_failed(recv->segment, err) : receive(recv);
	shr_cursor_close(recv->cursor);
	shr_ring_close(ring);
	shr_segment_detach(segment);
	return result;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct recv recv = {.style = {.bytes = SIZE_MAX}, .most = UINT64_MAX};
	struct shr_inspect *inspect = NULL;
	int err, result = operate_options(command, argc, argv, 1, 2, &recv);

	if (result != NO_COMMAND)
		return result;
	if (recv.create && !recv.cursor_name)
		return operate_usage("--create: which --cursor");
	operate_catch_signals();
	recv.segment = argv[optind];
	err = shr_inspect_open(&inspect, recv.segment);
	if (err)
		return operate_failed(recv.segment, err);
	result = receive_from(&recv, inspect, argc - optind > 1 ? argv[optind + 1] : NULL);
	free(recv.copy);
	shr_inspect_close(inspect);
	return result;
}

const struct command command_recv = {.name = "recv",
				     .arguments = "SEGMENT [RING]",
				     .summary = "Receive records, print and release them.",
				     .options = options,
				     .take = take,
				     .run = run};
