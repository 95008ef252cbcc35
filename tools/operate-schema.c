/* SPDX-License-Identifier: MIT */
/* shmring: a schema from JSON as "shmring-dump -o json schema" prints it. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "operate.h"

struct reader {
	struct shr_schema_builder *builder;
	char *why;
	uint64_t end; /* bytes that the members so far describe */
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

/*
 * The bytes of a string, which need not be UTF-8, with a zero byte behind; to be freed.
 * NULL in *@result where it is absent and not @needed.
 */
static int take_string(const struct reader *reader, const json_t *object, const char *key,
		       int needed, char **result)
{
	const json_t *json = json_object_get(object, key);
	unsigned char *bytes;
	size_t size;

	*result = NULL;
	if (!json && !needed)
		return 0;
	if (json_to_bytes(json, &bytes, &size))
		return refuse(reader, "the schema has no %s where it needs one", key);
	*result = (char *)bytes;
	if (!memchr(bytes, 0, size) && (size || !needed))
		return 0;
	free(bytes);
	return refuse(reader, "%s of %zu bytes: it has at least 1, and no zero byte", key, size);
}

static int take_u32(const struct reader *reader, const json_t *object, const char *key, int needed,
		    uint32_t least, uint32_t *result)
{
	const json_t *json = json_object_get(object, key);
	json_int_t value = json_integer_value(json);

	*result = 0;
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

/* What the builder says of a call of it. */
static int built(const struct reader *reader, int err)
{
	return err ? refuse(reader, "%s", shr_last_error()) : 0;
}

/* The value of a name: a string of digits, as all integers that may have 64 bits, or a number. */
static int take_value(const struct reader *reader, const json_t *object, uint32_t kind,
		      int64_t *value)
{
	const json_t *json = json_object_get(object, "value");
	const char *text = json_string_value(json);
	char *end = NULL;

	errno = 0;
	*value = json_integer_value(json);
	if (json_is_integer(json))
		return 0;
	if (text && text[strspn(text, "-0123456789")] == 0 && *text)
		*value = kind == SHR_KIND_U64 && *text != '-' ? (int64_t)strtoull(text, &end, 10)
							      : strtoll(text, &end, 10);
	if (end && !*end && !errno)
		return 0;
	return refuse(reader, "a value of an enum is no integer of 64 bits");
}

static int take_enum(const struct reader *reader, const json_t *names, uint32_t kind)
{
	static const char *const keys[] = {"name", "value", NULL};

	if (names && !json_is_array(names))
		return refuse(reader, "enum is no array");
	for (size_t i = 0; i < json_array_size(names); i++) {
		const json_t *json = json_array_get(names, i);
		int64_t value = 0;
		char *name;
		int err;

		if (only_keys(reader, json, keys, "a value of an enum") ||
		    take_value(reader, json, kind, &value) ||
		    take_string(reader, json, "name", 1, &name))
			return -1;
		err = built(reader, shr_schema_builder_enum_name(reader->builder, value, name));
		free(name);
		if (err)
			return err;
	}
	return 0;
}

/* A text of the member that was added last, if it has one. */
static int take_note(const struct reader *reader, const json_t *json, const char *key,
		     int (*note)(struct shr_schema_builder *, const char *))
{
	char *text;
	int err;

	if (take_string(reader, json, key, 0, &text))
		return -1;
	err = text ? built(reader, note(reader->builder, text)) : 0;
	free(text);
	return err;
}

/* Where it says that it is: the builder puts it behind the one before. */
static int check_place(struct reader *reader, const char *name, uint32_t offset, uint64_t bytes)
{
	if (offset < reader->end)
		return refuse(reader,
			      "member %s at %" PRIu32
			      " overlaps the one before it, which ends at %" PRIu64,
			      name, offset, reader->end);
	if (offset > reader->end)
		return refuse(reader,
			      "no member describes the bytes %" PRIu64 " to %" PRIu32
			      " before member %s",
			      reader->end, offset, name);
	reader->end += bytes;
	return 0;
}

static int take_member(struct reader *reader, const json_t *json, uint32_t *kind)
{
	uint32_t offset, count;
	char *name;
	int err;

	if (take_kind(reader, json, kind) || take_u32(reader, json, "offset", 1, 0, &offset) ||
	    take_u32(reader, json, "count", 0, 1, &count) ||
	    take_string(reader, json, "name", 1, &name))
		return -1;
	err = built(reader, shr_schema_builder_member(reader->builder, name, *kind, count));
	if (!err)
		err = check_place(reader, name, offset,
				  (uint64_t)shr_kind_size(*kind) * (count ? count : 1));
	free(name);
	return err;
}

static int take_field(struct reader *reader, const json_t *json)
{
	static const char *const keys[] = {"name", "type",  "offset", "count", "unit",
					   "help", "since", "enum",   NULL};
	uint32_t kind, since;

	if (only_keys(reader, json, keys, "a member of the schema") ||
	    take_member(reader, json, &kind) ||
	    take_note(reader, json, "unit", shr_schema_builder_unit) ||
	    take_note(reader, json, "help", shr_schema_builder_help) ||
	    take_u32(reader, json, "since", 0, 1, &since) ||
	    built(reader, shr_schema_builder_since(reader->builder, since)))
		return -1;
	return take_enum(reader, json_object_get(json, "enum"), kind);
}

static int take_fields(struct reader *reader, const json_t *fields)
{
	if (!json_is_array(fields) || !json_array_size(fields) ||
	    json_array_size(fields) > SHR_FIELDS_MAX)
		return refuse(reader, "fields is no array of 1 to %d members", SHR_FIELDS_MAX);
	for (uint32_t i = 0; i < json_array_size(fields); i++)
		if (take_field(reader, json_array_get(fields, i)))
			return -1;
	return 0;
}

static int begin(struct reader *reader, const json_t *json, uint32_t *size)
{
	static const char *const keys[] = {"name", "version", "size", "hash", "fields", NULL};
	uint32_t version;
	char *name;
	int err;

	if (only_keys(reader, json, keys, "the schema") ||
	    take_u32(reader, json, "version", 1, 0, &version) ||
	    take_u32(reader, json, "size", 1, 1, size) ||
	    take_string(reader, json, "name", 1, &name))
		return -1;
	err = built(reader, shr_schema_builder_new(&reader->builder, name, version));
	free(name);
	return err;
}

static int take_schema(struct reader *reader, const json_t *json, const struct shr_schema **schema)
{
	const char *hash = json_string_value(json_object_get(json, "hash"));
	char true_hash[17];
	uint32_t size;

	if (begin(reader, json, &size) || take_fields(reader, json_object_get(json, "fields")))
		return -1;
	if (reader->end != size)
		return refuse(reader, "the members have %" PRIu64 " bytes, and size is %" PRIu32,
			      reader->end, size);
	if (built(reader, shr_schema_builder_end(reader->builder, schema)))
		return -1;
	snprintf(true_hash, sizeof(true_hash), "%016" PRIx64, shr_schema_hash(*schema));
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

int schema_load(struct shr_schema_builder **builder, const struct shr_schema **schema,
		const char *path, const char *object, char why[SENTENCE])
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
	json = pick(&reader, whole, object);
	if (json)
		err = take_schema(&reader, json, schema);
	json_decref(whole);
	if (err)
		shr_schema_builder_free(reader.builder);
	else
		*builder = reader.builder;
	return err;
}
