/* SPDX-License-Identifier: MIT */
/* shmring: a schema from JSON as "shmring-dump -o json schema" prints it. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "operate.h"

struct reader {
	struct owned_schema *schema;
	char *why;
};

__attribute__((format(printf, 2, 3))) static int refuse(const struct reader *reader,
							const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reader->why, SENTENCE, format, arguments);
	va_end(arguments);
	return -1;
}

static int only_keys(const struct reader *reader, const json_t *object, const char *const *keys,
		     const char *what)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return refuse(reader, "%s is no object", what);
	json_object_foreach((json_t *)object, key, value)
	{
		size_t i = 0;

		while (keys[i] && strcmp(keys[i], key))
			i++;
		if (!keys[i])
			return refuse(reader, "%s has %.60s, which is not known", what, key);
	}
	return 0;
}

/* Also a name that is not UTF-8. NULL where it is absent and not @needed. */
static int take_string(const struct reader *reader, const json_t *object, const char *key,
		       int needed, size_t most, const char **result)
{
	const json_t *json = json_object_get(object, key);
	unsigned char *bytes;
	size_t size;

	if (!json && !needed)
		return 0;
	if (json_to_bytes(json, &bytes, &size))
		return refuse(reader, "the schema has no %s where it needs one", key);
	/* json_to_bytes() ends it with a zero byte. */
	*result = (const char *)bytes;
	if (memchr(bytes, 0, size) || size > most || (needed && !size))
		return refuse(reader, "%s of %zu bytes: it has 1 to %zu, and no zero byte", key,
			      size, most);
	return 0;
}

static int take_u32(const struct reader *reader, const json_t *object, const char *key, int needed,
		    uint32_t least, uint32_t *result)
{
	const json_t *json = json_object_get(object, key);
	json_int_t value = json_integer_value(json);

	if (!json && !needed)
		return 0;
	if (!json_is_integer(json) || value < least || value > UINT32_MAX)
		return refuse(reader, "%s is not a number from %" PRIu32 " to 2^32 - 1", key,
			      least);
	*result = (uint32_t)value;
	return 0;
}

static int take_kind(const struct reader *reader, const json_t *object, uint32_t *kind)
{
	const char *name = json_string_value(json_object_get(object, "type"));

	for (*kind = SHR_KIND_CHAR; name && *kind <= SHR_KIND_F64; ++*kind)
		if (!strcmp(shr_kind_name(*kind), name))
			return 0;
	return refuse(
		reader,
		"type %.40s is not known: char, i8, u8, i16, u16, i32, u32, i64, u64, f32, f64",
		name ? name : "that is no string");
}

/* @end: bytes that the members before it describe. */
static int take_field(const struct reader *reader, const json_t *json, uint32_t number,
		      uint64_t *end)
{
	static const char *const keys[] = {"name", "type", "offset", "count", "unit", "help", NULL};
	struct shr_schema *schema = &reader->schema->schema;
	struct shr_field *field = &reader->schema->fields[number];
	uint64_t size;

	schema->field_count = number + 1;
	if (only_keys(reader, json, keys, "a member of the schema") ||
	    take_string(reader, json, "name", 1, SHR_FIELD_NAME_MAX, &field->name) ||
	    take_kind(reader, json, &field->kind) ||
	    take_u32(reader, json, "offset", 1, 0, &field->offset) ||
	    take_u32(reader, json, "count", 0, 1, &field->count) ||
	    take_string(reader, json, "unit", 0, 1000, &field->unit) ||
	    take_string(reader, json, "help", 0, 1000, &field->help))
		return -1;
	for (uint32_t i = 0; i < number; i++)
		if (!strcmp(reader->schema->fields[i].name, field->name))
			return refuse(reader, "two members are named %s", field->name);
	if (field->offset < *end)
		return refuse(reader,
			      "member %s at %" PRIu32
			      " overlaps the one before it, which ends at %" PRIu64,
			      field->name, field->offset, *end);
	if (field->offset > *end)
		return refuse(reader,
			      "no member describes the bytes %" PRIu64 " to %" PRIu32
			      " before member %s",
			      *end, field->offset, field->name);
	size = shr_kind_size(field->kind);
	if (field->offset % size)
		return refuse(reader,
			      "member %s at %" PRIu32 " is not at a multiple of its size, %" PRIu64,
			      field->name, field->offset, size);
	*end = field->offset + size * (field->count ? field->count : 1);
	if (*end > schema->size)
		return refuse(reader,
			      "member %s ends at %" PRIu64 ", behind the struct of %" PRIu32
			      " bytes",
			      field->name, *end, schema->size);
	return 0;
}

