/* SPDX-License-Identifier: MIT */
/*
 * shmring-dump -g: records counted by the value of a column. Values come from others:
 * a tree, which no choice of them makes slow, and a bound on how many are kept.
 */
#include "commands.h"
#include "fields.h"

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

struct group_value {
	char *text; /* as it is shown */
	json_t *json;
	uint64_t count;
};

struct group {
	void *tree; /* of them, by text */
	struct group_value **values;
	size_t count, room;
	size_t bytes;
	uint64_t others; /* records whose values are not kept */
};

struct group *group_new(void)
{
	return calloc(1, sizeof(struct group));
}

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct group_value *)a)->text, ((const struct group_value *)b)->text);
}

static void value_free(struct group_value *value)
{
	json_decref(value->json);
	free(value->text);
	free(value);
}

void group_free(struct group *group)
{
	if (!group)
		return;
	for (size_t i = 0; i < group->count; i++) {
		tdelete(group->values[i], &group->tree, by_text);
		value_free(group->values[i]);
	}
	free(group->values);
	free(group);
}

/* Keep @text, which becomes the group's. */
static int keep(struct group *group, char *text, json_t *json)
{
	struct group_value *value = malloc(sizeof(*value));

	if (group->count == group->room) {
		size_t room = group->room ? 2 * group->room : 64;
		struct group_value **more =
			realloc(group->values, room * sizeof(struct group_value *));

		if (more) {
			group->values = more;
			group->room = room;
		}
	}
	if (value)
		*value = (struct group_value){text, json, 1};
	if (!value || group->count == group->room || !tsearch(value, &group->tree, by_text)) {
		free(text);
		json_decref(json);
		free(value);
		return -ENOMEM;
	}
	group->values[group->count++] = value;
	group->bytes += strlen(text);
	return 0;
}

int group_add(struct group *group, const struct column *column, const struct row *row)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct group_value **found;

	if (!out)
		return -ENOMEM;
	text_column(out, column, row);
	if (fclose(out)) {
		free(text);
		return -ENOMEM;
	}
	found = tfind(&(struct group_value){.text = text}, &group->tree, by_text);
	if (!found && group->count < GROUP_VALUES_MAX && group->bytes + size <= GROUP_BYTES_MAX)
		return keep(group, text, json_column(column, row));
	if (found)
		(*found)->count++;
	else
		group->others++;
	free(text);
	return 0;
}

static int by_count(const void *a, const void *b)
{
	const struct group_value *x = *(struct group_value *const *)a;
	const struct group_value *y = *(struct group_value *const *)b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return strcmp(x->text, y->text);
}

static json_t *json_group(const struct fields *fields, json_t *value, uint64_t count)
{
	json_t *json = json_object();

	json_put(json, "v", json_integer(1));
	json_put_bytes(json, "field", fields->text);
	if (value)
		json_put(json, "value", json_incref(value));
	json_put(json, "records", json_u64(count));
	return json;
}

void group_show(struct group *group, const struct style *style, const struct fields *fields,
		uint64_t most)
{
	size_t count = group->count < most ? group->count : (size_t)most;

	if (group->count)
		qsort(group->values, group->count, sizeof(struct group_value *), by_count);
	for (size_t i = 0; i < count; i++) {
		const struct group_value *value = group->values[i];

		if (style->format == FORMAT_TEXT) {
			printf("%10" PRIu64 "  %s\n", value->count, value->text);
			continue;
		}
		if (style->format == FORMAT_JSON)
			fputs(i ? ",\n" : "[\n", stdout);
		show_json(style, json_group(fields, value->json, value->count));
	}
	if (style->format == FORMAT_JSON)
		fputs(count ? "]\n" : "[]\n", stdout);
	if (group->others) {
		fflush(stdout);
		fprintf(stderr,
			"shmring-dump: -g: only the first %zu values are told apart; "
			"%" PRIu64 " records have others\n",
			group->count, group->others);
	}
}
