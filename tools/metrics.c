/* SPDX-License-Identifier: MIT */
/*
 * shmring-dump stat as metrics: OpenMetrics 1.0, and the text format 0.0.4 of
 * Prometheus, which node_exporter's textfile collector reads. In the first a counter's
 * family has no _total, in the second it has: no text is both.
 *
 * Names, units and help come from the segment and are not trusted: whatever they are,
 * what is written is of the format. A family is together and in order, and no metric
 * is there twice, since readers refuse the whole text otherwise.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "look.h"
#include "slot.h"

enum type { COUNTER, GAUGE, UNKNOWN };

/* What a family is: its name in parts, and what it means. */
struct about {
	const char *of, *name, *unit, *help; /* @unit and @help may be NULL */
	enum type type;
};

struct sample {
	char *metric; /* name{labels} */
	char *help;
	char value[48];
	size_t name_size; /* of the metric's name */
	size_t unit_size; /* of its end before _total; 0: no unit */
	size_t order;
	enum type type;
};

struct metrics {
	const struct request *request;
	int openmetrics;
	int all; /* segments that there are: one that goes is no error */
	struct sample *samples;
	size_t count, room;
	/* Where we are */
	const char *segment;
	const struct shr_inspect *inspect;
	uint32_t states[SHR_MEMBER_UNKNOWN + 1]; /* members in each */
	uint64_t died;
};

static void *must(void *memory)
{
	if (!memory) {
		fputs("shmring-dump: out of memory\n", stderr);
		exit(EXIT_FAILURE);
	}
	return memory;
}

/* --- Names and labels ------------------------------------------------------------ */

/* @name with what a metric's name may have, in lower case. */
static char *cleaned(const char *name)
{
	char *clean = must(strdup(name));

	for (char *at = clean; *at; at++) {
		if (*at >= 'A' && *at <= 'Z')
			*at = (char)(*at - 'A' + 'a');
		else if (!(*at >= 'a' && *at <= 'z') && !(*at >= '0' && *at <= '9'))
			*at = '_';
	}
	return clean;
}

static int ends_in(const char *name, const char *end)
{
	size_t size = strlen(name), tail = strlen(end);

	return size >= tail && !strcmp(name + size - tail, end);
}

/* Ends that the formats use themselves. */
static int is_reserved(const char *name)
{
	static const char *const ends[] = {"_total",  "_created", "_count",  "_sum",
					   "_bucket", "_info",    "_gcount", "_gsum"};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (ends_in(name, ends[i]))
			return 1;
	return 0;
}

/* The unit that metrics are in, of which a number of @unit is 1/@divisor. */
static const char *base_unit(const char *unit, long *divisor)
{
	static const struct {
		const char *unit, *base;
		long divisor;
	} units[] = {
		{"", NULL, 1},
		{"times", NULL, 1}, /* how often: no unit */
		{"B", "bytes", 1},
		{"byte", "bytes", 1},
		{"s", "seconds", 1},
		{"sec", "seconds", 1},
		{"ms", "seconds", 1000},
		{"milliseconds", "seconds", 1000},
		{"us", "seconds", 1000000},
		{"microseconds", "seconds", 1000000},
		{"ns", "seconds", 1000000000},
		{"nanoseconds", "seconds", 1000000000},
	};

	*divisor = 1;
	for (size_t i = 0; unit && i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(unit, units[i].unit)) {
			*divisor = units[i].divisor;
			return units[i].base;
		}
	return unit;
}

/* Is @unit the last word of @name? */
static int has_unit(const char *name, const char *unit)
{
	const char *end = name + strlen(name) - strlen(unit);

	return ends_in(name, unit) && (end == name || end[-1] == '_');
}

