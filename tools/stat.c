/* SPDX-License-Identifier: MIT */
/* shmring-dump stat: the counters of segments, by their own description of them. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "look.h"
#include "slot.h"

#define OF_SLOT 100 /* beside SHR_COUNTERS_* */

/* One number, as it was at some time. Only bytes of the key are compared: it has no holes. */
struct key {
	uint64_t epoch;
	uint64_t generation; /* of a slot: another record is another number */
	uint32_t of, index, number;
	uint32_t field, element;
	uint32_t reserved;
};

struct point {
	struct key key;
	uint64_t value;
	uint64_t time_ns;
};

struct points {
	struct point *points;
	size_t count, room;
};

struct stat {
	const struct request *request;
	const struct style *style;
	const char *name; /* the segment */
	const struct shr_inspect *inspect;
	uint64_t epoch;
	struct points before, now;
	json_t *json;           /* of the segment, an array; NULL: text */
	json_t *values, *rates; /* of one thing or slot */
	int titles;             /* text: say which segment */
};

/* A slot of a program's own counters. */
struct mine {
	struct stat *stat;
	struct slots *slots;
};

/* --- Rates ----------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct key));
}

static int points_add(struct points *points, const struct point *point)
{
	if (points->count == points->room) {
		size_t room = points->room ? 2 * points->room : 256;
		struct point *more = realloc(points->points, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		points->points = more;
		points->room = room;
	}
	points->points[points->count++] = *point;
	return 0;
}

/* How much a number grew a second since the look before: NaN if that is not known. */
static int rate_of(struct stat *stat, const struct key *key, uint64_t value, double *rate)
{
	const struct point point = {*key, value, look_time_ns()}, *before = NULL;

	*rate = NAN;
	if (!stat->request->interval_ns)
		return 0;
	if (stat->before.count)
		before = bsearch(key, stat->before.points, stat->before.count,
				 sizeof(*stat->before.points), by_key);
	if (before && key->of == OF_SLOT && point.time_ns > before->time_ns) /* it may fall */
		*rate = (double)(int64_t)(value - before->value) * 1e9 /
			(double)(point.time_ns - before->time_ns);
	else if (before)
		*rate = look_rate(before->value, value, point.time_ns - before->time_ns);
	return points_add(&stat->now, &point);
}

static void rates_turn(struct stat *stat)
{
	struct points points = stat->before;

	if (stat->now.count)
		qsort(stat->now.points, stat->now.count, sizeof(*stat->now.points), by_key);
	stat->before = stat->now;
	stat->now = points;
	stat->now.count = 0;
}

/* --- One thing and its counters -------------------------------------------------- */

/* "ring orders" */
static void put_thing(const struct thing *thing)
{
	fputs(thing->title, stdout);
	if (thing->object) {
		putchar(' ');
		text_string(stdout, thing->object->name);
	}
	if (thing->cursor) {
		putchar(' ');
		text_string(stdout, thing->cursor->name);
	}
	if (thing->of == SHR_COUNTERS_MEMBER || thing->of == SHR_COUNTERS_MUTEX)
		printf(" %" PRIu32, thing->number);
}

/* 'slot stats[0] v1: name="www"' */
static void put_slot(const struct style *style, const struct mine *mine, const struct slot *slot)
{
	const struct slots *slots = mine->slots;
	const struct shr_walk_record record = {.payload = slots->payload, .copied = slots->room};

	printf("%sslot%s %s", BOLD(style), PLAIN(style), BOLD(style));
	text_string(stdout, slots->object.name);
	printf("[%" PRIu32 "]%s v%" PRIu64 ":", slot->number, PLAIN(style), slot->info.version);
	text_labels(stdout, style, slots->object.schema, slots->status.key_field, &record);
}

static void put_rate(const struct stat *stat, double rate)
{
	if (!stat->request->interval_ns)
		return;
	if (isnan(rate))
		printf(" %16s", "-");
	else
		printf(" %14.1f/s", rate);
}

