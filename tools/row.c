/* SPDX-License-Identifier: MIT */
/* shmring-dump: the columns of records. */
#include "row.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* In the order of enum column_kind. */
static const char *const pseudo_names[] = {
	[COLUMN_BYTES] = "@bytes",       [COLUMN_MEMBER] = "@member",
	[COLUMN_OBJECT] = "@object",     [COLUMN_POSITION] = "@position",
	[COLUMN_SEQUENCE] = "@sequence", [COLUMN_SIZE] = "@size",
	[COLUMN_SLOT] = "@slot",         [COLUMN_STATE] = "@state",
	[COLUMN_TIME] = "@time",         [COLUMN_TYPE] = "@type",
	[COLUMN_VERSION] = "@version"};

static int is_digit(char byte)
{
	return byte >= '0' && byte <= '9';
}

/* Names in a segment need not be of C: all that is not ASCII may be in one. */
static int is_letter(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_' ||
	       (unsigned char)byte >= 0x80;
}

size_t column_name(const char *text)
{
	size_t n = text[0] == '@', digits;

	if (!is_letter(text[n]))
		return 0;
	while (is_letter(text[n]) || is_digit(text[n]))
		n++;
	if (text[n] != '[')
		return n;
	for (digits = n + 1; is_digit(text[digits]); digits++)
		;
	return digits > n + 1 && text[digits] == ']' ? digits + 1 : n;
}

static int is(const char *name, size_t length, const char *other)
{
	return strlen(other) == length && !memcmp(name, other, length);
}

/* Have records of @object this? */
static int has(const struct shr_object_info *object, enum column_kind kind)
{
	int ring = object->kind == SHR_OBJECT_RING;

	switch (kind) {
	case COLUMN_POSITION:
	case COLUMN_TYPE:
		return ring;
	case COLUMN_SEQUENCE:
		return ring && object->ring.flags & SHR_RING_SEQUENCE;
	case COLUMN_TIME:
		return ring && object->ring.flags & SHR_RING_TIME;
	case COLUMN_SLOT:
	case COLUMN_VERSION:
		return !ring;
	default:
		return 1;
	}
}

int column_find(struct column *column, const char *name, size_t length,
		const struct shr_object_info *object)
{
	const struct shr_schema *schema = object->schema;
	const char *bracket = memchr(name, '[', length);
	size_t plain = bracket ? (size_t)(bracket - name) : length;
	uint64_t element = bracket ? strtoull(bracket + 1, NULL, 10) : ELEMENT_NONE;

	for (int kind = COLUMN_BYTES; kind <= COLUMN_VERSION; kind++) {
		if (!is(name, length, pseudo_names[kind]) || !has(object, (enum column_kind)kind))
			continue;
		*column = (struct column){(enum column_kind)kind, 0, ELEMENT_NONE, 0};
		return 0;
	}
	for (uint32_t i = 0; schema && i < schema->field_count; i++) {
		if (!is(name, plain, schema->fields[i].name))
			continue;
		if (bracket && element >= schema->fields[i].count)
			return -ERANGE;
		*column = (struct column){COLUMN_FIELD, i, (uint32_t)element, 0};
		return 0;
	}
	return -ENOENT;
}

const struct shr_field *column_enum(const struct column *column,
				    const struct shr_object_info *object)
{
	const struct shr_field *field =
		column->kind == COLUMN_FIELD ? &object->schema->fields[column->number] : NULL;

	return field && field->name_count ? field : NULL;
}

enum datum_kind column_type(const struct column *column, const struct shr_object_info *object)
{
	const struct shr_field *field;