/* Put the name of a family; returns the size of the unit at its end, 0: none. */
static size_t put_name(FILE *out, const struct about *about)
{
	long divisor;
	const char *base = base_unit(about->unit, &divisor);
	char *of = cleaned(about->of), *name = cleaned(about->name),
	     *unit = cleaned(base ? base : "");
	size_t size = strlen(unit);
	int add_unit = size && !has_unit(name, unit);
	char *all = NULL;

	if (asprintf(&all, "shmring_%s_%s%s%s", of, name, add_unit ? "_" : "",
		     add_unit ? unit : "") < 0)
		must(NULL);
	fputs(all, out);
	if (is_reserved(all)) {
		fputc('_', out);
		size = 0;
	}
	free(all);
	free(of);
	free(name);
	free(unit);
	return size;
}

/* A value between quotes, or help: as on a terminal, and what the format escapes. */
static void put_escaped(FILE *out, const char *string, int help)
{
	char *text = NULL;
	size_t size;
	FILE *in = must(open_memstream(&text, &size));

	text_string(in, string);
	fclose(in);
	must(text);
	for (size_t i = 0; i < size; i++) {
		/* A quote in help is escaped in one format, and must not be in the other. */
		if (text[i] == '"')
			fputs(help ? "'" : "\\\"", out);
		else if (text[i] == '\\')
			fputs("\\\\", out);
		else
			fputc(text[i], out);
	}
	free(text);
}

/* --- Samples --------------------------------------------------------------------- */

/*
 * Begin a sample, with its labels: pairs of a name of ours and a value, to a NULL.
 * A value that is NULL is no label.
 */
static struct sample *sample_begin(struct metrics *metrics, const struct about *about,
				   va_list labels)
{
	struct sample *sample;
	const char *label;
	char *text = NULL;
	size_t size, room;
	FILE *out;

	if (metrics->count == metrics->room) {
		room = metrics->room ? 2 * metrics->room : 256;
		metrics->samples = must(realloc(metrics->samples, room * sizeof(*sample)));
		metrics->room = room;
	}
	sample = &metrics->samples[metrics->count];
	*sample = (struct sample){.order = metrics->count++, .type = about->type};
	out = must(open_memstream(&text, &size));
	sample->unit_size = put_name(out, about);
	if (about->type == COUNTER)
		fputs("_total", out);
	fflush(out);
	sample->name_size = size;
	fputs("{segment=\"", out);
	put_escaped(out, metrics->segment, 0);
	fputc('"', out);
	while ((label = va_arg(labels, const char *))) {
		const char *value = va_arg(labels, const char *);

		if (!value)
			continue;
		fprintf(out, ",%s=\"", label);
		put_escaped(out, value, 0);
		fputc('"', out);
	}
	fputc('}', out);
	fclose(out);
	sample->metric = must(text);
	text = NULL;
	out = must(open_memstream(&text, &size));
	put_escaped(out, about->help && *about->help ? about->help : "not described", 1);
	fclose(out);
	sample->help = must(text);
	return sample;
}

/* A whole number in the unit of @about. */
static void add_value(struct metrics *metrics, const struct about *about, int falls,
		      struct value value, ...)
{
	struct sample *sample;
	va_list labels;
	long divisor;

	va_start(labels, value);
	sample = sample_begin(metrics, about, labels);
	va_end(labels);
	base_unit(about->unit, &divisor);
	if (divisor > 1)
		snprintf(sample->value, sizeof(sample->value), "%.20Lg",
			 (falls ? (long double)value.i : (long double)value.u) /
				 (long double)divisor);
	else if (falls)
		snprintf(sample->value, sizeof(sample->value), "%" PRId64, value.i);
	else
		snprintf(sample->value, sizeof(sample->value), "%" PRIu64, value.u);
}

#define add(metrics, about, number, ...)                                                           \
	add_value(metrics, about, 0, (struct value){.u = (number)}, __VA_ARGS__)

static void add_ratio(struct metrics *metrics, const struct about *about, uint64_t part,
		      uint64_t whole, const char *object)
{
	const struct about ratio = {about->of, about->name, "ratio", about->help, GAUGE};

	add(metrics, &ratio, 0, "object", object, NULL);
	snprintf(metrics->samples[metrics->count - 1].value, sizeof(metrics->samples->value),
		 "%.9g", whole ? (double)part / (double)whole : 0.0);
}