/* @thing or @slot has it. */
static int show_counter(struct stat *stat, const struct thing *thing, const struct mine *mine,
			const struct slot *slot, const struct key *key,
			const struct shr_field *field, struct value value)
{
	int element = field->count ? (int)key->element : -1;
	double rate;
	int falls = field->kind == SHR_KIND_I32 || field->kind == SHR_KIND_I64;
	int err = rate_of(stat, key, falls ? (uint64_t)value.i : value.u, &rate);

	if (err)
		return err;
	if (stat->json) {
		if (element < 0 && !isnan(rate))
			json_put(stat->rates, field->name, json_real(rate));
		if (thing)
			json_put(stat->values, field->name, json_u64(value.u));
		return 0;
	}
	if (!stat->request->lines) {
		fputs("  ", stdout);
		text_counter_value(stdout, field, value);
		put_rate(stat, rate);
		putchar(' ');
		text_counter_meaning(stdout, field, element);
		return 0;
	}
	text_counter_value(stdout, field, value);
	put_rate(stat, rate);
	fputs("  ", stdout);
	text_string(stdout, stat->name);
	putchar(' ');
	if (thing)
		put_thing(thing);
	else
		put_slot(stat->style, mine, slot);
	putchar(' ');
	text_counter_name(stdout, field, element);
	if (field->unit && *field->unit) {
		fputs(", ", stdout);
		text_string(stdout, field->unit);
	}
	putchar('\n');
	return 0;
}

static int show_commits(struct stat *stat, const struct thing *thing, const struct key *key)
{
	struct slots slots;
	uint64_t commits = 0;
	int err = slots_open(&slots, stat->inspect, thing->index);

	if (!err)
		err = slots_commits(&slots, &commits);
	if (!err && slots.status.mode != SHR_TABLE_COUNTERS)
		err = show_counter(stat, thing, NULL, NULL, key, &commits_field,
				   (struct value){.u = commits});
	slots_close(&slots);
	return err;
}

/* What a look at the records finds, and the next field after those of the segment. */
static int show_written(struct stat *stat, const struct thing *thing, struct key *key)
{
	struct shr_ring_status status;
	int err = shr_inspect_ring(stat->inspect, thing->index, &status);

	if (!err)
		err = show_counter(stat, thing, NULL, NULL, key, &written_field,
				   (struct value){.u = status.tail});
	key->field++;
	if (!err && status.sequence)
		err = show_counter(stat, thing, NULL, NULL, key, &numbered_field,
				   (struct value){.u = status.sequence - 1});
	return err;
}

/* The counters of one slot, and in JSON what else is in it. */
static int show_fields(struct stat *stat, const struct mine *mine, const struct slot *slot,
		       json_t *labels)
{
	const struct slots *slots = mine->slots;
	const struct shr_schema *schema = slots->object.schema;
	struct key key = {.epoch = stat->epoch,
			  .generation = slot->info.generation,
			  .of = OF_SLOT,
			  .index = slots->index,
			  .number = slot->number};
	int err = 0;

	for (uint32_t i = 0; !err && i < fields_in(schema, slots->room); i++) {
		const struct shr_field *field = &schema->fields[i];
		int counter = is_counter(schema, i + 1, slots->status.key_field);

		key.field = i;
		if (stat->json)
			json_put(counter ? stat->values : labels, field->name,
				 json_field(field, slots->payload));
		for (uint32_t j = 0; counter && !err && j < (field->count ? field->count : 1);
		     j++) {
			key.element = j;
			err = show_counter(stat, NULL, mine, slot, &key, field,
					   field_value(field, slots->payload, j));
		}
	}
	return err;
}

/* What belongs together begins, and ends. */
static void json_begin(struct stat *stat)
{
	stat->values = json_object();
	stat->rates = json_object();
}

static void json_end(struct stat *stat, json_t *json)
{
	json_put(json, "counters", stat->values);
	if (stat->request->interval_ns)
		json_put(json, "rates", stat->rates);
	else
		json_decref(stat->rates);
	json_array_append_new(stat->json, json);
}

