/* SPDX-License-Identifier: MIT */
/* shmring-dump records and follow. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "show.h"

#define PAYLOAD_MAX ((size_t)1 << 20) /* copied of one record */
#define RESUMES     10                /* of a walk that is overtaken on its way */

volatile sig_atomic_t show_stopped;

static void stop(int signal)
{
	(void)signal;
	show_stopped = 1;
}

static int wanted(const struct request *request, const char *name)
{
	for (int i = 0; i < request->object_count; i++)
		if (!strcmp(request->objects[i], name))
			return 1;
	return !request->object_count;
}

static void tell_loss(struct show *show, struct source *source)
{
	const struct style *style = &show->request->style;
	uint64_t lost = shr_walk_lost(source->walk) - source->lost;

	if (!lost)
		return;
	source->lost += lost;
	if (show->group) {
		show->lost += lost; /* and told at the end */
		return;
	}
	if (!is_json(style)) {
		FILE *out = show_losses(show);

		fputs(BAD(style), out);
		text_string(out, source->object.name);
		fprintf(out, ": lost %" PRIu64 " bytes: used again before they were read%s\n", lost,
			PLAIN(style));
	} else {
		json_t *json = json_object();

		show_comma(show);
		json_put(json, "v", json_integer(1));
		json_put_bytes(json, "object", source->object.name);
		json_put(json, "lost_bytes", json_u64(lost));
		show_json(style, json);
	}
	show->lost += lost;
}

static int walk_open(const struct show *show, uint32_t index, int from, struct shr_walk **walk)
{
	uint32_t flags = (uint32_t)from | SHR_WALK_SKIPPED;

	if (!show->request->follow)
		flags |= SHR_WALK_BUSY;
	return shr_walk_open(walk, show->inspect, index, flags, PAYLOAD_MAX);
}

/* Pass over all but the newest records that are there. */
static int skip_to_last(struct show *show, uint32_t index, struct source *source)
{
	struct shr_walk_record record;
	struct shr_walk *ahead = NULL;
	uint64_t there = 0;
	int err = walk_open(show, index, show->from, &ahead);

	while (!err && shr_walk_position(ahead) - shr_walk_position(source->walk) <=
			       source->object.ring.capacity) {
		err = shr_walk_next(ahead, &record);
		there += !err;
	}
	shr_walk_close(ahead);
	err = err == -EAGAIN ? 0 : err;
	for (; !err && there > show->last; there--)
		err = shr_walk_next(source->walk, &record);
	source->lost = shr_walk_lost(source->walk); /* not asked for */
	return err == -EAGAIN ? 0 : err;
}

/* What was there and cannot be shown is lost: @bytes before the walk's place. */
static void lost_before(struct source *source, uint64_t bytes, uint64_t expected)
{
	source->lost = shr_walk_lost(source->walk) - bytes;
	if (expected > source->expected)
		source->expected = expected;
}

/* A ring that was made meanwhile begins at position 0, with number 1. */
static void from_start(struct source *source)
{
	uint64_t position = shr_walk_position(source->walk);

	lost_before(source, (int64_t)position > 0 ? position : 0,
		    source->object.ring.flags & SHR_RING_SEQUENCE ? 1 : 0);
}

/* Go on at @position, where the number @sequence comes, or at what is left after it. */
static int resume(struct show *show, uint32_t index, struct source *source, uint64_t position,
		  uint64_t sequence)
{
	struct shr_walk_record record;
	uint64_t at;
	int err = 0;

	/* From the oldest one. Where the walk is overtaken on the way, it begins anew. */
	for (int i = 0; i < RESUMES && !err; i++) {
		uint64_t lost;

		shr_walk_close(source->walk);
		source->walk = NULL;
		err = walk_open(show, index, SHR_WALK_OLDEST, &source->walk);
		lost = err ? 0 : shr_walk_lost(source->walk);
		while (!err && (int64_t)(position - shr_walk_position(source->walk)) > 0)
			err = shr_walk_next(source->walk, &record);
		if (!err && shr_walk_lost(source->walk) == lost)
			break;
	}
	if (err && err != -EAGAIN)
		return err;
	at = shr_walk_position(source->walk);
	if (!err) {
		lost_before(source, at - position, sequence);
		return 0;
	}
	fputs("shmring-dump: ", stderr);
	text_string(stderr, source->object.name);
	fputs(": the cursor file is beyond the end of it: going on with new records\n", stderr);
	return 0;
}

