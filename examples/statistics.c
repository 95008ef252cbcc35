/* SPDX-License-Identifier: MIT */
/*
 * Statistics that many processes add to, and a reader that knows none of them:
 *
 *	statistics work /statistics http &
 *	statistics work /statistics http &
 *	statistics work /statistics smtp &
 *	statistics show /statistics
 *
 * Shows a table of counters. A worker adds to the row of its service, which others may
 * add to as well: one atomic operation for a number, no lock and no system call. Killed
 * between two additions it leaves both numbers as they are, and whole.
 *
 * The reader is an observer: it needs only permission to read and can disturb nobody.
 * It has no idea of struct statistics: names, units and help of the numbers are in the
 * segment, so it shows any table of counters that is an object "table".
 */
#include <shmring/inspect.h>
#include <shmring/shmring.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME_BYTES 16

struct statistics {
	char service[NAME_BYTES]; /* the key */
	uint64_t requests;
	uint64_t bytes;
	uint32_t errors;
	uint32_t workers; /* that have come so far */
};
SHR_SCHEMA(statistics, 1, service, requests, bytes, errors, workers);

struct arguments {
	uint64_t count;    /* requests or looks, and then end; 0: for ever */
	uint64_t every_us; /* between two of them; UINT64_MAX: as usual */
};

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
	stopped = number;
}

__attribute__((format(printf, 1, 2))) static int complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("statistics: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	return -1;
}

static void sleep_us(uint64_t us)
{
	struct timespec pause = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};

	if (us)
		nanosleep(&pause, NULL);
}

/* --- A worker ---------------------------------------------------------------- */

/* What SHR_SCHEMA() found out, and what people want to know. */
static int make_table(struct shr_table **table, const char *name)
{
	static const struct {
		const char *name, *unit, *help;
	} said[] = {{"requests", "requests", "answered, well or not"},
		    {"bytes", "bytes", "sent to clients"},
		    {"errors", "requests", "answered with an error"},
		    {"workers", "times", "a worker began"}};
	struct shr_schema schema = *SHR_SCHEMA_OF(statistics);
	struct shr_field fields[SHR_FIELDS_MAX];
	struct shr_table_options options = {.struct_size = sizeof(options),
					    .mode = SHR_TABLE_COUNTERS,
					    .slots = 64,
					    .schema = &schema,
					    .key = "service"};
	struct shr_segment_options segment = {.struct_size = sizeof(segment), .role = "work"};

	for (uint32_t i = 0; i < schema.field_count; i++) {
		fields[i] = schema.fields[i];
		for (size_t j = 0; j < sizeof(said) / sizeof(said[0]); j++)
			if (!strcmp(said[j].name, fields[i].name)) {
				fields[i].unit = said[j].unit;
				fields[i].help = said[j].help;
			}
	}
	schema.fields = fields;
	if (shr_table_open(table, name, "+>", &options, &segment))
		return complain("%s", shr_last_error());
	return 0;
}

/* The row of @service, made by who comes first. Nobody removes one. */
static int find_row(struct shr_table *table, const char *service, uint32_t *slot)
{
	struct statistics first = {0};
	int err;

	memcpy(first.service, service, strlen(service)); /* not longer than that: main() */
	err = shr_table_insert(table, &first, sizeof(first), slot);
	if (err == -EEXIST)
		err = shr_table_find(table, service, strlen(service), slot);
	return err;
}

#define ADD(table, slot, member, amount)                                                           \
	shr_table_add(table, slot, offsetof(struct statistics, member), amount, NULL)

/* Request @number: the same of each worker, so that a test knows the sums. */
static int answer(struct shr_table *table, uint32_t slot, uint64_t number)
{
	int err = ADD(table, slot, bytes, (int64_t)(number % 1000));

	if (!err && number % 100 == 0)
		err = ADD(table, slot, errors, 1);
	return err ? err : ADD(table, slot, requests, 1);
}

