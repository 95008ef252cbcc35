/* SPDX-License-Identifier: MIT */
/* shmring-dump stat and top: which segments, what is in them, and when to look again. */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "look.h"

const struct shr_field commits_field = {
	.name = "commits",
	.kind = SHR_KIND_U64,
	.unit = "times",
	.help = "an update was made what everybody reads, in all slots together",
};

const struct shr_field written_field = {
	.name = "written",
	.kind = SHR_KIND_U64,
	.unit = "bytes",
	.help = "position of the next record, found by a look at the records",
};

const struct shr_field numbered_field = {
	.name = "numbered",
	.kind = SHR_KIND_U64,
	.unit = "records",
	.help = "that were given a number, found by a look at the records",
};

/* --- Segments ------------------------------------------------------------------ */

static int segments_add(struct segments *segments, const char *name)
{
	char **more = realloc(segments->names, (segments->count + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	segments->names = more;
	more[segments->count] = strdup(name);
	if (!more[segments->count])
		return -ENOMEM;
	segments->count++;
	return 0;
}

static int segments_found(const char *name, int err, void *argument)
{
	return err ? 0 : segments_add(argument, name); /* may not be read: none of ours */
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int each_segment(const struct request *request,
		 int (*each)(const char *name, int err, void *argument), void *argument)
{
	char *where;
	int result;

	if (!request->directory)
		return shr_inspect_list(each, argument);
	where = malloc(strlen(request->directory) + 6);
	if (!where)
		return -ENOMEM;
	strcpy(where, "file:");
	strcat(where, request->directory);
	result = shr_map_list(where, SHR_LIST_SEGMENTS, each, argument);
	free(where);
	return result;
}

char *name_in_directory(const struct request *request, const char *name)
{
	size_t size = request->directory ? strlen(request->directory) + strlen(name) + 7 : 0;
	char *path;

	if (!size || strchr(name, ':') || !*name)
		return NULL;
	path = malloc(size);
	if (!path) {
		fputs("shmring-dump: out of memory\n", stderr);
		exit(EXIT_FAILURE);
	}
	snprintf(path, size, "file:%s/%s", request->directory, name + (name[0] == '/'));
	return path;
}

int segments_take(struct segments *segments, const struct request *request, int count, char **names)
{
	int err = 0;

	*segments = (struct segments){.all = !count};
	if (segments->all)
		err = each_segment(request, segments_found, segments);
	for (int i = 0; !err && i < count; i++)
		err = segments_add(segments, names[i]);
	if (err) {
		segments_free(segments);
		return err;
	}
	if (segments->all && segments->count)
		qsort(segments->names, segments->count, sizeof(*segments->names), by_name);
	return 0;
}

void segments_free(struct segments *segments)
{
	for (size_t i = 0; i < segments->count; i++)
		free(segments->names[i]);
	free(segments->names);
	*segments = (struct segments){0};
}

int look_open(struct shr_inspect **inspect, const struct request *request, const char *name)
{
	*inspect = request->opened;
	return *inspect ? 0 : shr_inspect_open(inspect, name);
}

void look_close(struct shr_inspect *inspect, const struct request *request)
{
	if (inspect != request->opened)
		shr_inspect_close(inspect);
}

/* --- Things in a segment ------------------------------------------------------- */

struct visit {
	const struct shr_inspect *inspect;
	int (*each)(const struct thing *thing, void *argument);
	void *argument;
};

static int visit_ring(const struct visit *visit, struct thing *thing)
{
	struct shr_cursor_info cursor;
	int err;

	thing->of = SHR_COUNTERS_RING;
	thing->title = "ring";
	err = visit->each(thing, visit->argument);
	thing->of = SHR_COUNTERS_CURSOR;
	thing->title = "gate";
	if (!err && thing->object->ring.mode == SHR_RING_QUEUE)
		err = visit->each(thing, visit->argument);
	thing->title = "cursor";
	thing->cursor = &cursor;
	for (uint32_t i = 0; !err && i < SHR_RING_CURSORS_MAX; i++) {
		thing->number = i;
		if (!shr_inspect_cursor(visit->inspect, thing->index, i, &cursor))
			err = visit->each(thing, visit->argument);
	}
	return err;
}

static int visit_object(const struct visit *visit, uint32_t index)
{
	struct shr_object_info object;
	struct thing thing = {.index = index, .object = &object};
	int err = shr_inspect_object(visit->inspect, index, &object);

	if (err)
		return err;
	switch (object.kind) {
	case SHR_OBJECT_RING:
		return visit_ring(visit, &thing);
	case SHR_OBJECT_MUTEX:
		thing.of = SHR_COUNTERS_MUTEX;
		thing.title = "mutex";
		for (; !err && thing.number < object.count; thing.number++)
			err = visit->each(&thing, visit->argument);
		return err;
	case SHR_OBJECT_TABLE:
		thing.of = SHR_COUNTERS_TABLE;
		thing.title = "table";
		return visit->each(&thing, visit->argument);
	default:
		return 0;
	}
}

int things_each(const struct shr_inspect *inspect,
		int (*each)(const struct thing *thing, void *argument), void *argument)
{
	const struct visit visit = {inspect, each, argument};
	struct shr_member_info member;
	struct shr_segment_info info;
	int err = shr_inspect_segment(inspect, &info);

	for (uint32_t i = 0; !err && i < info.objects; i++)
		err = visit_object(&visit, i);
	for (uint32_t i = 1; !err && i <= info.members; i++) {
		struct thing thing = {.of = SHR_COUNTERS_MEMBER,
				      .number = i,
				      .title = "member",
				      .member = &member};

		if (!shr_inspect_member(inspect, i, &member) && member.attaches)
			err = each(&thing, argument);
	}
	return err;
}

/* --- Time ---------------------------------------------------------------------- */

static volatile sig_atomic_t ended;
static sigset_t outside; /* signals that were blocked before us */

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

void look_until_signal(void)
{
	/* No SA_RESTART: what waits for a reader that is stopped ends, too. */
	struct sigaction action = {.sa_handler = end};

	sigprocmask(SIG_SETMASK, NULL, &outside);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

int look_ended(void)
{
	return ended;
}

uint64_t look_time_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void look_again_at(uint64_t time_ns)
{
	sigset_t ours;
	uint64_t now;

	/* Blocked while it is looked at, so that none comes in between. */
	sigemptyset(&ours);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGTERM);
	sigprocmask(SIG_BLOCK, &ours, NULL);
	while (!ended && (now = look_time_ns()) < time_ns) {
		struct timespec left = {(time_t)((time_ns - now) / 1000000000u),
					(long)((time_ns - now) % 1000000000u)};

		ppoll(NULL, 0, &left, &outside);
	}
	sigprocmask(SIG_SETMASK, &outside, NULL);
}

double look_rate(uint64_t before, uint64_t now, uint64_t ns)
{
	return (int64_t)(now - before) < 0 || !ns ? NAN : (double)(now - before) * 1e9 / (double)ns;
}