/* --- What is counted ------------------------------------------------------------- */

/* Of what the segment describes, what may fall. */
static enum type type_of(uint32_t of, const char *name)
{
	return of == SHR_COUNTERS_TABLE && (!strcmp(name, "used") || !strcmp(name, "graves"))
		       ? GAUGE
		       : COUNTER;
}

static void member_labels(const struct metrics *metrics, uint32_t number, char text[2][12],
			  struct shr_member_info *member)
{
	*member = (struct shr_member_info){0};
	if (number)
		shr_inspect_member(metrics->inspect, number, member);
	snprintf(text[0], 12, "%" PRIu32, number);
	snprintf(text[1], 12, "%" PRIu32, member->pid);
}

/* Who produces or consumes: 1 while there is somebody, alive or dead. */
static void add_owner(struct metrics *metrics, const char *of, const char *name, const char *object,
		      const char *cursor, uint32_t number)
{
	const struct about owner = {
		of, name, NULL,
		"who has the role: 1 if it is alive, 0 if it is dead and not replaced", GAUGE};
	struct shr_member_info member;
	char text[2][12];

	if (!number)
		return;
	member_labels(metrics, number, text, &member);
	add(metrics, &owner, member.state == SHR_MEMBER_ALIVE, "object", object, "cursor", cursor,
	    "member", text[0], "pid", text[1], "command", member.command, NULL);
}

static int add_described(struct metrics *metrics, const struct thing *thing)
{
	const struct shr_schema *schema = shr_inspect_counters(metrics->inspect, thing->of);
	static const char *const of[] = {"ring", "cursor", "member", "mutex", "table"};
	char number[12];
	int err = 0;

	snprintf(number, sizeof(number), "%" PRIu32, thing->number);
	for (uint32_t i = 0; schema && !err && i < schema->field_count; i++) {
		const struct shr_field *field = &schema->fields[i];
		const struct about about = {of[thing->of], field->name, field->unit, field->help,
					    type_of(thing->of, field->name)};
		uint64_t value = 0;

		err = shr_inspect_counter(metrics->inspect, thing->of, thing->index, thing->number,
					  i, &value);
		if (!err)
			add(metrics, &about, value, "object",
			    thing->object ? thing->object->name : NULL, "cursor",
			    thing->cursor ? thing->cursor->name : NULL,
			    thing->member ? "member" : "mutex",
			    thing->member || thing->of == SHR_COUNTERS_MUTEX ? number : NULL, NULL);
	}
	return err;
}

static int add_ring(struct metrics *metrics, const struct thing *thing)
{
	const char *name = thing->object->name;
	const struct shr_ring_options *ring = &thing->object->ring;
	struct shr_ring_status status;
	int err = shr_inspect_ring(metrics->inspect, thing->index, &status);
	const struct {
		struct about about;
		uint64_t value;
		int is;
	} numbers[] = {
		{{"ring", "capacity", "bytes", "size of the record area", GAUGE},
		 ring->capacity,
		 1},
		{{"ring", written_field.name, written_field.unit, written_field.help, COUNTER},
		 status.tail,
		 1},
		{{"ring", "unread", "bytes", "written, and not released by the slowest gate",
		  GAUGE},
		 status.tail - status.position,
		 ring->mode != SHR_RING_OVERWRITE},
		{{"ring", numbered_field.name, numbered_field.unit, numbered_field.help, COUNTER},
		 status.sequence - 1,
		 status.sequence != 0},
		{{"ring", "producer_takeovers", NULL, "a single producer died and was replaced",
		  COUNTER},
		 status.producer_takeovers,
		 1},
		{{"ring", "lock_repairs", NULL, "a claim lock was taken over from the dead",
		  COUNTER},
		 status.lock_repairs,
		 1},
		{{"ring", "evicted", "cursors", "that went with their owner", COUNTER},
		 status.evicted,
		 1},
	};

	if (err)
		return err;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (numbers[i].is)
			add(metrics, &numbers[i].about, numbers[i].value, "object", name, NULL);
	if (ring->mode != SHR_RING_OVERWRITE)
		add_ratio(metrics,
			  &(struct about){"ring", "fill", NULL,
					  "part of the capacity that is unread", GAUGE},
			  status.tail - status.position, ring->capacity, name);
	add_owner(metrics, "ring", "producer_alive", name, NULL, status.producer);
	return 0;
}