/* Have its records what --since or --until asks for? */
static int has_limit(const struct shr_object_info *object, const struct limit *limit)
{
	if (limit->kind == LIMIT_NONE)
		return 1;
	return object->kind == SHR_OBJECT_RING &&
	       object->ring.flags & (limit->kind == LIMIT_TIME ? SHR_RING_TIME : SHR_RING_SEQUENCE);
}

/* What the names in options mean for its records. -EINVAL: they have no such fields. */
static int bind(struct show *show, struct source *source)
{
	const struct request *request = show->request;
	int err = 0;

	if (!has_limit(&source->object, &request->since) ||
	    !has_limit(&source->object, &request->until))
		return -EINVAL;
	show->limited = 1;
	if (request->query)
		err = query_bind(request->query, &source->object, &source->query, &show->mistake);
	if (!err && request->group)
		err = fields_bind(request->group, &source->object, &source->group);
	else if (!err && show->fields)
		err = fields_bind(show->fields, &source->object, &source->fields);
	return err;
}

static void unbind(struct source *source)
{
	free(source->query);
	free(source->group);
	free(source->fields);
}

/* Is there a name that no object has? 0, or EXIT_USAGE after a message. */
static int check_names(const struct show *show)
{
	const struct request *request = show->request;
	const struct fields *fields = request->group ? request->group : show->fields;
	struct mistake mistake = show->mistake;

	if (show->left_out && !show->limited)
		return usage("none of the rings has what --since and --until ask for", NULL);
	if (show->count)
		mistake.sentence = NULL;
	if (!mistake.sentence && fields && (show->count || show->left_out))
		fields_mistake(fields, &mistake);
	if (!mistake.sentence)
		return 0;
	mistake_tell(&mistake);
	return EXIT_USAGE;
}

/* Object @index, if it is asked for. */
static int open_source(struct show *show, uint32_t index)
{
	const struct request *request = show->request;
	struct source *source = &show->sources[show->count];
	uint64_t position, sequence;
	int table, err;

	*source = (struct source){0};
	err = shr_inspect_object(show->inspect, index, &source->object);
	if (err || !wanted(request, source->object.name))
		return err;
	table = source->object.kind == SHR_OBJECT_TABLE;
	if (!table && source->object.kind != SHR_OBJECT_RING && !request->object_count)
		return 0;
	err = bind(show, source);
	if (err) { /* has it not such fields, it is left out */
		unbind(source);
		show->left_out = 1;
		return err == -EINVAL ? 0 : err;
	}
	err = table ? table_open(&source->table, show, index)
		    : walk_open(show, index, show->from, &source->walk);
	if (err) {
		unbind(source);
		return err;
	}
	show->count++;
	if (table)
		return 0;
	source->expected = request->since.kind == LIMIT_SEQUENCE ? request->since.value : 0;
	if (show->cursor && !cursor_get(show->cursor, source->object.name, &position, &sequence))
		err = resume(show, index, source, position, sequence);
	else if (show->anew)
		from_start(source);
	else if (show->last != UINT64_MAX)
		err = skip_to_last(show, index, source);
	source->end = shr_walk_position(source->walk) + source->object.ring.capacity;
	return err;
}

/* The rings and tables that are asked for. */
static int open_sources(struct show *show)
{
	const struct request *request = show->request;
	struct shr_segment_info info;
	int err = shr_inspect_segment(show->inspect, &info);

	for (int i = 0; i < request->object_count && !err; i++) {
		err = shr_inspect_find(show->inspect, request->objects[i]);
		err = err < 0 ? err : 0;
	}
	for (uint32_t i = 0; !err && i < info.objects; i++) {
		err = open_source(show, i);
	}
	return err;
}

