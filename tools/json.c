/* SPDX-License-Identifier: MIT */
/*
 * Things as JSON (RFC 8259). Integers of 64 bits are strings,
 * for readers that only have doubles; NaN and infinities are strings; bytes
 * that are no UTF-8 are {"hex": "..."}.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dump.h"

json_t *json_bytes(const void *bytes, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	json_t *string = json_stringn(bytes, size), *object;
	char *hex;

	if (string)
		return string;
	hex = malloc(2 * size + 1);
	if (!hex)
		return NULL;
	for (size_t i = 0; i < size; i++) {
		hex[2 * i] = digits[((const unsigned char *)bytes)[i] >> 4];
		hex[2 * i + 1] = digits[((const unsigned char *)bytes)[i] & 15];
	}
	object = json_object();
	json_object_set_new(object, "hex", json_stringn_nocheck(hex, 2 * size));
	free(hex);
	return object;
}

json_t *json_u64(uint64_t value)
{
	return json_sprintf("%" PRIu64, value);
}

json_t *json_enum(const char *name, uint32_t value)
{
	return strcmp(name, "?") ? json_string(name) : json_integer(value);
}

json_t *json_kind(uint32_t kind)
{
	return json_enum(kind && kind <= SHR_OBJECT_TABLE ? name_of_kind(kind) : "?", kind);
}

void json_put(json_t *object, const char *key, json_t *value)
{
	char *text = NULL;
	size_t size;
	FILE *out;

	if (value && !json_object_set(object, key, value)) {
		json_decref(value);
		return;
	}
	/* No UTF-8: as it is in text. */
	out = value ? open_memstream(&text, &size) : NULL;
	if (out) {
		text_string(out, key);
		fclose(out);
	}
	if (!text || json_object_set(object, text, value)) {
		fprintf(stderr, "%s: out of memory\n", tool_name);
		exit(1);
	}
	free(text);
	json_decref(value);
}

void json_put_bytes(json_t *object, const char *key, const char *string)
{
	json_put(object, key, json_bytes(string, strlen(string)));
}

json_t *json_value(const struct shr_field *field, const void *payload, uint32_t index)
{
	struct value value = field_value(field, payload, index);
	const char *name = value_name(field, &value);
	char byte;

	if (name)
		return json_bytes(name, strlen(name));
	switch (field->kind) {
	case SHR_KIND_CHAR:
		byte = (char)value.u;
		return json_bytes(&byte, value.u ? 1 : 0);
	case SHR_KIND_I64:
		return json_sprintf("%" PRId64, value.i);
	case SHR_KIND_U64:
		return json_u64(value.u);
	case SHR_KIND_I8:
	case SHR_KIND_I16:
	case SHR_KIND_I32:
		return json_integer(value.i);
	case SHR_KIND_F32:
	case SHR_KIND_F64:
		if (isnan(value.f))
			return json_string("NaN");
		if (isinf(value.f))
			return json_string(value.f < 0 ? "-Infinity" : "Infinity");
		return json_real(value.f);
	default:
		return json_integer((json_int_t)value.u);
	}
}

json_t *json_field(const struct shr_field *field, const void *payload)
{
	json_t *array;

	if (!field->count)
		return json_value(field, payload, 0);
	if (field->kind == SHR_KIND_CHAR) {
		const char *string = (const char *)payload + field->offset;

		return json_bytes(string, strnlen(string, field->count));
	}
	array = json_array();
	for (uint32_t i = 0; i < field->count; i++)
		json_array_append_new(array, json_value(field, payload, i));
	return array;
}

void json_payload(json_t *json, const struct shr_schema *schema,
		  const struct shr_walk_record *record)
{
	json_t *fields;
	size_t from = 0;

	if (schema) {
		uint32_t count = fields_in(schema, record->copied);

		fields = json_object();
		for (uint32_t i = 0; i < count; i++)
			json_put(fields, schema->fields[i].name,
				 json_field(&schema->fields[i], record->payload));
		json_put(json, "fields", fields);
		if (count < schema->field_count)
			json_put(json, "cut_short", json_true());
		from = record->copied < schema->size ? record->copied : schema->size;
	}
	if (!schema || record->size > schema->size)
		json_put(json, "bytes",
			 json_bytes((const char *)record->payload + from, record->copied - from));
	if (record->size > record->copied)
		json_put(json, "not_shown", json_u64(record->size - record->copied));
}