static int take_schema(const struct reader *reader, const json_t *json)
{
	static const char *const keys[] = {"name", "version", "size", "hash", "fields", NULL};
	struct shr_schema *schema = &reader->schema->schema;
	const json_t *fields = json_object_get(json, "fields");
	const char *hash = json_string_value(json_object_get(json, "hash"));
	char true_hash[17];
	uint64_t end = 0;

	*schema = (struct shr_schema){.struct_size = sizeof(*schema),
				      .field_size = sizeof(struct shr_field),
				      .fields = reader->schema->fields};
	if (only_keys(reader, json, keys, "the schema") ||
	    take_string(reader, json, "name", 1, SHR_FIELD_NAME_MAX, &schema->name) ||
	    take_u32(reader, json, "version", 1, 0, &schema->version) ||
	    take_u32(reader, json, "size", 1, 1, &schema->size))
		return -1;
	if (!json_is_array(fields) || !json_array_size(fields) ||
	    json_array_size(fields) > SHR_FIELDS_MAX)
		return refuse(reader, "fields is no array of 1 to %d members", SHR_FIELDS_MAX);
	for (uint32_t i = 0; i < json_array_size(fields); i++)
		if (take_field(reader, json_array_get(fields, i), i, &end))
			return -1;
	if (end != schema->size)
		return refuse(reader, "the members have %" PRIu64 " bytes, and size is %" PRIu32,
			      end, schema->size);
	snprintf(true_hash, sizeof(true_hash), "%016" PRIx64, shr_schema_hash(schema));
	if (json_object_get(json, "hash") && (!hash || strcmp(hash, true_hash)))
		return refuse(reader, "hash is %.40s, and that of these members is %s",
			      hash ? hash : "no string", true_hash);
	return 0;
}

/* In what the command prints: that of the object of the same name, or the only one. */
static const json_t *pick(const struct reader *reader, const json_t *json, const char *object)
{
	const json_t *objects = json_object_get(json, "objects"), *only = NULL;
	size_t count = 0;

	if (!objects)
		return json;
	for (size_t i = 0; i < json_array_size(objects); i++) {
		const json_t *one = json_array_get(objects, i),
			     *schema = json_object_get(one, "schema");
		const char *name = json_string_value(json_object_get(one, "name"));

		if (!json_is_object(schema))
			continue;
		if (name && !strcmp(name, object))
			return schema;
		only = schema;
		count++;
	}
	if (count == 1)
		return only;
	refuse(reader, "%s: %zu schemas, and none is of an object named %.47s",
	       json_is_array(objects) ? "it has" : "objects is no array", count, object);
	return NULL;
}

int schema_load(struct owned_schema **result, const char *path, const char *object,
		char why[SENTENCE])
{
	struct reader reader = {.why = why};
	const json_t *json;
	json_error_t error;
	json_t *whole = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	int err = -1;

	if (!whole) {
		if (error.line > 0)
			snprintf(why, SENTENCE, "line %d: %.200s", error.line, error.text);
		else
			snprintf(why, SENTENCE, "%.200s", error.text);
		return -1;
	}
	reader.schema = calloc(1, sizeof(*reader.schema));
	json = reader.schema ? pick(&reader, whole, object) : NULL;
	if (!reader.schema)
		refuse(&reader, "out of memory");
	else if (json)
		err = take_schema(&reader, json);
	json_decref(whole);
	if (err)
		schema_free(reader.schema);
	else
		*result = reader.schema;
	return err;
}

void schema_free(struct owned_schema *schema)
{
	if (!schema)
		return;
	free((void *)schema->schema.name);
	for (uint32_t i = 0; i < schema->schema.field_count; i++) {
		free((void *)schema->fields[i].name);
		free((void *)schema->fields[i].unit);
		free((void *)schema->fields[i].help);
	}
	free(schema);
}
