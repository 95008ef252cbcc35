/* SPDX-License-Identifier: MIT */
/* shmring-dump stat: the counters of a segment, by its own description of them. */
#include <inttypes.h>
#include <stdlib.h>

#include "commands.h"
#include "slot.h"

struct counters {
	const struct shr_inspect *inspect;
	const struct style *style;
	json_t *json; /* an array, or NULL: text */
	int err;
};

/* The counters that a program keeps in a table. */
struct mine {
	struct counters *all;
	struct slots *slots;
};

static const struct shr_field commits_field = {
	.name = "commits",
	.kind = SHR_KIND_U64,
	.unit = "times",
	.help = "an update was made what everybody reads, in all slots together",
};

/* What no number of a table itself says. */
static void show_commits(struct counters *all, uint32_t index, json_t *values)
{
	struct slots slots;
	uint64_t commits = 0;
	int err = slots_open(&slots, all->inspect, index);

	if (!err)
		err = slots_commits(&slots, &commits);
	all->err = err;
	if (!err && slots.status.mode != SHR_TABLE_COUNTERS) {
		if (values)
			json_put(values, commits_field.name, json_u64(commits));
		else
			text_counter(stdout, &commits_field, -1, (struct value){.u = commits});
	}
	slots_close(&slots);
}

/* A program's own, in a slot of a table of counters. */
static int show_slot(const struct slot *slot, void *argument)
{
	struct mine *mine = argument;
	const struct slots *slots = mine->slots;
	const struct shr_schema *schema = slots->object.schema;
	json_t *json, *labels, *values;

	if (!mine->all->json) {
		printf("%sslot%s ", BOLD(mine->all->style), PLAIN(mine->all->style));
		slot_text(mine->all->style, slots, slot, NULL);
		return 0;
	}
	if (slot->state != SLOT_READY)
		return 0;
	json = json_object();
	labels = json_object();
	values = json_object();
	json_put(json, "of", json_string("slot"));
	json_put_bytes(json, "object", slots->object.name);
	json_put(json, "number", json_integer(slot->number));
	for (uint32_t i = 0; i < fields_in(schema, slots->room); i++)
		json_put(is_counter(schema, i + 1, slots->status.key_field) ? values : labels,
			 schema->fields[i].name, json_field(&schema->fields[i], slots->payload));
	json_put(json, "labels", labels);
	json_put(json, "counters", values);
	json_array_append_new(mine->all->json, json);
	return 0;
}

static void show_slots(struct counters *all, uint32_t index)
{
	struct slots slots;
	struct mine mine = {all, &slots};

	all->err = slots_open(&slots, all->inspect, index);
	if (!all->err && slots.status.mode == SHR_TABLE_COUNTERS && slots.object.schema)
		all->err = slots_each(&slots, show_slot, &mine);
	slots_close(&slots);
}

/* Those of one ring, cursor, member, mutex or table, which people know as @title and @name. */
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
		text_counter(stdout, field, -1, (struct value){.u = value});
	}
	if (of == SHR_COUNTERS_TABLE && !all->err)
		show_commits(all, index, values);
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
	if (object.kind == SHR_OBJECT_TABLE) {
		show(all, SHR_COUNTERS_TABLE, index, 0, "table", object.name, NULL);
		if (!all->err)
			show_slots(all, index);
	}
	if (object.kind != SHR_OBJECT_RING)
		return;
	show(all, SHR_COUNTERS_RING, index, 0, "ring", object.name, NULL);
	if (object.ring.mode == SHR_RING_QUEUE)
		show(all, SHR_COUNTERS_CURSOR, index, 0, "gate", object.name, NULL);
	for (uint32_t i = 0; i < SHR_RING_CURSORS_MAX; i++)
		if (!shr_inspect_cursor(all->inspect, index, i, &cursor))
			show(all, SHR_COUNTERS_CURSOR, index, i, "cursor", object.name, cursor.name);
}

static json_t *meaning(const struct shr_field *field)
{
	json_t *json = json_object();

	json_put_bytes(json, "unit", field->unit ? field->unit : "");
	json_put_bytes(json, "help", field->help ? field->help : "");
	return json;
}

static json_t *meanings_of(const struct shr_schema *schema)
{
	json_t *json = json_object();

	for (uint32_t i = 0; schema && i < schema->field_count; i++)
		json_put(json, schema->fields[i].name, meaning(&schema->fields[i]));
	return json;
}

static json_t *meanings(const struct shr_inspect *inspect, uint32_t objects)
{
	static const char *const of[] = {"ring", "cursor", "member", "mutex", "table"};
	json_t *json = json_object(), *slot = json_object();
	struct shr_object_info object;
	struct shr_table_status table;

	for (uint32_t i = 0; i < sizeof(of) / sizeof(of[0]); i++)
		json_put(json, of[i], meanings_of(shr_inspect_counters(inspect, i)));
	json_put(json_object_get(json, "table"), commits_field.name, meaning(&commits_field));
	for (uint32_t i = 0; i < objects; i++)
		if (!shr_inspect_object(inspect, i, &object) && object.kind == SHR_OBJECT_TABLE &&
		    !shr_inspect_table(inspect, i, &table) && table.mode == SHR_TABLE_COUNTERS)
			json_put(slot, object.name, meanings_of(object.schema));
	json_put(json, "slot", slot);
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
		json_put(json, "meanings", meanings(inspect, info.objects));
		show_json(style, json);
	}
	return 0;
}