	switch (column->kind) {
	case COLUMN_BYTES:
	case COLUMN_OBJECT:
	case COLUMN_STATE:
		return DATUM_TEXT;
	case COLUMN_FIELD:
		break;
	default:
		return DATUM_UNSIGNED;
	}
	field = &object->schema->fields[column->number];
	if (field->kind == SHR_KIND_CHAR)
		return DATUM_TEXT;
	if (field->count && column->element == ELEMENT_NONE)
		return DATUM_ARRAY;
	switch (field->kind) {
	case SHR_KIND_I8:
	case SHR_KIND_I16:
	case SHR_KIND_I32:
	case SHR_KIND_I64:
		return DATUM_SIGNED;
	case SHR_KIND_F32:
		return DATUM_SINGLE;
	case SHR_KIND_F64:
		return DATUM_DOUBLE;
	default:
		return DATUM_UNSIGNED;
	}
}

static struct datum of_text(const char *text, size_t size)
{
	return (struct datum){.kind = DATUM_TEXT, .text = text, .size = size};
}

static struct datum of_number(uint64_t number)
{
	return (struct datum){.kind = DATUM_UNSIGNED, .u = number};
}

static struct datum value_of_field(const struct column *column, const struct row *row)
{
	const struct shr_schema *schema = row->object->schema;
	const struct shr_field *field = &schema->fields[column->number];
	uint32_t element = column->element == ELEMENT_NONE ? 0 : column->element;
	enum datum_kind kind = column_type(column, row->object);
	const char *at = (const char *)row->record->payload + field->offset;
	struct value value;

	if (!row->has_payload || column->number >= fields_in(schema, row->record->copied))
		return (struct datum){.kind = DATUM_NONE};
	if (kind == DATUM_TEXT && field->count && column->element == ELEMENT_NONE)
		return of_text(at, strnlen(at, field->count));
	if (kind == DATUM_TEXT) /* one character, or none */
		return of_text(at + element, at[element] != 0);
	value = field_value(field, row->record->payload, element);
	return (struct datum){.kind = kind, .i = value.i, .u = value.u, .f = value.f};
}

/* What has no type: all, or what follows the type. */
static struct datum value_of_bytes(const struct row *row)
{
	const struct shr_schema *schema = row->object->schema;
	const struct shr_walk_record *record = row->record;
	size_t from = schema ? schema->size : 0;

	if (!row->has_payload)
		return (struct datum){.kind = DATUM_NONE};
	if (from > record->copied)
		from = record->copied;
	return of_text((const char *)record->payload + from, record->copied - from);
}

void mistake_tell(const struct mistake *mistake)
{
	char *before = strndup(mistake->text, mistake->at);

	fflush(stdout);
	fprintf(stderr, "shmring-dump: -%c: %s\n  ", mistake->option, mistake->sentence);
	text_string(stderr, mistake->text);
	fprintf(stderr, "\n%*s\n", 3 + (before ? text_width(before) : 0), "^");
	free(before);
}

struct datum column_value(const struct column *column, const struct row *row)
{
	const struct shr_walk_record *record = row->record;
	const char *state =
		row->slot ? slot_state_name(row->slot) : name_of_record_state(record->state);

	switch (column->kind) {
	case COLUMN_NONE:
		break;
	case COLUMN_FIELD:
		return value_of_field(column, row);
	case COLUMN_BYTES:
		return value_of_bytes(row);
	case COLUMN_MEMBER:
		return of_number(row->slot ? row->slot->member : record->member);
	case COLUMN_OBJECT:
		return of_text(row->object->name, strlen(row->object->name));
	case COLUMN_POSITION:
		return of_number(record->position);
	case COLUMN_SEQUENCE:
		return of_number(record->sequence);
	case COLUMN_SIZE:
		return of_number(record->size);
	case COLUMN_SLOT:
		return of_number(row->slot->number);
	case COLUMN_STATE:
		return of_text(state, strlen(state));
	case COLUMN_TIME:
		return of_number(record->time_ns);
	case COLUMN_TYPE:
		return of_number(record->type);
	case COLUMN_VERSION:
		return of_number(row->slot->info.version);
	}
	return (struct datum){.kind = DATUM_NONE};
}
