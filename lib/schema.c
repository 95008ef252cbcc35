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

/* @whole: members that lie side by side, and describe every byte. */
static int check(const struct shr_schema *schema, int whole)
{
	uint32_t end = 0;

	if (schema->struct_size != sizeof(*schema) || schema->field_size != sizeof(*schema->fields))
		return shr_fail(EINVAL, "the program's schema was made for another library");
	if (!schema->field_count || schema->field_count > SHR_FIELDS_MAX || !schema->name ||
	    strnlen(schema->name, SHR_FIELD_NAME_MAX + 1) > SHR_FIELD_NAME_MAX)
		return shr_fail(EINVAL, "a schema needs a name and 1 to %d members", SHR_FIELDS_MAX);
	for (uint32_t i = 0; i < schema->field_count; i++) {
		const struct shr_field *field = &schema->fields[i];
		uint64_t size = shr_kind_size(field->kind);
		uint64_t bytes = size * (field->count ? field->count : 1);

		if (!size || !field->name || !field->name[0] ||
		    strnlen(field->name, SHR_FIELD_NAME_MAX + 1) > SHR_FIELD_NAME_MAX)
			return shr_fail(EINVAL, "member %u of the schema has no type or name", i);
		if (!whole)
			end = field->offset;
		if (field->offset != end || end > schema->size || bytes > schema->size - end ||
		    field->offset % size)
			return shr_fail(EINVAL, "member %.63s of the schema is out of place",
					field->name);
		end += (uint32_t)bytes;
	}
	if (whole && end != schema->size)
		return shr_fail(EINVAL, "the schema describes %u bytes of %u", end, schema->size);
	return 0;
}

int schema_check(const struct shr_schema *schema)
{
	return check(schema, 1);
}

static uint32_t put_string(char *strings, uint32_t *at, const char *string)
{
	uint32_t here = *at;

	if (strings)
		strcpy(strings + here, string);
	*at += (uint32_t)strlen(string) + 1;
	return here;
}

size_t schema_encode(const struct shr_schema *schema, void *buffer)
{
	struct shm_schema *out = buffer;
	struct shm_field *fields = buffer ? (struct shm_field *)(out + 1) : NULL;
	char *strings = buffer ? (char *)(fields + schema->field_count) : NULL;
	uint32_t used = 0, name = put_string(strings, &used, schema->name);
	size_t size;

	for (uint32_t i = 0; i < schema->field_count; i++) {
		const struct shr_field *field = &schema->fields[i];
		struct shm_field out_field = {.name = put_string(strings, &used, field->name),
					      .offset = field->offset,
					      .count = field->count,
					      .kind = field->kind};

		if (field->unit)
			out_field.unit = put_string(strings, &used, field->unit);
		if (field->help)
			out_field.help = put_string(strings, &used, field->help);
		if (buffer)
			fields[i] = out_field;
	}
	size = sizeof(*out) + schema->field_count * sizeof(*fields) + used;
	size = (size + 7) & ~(size_t)7;
	if (buffer)
		*out = (struct shm_schema){.size = (uint32_t)size,
					   .record_size = schema->size,
					   .version = schema->version,
					   .fields = schema->field_count,
					   .strings = used,
					   .name = name,
					   .hash = shr_schema_hash(schema)};
	return size;
}

int schema_decode(struct shr_schema **result, const void *data, size_t size, int whole)
{
	const struct shm_schema *in = data;
	const struct shm_field *from = (const struct shm_field *)(in + 1);
	struct shr_schema *schema;
	struct shr_field *fields;
	char *strings;
	size_t need;
	int err;

	if (size < sizeof(*in) || !in->fields || in->fields > SHR_FIELDS_MAX || !in->strings ||
	    in->strings > 65536)
		return shr_fail(EBADMSG, "a schema in the segment is damaged");
	need = sizeof(*in) + in->fields * sizeof(*from) + in->strings;
	if (need > size || ((const char *)data)[need - 1])
		return shr_fail(EBADMSG, "a schema in the segment is cut short");
	schema = calloc(1, sizeof(*schema) + in->fields * sizeof(*fields) + in->strings);
	if (!schema)
		return shr_fail(ENOMEM, "out of memory");
	fields = (struct shr_field *)(schema + 1);
	strings = (char *)(fields + in->fields);
	memcpy(strings, from + in->fields, in->strings);
	err = in->name < in->strings ? 0 : -EBADMSG;
	for (uint32_t i = 0; i < in->fields && !err; i++) {
		if (from[i].name >= in->strings || from[i].unit >= in->strings ||
		    from[i].help >= in->strings)
			err = -EBADMSG;
		else
			fields[i] = (struct shr_field){
				.name = strings + from[i].name,
				.offset = from[i].offset,
				.count = from[i].count,
				.kind = from[i].kind,
				.unit = from[i].unit ? strings + from[i].unit : NULL,
				.help = from[i].help ? strings + from[i].help : NULL};
	}
	*schema = (struct shr_schema){.struct_size = sizeof(*schema),
				      .field_size = sizeof(*fields),
				      .name = strings + (err ? 0 : in->name),
				      .version = in->version,
				      .size = in->record_size,
				      .field_count = in->fields,
				      .fields = fields};
	if (err || check(schema, whole)) {
		free(schema);
		return shr_fail(EBADMSG, "a schema in the segment is damaged");
	}
	*result = schema;
	return 0;
}
