/* SPDX-License-Identifier: MIT */
/* shmring send: lines of the standard input become records of a ring. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "operate.h"

struct send {
	int json;
	int null;
	int no_wait;
	uint16_t type;
	const char *segment;
	struct sink sink;
	struct line_record record;
	uint64_t line;
	uint64_t sent;
	uint64_t dropped;
	uint64_t empty;
};

static const struct option_row options[] = {
	{'j', "json", NULL, "lines are JSON as shmring-dump -o jsonl records prints it"},
	{'0', "null", NULL, "lines end with a zero byte instead of a newline"},
	{'t', "type", "N", "type number of the records, 0 to 65535; JSON has its own"},
	{'W', "no-wait", NULL, "drop what finds the ring full, and tell how many"},
	{0}};

static int take(void *request, int letter, const char *argument)
{
	struct send *send = request;
	uint64_t number;

	switch (letter) {
	case 'j':
		send->json = 1;
		return 0;
	case '0':
		send->null = 1;
		return 0;
	case 'W':
		send->no_wait = 1;
		return 0;
	default:
		if (operate_number(argument, 0, UINT16_MAX, &number))
			return operate_usage("%s is no type: a number from 0 to 65535", argument);
		send->type = (uint16_t)number;
		return 0;
	}
}

static int put(struct send *send, const void *payload, size_t size, uint16_t type)
{
	int err = sink_put(&send->sink, payload, size, type, !send->no_wait);

	if (!err)
		send->sent++;
	else if (err == -ENOBUFS || (err == -EAGAIN && send->no_wait))
		send->dropped++;
	else if (err != -EINTR) {
		operate_say("%s: line %" PRIu64 ": %s", send->segment, send->line,
			    shr_last_error());
		/* What a record is refused for is not what the command was asked for. */
		return err == -EINVAL ? EXIT_MISMATCH : operate_status(err);
	}
	return 0;
}

static int put_json(struct send *send, const char *text, size_t size)
{
	char why[SENTENCE];
	json_t *line = line_read(text, size, why);
	enum line_kind kind = line ? line_kind(line) : LINE_RECORD;
	int result = EXIT_MISMATCH;

	if (kind == LINE_EMPTY) {
		send->empty++;
		result = 0;
	} else if (kind == LINE_INCOMPLETE) {
		operate_say("line %" PRIu64 ": it has not all of a record", send->line);
	} else if (!line || line_record(&send->record, line, send->sink.object.schema, why)) {
		operate_say("line %" PRIu64 ": %s", send->line, why);
	} else {
		result = put(send, send->record.payload, send->record.size, send->record.type);
	}
	json_decref(line);
	return result;
}

static int send_lines(struct send *send)
{
	const int end = send->null ? 0 : '\n';
	char *text = NULL;
	size_t room = 0;
	ssize_t n;
	int result = 0;

	while (!result && !operate_stopped && (n = getdelim(&text, &room, end, stdin)) >= 0) {
		size_t size = (size_t)n;

		send->line++;
		if (size && text[size - 1] == end)
			size--;
		result =
			send->json ? put_json(send, text, size) : put(send, text, size, send->type);
	}
	if (!result && ferror(stdin) && !operate_stopped) {
		operate_say("cannot read: %s", strerror(errno));
		result = EXIT_FAILURE;
	}
	free(text);
	return result;
}

static int send_to(struct send *send, const struct shr_inspect *inspect, const char *name)
{
	struct shr_segment_options how = {.struct_size = sizeof(how), .role = "shmring send"};
	struct shr_segment *segment = NULL;
	int index = sink_find(inspect, send->segment, name), err, result;

	if (index < 0)
		return -1 - index;
	err = shr_segment_attach(&segment, send->segment, &how);
	if (err)
		return operate_failed(send->segment, err);
	result = sink_open(&send->sink, inspect, segment, send->segment, (uint32_t)index);
	if (!result && !send->sink.ring)
		result = operate_usage("%s is a table: shmring load fills it",
				       send->sink.object.name);
	if (!result && send->sink.object.schema && !send->json) {
		operate_say("%s has records of struct %s: send JSON, with -j",
			    send->sink.object.name, send->sink.object.schema->name);
		result = EXIT_MISMATCH;
	}
	if (!result)
		result = send_lines(send);
	if (send->empty)
		operate_say("%" PRIu64
			    " lines were of records that were skipped or not committed: not sent",
			    send->empty);
	if (send->dropped)
		operate_say("%" PRIu64
			    " records were dropped, because the ring was full, and %" PRIu64
			    " sent",
			    send->dropped, send->sent);
	if (operate_stopped)
		operate_say("ended by a signal after %" PRIu64 " records", send->sent);
	sink_close(&send->sink);
	shr_segment_detach(segment);
	return result;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct send send = {0};
	struct shr_inspect *inspect = NULL;
	int err, result = operate_options(command, argc, argv, 1, 2, &send);

	if (result != NO_COMMAND)
		return result;
	operate_catch_signals();
	send.segment = argv[optind];
	err = shr_inspect_open(&inspect, send.segment);
	if (err)
		return operate_failed(send.segment, err);
	result = send_to(&send, inspect, argc - optind > 1 ? argv[optind + 1] : NULL);
	free(send.record.payload);
	shr_inspect_close(inspect);
	return result;
}

const struct command command_send = {.name = "send",
				     .arguments = "SEGMENT [RING]",
				     .summary = "Send lines of the standard input as records.",
				     .options = options,
				     .take = take,
				     .run = run};
