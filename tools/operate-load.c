/* SPDX-License-Identifier: MIT */
/* shmring load: records that shmring-dump printed go back into rings and tables. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "operate.h"
#include "progress.h"

struct load {
	int no_wait;
	const char *segment;
	FILE *in;
	const struct shr_inspect *inspect;
	struct shr_segment *attached;
	struct sink sinks[SHR_OBJECTS_MAX]; /* by index, opened when needed */
	struct line_record record;
	uint64_t line;
	uint64_t loaded;
	uint64_t empty;
	uint64_t done;
	uint64_t incomplete;
	uint64_t dropped;
};

static const struct option_row options[] = {
	{'W', "no-wait", NULL, "fail when a ring is full, instead of waiting for its consumer"},
	{0}};

static int take(void *request, int letter, const char *argument)
{
	(void)letter;
	(void)argument;
	((struct load *)request)->no_wait = 1;
	return 0;
}

static int say_line(const struct load *load, const char *why)
{
	operate_say("line %" PRIu64 ": %s", load->line, why);
	return EXIT_MISMATCH;
}

/* The sink of the object that the line names: 0, or the exit status. */
static int find_sink(struct load *load, const json_t *line, struct sink **result)
{
	unsigned char *name;
	size_t size;
	int index;

	if (json_to_bytes(json_object_get(line, "object"), &name, &size))
		return say_line(load, "it names no object");
	index = shr_inspect_find(load->inspect, (const char *)name);
	free(name);
	if (index < 0) {
		operate_say("line %" PRIu64 ": %s", load->line, shr_last_error());
		return operate_status(index);
	}
	*result = &load->sinks[index];
	if ((*result)->ring || (*result)->table)
		return 0;
	return sink_open(*result, load->inspect, load->attached, load->segment, (uint32_t)index);
}

static int load_record(struct load *load, const json_t *line)
{
	char why[SENTENCE];
	struct sink *sink = NULL;
	int err, result = find_sink(load, line, &sink);

	if (result)
		return result;
	if (line_record(&load->record, line, sink->object.schema, why))
		return say_line(load, why);
	err = sink_put(sink, load->record.payload, load->record.size, load->record.type,
		       !load->no_wait);
	if (err == -EINTR)
		return 0;
	if (err == -ENOBUFS) {
		load->dropped++;
		return 0;
	}
	if (err == -EAGAIN) {
		operate_say("line %" PRIu64 ": %s is full", load->line, sink->object.name);
		return EXIT_FAILURE;
	}
	if (err == -EMSGSIZE && sink->table) {
		operate_say("line %" PRIu64 ": %s: a record of %zu bytes is over its %zu",
			    load->line, sink->object.name, load->record.size,
			    shr_table_record_size(sink->table));
		return EXIT_MISMATCH;
	}
	if (err) {
		operate_say("line %" PRIu64 ": %s: %s", load->line, sink->object.name,
			    shr_last_error());
		return err == -EINVAL ? EXIT_MISMATCH : operate_status(err);
	}
	load->loaded++;
	return 0;
}

static int load_line(struct load *load, const char *text, size_t size)
{
	char why[SENTENCE];
	json_t *line = line_read(text, size, why);
	int result = 0;

	if (!line)
		return say_line(load, why);
	switch (line_kind(line)) {
	case LINE_RECORD:
		result = load_record(load, line);
		break;
	case LINE_EMPTY:
		load->empty++;
		break;
	case LINE_DONE:
		load->done++;
		break;
	case LINE_INCOMPLETE:
		say_line(load, "it has not all of a record, or tells of a loss: passed over");
		load->incomplete++;
	}
	json_decref(line);
	return result;
}

static int load_lines(struct load *load)
{
	char *text = NULL;
	size_t room = 0;
	ssize_t n;
	int result = 0;

	while (!result && !operate_stopped && (n = getline(&text, &room, load->in)) >= 0) {
		load->line++;
		result = load_line(load, text, (size_t)n);
		progress_show("shmring: %" PRIu64 " records", load->loaded);
	}
	progress_clear();
	if (!result && ferror(load->in) && !operate_stopped) {
		operate_say("cannot read: %s", strerror(errno));
		result = EXIT_FAILURE;
	}
	free(text);
	return result;
}

static int tell(const struct load *load, int result)
{
	if (load->empty)
		operate_say(
			"%" PRIu64
			" lines were of records that were skipped or not committed: passed over",
			load->empty);
	if (load->done)
		operate_say("%" PRIu64 " records of queues were done or lost: passed over",
			    load->done);
	if (load->dropped)
		operate_say("%" PRIu64 " records were dropped, because a ring was full",
			    load->dropped);
	if (operate_stopped)
		operate_say("ended by a signal");
	operate_say("%" PRIu64 " records were loaded", load->loaded);
	if (!result && (load->incomplete || load->dropped || operate_stopped))
		result = EXIT_FAILURE;
	return result;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct shr_segment_options how = {.struct_size = sizeof(how), .role = "shmring load"};
	struct load load = {.in = stdin};
	struct shr_inspect *inspect = NULL;
	int err, result = operate_options(command, argc, argv, 1, 2, &load);

	if (result != NO_COMMAND)
		return result;
	operate_catch_signals();
	load.segment = argv[optind];
	if (argc - optind > 1 && strcmp(argv[optind + 1], "-"))
		load.in = fopen(argv[optind + 1], "re");
	if (!load.in) {
		operate_say("cannot open %s: %s", argv[optind + 1], strerror(errno));
		return EXIT_FAILURE;
	}
	progress_begin();
	err = shr_inspect_open(&inspect, load.segment);
	if (!err)
		err = shr_segment_attach(&load.attached, load.segment, &how);
	load.inspect = inspect;
	result = err ? operate_failed(load.segment, err) : tell(&load, load_lines(&load));
	for (size_t i = 0; i < SHR_OBJECTS_MAX; i++)
		sink_close(&load.sinks[i]);
	free(load.record.payload);
	shr_segment_detach(load.attached);
	shr_inspect_close(inspect);
	fclose(load.in);
	return result;
}

const struct command command_load = {
	.name = "load",
	.arguments = "SEGMENT [FILE]",
	.summary = "Load records that shmring-dump -o jsonl records printed.",
	.options = options,
	.take = take,
	.run = run};