int show_some(struct show *show, struct source *source, int now)
{
	const struct request *request = show->request;
	struct shr_walk_record record;
	int n, err;

	if (source->table)
		return table_some(show, source, now);
	for (n = 0; n < BURST && !show_enough(show) && !source->done; n++) {
		/* One lap, or a fast ring would never end. */
		if (!request->follow &&
		    (int64_t)(source->end - shr_walk_position(source->walk)) <= 0)
			break;
		err = shr_walk_next(source->walk, &record);
		tell_loss(show, source);
		if (err)
			return err == -EAGAIN ? n : err;
		err = show_record(show, source, &record);
		if (err)
			return err;
	}
	return n;
}

static int show_all(struct show *show)
{
	for (uint32_t i = 0; i < show->count; i++) {
		int n = 1;

		while (n > 0)
			n = show_some(show, &show->sources[i], 0);
		if (n < 0)
			return n;
	}
	return 0;
}

static void tell_end(const struct show *show)
{
	fflush(stdout);
	fprintf(stderr, "shmring-dump: %" PRIu64 " records %s, %" PRIu64 " bytes lost", show->shown,
		show->group ? "counted" : "shown", show->lost);
	if (show->missing)
		fprintf(stderr, ", %" PRIu64 " records missing", show->missing);
	if (show->held)
		fprintf(stderr, ", %" PRIu64 " held back", show->held);
	if (show->merged)
		fprintf(stderr, ", %" PRIu64 " changes told with a later one", show->merged);
	fputc('\n', stderr);
}

/* CSV has the same columns for all sources. */
static int open_csv(struct show *show)
{
	int err = 0;

	if (show->request->style.format != FORMAT_CSV || show->fields)
		return 0;
	show->fields = csv_fields(show);
	if (!show->fields)
		return -ENOMEM;
	for (uint32_t i = 0; i < show->count && !err; i++) {
		struct source *source = &show->sources[i];

		err = fields_bind(show->fields, &source->object, &source->fields);
	}
	return err;
}

int show_open(struct show *show)
{
	int err = open_sources(show);
	int result;

	if (!err)
		err = open_csv(show);
	result = err ? failed(show->name, err) : check_names(show);
	if (!result && !show->opened && show->request->style.format == FORMAT_CSV)
		csv_names(show->fields);
	show->opened |= !result;
	return result;
}

void show_close(struct show *show)
{
	for (uint32_t i = 0; i < show->count; i++) {
		shr_walk_close(show->sources[i].walk);
		table_close(show->sources[i].table);
		unbind(&show->sources[i]);
	}
	show->count = 0;
	if (show->inspect != show->request->opened)
		shr_inspect_close(show->inspect);
	show->inspect = NULL;
}

static int show_records(struct show *show)
{
	int result;

	show->inspect = show->request->opened;
	result = show_open(show);
	if (!result) {
		int err = show_all(show);

		result = err ? failed(show->name, err) : 0;
	}
	show_close(show);
	return result;
}

static int show_end(const struct show *show, int result)
{
	const struct request *request = show->request;

	if (show->group)
		group_show(show->group, &request->style, request->group, request->groups);
	else if (request->style.format == FORMAT_JSON)
		fputs(show->shown || show->lost ? "]\n" : "[]\n", stdout);
	if (!is_json(&request->style) &&
	    (request->follow || (show->group && (show->lost || show->missing))))
		tell_end(show);
	else if (show->held) /* not all is in the JSON */
		tell_end(show);
	if (!result && (show->lost || show->missing || show->merged) && request->fail_on_loss)
		result = EXIT_LOSS;
	return result;
}

int command_records(const struct request *request, const char *name)
{
	struct show *show = calloc(1, sizeof(*show));
	struct sigaction action = {.sa_handler = stop};
	int result;

	if (show)
		*show = (struct show){.request = request,
				      .name = name,
				      .from = request->from,
				      .last = request->last,
				      .fields = request->fields,
				      .group = request->group ? group_new() : NULL};
	if (!show || (request->group && !show->group)) {
		fputs("shmring-dump: out of memory\n", stderr);
		free(show);
		return EXIT_FAILURE;
	}
	if (request->follow) {
		sigaction(SIGINT, &action, NULL);
		sigaction(SIGTERM, &action, NULL);
	}
	result = request->follow ? show_follow(show) : show_records(show);
	if (show->opened)
		result = show_end(show, result);
	group_free(show->group);
	if (show->fields != request->fields)
		fields_free(show->fields);
	free(show);
	return result;
}
