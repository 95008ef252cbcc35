/* SPDX-License-Identifier: MIT */
/* shmring-dump -F: lists of columns. */
#include "fields.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int fields_parse(struct fields **result, char option, const char *text, size_t most)
{
	struct fields *fields;
	size_t count = 1;
	const char *at = text;

	for (const char *comma = text; (comma = strchr(comma, ',')); comma++)
		count++;
	fields = calloc(1, sizeof(*fields) + count * sizeof(fields->names[0]));
	if (!fields)
		return -ENOMEM;
	*fields = (struct fields){.option = option, .text = text, .count = count};
	for (size_t i = 0; i < count; i++) {
		size_t length = column_name(at);
		const char *sentence = NULL;

		if (!length || (at[length] && at[length] != ','))
			sentence = "not the name of a field";
		else if (i == most)
			sentence = "only one field";
		if (sentence) {
			mistake_tell(
				&(struct mistake){option, text, 0, (size_t)(at - text), sentence});
			free(fields);
			return -EINVAL;
		}
		fields->names[i] = (struct name){.text = at, .length = length};
		at += length + 1;
	}
	fields_free(*result); /* the option was given before: this time counts */
	*result = fields;
	return 0;
}

void fields_free(struct fields *fields)
{
	if (!fields)
		return;
	free(fields->own);
	free(fields);
}

int fields_bind(struct fields *fields, const struct shr_object_info *object, struct column **result)
{
	struct column *columns = calloc(fields->count, sizeof(*columns));
	int found = 0;

	if (!columns)
		return -ENOMEM;
	for (size_t i = 0; i < fields->count; i++) {
		struct name *name = &fields->names[i];

		if (column_find(&columns[i], name->text, name->length, object))
			columns[i].kind = COLUMN_NONE;
		else
			name->found = found = 1;
	}
	if (!found) {
		free(columns);
		return -EINVAL;
	}
	*result = columns;
	return 0;
}

int fields_mistake(const struct fields *fields, struct mistake *mistake)
{
	for (size_t i = 0; i < fields->count; i++) {
		const struct name *name = &fields->names[i];

		if (name->found)
			continue;
		*mistake = (struct mistake){fields->option, fields->text, 0,
					    (size_t)(name->text - fields->text), "no such field"};
		return 1;
	}
	return 0;
}

void text_column(FILE *out, const struct column *column, const struct row *row)
{
	struct datum datum = column_value(column, row);

	switch (datum.kind) {
	case DATUM_NONE:
		fputs("none", out);
		return;
	case DATUM_TEXT:
		fputc('"', out);
		text_bytes(out, datum.text, datum.size);
		fputc('"', out);
		return;
	default:
		break;
	}
	if (column->kind != COLUMN_FIELD)
		fprintf(out, "%" PRIu64, datum.u);
	else if (column->element == ELEMENT_NONE)
		text_field_value(out, &row->object->schema->fields[column->number],
				 row->record->payload);
	else
		text_value(out, &row->object->schema->fields[column->number], row->record->payload,
			   column->element);
}

json_t *json_column(const struct column *column, const struct row *row)
{
	struct datum datum = column_value(column, row);

	if (datum.kind == DATUM_NONE)
		return json_null();
	if (datum.kind == DATUM_TEXT)
		return json_bytes(datum.text, datum.size);
	switch (column->kind) {
	case COLUMN_FIELD:
		break;
	case COLUMN_POSITION: /* as they are in a record */
	case COLUMN_SEQUENCE:
	case COLUMN_TIME:
	case COLUMN_VERSION:
		return json_u64(datum.u);
	default:
		return json_integer((json_int_t)datum.u);
	}
	if (column->element == ELEMENT_NONE)
		return json_field(&row->object->schema->fields[column->number],
				  row->record->payload);
	return json_value(&row->object->schema->fields[column->number], row->record->payload,
			  column->element);
}

void text_fields(FILE *out, const struct style *style, const struct fields *fields,
		 const struct column *columns, const struct row *row)
{
	for (size_t i = 0; i < fields->count; i++) {
		const struct name *name = &fields->names[i];

		if (columns[i].kind == COLUMN_NONE)
			continue;
		fprintf(out, " %s", NAME(style));
		fwrite(name->text, 1, name->length, out); /* it was typed here */
		fprintf(out, "%s=", PLAIN(style));
		text_column(out, &columns[i], row);
	}
}

json_t *json_fields(const struct fields *fields, const struct column *columns,
		    const struct row *row)
{
	json_t *json = json_object();

	for (size_t i = 0; i < fields->count; i++) {
		const struct name *name = &fields->names[i];
		char *key;

		if (columns[i].kind == COLUMN_NONE)
			continue;
		key = strndup(name->text, name->length);
		json_put(json, key ? key : "", json_column(&columns[i], row));
		free(key);
	}
	return json;
}