/* A program's own, in a slot of a table of counters. */
static int show_slot(const struct slot *slot, void *argument)
{
	struct mine *mine = argument;
	struct stat *stat = mine->stat;
	json_t *json, *labels;
	int err;

	if (!stat->json) {
		if (slot->state == SLOT_READY && !stat->request->lines) {
			put_slot(stat->style, mine, slot);
			putchar('\n');
		} else if (slot->state != SLOT_READY && !stat->request->lines) {
			printf("%sslot%s ", BOLD(stat->style), PLAIN(stat->style));
			slot_text(stat->style, mine->slots, slot, NULL);
		}
		return slot->state == SLOT_READY ? show_fields(stat, mine, slot, NULL) : 0;
	}
	if (slot->state != SLOT_READY)
		return 0;
	json = json_object();
	labels = json_object();
	json_begin(stat);
	json_put(json, "of", json_string("slot"));
	json_put_bytes(json, "object", mine->slots->object.name);
	json_put(json, "number", json_integer(slot->number));
	err = show_fields(stat, mine, slot, labels);
	json_put(json, "labels", labels);
	json_end(stat, json);
	return err;
}

static int show_slots(struct stat *stat, uint32_t index)
{
	struct slots slots;
	struct mine mine = {stat, &slots};
	int err = slots_open(&slots, stat->inspect, index);

	if (!err && slots.status.mode == SHR_TABLE_COUNTERS && slots.object.schema)
		err = slots_each(&slots, show_slot, &mine);
	slots_close(&slots);
	return err;
}

static int show_counters(struct stat *stat, const struct thing *thing,
			 const struct shr_schema *schema)
{
	struct key key = {.epoch = stat->epoch,
			  .of = thing->of,
			  .index = thing->index,
			  .number = thing->number};
	int err = 0;

	for (; key.field < schema->field_count && !err; key.field++) {
		struct value value = {0};

		err = shr_inspect_counter(stat->inspect, thing->of, thing->index, thing->number,
					  key.field, &value.u);
		if (!err)
			err = show_counter(stat, thing, NULL, NULL, &key,
					   &schema->fields[key.field], value);
	}
	if (thing->of == SHR_COUNTERS_TABLE && !err)
		err = show_commits(stat, thing, &key);
	if (thing->of == SHR_COUNTERS_RING && !err)
		err = show_written(stat, thing, &key);
	return err;
}

static json_t *json_thing(const struct thing *thing)
{
	json_t *json = json_object();

	json_put(json, "of", json_string(thing->title));
	if (thing->object)
		json_put_bytes(json, "object", thing->object->name);
	if (thing->cursor)
		json_put_bytes(json, "name", thing->cursor->name);
	if (thing->of == SHR_COUNTERS_MEMBER || thing->of == SHR_COUNTERS_MUTEX)
		json_put(json, "number", json_integer(thing->number));
	return json;
}

static int show_thing(const struct thing *thing, void *argument)
{
	struct stat *stat = argument;
	const struct shr_schema *schema = shr_inspect_counters(stat->inspect, thing->of);
	int err = 0;

	if (schema) {
		if (stat->json) {
			json_begin(stat);
		} else if (!stat->request->lines) {
			fputs(BOLD(stat->style), stdout);
			put_thing(thing);
			printf("%s\n", PLAIN(stat->style));
		}
		err = show_counters(stat, thing, schema);
		if (stat->json)
			json_end(stat, json_thing(thing));
	}
	if (!err && thing->of == SHR_COUNTERS_TABLE)
		err = show_slots(stat, thing->index);
	return err;
}

/* --- JSON: what they mean -------------------------------------------------------- */

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
	json_put(json_object_get(json, "ring"), written_field.name, meaning(&written_field));
	json_put(json_object_get(json, "ring"), numbered_field.name, meaning(&numbered_field));
	for (uint32_t i = 0; i < objects; i++)
		if (!shr_inspect_object(inspect, i, &object) && object.kind == SHR_OBJECT_TABLE &&
		    !shr_inspect_table(inspect, i, &table) && table.mode == SHR_TABLE_COUNTERS)
			json_put(slot, object.name, meanings_of(object.schema));
	json_put(json, "slot", slot);
	return json;
}