static int add_cursor(struct metrics *metrics, const struct thing *thing)
{
	static const struct about bytes = {"cursor", "lag", "bytes",
					   "written, and not released by it", GAUGE};
	static const struct about records = {"cursor", "lag", "records",
					     "with numbers from the next that it should have on",
					     GAUGE};
	static const struct about takeovers = {"cursor", "takeovers", NULL,
					       "its owner died and was replaced", COUNTER};
	const struct shr_cursor_info *cursor = thing->cursor;
	struct shr_ring_status status;
	int err;

	if (!cursor)
		return 0;
	err = shr_inspect_ring(metrics->inspect, thing->index, &status);
	if (err)
		return err;
	/* It was looked at before the ring. */
	add(metrics, &bytes, status.tail - cursor->position, "object", thing->object->name,
	    "cursor", cursor->name, NULL);
	if (status.sequence && cursor->sequence)
		add(metrics, &records,
		    status.sequence > cursor->sequence ? status.sequence - cursor->sequence : 0,
		    "object", thing->object->name, "cursor", cursor->name, NULL);
	add(metrics, &takeovers, cursor->takeovers, "object", thing->object->name, "cursor",
	    cursor->name, NULL);
	add_owner(metrics, "cursor", "consumer_alive", thing->object->name, cursor->name,
		  cursor->member);
	return 0;
}

static void add_member(struct metrics *metrics, const struct thing *thing)
{
	static const struct about alive = {
		"member", "alive", NULL,
		"who is attached: 1 if it is alive, 0 if it is dead and not mended", GAUGE};
	struct shr_member_info member;
	char text[2][12];

	member_labels(metrics, thing->number, text, &member);
	if (member.state > SHR_MEMBER_UNKNOWN)
		return;
	metrics->states[member.state]++;
	if (member.attaches > member.detaches + (member.state == SHR_MEMBER_ALIVE))
		metrics->died +=
			member.attaches - member.detaches - (member.state == SHR_MEMBER_ALIVE);
	if (member.state == SHR_MEMBER_ALIVE || member.state == SHR_MEMBER_DEAD)
		add(metrics, &alive, member.state == SHR_MEMBER_ALIVE, "member", text[0], "pid",
		    text[1], "command", member.command, "role", member.role, NULL);
}

/* --- Tables ---------------------------------------------------------------------- */

struct mine {
	struct metrics *metrics;
	struct slots *slots;
	char *of; /* slot_STRUCT */
};

/* The key as text, or NULL: there is none that is text or a whole number. */
static char *key_text(const struct slots *slots)
{
	const struct shr_schema *schema = slots->object.schema;
	uint32_t number = slots->status.key_field;
	const struct shr_field *field;
	struct value value;
	char *text = NULL;

	if (!number || number > fields_in(schema, slots->room))
		return NULL;
	field = &schema->fields[number - 1];
	if (field->kind == SHR_KIND_CHAR && field->count)
		return must(strndup((const char *)slots->payload + field->offset, field->count));
	value = field_value(field, slots->payload, 0);
	if (field->count || field->kind == SHR_KIND_F32 || field->kind == SHR_KIND_F64)
		return NULL;
	if (value_name(field, &value))
		return must(strdup(value_name(field, &value)));
	/* One of the two is zero, by its kind. */
	if (asprintf(&text, "%s%" PRIu64, value.i < 0 ? "-" : "",
		     value.i < 0 ? -(uint64_t)value.i : (uint64_t)value.i + value.u) < 0)
		must(NULL);
	return text;
}