json_t *json_record(const char *object, const struct shr_walk_record *record)
{
	json_t *json = json_object();

	json_put(json, "v", json_integer(1));
	json_put_bytes(json, "object", object);
	json_put(json, "position", json_u64(record->position));
	json_put(json, "state", json_enum(name_of_record_state(record->state), record->state));
	json_put(json, "member", json_integer(record->member));
	json_put(json, "type", json_integer(record->type));
	json_put(json, "size", json_integer((json_int_t)record->size));
	if (record->sequence)
		json_put(json, "sequence", json_u64(record->sequence));
	if (record->time_ns)
		json_put(json, "time_ns", json_u64(record->time_ns));
	if (record->lost)
		json_put(json, "lost_records", json_u64(record->lost));
	if (record->deliveries) {
		json_put(json, "deliveries", json_u64(record->deliveries));
		json_put(json, "worker", json_integer(record->worker));
	}
	return json;
}

/* The names of a field's values. */
static json_t *json_names(const struct shr_field *field)
{
	json_t *names = json_array();

	for (uint32_t i = 0; i < field->name_count; i++) {
		const struct shr_enum_name *name = &field->names[i];
		json_t *one = json_object();

		json_put_bytes(one, "name", name->name);
		json_put(one, "value",
			 field->kind == SHR_KIND_U64 ? json_u64((uint64_t)name->value)
						     : json_sprintf("%" PRId64, name->value));
		json_array_append_new(names, one);
	}
	return names;
}

json_t *json_schema(const struct shr_schema *schema, uint64_t hash)
{
	json_t *json = json_object(), *fields = json_array();

	json_put_bytes(json, "name", schema->name);
	json_put(json, "version", json_integer(schema->version));
	json_put(json, "size", json_integer(schema->size));
	json_put(json, "hash", json_sprintf("%016" PRIx64, hash));
	for (uint32_t i = 0; i < schema->field_count; i++) {
		const struct shr_field *field = &schema->fields[i];
		json_t *one = json_object();

		json_put_bytes(one, "name", field->name);
		json_put(one, "type", json_enum(shr_kind_name(field->kind), field->kind));
		json_put(one, "offset", json_integer(field->offset));
		if (field->count)
			json_put(one, "count", json_integer(field->count));
		if (field->unit)
			json_put_bytes(one, "unit", field->unit);
		if (field->help)
			json_put_bytes(one, "help", field->help);
		if (field->since)
			json_put(one, "since", json_integer(field->since));
		if (field->name_count)
			json_put(one, "enum", json_names(field));
		json_array_append_new(fields, one);
	}
	json_put(json, "fields", fields);
	return json;
}

/*
 * JSON may have U+007F to U+009F as they are; a terminal takes them for commands. They
 * occur within strings alone, where \u says the same.
 */
struct json_out {
	FILE *file;
	int lead; /* 0xc2 was the last byte, and is not written yet */
};

static void put_byte(struct json_out *out, unsigned char byte)
{
	int is_control = out->lead ? byte >= 0x80 && byte < 0xa0 : byte == 0x7f;

	if (out->lead && !is_control)
		putc(0xc2, out->file);
	out->lead = byte == 0xc2;
	if (is_control)
		fprintf(out->file, "\\u%04x", byte);
	else if (!out->lead)
		putc(byte, out->file);
}

static int write_escaped(const char *bytes, size_t size, void *data)
{
	for (size_t i = 0; i < size; i++)
		put_byte(data, (unsigned char)bytes[i]);
	return 0;
}

int json_write(const json_t *json, FILE *file, size_t flags)
{
	struct json_out out = {.file = file};

	return json_dump_callback(json, write_escaped, &out, flags | JSON_REAL_PRECISION(17)) ||
			       ferror(file)
		       ? -1
		       : 0;
}