static int work(const char *name, const char *service, const struct arguments *a)
{
	struct shr_table *table = NULL;
	uint64_t done = 0;
	uint32_t slot = 0;
	int err = make_table(&table, name);

	if (err)
		return 1;
	err = find_row(table, service, &slot);
	if (!err)
		err = ADD(table, slot, workers, 1);
	while (!err && !stopped && (!a->count || done < a->count)) {
		err = answer(table, slot, ++done);
		if (!err && done % 1000 == 0) /* was the file removed? */
			err = shr_segment_check(shr_table_segment(table));
		sleep_us(a->every_us == UINT64_MAX ? 100 : a->every_us);
	}
	if (err)
		complain("%s", shr_last_error());
	else
		printf("%s: answered %" PRIu64 " requests\n", service, done);
	shr_table_close(table);
	return err ? 1 : 0;
}

/* --- The reader -------------------------------------------------------------- */

struct reader {
	struct shr_inspect *inspect; /* has the schema */
	struct shr_segment *segment;
	struct shr_table *table;
	const struct shr_schema *schema;
	uint32_t key; /* number of the field, from 1; 0: none */
	struct row *rows;
	char *before, *now; /* a record each time; before: of each slot */
};

/* What was seen in a slot at the last look. */
struct row {
	uint64_t generation; /* 0: nothing was there */
	int64_t time_ns;
};

static int open_reader(struct reader *r, const char *name)
{
	struct shr_segment_options observe = {.struct_size = sizeof(observe),
					      .flags = SHR_SEGMENT_OBSERVE};
	struct shr_object_info object;
	struct shr_table_status status;
	int index;

	if (shr_inspect_open(&r->inspect, name))
		return complain("%s", shr_last_error());
	index = shr_inspect_find(r->inspect, "table");
	if (index < 0 || shr_inspect_object(r->inspect, (uint32_t)index, &object))
		return complain("%s", shr_last_error());
	r->schema = object.schema;
	if (shr_segment_attach(&r->segment, name, &observe) ||
	    shr_table_attach(&r->table, r->segment, "table", r->schema) ||
	    shr_table_stat(r->table, &status))
		return complain("%s", shr_last_error());
	if (status.mode != SHR_TABLE_COUNTERS)
		return complain("%s is no table of counters", name);
	r->key = status.key_field;
	r->rows = calloc(status.slots, sizeof(*r->rows));
	r->before = calloc(status.slots, r->schema->size);
	r->now = calloc(1, r->schema->size);
	return r->rows && r->before && r->now ? 0 : complain("out of memory");
}

static void close_reader(struct reader *r)
{
	free(r->now);
	free(r->before);
	free(r->rows);
	shr_table_close(r->table);
	shr_segment_detach(r->segment);
	shr_inspect_close(r->inspect);
}

/* The integer of a field, widened; 0: it is no counter. */
static int counter(const struct shr_field *field, const char *record, uint64_t *value)
{
	uint32_t narrow;

	switch (field->count ? 0 : field->kind) {
	case SHR_KIND_I64:
	case SHR_KIND_U64:
		memcpy(value, record + field->offset, sizeof(*value));
		return 1;
	case SHR_KIND_I32:
	case SHR_KIND_U32:
		memcpy(&narrow, record + field->offset, sizeof(narrow));
		*value = field->kind == SHR_KIND_U32 ? narrow : (uint64_t)(int32_t)narrow;
		return 1;
	default:
		return 0;
	}
}

/* Text that another process wrote, for a terminal. */
static void print_text(const char *text, size_t size)
{
	for (size_t i = 0; i < size && text[i]; i++)
		putchar(text[i] < ' ' || text[i] > '~' ? '?' : text[i]);
}

