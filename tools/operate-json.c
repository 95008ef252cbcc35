/* SPDX-License-Identifier: MIT */
/* shmring: records from JSON lines as "shmring-dump -o jsonl records" prints them. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "operate.h"

__attribute__((format(printf, 2, 3))) static int refuse(char *why, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, SENTENCE, format, arguments);
	va_end(arguments);
	return -1;
}

json_t *line_read(const char *text, size_t size, char why[SENTENCE])
{
	json_error_t error;
	json_t *json = json_loadb(text, size, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);

	if (json && json_is_object(json))
		return json;
	if (json)
		refuse(why, "a record is an object");
	else
		refuse(why, "no JSON: %.200s", error.text);
	json_decref(json);
	return NULL;
}

static int is(const json_t *line, const char *key, const char *value)
{
	const char *string = json_string_value(json_object_get(line, key));

	return string && !strcmp(string, value);
}

enum line_kind line_kind(const json_t *line)
{
	if (json_object_get(line, "lost_bytes") || json_object_get(line, "not_shown"))
		return LINE_INCOMPLETE;
	if (json_object_get(line, "slot"))
		return json_object_get(line, "state") && !is(line, "state", "ready")
			       ? LINE_INCOMPLETE
			       : LINE_RECORD;
	if (is(line, "state", "busy") || is(line, "state", "skipped"))
		return LINE_EMPTY;
	if (is(line, "state", "done") || is(line, "state", "lost"))
		return LINE_DONE;
	return LINE_RECORD;
}

/* --- Bytes ----------------------------------------------------------------------- */

static int hex_digit(char digit)
{
	return digit >= '0' && digit <= '9'   ? digit - '0'
	       : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
	       : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
					      : -1;
}

int json_to_bytes(const json_t *json, unsigned char **result, size_t *size)
{
	const json_t *hex = json_is_object(json) && json_object_size(json) == 1
				    ? json_object_get(json, "hex")
				    : NULL;
	const json_t *string = hex ? hex : json;
	const char *text = json_string_value(string);
	size_t length = json_string_length(string);
	unsigned char *bytes;

	if (!text || (hex && length % 2))
		return -1;
	bytes = calloc(1, length + 1);
	if (!bytes)
		return -1;
	*size = hex ? length / 2 : length;
	if (!hex)
		memcpy(bytes, text, length);
	for (size_t i = 0; hex && i < *size; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0) {
			free(bytes);
			return -1;
		}
		bytes[i] = (unsigned char)(high << 4 | low);
	}
	*result = bytes;
	return 0;
}

/* --- Values ----------------------------------------------------------------------- */

/* An integer, or a string of its digits. */
static int take_i64(const json_t *json, int64_t *value)
{
	const char *text = json_string_value(json);
	char *end;

	if (json_is_integer(json)) {
		*value = json_integer_value(json);
		return 0;
	}
	if (!text || text[strspn(text, "-0123456789")] || !*text)
		return -1;
	errno = 0;
	*value = strtoll(text, &end, 10);
	return errno || *end ? -1 : 0;
}

static int take_u64(const json_t *json, uint64_t *value)
{
	const char *text = json_string_value(json);

	if (json_is_integer(json) && json_integer_value(json) >= 0) {
		*value = (uint64_t)json_integer_value(json);
		return 0;
	}
	return text ? operate_number(text, 0, UINT64_MAX, value) : -1;
}

static int take_float(const json_t *json, int single, double *value)
{
	const char *text = json_string_value(json);

	if (json_is_number(json)) {
		*value = json_number_value(json);
		return single && isinf((float)*value) ? -1 : 0;
	}
	if (!text)
		return -1;
	if (!strcmp(text, "NaN"))
		*value = (double)NAN;
	else if (!strcmp(text, "Infinity"))
		*value = (double)INFINITY;
	else if (!strcmp(text, "-Infinity"))
		*value = -(double)INFINITY;
	else
		return -1;
	return 0;
}

/* The number of the value that @json names. Names and numbers are never the same. */
static int take_name(const struct shr_field *field, const json_t *json, int64_t *value)
{
	unsigned char *name;
	size_t size;
	int found = 0;

	if (!field->name_count || json_to_bytes(json, &name, &size))
		return 0;
	for (uint32_t i = 0; i < field->name_count && !found; i++) {
		const struct shr_enum_name *one = &field->names[i];

		found = strlen(one->name) == size && !memcmp(one->name, name, size);
		*value = one->value;
	}
	free(name);
	return found;
}

/* One value of @field to @at. */
static int put_value(const struct shr_field *field, const json_t *json, unsigned char *at)
{
	uint32_t kind = field->kind, size = shr_kind_size(kind);
	int is_signed = kind == SHR_KIND_I8 || kind == SHR_KIND_I16 || kind == SHR_KIND_I32;
	int64_t i = 0,
		limit = is_signed ? (int64_t)1 << (8 * size - 1) : (int64_t)1 << (8 * size % 64);
	uint64_t u = 0;
	double d = 0;
	int named = take_name(field, json, &i);
	float f;

	switch (kind) {
	case SHR_KIND_F32:
	case SHR_KIND_F64:
		if (take_float(json, kind == SHR_KIND_F32, &d))
			return -1;
		f = (float)d;
		memcpy(at, kind == SHR_KIND_F32 ? (const void *)&f : (const void *)&d, size);
		return 0;
	case SHR_KIND_I64:
		if (!named && take_i64(json, &i))
			return -1;
		memcpy(at, &i, size);
		return 0;
	case SHR_KIND_U64:
		u = (uint64_t)i;
		if (!named && take_u64(json, &u))
			return -1;
		memcpy(at, &u, size);
		return 0;
	default:
		if (!named && !json_is_integer(json))
			return -1;
		i = named ? i : json_integer_value(json);
		if (i >= limit || i < (is_signed ? -limit : 0))
			return -1;
	}
	if (size == 1)
		memcpy(at, &(uint8_t){(uint8_t)i}, 1);
	else if (size == 2)
		memcpy(at, &(uint16_t){(uint16_t)i}, 2);
	else
		memcpy(at, &(uint32_t){(uint32_t)i}, 4);
	return 0;
}

