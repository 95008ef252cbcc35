/* SPDX-License-Identifier: MIT */
/* shmring create: a segment with rings and tables, from words. */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "operate.h"

#define LETTER_RING  LONG_ONLY
#define LETTER_TABLE (LONG_ONLY + 1)

struct create {
	struct shr_segment_options how;
	struct shr_object objects[SHR_OBJECTS_MAX];
	struct shr_schema_builder *schemas[SHR_OBJECTS_MAX];
	size_t count;
};

/* What may follow the name of a ring or a table. */
struct key_row {
	const char *name;
	const char *argument; /* NULL: none */
	const char *help;
};

enum ring_key {
	RING_CAPACITY,
	RING_MAX_RECORD,
	RING_MODE,
	RING_CURSORS,
	RING_HISTORY,
	RING_SCHEMA,
	RING_FLAGS, /* from here on, in the order of ring_flags */
};

static const struct key_row ring_keys[] = {
	[RING_CAPACITY] = {"capacity", "SIZE", "bytes, a power of two; 64k, 1M (the default), 1G"},
	[RING_MAX_RECORD] = {"max_record", "SIZE",
			     "of a record; else about a quarter of the capacity"},
	[RING_MODE] = {"mode", "MODE", "stream (the default), queue or overwrite"},
	[RING_CURSORS] = {"cursors", "N", "places for cursors, the default one among them; else 1"},
	[RING_HISTORY] = {"history", "SIZE", "bytes that stay readable behind the slowest gate"},
	[RING_SCHEMA] = {"schema", "FILE",
			 "type of the records: JSON of shmring-dump -o json schema"},
	{"single_producer", NULL, "one at a time: faster"},
	{"sequence", NULL, "records have numbers"},
	{"time", NULL, "records have times"},
	{"drop_newest", NULL, "a full ring drops and counts the new record"},
	{"at_most_once", NULL, "a queue delivers no record twice"},
	{"no_default", NULL, "without the cursor named default"},
	{0}};

static const uint32_t ring_flags[] = {
	SHR_RING_SINGLE_PRODUCER, SHR_RING_SEQUENCE,     SHR_RING_TIME,
	SHR_RING_DROP_NEWEST,     SHR_RING_AT_MOST_ONCE, SHR_RING_NO_DEFAULT};

enum table_key { TABLE_SLOTS, TABLE_MODE, TABLE_KEY, TABLE_RECORD_SIZE, TABLE_SCHEMA };

static const struct key_row table_keys[] = {
	[TABLE_SLOTS] = {"slots", "N", "how many records; else 64"},
	[TABLE_MODE] = {"mode", "MODE", "atomic (the default), in-place or counters"},
	[TABLE_KEY] = {"key", "FIELD", "that no two records have the same"},
	[TABLE_RECORD_SIZE] = {"record_size", "SIZE", "of records without a schema"},
	[TABLE_SCHEMA] = {"schema", "FILE", "type of the records, as of a ring"},
	{0}};

static const struct option_row options[] = {
	{LETTER_RING, "ring", "NAME[,...]", "a ring, see below; may be given several times"},
	{LETTER_TABLE, "table", "NAME[,...]", "a table, likewise"},
	{'m', "members", "N", "processes at a time; 32 if not given"},
	{'M', "mode", "OCTAL", "permissions, less the umask; 0600 if not given"},
	{0}};

static void help_keys(const char *what, const struct key_row *row)
{
	printf("\nAfter NAME of a %s, each with a comma before it:\n", what);
	for (; row->name; row++) {
		int width = printf("  %s%s%s", row->name, row->argument ? "=" : "",
				   row->argument ? row->argument : "");

		printf("%*s %s\n", width < 20 ? 20 - width : 1, "", row->help);
	}
}

static void more_help(void)
{
	help_keys("ring", ring_keys);
	help_keys("table", table_keys);
}

/* --- Words ----------------------------------------------------------------------------- */

/*
 * The next of "KEY=VALUE,..." from *@rest, which is cut up: number of its row, -1: no
 * more, -2: told what is wrong.
 */
static int next_key(char **rest, const struct key_row *rows, const char *object, char **value)
{
	char *key = strsep(rest, ",");

	if (!key)
		return -1;
	*value = strchr(key, '=');
	if (*value)
		*(*value)++ = '\0';
	for (int i = 0; rows[i].name; i++) {
		if (strcmp(rows[i].name, key))
			continue;
		if (!*value == !rows[i].argument)
			return i;
		operate_usage("%s of %s takes %s value", key, object, *value ? "no" : "a");
		return -2;
	}
	operate_usage("%s: %s is not known", object, key);
	return -2;
}

/* A number of row @row: 0, or the exit status. */
static int take_number(const char *object, const struct key_row *row, const char *value,
		       uint64_t most, uint64_t *number)
{
	int err = operate_number(value, !strcmp(row->argument, "SIZE"), most, number);

	return err ? operate_usage(
			     "%s: %s=%s is no number%s, or too large", object, row->name, value,
			     strcmp(row->argument, "SIZE") ? ""
							   : " with k, M, G or nothing behind it")
		   : 0;
}

