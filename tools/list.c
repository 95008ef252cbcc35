/* SPDX-License-Identifier: MIT */
/* shmring-dump list. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"

struct listing {
	const struct style *style;
	char **names;
	size_t count;
	int unreadable;
	int width; /* of the longest name */
};

struct counts {
	uint32_t alive, dead;
};

static struct counts count_members(const struct shr_inspect *inspect, uint32_t members)
{
	struct counts counts = {0};
	struct shr_member_info member;

	for (uint32_t i = 1; i <= members && !shr_inspect_member(inspect, i, &member); i++) {
		counts.alive += member.state == SHR_MEMBER_ALIVE;
		counts.dead += member.state == SHR_MEMBER_DEAD;
	}
	return counts;
}

static void list_object(const struct shr_inspect *inspect, uint32_t index)
{
	struct shr_object_info object;
	struct shr_table_status table;

	if (shr_inspect_object(inspect, index, &object)) {
		fputs("(damaged)", stdout);
		return;
	}
	text_string(stdout, object.name);
	if (object.kind == SHR_OBJECT_TABLE && !shr_inspect_table(inspect, index, &table))
		printf(" (table, %" PRIu32 " of %" PRIu32 ")", table.used, table.slots);
}

static void list_text(struct listing *listing, const char *name, const struct shr_inspect *inspect,
		      const struct shr_segment_info *info)
{
	const struct style *style = listing->style;

	fputs(NAME(style), stdout);
	text_string(stdout, name);
	printf("%s%*s", PLAIN(style), listing->width - text_width(name), "");
	if (inspect) {
		struct counts counts = count_members(inspect, info->members);

		printf(" %12" PRIu64 " %5" PRIu32 " %s%5" PRIu32 "%s  ", info->size, counts.alive,
		       counts.dead ? BAD(style) : "", counts.dead, PLAIN(style));
		put_time(info->created_ns);
		fputs("  ", stdout);
		for (uint32_t i = 0; i < info->objects; i++) {
			fputs(i ? ", " : "", stdout);
			list_object(inspect, i);
		}
		puts(info->obsolete ? " (obsolete)" : "");
	} else {
		printf(" %s", BAD(style));
		text_string(stdout, shr_last_error());
		printf("%s\n", PLAIN(style));
	}
}

static json_t *list_json(const char *name, const struct shr_inspect *inspect,
			 const struct shr_segment_info *info)
{
	json_t *json = json_object(), *objects = json_array();
	struct shr_object_info object;

	json_put(json, "v", json_integer(1));
	json_put_bytes(json, "segment", name);
	if (inspect) {
		struct counts counts = count_members(inspect, info->members);

		json_put(json, "size", json_u64(info->size));
		json_put(json, "created_ns", json_u64(info->created_ns));
		json_put(json, "obsolete", json_boolean(info->obsolete));
		json_put(json, "alive", json_integer(counts.alive));
		json_put(json, "dead", json_integer(counts.dead));
		for (uint32_t i = 0; i < info->objects; i++)
			if (!shr_inspect_object(inspect, i, &object))
				json_array_append_new(objects,
						      json_bytes(object.name, strlen(object.name)));
		json_put(json, "objects", objects);
	} else {
		json_decref(objects);
		json_put_bytes(json, "error", shr_last_error());
	}
	return json;
}

static int collect(const char *name, int err, void *argument)
{
	struct listing *listing = argument;
	char **more;

	if (err) {
		listing->unreadable++;
		return 0;
	}
	more = realloc(listing->names, (listing->count + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	listing->names = more;
	more[listing->count] = strdup(name);
	if (!more[listing->count])
		return -ENOMEM;
	listing->count++;
	if (text_width(name) > listing->width)
		listing->width = text_width(name);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list_one(struct listing *listing, const char *name, json_t *all)
{
	struct shr_inspect *inspect = NULL;
	struct shr_segment_info info;
	int err = shr_inspect_open(&inspect, name);

	if (!err)
		err = shr_inspect_segment(inspect, &info);
	if (err == -ENOENT) /* gone meanwhile */
		return;
	if (listing->style->format == FORMAT_TEXT)
		list_text(listing, name, err ? NULL : inspect, &info);
	else if (all)
		json_array_append_new(all, list_json(name, err ? NULL : inspect, &info));
	else
		show_json(listing->style, list_json(name, err ? NULL : inspect, &info));
	shr_inspect_close(inspect);
}

int command_list(const struct style *style)
{
	struct listing listing = {.style = style, .width = 7};
	json_t *all = style->format == FORMAT_JSON ? json_array() : NULL;
	int err = shr_inspect_list(collect, &listing);

	if (!err && listing.count)
		qsort(listing.names, listing.count, sizeof(*listing.names), by_name);
	if (style->format == FORMAT_TEXT && listing.count)
		printf("%s%-*s %12s %5s %5s  %-19s  %s%s\n", BOLD(style), listing.width, "SEGMENT",
		       "BYTES", "ALIVE", "DEAD", "MADE", "OBJECTS", PLAIN(style));
	for (size_t i = 0; i < listing.count; i++) {
		if (!err)
			list_one(&listing, listing.names[i], all);
		free(listing.names[i]);
	}
	free(listing.names);
	if (all && !err)
		show_json(style, all);
	if (err == -ENOMEM) {
		fputs("shmring-dump: out of memory\n", stderr);
		return EXIT_FAILURE;
	}
	if (err)
		return failed("/dev/shm", err);
	if (style->format == FORMAT_TEXT && !listing.count)
		fputs("shmring-dump: no segments in /dev/shm or System V shared memory\n", stderr);
	if (listing.unreadable)
		fprintf(stderr, "shmring-dump: files in /dev/shm that may not be read: %d\n",
			listing.unreadable);
	return 0;
}
