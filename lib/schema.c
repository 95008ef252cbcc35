/* SPDX-License-Identifier: MIT */
/* L2: hash and comparison of schemas. */
#include <shmring/schema.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "layout.h"
#include "schema_hash.h"

static const struct {
	const char *name;
	uint32_t size;
} kinds[] = {
	{"?", 0},   {"char", 1}, {"i8", 1},  {"u8", 1},  {"i16", 2}, {"u16", 2},
	{"i32", 4}, {"u32", 4},	 {"i64", 8}, {"u64", 8}, {"f32", 4}, {"f64", 8},
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

uint32_t shr_kind_size(uint32_t kind)
{
	return kind < KINDS ? kinds[kind].size : 0;
}

const char *shr_kind_name(uint32_t kind)
{
	return kinds[kind < KINDS ? kind : 0].name;
}

uint64_t shr_schema_hash(const struct shr_schema *schema)
{
	uint64_t hash = HASH_START;

	if (!schema)
		return 0;
	hash = hash_u32(hash, schema->size);
	for (uint32_t i = 0; i < schema->field_count; i++) {
		const struct shr_field *field = &schema->fields[i];

		hash = hash_string(hash, field->name);
		hash = hash_u32(hash, field->offset);
		hash = hash_u32(hash, field->count);
		hash = hash_u32(hash, field->kind);
	}
	return hash ? hash : 1;
}

/* "u32@16", "char[8]@24" */
static const char *place(const struct shr_field *field, char *text, size_t size)
{
	if (field->count)
		snprintf(text, size, "%s[%u]@%u", shr_kind_name(field->kind), field->count,
			 field->offset);
	else
		snprintf(text, size, "%s@%u", shr_kind_name(field->kind), field->offset);
	return text;
}

static int field_match(const struct shr_field *ours, const struct shr_field *theirs)
{
	char our_place[48], their_place[48];

	if (strcmp(ours->name, theirs->name))
		return shr_fail(EPROTOTYPE, "%.63s: %s here, where the segment has %.63s: %s",
				ours->name, place(ours, our_place, sizeof(our_place)), theirs->name,
				place(theirs, their_place, sizeof(their_place)));
	if (ours->kind != theirs->kind || ours->offset != theirs->offset ||
	    ours->count != theirs->count)
		return shr_fail(EPROTOTYPE, "%.63s: %s here, %s in the segment", ours->name,
				place(ours, our_place, sizeof(our_place)),
				place(theirs, their_place, sizeof(their_place)));
	return 0;
}

int shr_schema_match(const struct shr_schema *ours, const struct shr_schema *theirs)
{
	uint32_t common;

	if (!ours && !theirs)
		return 0;
	if (!ours || !theirs)
		return shr_fail(EPROTOTYPE, "the records are %s here, %s in the segment",
				ours ? ours->name : "untyped", theirs ? theirs->name : "untyped");
	if (ours->struct_size != sizeof(*ours) || ours->field_size != sizeof(*ours->fields) ||
	    !ours->field_count || ours->field_count > SHR_FIELDS_MAX)
		return shr_fail(EINVAL, "the program's schema was made for another library");
	if (strcmp(ours->name, theirs->name))
		return shr_fail(EPROTOTYPE, "the records are %.63s here, %.63s in the segment",
				ours->name, theirs->name);
	common = ours->field_count < theirs->field_count ? ours->field_count : theirs->field_count;
	for (uint32_t i = 0; i < common; i++) {
		int err = field_match(&ours->fields[i], &theirs->fields[i]);

		if (err)
			return err;
	}
	return 0;
}

int schema_is_name(const char *name)
{
	return name && name[0] && strnlen(name, SHR_FIELD_NAME_MAX + 1) <= SHR_FIELD_NAME_MAX;
}

static int is_signed(uint32_t kind)
{
	return kind == SHR_KIND_I8 || kind == SHR_KIND_I16 || kind == SHR_KIND_I32 ||
	       kind == SHR_KIND_I64;
}

static int kind_has(uint32_t kind, int64_t value)
{
	int bits = (int)shr_kind_size(kind) * 8;

	if (bits == 64)
		return 1;
	return is_signed(kind) ? value >= -((int64_t)1 << (bits - 1)) &&
					 value < (int64_t)1 << (bits - 1)
			       : value >= 0 && value < (int64_t)1 << bits;
}

int schema_enum_name_check(const struct shr_field *field, uint32_t number)
{
	const struct shr_enum_name *name = &field->names[number];

	if (field->kind < SHR_KIND_I8 || field->kind > SHR_KIND_U64)
		return shr_fail(EINVAL, "member %.63s is no integer, whose values have no names",
				field->name);
	if (!schema_is_name(name->name) || strchr("0123456789+-.", name->name[0]))
		return shr_fail(EINVAL,
				"a value of member %.63s has a name that is none: it needs 1 to %d "
				"bytes, the first no digit, sign or point",
				field->name, SHR_FIELD_NAME_MAX);
	if (!kind_has(field->kind, name->value))
		return shr_fail(EINVAL, "member %.63s is %s, which cannot be %lld, named %.63s",
				field->name, shr_kind_name(field->kind), (long long)name->value,
				name->name);
	for (uint32_t i = 0; i < number; i++)
		if (!strcmp(field->names[i].name, name->name))
			return shr_fail(EINVAL, "two values of member %.63s are named %.63s",
					field->name, name->name);
	return 0;
}

/* @count: of the names of values, in the members before, too. */
static int check_enum_names(const struct shr_field *field, uint32_t *count)
{
	int err = 0;

	if (field->name_count > SHR_ENUM_NAMES_MAX - *count ||
	    (field->name_count && !field->names))
		return shr_fail(EINVAL, "the schema names more than %d values, or none of many",
				SHR_ENUM_NAMES_MAX);
	*count += field->name_count;
	for (uint32_t i = 0; i < field->name_count && !err; i++)
		err = schema_enum_name_check(field, i);
	return err;
}

/* @whole: members that lie side by side, and describe every byte. */
static int check(const struct shr_schema *schema, int whole)
{
	uint32_t end = 0, names = 0;

	if (schema->struct_size != sizeof(*schema) || schema->field_size != sizeof(*schema->fields))
		return shr_fail(EINVAL, "the program's schema was made for another library");
	if (!schema->field_count || schema->field_count > SHR_FIELDS_MAX || !schema->name ||
	    strnlen(schema->name, SHR_FIELD_NAME_MAX + 1) > SHR_FIELD_NAME_MAX)
		return shr_fail(EINVAL, "a schema needs a name and 1 to %d members", SHR_FIELDS_MAX);
	for (uint32_t i = 0; i < schema->field_count; i++) {
		const struct shr_field *field = &schema->fields[i];
		uint64_t size = shr_kind_size(field->kind);
		uint64_t bytes = size * (field->count ? field->count : 1);

		if (!size || !schema_is_name(field->name))
			return shr_fail(EINVAL, "member %u of the schema has no type or name", i);
		if (!whole)
			end = field->offset;
		if (field->offset != end || end > schema->size || bytes > schema->size - end ||
		    field->offset % size)
			return shr_fail(EINVAL, "member %.63s of the schema is out of place",
					field->name);
		if (check_enum_names(field, &names))
			return -EINVAL;
		end += (uint32_t)bytes;
	}
	if (whole && end != schema->size)
		return shr_fail(EINVAL, "the schema describes %u bytes of %u", end, schema->size);
	return 0;
}

/* With every string's terminating zero. */
static size_t text_size(const struct shr_schema *schema)
{
	size_t size = strlen(schema->name) + 1;

	for (uint32_t i = 0; i < schema->field_count; i++) {
		const struct shr_field *field = &schema->fields[i];

		size += strlen(field->name) + 1;
		size += field->unit ? strlen(field->unit) + 1 : 0;
		size += field->help ? strlen(field->help) + 1 : 0;
		for (uint32_t j = 0; j < field->name_count; j++)
			size += strlen(field->names[j].name) + 1;
	}
	return size;
}

int schema_check(const struct shr_schema *schema)
{
	int err = check(schema, 1);

	if (!err && text_size(schema) > SHR_SCHEMA_TEXT_MAX)
		err = shr_fail(EINVAL, "the texts of the schema have %zu bytes, and %d are possible",
			       text_size(schema), SHR_SCHEMA_TEXT_MAX);
	return err;
}

const char *shr_field_enum_name(const struct shr_field *field, int64_t value)
{
	for (uint32_t i = 0; i < field->name_count; i++)
		if (field->names[i].value == value)
			return field->names[i].name;
	return NULL;
}

/* The parts of an encoded schema: what it has of each says where the next begins. */
struct parts {
	uint32_t fields;
	uint32_t strings;
	uint32_t names;
};

static size_t strings_at(const struct parts *parts)
{
	return sizeof(struct shm_schema) + parts->fields * sizeof(struct shm_field);
}

static size_t names_at(const struct parts *parts)
{
	return (strings_at(parts) + parts->strings + 7) & ~(size_t)7;
}

static size_t encoded_size(const struct parts *parts)
{
	return names_at(parts) + parts->names * sizeof(struct shm_enum_name);
}

static struct parts count_parts(const struct shr_schema *schema)
{
	struct parts parts = {.fields = schema->field_count,
			      .strings = (uint32_t)text_size(schema)};

	for (uint32_t i = 0; i < schema->field_count; i++)
		parts.names += schema->fields[i].name_count;
	return parts;
}

static uint32_t put_string(char *strings, uint32_t *at, const char *string)
{
	uint32_t here = *at;

	strcpy(strings + here, string);
	*at += (uint32_t)strlen(string) + 1;
	return here;
}

size_t schema_encode(const struct shr_schema *schema, void *buffer)
{
	const struct parts parts = count_parts(schema);
	struct shm_schema *out = buffer;
	struct shm_field *fields = (struct shm_field *)(out + 1);
	struct shm_enum_name *names;
	uint32_t used = 0, named = 0;
	char *strings;

	if (!buffer)
		return encoded_size(&parts);
	strings = (char *)buffer + strings_at(&parts);
	names = (struct shm_enum_name *)((char *)buffer + names_at(&parts));
	*out = (struct shm_schema){.size = (uint32_t)encoded_size(&parts),
				   .record_size = schema->size,
				   .version = schema->version,
				   .fields = parts.fields,
				   .strings = parts.strings,
				   .name = put_string(strings, &used, schema->name),
				   .hash = shr_schema_hash(schema),
				   .enum_names = parts.names};
	for (uint32_t i = 0; i < schema->field_count; i++) {
		const struct shr_field *field = &schema->fields[i];

		fields[i] = (struct shm_field){.name = put_string(strings, &used, field->name),
					       .offset = field->offset,
					       .count = field->count,
					       .kind = field->kind,
					       .enum_name = named,
					       .enum_names = field->name_count,
					       .since = field->since};
		if (field->unit)
			fields[i].unit = put_string(strings, &used, field->unit);
		if (field->help)
			fields[i].help = put_string(strings, &used, field->help);
		for (uint32_t j = 0; j < field->name_count; j++, named++)
			names[named] = (struct shm_enum_name){
				.value = (uint64_t)field->names[j].value,
				.name = put_string(strings, &used, field->names[j].name)};
	}
	return encoded_size(&parts);
}

/* A schema, with its fields, the names of their values and all strings behind it. */
struct decoded {
	struct shr_schema *schema;
	struct shr_field *fields;
	struct shr_enum_name *names;
	char *strings;
};

static int decoded_new(struct decoded *to, const struct parts *parts)
{
	to->schema = calloc(1, sizeof(*to->schema) + parts->fields * sizeof(*to->fields) +
				       parts->names * sizeof(*to->names) + parts->strings);
	if (!to->schema)
		return shr_fail(ENOMEM, "out of memory");
	to->fields = (struct shr_field *)(to->schema + 1);
	to->names = (struct shr_enum_name *)(to->fields + parts->fields);
	to->strings = (char *)(to->names + parts->names);
	return 0;
}

/* 0, or -1: it points outside. */
static int decode_field(struct decoded *to, struct shr_field *field, const struct shm_field *from,
			const struct parts *parts)
{
	if (from->name >= parts->strings || from->unit >= parts->strings ||
	    from->help >= parts->strings || from->enum_names > parts->names ||
	    from->enum_name > parts->names - from->enum_names)
		return -1;
	*field = (struct shr_field){.name = to->strings + from->name,
				    .offset = from->offset,
				    .count = from->count,
				    .kind = from->kind,
				    .since = from->since,
				    .unit = from->unit ? to->strings + from->unit : NULL,
				    .help = from->help ? to->strings + from->help : NULL,
				    .names = from->enum_names ? to->names + from->enum_name : NULL,
				    .name_count = from->enum_names};
	return 0;
}

int schema_decode(struct shr_schema **result, const void *data, size_t size, int whole)
{
	const struct shm_schema *in = data;
	const struct shm_field *fields = (const struct shm_field *)(in + 1);
	const struct shm_enum_name *names;
	struct parts parts;
	struct decoded to = {0};
	int err;

	if (size < sizeof(*in) || !in->fields || in->fields > SHR_FIELDS_MAX || !in->strings ||
	    in->strings > SHR_SCHEMA_TEXT_MAX || in->enum_names > SHR_ENUM_NAMES_MAX)
		return shr_fail(EBADMSG, "a schema in the segment is damaged");
	parts = (struct parts){in->fields, in->strings, in->enum_names};
	if (in->size > size || encoded_size(&parts) > in->size ||
	    ((const char *)data)[strings_at(&parts) + parts.strings - 1])
		return shr_fail(EBADMSG, "a schema in the segment is cut short");
	err = decoded_new(&to, &parts);
	if (err)
		return err;
	memcpy(to.strings, (const char *)data + strings_at(&parts), parts.strings);
	names = (const struct shm_enum_name *)((const char *)data + names_at(&parts));
	err = in->name < parts.strings ? 0 : -1;
	for (uint32_t i = 0; i < parts.names && !err; i++) {
		if (names[i].name >= parts.strings)
			err = -1;
		else
			to.names[i] = (struct shr_enum_name){(int64_t)names[i].value,
							     to.strings + names[i].name};
	}
	for (uint32_t i = 0; i < parts.fields && !err; i++)
		err = decode_field(&to, &to.fields[i], &fields[i], &parts);
	*to.schema = (struct shr_schema){.struct_size = sizeof(*to.schema),
					 .field_size = sizeof(*to.fields),
					 .name = to.strings + (err ? 0 : in->name),
					 .version = in->version,
					 .size = in->record_size,
					 .field_count = parts.fields,
					 .fields = to.fields};
	if (err || check(to.schema, whole)) {
		free(to.schema);
		return shr_fail(EBADMSG, "a schema in the segment is damaged");
	}
	*result = to.schema;
	return 0;
}