static int add_slot(const struct slot *slot, void *argument)
{
	struct mine *mine = argument;
	const struct slots *slots = mine->slots;
	const struct shr_schema *schema = slots->object.schema;
	char number[12], index[12], *key;

	if (slot->state != SLOT_READY)
		return 0;
	key = key_text(slots);
	snprintf(number, sizeof(number), "%" PRIu32, slot->number);
	for (uint32_t i = 0; i < fields_in(schema, slots->room); i++) {
		const struct shr_field *field = &schema->fields[i];
		const struct about about = {mine->of, field->name, field->unit, field->help,
					    UNKNOWN};

		if (!is_counter(schema, i + 1, slots->status.key_field))
			continue;
		for (uint32_t j = 0; j < (field->count ? field->count : 1); j++) {
			snprintf(index, sizeof(index), "%" PRIu32, j);
			add_value(mine->metrics, &about,
				  field->kind == SHR_KIND_I32 || field->kind == SHR_KIND_I64,
				  field_value(field, slots->payload, j), "object",
				  slots->object.name, key ? "key" : "slot", key ? key : number,
				  "index", field->count ? index : NULL, NULL);
		}
	}
	free(key);
	return 0;
}

static int add_slots(struct metrics *metrics, struct slots *slots)
{
	struct mine mine = {metrics, slots, NULL};
	size_t size;
	FILE *out = must(open_memstream(&mine.of, &size));
	int err;

	fprintf(out, "slot_%s", slots->object.schema->name);
	fclose(out);
	must(mine.of);
	err = slots_each(slots, add_slot, &mine);
	free(mine.of);
	return err;
}

static int add_table(struct metrics *metrics, const struct thing *thing)
{
	static const struct about capacity = {"table", "capacity", "slots",
					      "records that it has room for", GAUGE};
	static const struct about fill = {"table", "fill", NULL, "part of its slots that is used",
					  GAUGE};
	const struct about commits = {"table", commits_field.name, commits_field.unit,
				      commits_field.help, COUNTER};
	const char *name = thing->object->name;
	struct slots slots;
	uint64_t sum = 0;
	int err = slots_open(&slots, metrics->inspect, thing->index);

	if (!err) {
		add(metrics, &capacity, slots.status.slots, "object", name, NULL);
		add_ratio(metrics, &fill, slots.status.used, slots.status.slots, name);
		if (slots.status.mode != SHR_TABLE_COUNTERS) {
			err = slots_commits(&slots, &sum);
			if (!err)
				add(metrics, &commits, sum, "object", name, NULL);
		} else if (slots.object.schema) {
			err = add_slots(metrics, &slots);
		}
	}
	slots_close(&slots);
	return err;
}

/* --- All, and the text ------------------------------------------------------------ */

static int add_thing(const struct thing *thing, void *argument)
{
	struct metrics *metrics = argument;
	int err = add_described(metrics, thing);

	if (err)
		return err;
	switch (thing->of) {
	case SHR_COUNTERS_RING:
		return add_ring(metrics, thing);
	case SHR_COUNTERS_CURSOR:
		return add_cursor(metrics, thing);
	case SHR_COUNTERS_TABLE:
		return add_table(metrics, thing);
	case SHR_COUNTERS_MEMBER:
		add_member(metrics, thing);
	}
	return 0;
}

static void add_segment(struct metrics *metrics, const struct shr_segment_info *info)
{
	static const struct about size = {"segment", "size", "bytes", "of all of it", GAUGE};
	static const struct about made = {"segment", "created", "ns",
					  "when it was made, since the beginning of 1970", GAUGE};
	static const struct about obsolete = {"segment", "obsolete", NULL,
					      "1: unlinked or replaced.", GAUGE};
	static const struct about slots = {"segment", "capacity", "members",
					   "processes that can be attached at a time", GAUGE};
	static const struct about members = {
		"segment", "attached", "members",
		"processes that are attached, and dead ones that are not mended yet", GAUGE};
	static const struct about died = {"segment", "died", "members",
					  "processes that ended without detaching", COUNTER};

	add(metrics, &size, info->size, NULL);
	add(metrics, &made, info->created_ns, NULL);
	add(metrics, &obsolete, info->obsolete, NULL);
	add(metrics, &slots, info->members, NULL);
	for (uint32_t i = SHR_MEMBER_ALIVE; i <= SHR_MEMBER_UNKNOWN; i++)
		add(metrics, &members, metrics->states[i], "state", name_of_member_state(i), NULL);
	add(metrics, &died, metrics->died, NULL);
}