static void show_title(const struct reader *r, uint32_t slot)
{
	const struct shr_field *key = r->key ? &r->schema->fields[r->key - 1] : NULL;
	uint64_t number;

	if (key && key->kind == SHR_KIND_CHAR)
		print_text(r->now + key->offset, key->count ? key->count : 1);
	else if (key && counter(key, r->now, &number))
		printf("%s %" PRIu64, key->name, number);
	else
		printf("slot %" PRIu32, slot);
	putchar('\n');
}

static void show_row(struct reader *r, uint32_t slot, uint64_t generation)
{
	char *before = r->before + (size_t)slot * r->schema->size;
	struct row *row = &r->rows[slot];
	int64_t time_ns = shr_deadline_ns(0); /* CLOCK_MONOTONIC */
	uint64_t is, was;

	show_title(r, slot);
	for (uint32_t i = 0; i < r->schema->field_count; i++) {
		const struct shr_field *field = &r->schema->fields[i];

		if (i + 1 == r->key || !counter(field, r->now, &is) ||
		    !counter(field, before, &was))
			continue;
		printf(field->kind == SHR_KIND_U64 ? "  %-12s %14" PRIu64 " %-10s"
						   : "  %-12s %14" PRId64 " %-10s",
		       field->name, is, field->unit ? field->unit : "");
		if (row->generation == generation) /* the same row as then: a rate makes sense */
			printf(" %12.1f/s", (double)(int64_t)(is - was) * 1e9 /
						    (double)(time_ns - row->time_ns));
		else
			printf("%15s", "");
		printf("  %s\n", field->help ? field->help : "");
	}
	*row = (struct row){generation, time_ns};
	memcpy(before, r->now, r->schema->size);
}

static int show(const char *name, const struct arguments *a)
{
	struct reader reader = {0};
	struct shr_slot_info info;
	uint64_t looks = 0;
	uint32_t slot;
	int err = open_reader(&reader, name);

	while (!err && !stopped) {
		for (slot = 0; !shr_table_next(reader.table, &slot); slot++)
			if (!shr_table_read(reader.table, slot, reader.now, reader.schema->size,
					    &info))
				show_row(&reader, slot, info.generation);
		if (++looks == a->count)
			break;
		sleep_us(a->every_us == UINT64_MAX ? 1000000 : a->every_us);
		if (shr_segment_check(reader.segment))
			err = complain("%s", shr_last_error());
	}
	close_reader(&reader);
	return err ? 1 : 0;
}

/* --- The program ------------------------------------------------------------- */

static int usage(FILE *to)
{
	fputs("usage: statistics work SEGMENT SERVICE [-e US] [-n N]\n"
	      "       statistics show SEGMENT [-e US] [-n N]\n"
	      "  -e, --every=US   microseconds from one request (100) or look (1000000) to the\n"
	      "                   next, 0: no pause\n"
	      "  -n, --count=N    end after as many (for ever)\n"
	      "  -h, --help\n"
	      "SERVICE has 1 to 16 bytes. The segment is made by work if there is none, and "
	      "stays.\n",
	      to);
	return to == stdout ? 0 : 2;
}

static int number(const char *text, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"every", required_argument, NULL, 'e'},
						{"count", required_argument, NULL, 'n'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	struct sigaction action = {.sa_handler = on_signal};
	struct arguments a = {.every_us = UINT64_MAX};
	const char *command, *segment, *service;
	int given, c;

	while ((c = getopt_long(argc, argv, "e:n:h", options, NULL)) != -1) {
		if (c == 'h')
			return usage(stdout);
		if (c == '?' || (c == 'e' && !number(optarg, &a.every_us)) ||
		    (c == 'n' && !number(optarg, &a.count)))
			return usage(stderr);
	}
	given = argc - optind - 2;
	if (given < 0)
		return usage(stderr);
	command = argv[optind];
	segment = argv[optind + 1];
	service = argv[optind + 2];
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(command, "work") && given == 1 && *service && strlen(service) <= NAME_BYTES)
		return work(segment, service, &a);
	if (!strcmp(command, "show") && !given)
		return show(segment, &a);
	return usage(stderr);
}
