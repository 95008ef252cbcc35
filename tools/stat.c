/* SPDX-License-Identifier: MIT */
/* shmring-dump stat: the counters of a segment, by its own description of them. */
#include <inttypes.h>
#include <stdlib.h>

#include "commands.h"

struct counters {
	const struct shr_inspect *inspect;
	const struct style *style;
	json_t *json; /* an array, or NULL: text */
	int err;
};

/* Those of one ring, cursor, member or mutex, which people know as @title and @name. */
static void show(struct counters *all, uint32_t of, uint32_t index, uint32_t number,
		 const char *title, const char *object, const char *name)
{
	const struct shr_schema *schema = shr_inspect_counters(all->inspect, of);
	json_t *json = NULL, *values = NULL;

	if (!schema || all->err)
		return;
	if (all->json) {
		json = json_object();
		values = json_object();
		json_put(json, "of", json_string(title));
		if (object)
			json_put_bytes(json, "object", object);
		if (name)
			json_put_bytes(json, "name", name);
		if (of == SHR_COUNTERS_MEMBER || of == SHR_COUNTERS_MUTEX)
			json_put(json, "number", json_integer(number));
	} else {
		printf("%s%s", BOLD(all->style), title);
		if (object) {
			putchar(' ');
			text_string(stdout, object);
		}
		if (name) {
			putchar(' ');
			text_string(stdout, name);
		}
		if (of == SHR_COUNTERS_MEMBER || of == SHR_COUNTERS_MUTEX)
			printf(" %" PRIu32, number);
		printf("%s\n", PLAIN(all->style));
	}
	for (uint32_t i = 0; i < schema->field_count && !all->err; i++) {
		const struct shr_field *field = &schema->fields[i];
		uint64_t value = 0;

		all->err = shr_inspect_counter(all->inspect, of, index, number, i, &value);
		if (all->err)
			break;
		if (json) {
			json_put(values, field->name, json_u64(value));
			continue;
		}
		printf("  %20" PRIu64 " ", value);
		text_string(stdout, field->unit ? field->unit : "");
		printf("%*s ", 8 - (field->unit ? text_width(field->unit) : 0), "");
		text_string(stdout, field->name);
		fputs(": ", stdout);
		text_string(stdout, field->help ? field->help : "");
		putchar('\n');
	}
	if (json) {
		json_put(json, "counters", values);
		json_array_append_new(all->json, json);
	}
}

static void show_object(struct counters *all, uint32_t index)
{
	struct shr_object_info object;
	struct shr_cursor_info cursor;

	all->err = shr_inspect_object(all->inspect, index, &object);
	if (all->err)
		return;
	if (object.kind == SHR_OBJECT_MUTEX)
		for (uint32_t i = 0; i < object.count; i++)
			show(all, SHR_COUNTERS_MUTEX, index, i, "mutex", object.name, NULL);
	if (object.kind != SHR_OBJECT_RING)
		return;
	show(all, SHR_COUNTERS_RING, index, 0, "ring", object.name, NULL);
	if (object.ring.mode == SHR_RING_QUEUE)
		show(all, SHR_COUNTERS_CURSOR, index, 0, "gate", object.name, NULL);
	for (uint32_t i = 0; i < SHR_RING_CURSORS_MAX; i++)
		if (!shr_inspect_cursor(all->inspect, index, i, &cursor))
			show(all, SHR_COUNTERS_CURSOR, index, i, "cursor", object.name, cursor.name);
}

static json_t *meanings(const struct shr_inspect *inspect)
{
	static const char *const of[] = {"ring", "cursor", "member", "mutex"};
	json_t *json = json_object();

	for (uint32_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		const struct shr_schema *schema = shr_inspect_counters(inspect, i);
		json_t *one = json_object();

		for (uint32_t j = 0; schema && j < schema->field_count; j++) {
			json_t *field = json_object();

			json_put_bytes(field, "unit", schema->fields[j].unit ? schema->fields[j].unit : "");
			json_put_bytes(field, "help", schema->fields[j].help ? schema->fields[j].help : "");
			json_put(one, schema->fields[j].name, field);
		}
		json_put(json, of[i], one);
	}
	return json;
}

int command_stat(const struct shr_inspect *inspect, const struct style *style, const char *name)
{
	struct counters all = {.inspect = inspect, .style = style};
	struct shr_member_info member;
	struct shr_segment_info info;

	if (style->format != FORMAT_TEXT)
		all.json = json_array();
	all.err = shr_inspect_segment(inspect, &info);
	for (uint32_t i = 0; !all.err && i < info.objects; i++)
		show_object(&all, i);
	for (uint32_t i = 1; !all.err && i <= info.members; i++)
		if (!shr_inspect_member(inspect, i, &member) && member.attaches)
			show(&all, SHR_COUNTERS_MEMBER, 0, i, "member", NULL, NULL);
	if (all.err) {
		json_decref(all.json);
		return failed(name, all.err);
	}
	if (all.json) {
		json_t *json = json_object();

		json_put(json, "v", json_integer(1));
		json_put(json, "counters", all.json);
		json_put(json, "meanings", meanings(inspect));
		show_json(style, json);
	}
	return 0;
}