/* --- Segments, and again --------------------------------------------------------- */

static json_t *json_segment(struct stat *stat, uint32_t objects)
{
	json_t *json = json_object();
	struct timespec now;

	json_put(json, "v", json_integer(1));
	json_put_bytes(json, "segment", stat->name);
	if (stat->request->interval_ns) {
		clock_gettime(CLOCK_REALTIME, &now);
		json_put(json, "time_ns",
			 json_u64((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec));
	}
	json_put(json, "counters", stat->json);
	json_put(json, "meanings", meanings(stat->inspect, objects));
	stat->json = NULL;
	return json;
}

/* Show the segment, or add it to @list if that is not NULL. -errno. */
static int stat_segment(struct stat *stat, json_t *list)
{
	struct shr_inspect *inspect = NULL;
	struct shr_segment_info info;
	int err = look_open(&inspect, stat->request, stat->name);

	if (err)
		return err;
	stat->inspect = inspect;
	if (stat->style->format != FORMAT_TEXT)
		stat->json = json_array();
	err = shr_inspect_segment(inspect, &info);
	stat->epoch = info.epoch;
	if (!err && !stat->json && stat->titles && !stat->request->lines) {
		printf("%ssegment ", BOLD(stat->style));
		text_string(stdout, stat->name);
		printf("%s\n", PLAIN(stat->style));
	}
	if (!err)
		err = things_each(inspect, show_thing, stat);
	if (!err && list)
		json_array_append_new(list, json_segment(stat, info.objects));
	else if (!err && stat->json)
		show_json(stat->style, json_segment(stat, info.objects));
	json_decref(stat->json);
	stat->json = NULL;
	look_close(inspect, stat->request);
	return err;
}

static void put_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	put_time((uint64_t)now.tv_sec * 1000000000u);
	putchar('\n');
}

/* One look at all. *@shown: segments that could be. Returns the exit status. */
static int stat_round(struct stat *stat, int count, char **names, size_t *shown)
{
	struct segments segments;
	int result = 0, taken = segments_take(&segments, stat->request, count, names);
	/* One object as long as one is asked for. */
	json_t *list = stat->style->format == FORMAT_JSON && count != 1 ? json_array() : NULL;

	*shown = 0;
	if (taken)
		result = failed(stat->request->directory ? stat->request->directory : "/dev/shm",
				taken);
	stat->titles = count != 1;
	for (size_t i = 0; i < segments.count; i++) {
		int err;

		stat->name = segments.names[i];
		err = stat_segment(stat, list);
		*shown += !err;
		if (err && !(segments.all && err == -ENOENT)) /* gone meanwhile */
			result = failed(stat->name, err);
	}
	segments_free(&segments);
	if (list)
		show_json(stat->style, list);
	rates_turn(stat);
	return result;
}

int command_stat(const struct request *request, int count, char **names)
{
	struct stat stat = {.request = request, .style = &request->style};
	uint64_t again = look_time_ns();
	size_t shown = 0;
	int result = 0;

	if (request->style.format == FORMAT_OPENMETRICS ||
	    request->style.format == FORMAT_PROMETHEUS)
		return command_metrics(request, count, names);
	if (request->interval_ns)
		look_until_signal();
	for (uint64_t i = 0; !look_ended() && !ferror(stdout); i++) {
		if (request->interval_ns && request->style.format == FORMAT_TEXT &&
		    !request->lines) {
			fputs(i ? "\n" : "", stdout);
			put_now();
		}
		result = stat_round(&stat, count, names, &shown);
		if (!request->interval_ns || i + 1 >= request->count || (result && !shown))
			break;
		fflush(stdout);
		again += request->interval_ns;
		if (again < look_time_ns()) /* a look took longer: not many at once later */
			again = look_time_ns();
		look_again_at(again);
	}
	free(stat.before.points);
	free(stat.now.points);
	return result;
}