/* Text, up to its first zero byte: the rest is zero. */
static int put_text(const struct shr_field *field, const json_t *json, unsigned char *at)
{
	unsigned char *bytes;
	size_t size;
	int err;

	if (json_to_bytes(json, &bytes, &size))
		return -1;
	err = size > (field->count ? field->count : 1) || memchr(bytes, 0, size) ? -1 : 0;
	if (!err)
		memcpy(at, bytes, size);
	free(bytes);
	return err;
}

static int put_field(const struct shr_field *field, const json_t *json, unsigned char *payload)
{
	unsigned char *at = payload + field->offset;

	if (field->kind == SHR_KIND_CHAR)
		return put_text(field, json, at);
	if (!field->count)
		return put_value(field, json, at);
	if (!json_is_array(json) || json_array_size(json) != field->count)
		return -1;
	for (uint32_t i = 0; i < field->count; i++)
		if (put_value(field, json_array_get(json, i),
			      at + i * shr_kind_size(field->kind)))
			return -1;
	return 0;
}

/* --- Records ----------------------------------------------------------------------- */

/* The member of that name; one that is not UTF-8 is named as text shows it, see json_put(). */
static const json_t *value_of(const json_t *fields, const struct shr_field *field)
{
	const json_t *value = json_object_get(fields, field->name);
	char *text = NULL;
	size_t size;
	FILE *out;

	if (value)
		return value;
	out = open_memstream(&text, &size);
	if (out) {
		text_string(out, field->name);
		fclose(out);
	}
	value = text ? json_object_get(fields, text) : NULL;
	free(text);
	return value;
}

static int make_room(struct line_record *record, size_t size, char *why)
{
	unsigned char *larger;

	if (size <= record->room)
		return 0;
	larger = realloc(record->payload, size);
	if (!larger)
		return refuse(why, "out of memory");
	record->payload = larger;
	record->room = size;
	return 0;
}

/* The members, from the first on; with "cut_short" the last ones may be missing. */
static int take_fields(struct line_record *record, const json_t *line,
		       const struct shr_schema *schema, char *why)
{
	const json_t *fields = json_object_get(line, "fields");
	uint32_t count = 0;

	if (!json_is_object(fields))
		return refuse(why, "it has no fields, and the records are of struct %s",
			      schema->name);
	if (make_room(record, schema->size, why))
		return -1;
	memset(record->payload, 0, schema->size);
	while (count < schema->field_count) {
		const struct shr_field *field = &schema->fields[count];
		const json_t *value = value_of(fields, field);

		if (!value)
			break;
		if (put_field(field, value, record->payload))
			return refuse(why, "the value of %s does not fit its type, %s%s",
				      field->name, shr_kind_name(field->kind),
				      field->count ? " array" : "");
		count++;
	}
	if (count < schema->field_count && !json_is_true(json_object_get(line, "cut_short")))
		return refuse(why, "it has no %s", schema->fields[count].name);
	if (json_object_size(fields) != count)
		return refuse(why, "it has %zu fields, and struct %s has not all of them",
			      json_object_size(fields), schema->name);
	record->size = count < schema->field_count ? schema->fields[count].offset : schema->size;
	return 0;
}

/* What has no type, or comes after it. */
static int take_bytes(struct line_record *record, const json_t *line, char *why)
{
	const json_t *json = json_object_get(line, "bytes");
	unsigned char *bytes;
	size_t size;
	int err;

	if (json_to_bytes(json, &bytes, &size))
		return refuse(why, "bytes is neither a string nor {\"hex\": \"...\"}");
	err = make_room(record, record->size + size + 1, why);
	if (!err) {
		memcpy(record->payload + record->size, bytes, size);
		record->size += size;
	}
	free(bytes);
	return err;
}

int line_record(struct line_record *record, const json_t *line, const struct shr_schema *schema,
		char why[SENTENCE])
{
	const json_t *version = json_object_get(line, "v"), *type = json_object_get(line, "type");
	const json_t *size = json_object_get(line, "size");
	int err = 0;

	if (version && json_integer_value(version) != 1)
		return refuse(why, "v is not 1: another version printed it");
	if (json_object_get(line, "change"))
		return refuse(why, "it is a change that shmring-dump follow printed, not a record");
	if (type && (!json_is_integer(type) || json_integer_value(type) < 0 ||
		     json_integer_value(type) > UINT16_MAX))
		return refuse(why, "type is not a number from 0 to 65535");
	record->type = (uint16_t)json_integer_value(type);
	record->size = 0;
	if (schema)
		err = take_fields(record, line, schema, why);
	else if (json_object_get(line, "fields"))
		err = refuse(why, "it has fields, and the records are untyped");
	if (!err && (!schema || json_object_get(line, "bytes")))
		err = take_bytes(record, line, why);
	if (!err && size &&
	    (!json_is_integer(size) || json_integer_value(size) != (json_int_t)record->size))
		err = refuse(why, "it has %zu bytes, and its size is said to be %lld", record->size,
			     (long long)json_integer_value(size));
	return err;
}
