/* SPDX-License-Identifier: MIT */
/* shmring-dump records and follow. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "show.h"
#include "times.h"

#define PAYLOAD_MAX    ((size_t)1 << 20) /* copied of one record */
#define PAUSE_FIRST_NS 1000000           /* between looks where nothing is new: 1 ms, */
#define PAUSE_LAST_NS  50000000          /* growing to 50 ms */

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
	if (style->format == FORMAT_TEXT) {
		fputs(BAD(style), stdout);
		text_string(stdout, source->object.name);
		printf(": lost %" PRIu64 " bytes: used again before they were read%s\n", lost,
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

static int walk_of(const struct show *show, uint32_t index, struct shr_walk **walk)
{
	const struct request *request = show->request;
	uint32_t flags = (uint32_t)request->from | SHR_WALK_SKIPPED;

	if (!request->follow)
		flags |= SHR_WALK_BUSY;
	return shr_walk_open(walk, show->inspect, index, flags, PAYLOAD_MAX);
}

/* Pass over all but the newest records that are there. */
static int skip_to_last(struct show *show, uint32_t index, struct source *source)
{
	struct shr_walk_record record;
	struct shr_walk *ahead = NULL;
	uint64_t there = 0;
	int err = walk_of(show, index, &ahead);

	while (!err && shr_walk_position(ahead) - shr_walk_position(source->walk) <=
			       source->object.ring.capacity) {
		err = shr_walk_next(ahead, &record);
		there += !err;
	}
	shr_walk_close(ahead);
	err = err == -EAGAIN ? 0 : err;
	for (; !err && there > show->request->last; there--)
		err = shr_walk_next(source->walk, &record);
	source->lost = shr_walk_lost(source->walk); /* not asked for */
	return err == -EAGAIN ? 0 : err;
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
	else if (!err && request->fields)
		err = fields_bind(request->fields, &source->object, &source->fields);
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
	const struct fields *fields = request->group ? request->group : request->fields;
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
	source->expected = request->since.kind == LIMIT_SEQUENCE ? request->since.value : 0;
	err = table ? table_open(&source->table, show, index) : walk_of(show, index, &source->walk);
	if (err) {
		unbind(source);
		return err;
	}
	show->count++;
	if (table)
		return 0;
	if (request->last != UINT64_MAX)
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

/* Show up to a burst of what there is: number of records, or -errno. */
static int show_some(struct show *show, struct source *source, int now)
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

/* Nothing that comes now is before --until. */
static int all_done(const struct show *show)
{
	const struct limit *until = &show->request->until;

	if (until->kind == LIMIT_TIME && time_now() > until->value)
		return 1;
	for (uint32_t i = 0; i < show->count; i++)
		if (!show->sources[i].done)
			return 0;
	return until->kind != LIMIT_NONE;
}

static int show_follow(struct show *show)
{
	long pause = PAUSE_FIRST_NS;
	int obsolete = 0;

	while (!show_enough(show) && !ferror(stdout)) {
		struct shr_segment_info info;
		int some = 0;

		for (uint32_t i = 0; i < show->count; i++) {
			int n = show_some(show, &show->sources[i], obsolete);

			if (n < 0)
				return n;
			some |= n;
		}
		if (some) {
			pause = PAUSE_FIRST_NS;
			obsolete = 0;
			continue;
		}
		fflush(stdout);
		if (all_done(show))
			return 0;
		/* What was committed before it became obsolete has been looked for since. */
		if (obsolete) {
			fputs("shmring-dump: the segment is obsolete: it was unlinked or "
			      "replaced\n",
			      stderr);
			return 0;
		}
		nanosleep(&(struct timespec){.tv_nsec = pause}, NULL);
		pause = pause * 2 < PAUSE_LAST_NS ? pause * 2 : PAUSE_LAST_NS;
		if (!shr_inspect_segment(show->inspect, &info))
			obsolete = (int)info.obsolete;
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
	if (show->merged)
		fprintf(stderr, ", %" PRIu64 " changes told with a later one", show->merged);
	fputc('\n', stderr);
}

static int show_sources(struct show *show)
{
	const struct request *request = show->request;
	int err = open_sources(show), result;

	if (!err) {
		result = check_names(show);
		if (result)
			return result;
		err = request->follow ? show_follow(show) : show_all(show);
	}
	if (show->group)
		group_show(show->group, &request->style, request->group, request->groups);
	else if (request->style.format == FORMAT_JSON)
		fputs(show->shown || show->lost ? "]\n" : "[]\n", stdout);
	result = err ? failed(show->name, err) : 0;
	if (request->style.format == FORMAT_TEXT &&
	    (request->follow || (show->group && (show->lost || show->missing))))
		tell_end(show);
	if (!result && (show->lost || show->missing || show->merged) && request->fail_on_loss)
		result = EXIT_LOSS;
	return result;
}

int command_records(const struct shr_inspect *inspect, const struct request *request,
		    const char *name)
{
	struct show *show = calloc(1, sizeof(*show));
	struct sigaction action = {.sa_handler = stop};
	int result;

	if (show)
		*show = (struct show){.request = request,
				      .inspect = inspect,
				      .name = name,
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
	result = show_sources(show);
	for (uint32_t i = 0; i < show->count; i++) {
		shr_walk_close(show->sources[i].walk);
		table_close(show->sources[i].table);
		unbind(&show->sources[i]);
	}
	group_free(show->group);
	free(show);
	return result;
}
