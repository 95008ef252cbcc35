/* SPDX-License-Identifier: MIT */
/* shmring-dump: the values in a record, by its schema. */
#include <string.h>

#include "dump.h"

struct value field_value(const struct shr_field *field, const void *payload, uint32_t index)
{
	uint32_t size = shr_kind_size(field->kind);
	const char *at = (const char *)payload + field->offset + (size_t)index * size;
	struct value value = {0};
	union {
		int8_t i8;
		uint8_t u8;
		int16_t i16;
		uint16_t u16;
		int32_t i32;
		uint32_t u32;
		int64_t i64;
		uint64_t u64;
		float f32;
		double f64;
	} raw = {0};

	memcpy(&raw, at, size);
	switch (field->kind) {
	case SHR_KIND_CHAR:
	case SHR_KIND_U8:
		value.u = raw.u8;
		break;
	case SHR_KIND_I8:
		value.i = raw.i8;
		break;
	case SHR_KIND_I16:
		value.i = raw.i16;
		break;
	case SHR_KIND_U16:
		value.u = raw.u16;
		break;
	case SHR_KIND_I32:
		value.i = raw.i32;
		break;
	case SHR_KIND_U32:
		value.u = raw.u32;
		break;
	case SHR_KIND_I64:
		value.i = raw.i64;
		break;
	case SHR_KIND_U64:
		value.u = raw.u64;
		break;
	case SHR_KIND_F32:
		value.f = (double)raw.f32;
		break;
	case SHR_KIND_F64:
		value.f = raw.f64;
		break;
	}
	return value;
}

const char *value_name(const struct shr_field *field, const struct value *value)
{
	/* One of the two is zero, by its kind. */
	return field->name_count ? shr_field_enum_name(field, (int64_t)((uint64_t)value->i + value->u))
				 : NULL;
}

uint32_t fields_in(const struct shr_schema *schema, size_t size)
{
	uint32_t n = 0;

	while (n < schema->field_count) {
		const struct shr_field *field = &schema->fields[n];
		uint64_t bytes = (uint64_t)shr_kind_size(field->kind) * (field->count ? field->count : 1);

		if (field->offset + bytes > size)
			break;
		n++;
	}
	return n;
}

const char *name_of_kind(uint32_t kind)
{
	static const char *const names[] = {"unknown", "bytes", "ring",
					     "mutex",	"event", "table"};

	return names[kind < sizeof(names) / sizeof(names[0]) ? kind : 0];
}

const char *name_of_member_state(uint32_t state)
{
	static const char *const names[] = {"free", "alive", "dead", "coming", "unknown"};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

const char *name_of_ring_mode(uint32_t mode)
{
	static const char *const names[] = {"stream", "queue", "overwrite"};

	return mode < sizeof(names) / sizeof(names[0]) ? names[mode] : "?";
}

const char *name_of_record_state(uint32_t state)
{
	static const char *const names[] = {"ready", "busy", "skipped", "taken", "done", "lost"};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

const char *name_of_table_mode(uint32_t mode)
{
	static const char *const names[] = {"atomic", "in-place", "counters"};

	return mode < sizeof(names) / sizeof(names[0]) ? names[mode] : "?";
}

int is_counter(const struct shr_schema *schema, uint32_t number, uint32_t key_field)
{
	uint32_t kind = schema->fields[number - 1].kind;

	return number != key_field && !schema->fields[number - 1].name_count && (kind == SHR_KIND_I32 || kind == SHR_KIND_U32 ||
				       kind == SHR_KIND_I64 || kind == SHR_KIND_U64);
}