static int look(struct metrics *metrics, const char *name)
{
	static const struct about up = {"segment", "up", NULL,
					"1: it, and all that is in it, could be read", GAUGE};
	struct shr_inspect *inspect = NULL;
	struct shr_segment_info info;
	int err = look_open(&inspect, metrics->request, name);

	metrics->segment = name;
	metrics->inspect = inspect;
	memset(metrics->states, 0, sizeof(metrics->states));
	metrics->died = 0;
	if (err == -ENOENT && metrics->all) /* gone meanwhile */
		return 0;
	if (!err)
		err = things_each(inspect, add_thing, metrics);
	if (!err)
		err = shr_inspect_segment(inspect, &info);
	if (!err)
		add_segment(metrics, &info);
	add(metrics, &up, !err, NULL);
	look_close(inspect, metrics->request);
	return err;
}

static int by_metric(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;
	int order = strcmp(x->metric, y->metric);

	return order ? order : (x->order > y->order) - (x->order < y->order);
}

/* Is it of the family of the one before it? */
static int is_next(const struct sample *before, const struct sample *sample)
{
	return before && before->name_size == sample->name_size &&
	       !memcmp(before->metric, sample->metric, sample->name_size);
}

static void put_family(const struct metrics *metrics, const struct sample *sample)
{
	size_t total = sample->type == COUNTER ? strlen("_total") : 0;
	size_t all = sample->name_size - (metrics->openmetrics ? total : 0);
	size_t unit = sample->unit_size;
	const char *name = sample->metric;

	/* What has no type is unknown in the one format, and untyped in the other. */
	if (sample->type != UNKNOWN)
		printf("# TYPE %.*s %s\n", (int)all, name,
		       sample->type == COUNTER ? "counter" : "gauge");
	if (metrics->openmetrics && unit)
		printf("# UNIT %.*s %.*s\n", (int)all, name, (int)unit, name + all - unit);
	printf("# HELP %.*s %s\n", (int)all, name, sample->help);
}

static void put_all(struct metrics *metrics)
{
	const struct sample *before = NULL;
	size_t same = 0;

	if (metrics->count)
		qsort(metrics->samples, metrics->count, sizeof(*metrics->samples), by_metric);
	for (size_t i = 0; i < metrics->count; i++) {
		const struct sample *sample = &metrics->samples[i];

		same = before && !strcmp(before->metric, sample->metric) ? same + 1 : 0;
		if (!is_next(before, sample))
			put_family(metrics, sample);
		if (same) /* names that differ in what a metric's name cannot have */
			printf("%.*s,duplicate=\"%zu\"} %s\n", (int)strlen(sample->metric) - 1,
			       sample->metric, same, sample->value);
		else
			printf("%s %s\n", sample->metric, sample->value);
		before = sample;
	}
	if (metrics->openmetrics)
		puts("# EOF");
}

int command_metrics(const struct request *request, int count, char **names)
{
	struct metrics metrics = {.request = request,
				  .openmetrics = request->style.format == FORMAT_OPENMETRICS};
	struct segments segments;
	int result = 0, err = segments_take(&segments, request, count, names);

	if (err)
		return failed(request->directory ? request->directory : "/dev/shm", err);
	metrics.all = segments.all;
	for (size_t i = 0; i < segments.count; i++) {
		err = look(&metrics, segments.names[i]);
		if (err)
			result = failed(segments.names[i], err);
	}
	segments_free(&segments);
	put_all(&metrics);
	for (size_t i = 0; i < metrics.count; i++) {
		free(metrics.samples[i].metric);
		free(metrics.samples[i].help);
	}
	free(metrics.samples);
	return result;
}