/* A mode by the names that shmring-dump shows. */
static int take_mode(const char *object, const char *value, const char *(*name_of)(uint32_t),
		     uint32_t *mode)
{
	for (*mode = 0; *mode <= 2; ++*mode)
		if (!strcmp(value, name_of(*mode)))
			return 0;
	return operate_usage("%s: mode=%s is none of %s, %s, %s", object, value, name_of(0),
			     name_of(1), name_of(2));
}

static int take_schema(struct create *create, const char *object, const char *path,
		       const struct shr_schema **schema)
{
	struct shr_schema_builder **builder = &create->schemas[create->count];
	char why[SENTENCE];

	shr_schema_builder_free(*builder);
	*builder = NULL;
	if (schema_load(builder, schema, path, object, why)) {
		operate_say("%s: schema %s: %s", object, path, why);
		return EXIT_MISMATCH;
	}
	return 0;
}

static int take_ring(struct create *create, char *words)
{
	struct shr_ring_options ring = {.struct_size = sizeof(ring)};
	const char *name = strsep(&words, ",");
	uint64_t cursors = 0;
	int key, result = 0;
	char *value;

	while (!result && (key = next_key(&words, ring_keys, name, &value)) != -1) {
		if (key < 0)
			return EXIT_USAGE;
		if (key >= RING_FLAGS)
			ring.flags |= ring_flags[key - RING_FLAGS];
		else if (key == RING_CAPACITY)
			result = take_number(name, &ring_keys[key], value, UINT64_MAX,
					     &ring.capacity);
		else if (key == RING_MAX_RECORD)
			result = take_number(name, &ring_keys[key], value, UINT64_MAX,
					     &ring.max_record);
		else if (key == RING_HISTORY)
			result = take_number(name, &ring_keys[key], value, UINT64_MAX,
					     &ring.history);
		else if (key == RING_CURSORS)
			result = take_number(name, &ring_keys[key], value, UINT32_MAX, &cursors);
		else if (key == RING_MODE)
			result = take_mode(name, value, name_of_ring_mode, &ring.mode);
		else
			result = take_schema(create, name, value, &ring.schema);
	}
	ring.cursors = (uint32_t)cursors;
	if (!result && shr_ring_describe(&create->objects[create->count], name, &ring))
		result = operate_usage("%s", shr_last_error());
	return result;
}

static int take_table(struct create *create, char *words)
{
	struct shr_table_options table = {.struct_size = sizeof(table)};
	const char *name = strsep(&words, ",");
	uint64_t slots = 0;
	int key, result = 0;
	char *value;

	while (!result && (key = next_key(&words, table_keys, name, &value)) != -1) {
		if (key < 0)
			return EXIT_USAGE;
		if (key == TABLE_SLOTS)
			result = take_number(name, &table_keys[key], value, UINT32_MAX, &slots);
		else if (key == TABLE_RECORD_SIZE)
			result = take_number(name, &table_keys[key], value, UINT64_MAX,
					     &table.record_size);
		else if (key == TABLE_MODE)
			result = take_mode(name, value, name_of_table_mode, &table.mode);
		else if (key == TABLE_KEY)
			table.key = value;
		else
			result = take_schema(create, name, value, &table.schema);
	}
	table.slots = (uint32_t)slots;
	if (!result && shr_table_describe(&create->objects[create->count], name, &table))
		result = operate_usage("%s", shr_last_error());
	return result;
}

static int take(void *request, int letter, const char *argument)
{
	struct create *create = request;
	uint64_t number;
	char *words;
	int result;

	switch (letter) {
	case 'm':
		if (operate_number(argument, 0, SHR_MEMBERS_MAX, &number) || !number)
			return operate_usage("%s is no number of members: 1 to %d", argument,
					     SHR_MEMBERS_MAX);
		create->how.members = (uint32_t)number;
		return 0;
	case 'M':
		return operate_perms(argument, &create->how.perms);
	}
	if (create->count == SHR_OBJECTS_MAX)
		return operate_usage("more than %d rings and tables", SHR_OBJECTS_MAX);
	words = strdup(argument);
	if (!words)
		return operate_no_memory();
	result = letter == LETTER_RING ? take_ring(create, words) : take_table(create, words);
	create->count += !result;
	free(words);
	return result;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct create create = {
		.how = {.struct_size = sizeof(create.how), .role = "shmring create"}};
	int result = operate_options(command, argc, argv, 1, 1, &create);
	struct shr_segment *segment = NULL;
	const char *name = argv[optind];
	int err;

	if (result == NO_COMMAND && !create.count)
		result = operate_usage("create: which --ring or --table");
	if (result == NO_COMMAND && (!strncmp(name, "anon:", 5) || !strcmp(name, "sysv:private")))
		result = operate_usage("%s: nobody could find it", name);
	if (result == NO_COMMAND) {
		err = shr_segment_create(&segment, name, create.objects, create.count, &create.how);
		result = err ? operate_failed(name, err) : 0;
		shr_segment_detach(segment);
	}
	for (size_t i = 0; i < SHR_OBJECTS_MAX; i++)
		shr_schema_builder_free(create.schemas[i]);
	return result;
}

const struct command command_create = {.name = "create",
				       .arguments = "SEGMENT",
				       .summary = "Make a segment of rings and tables.",
				       .more_help = more_help,
				       .options = options,
				       .take = take,
				       .run = run};
