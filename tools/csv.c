/* SPDX-License-Identifier: MIT */
/* shmring-dump -o csv. */
#include "csv.h"

#include <stdlib.h>
#include <string.h>

#define PSEUDO_MAX 9

/* Add it, if it is not there. Its text is the caller's until it is copied. */
static void add(struct fields *fields, const char *text)
{
	size_t length = strlen(text);

	for (size_t i = 0; i < fields->count; i++)
		if (fields->names[i].length == length &&
		    !memcmp(fields->names[i].text, text, length))
			return;
	fields->names[fields->count++] = (struct name){text, length, 1};
}

static void add_pseudo(struct fields *fields, const struct show *show)
{
	static const char *const names[] = {"@object", "@position", "@sequence", "@time",
					    "@type",   "@slot",     "@version",  "@state"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (uint32_t j = 0; j < show->count; j++) {
			struct column column;

			if (!column_find(&column, names[i], strlen(names[i]),
					 &show->sources[j].object))
				add(fields, names[i]);
		}
}

/* Copy the names: they are of an object that will be closed. */
static int keep(struct fields *fields)
{
	size_t size = 1;
	char *text;

	for (size_t i = 0; i < fields->count; i++)
		size += fields->names[i].length;
	text = malloc(size);
	if (!text)
		return -1;
	fields->text = fields->own = text;
	for (size_t i = 0; i < fields->count; i++) {
		struct name *name = &fields->names[i];

		memcpy(text, name->text, name->length);
		name->text = text;
		text += name->length;
	}
	return 0;
}

struct fields *csv_fields(const struct show *show)
{
	size_t most = PSEUDO_MAX + (size_t)show->count * SHR_FIELDS_MAX;
	struct fields *fields = calloc(1, sizeof(*fields) + most * sizeof(fields->names[0]));

	if (!fields)
		return NULL;
	add_pseudo(fields, show);
	for (uint32_t i = 0; i < show->count; i++) {
		const struct shr_schema *schema = show->sources[i].object.schema;

		for (uint32_t j = 0; schema && j < schema->field_count && j < SHR_FIELDS_MAX; j++)
			add(fields, schema->fields[j].name);
	}
	for (uint32_t i = 0; i < show->count; i++)
		if (!show->sources[i].object.schema)
			add(fields, "@bytes");
	if (keep(fields)) {
		free(fields);
		return NULL;
	}
	return fields;
}

static void put_text(const char *text, size_t size)
{
	const char *quote;

	putchar('"');
	while ((quote = memchr(text, '"', size))) {
		size_t before = (size_t)(quote - text);

		text_plain(stdout, text, before);
		fputs("\"\"", stdout);
		text += before + 1;
		size -= before + 1;
	}
	text_plain(stdout, text, size);
	putchar('"');
}

void csv_names(const struct fields *fields)
{
	for (size_t i = 0; i < fields->count; i++) {
		const struct name *name = &fields->names[i];
		char *text = strndup(name->text, name->length);

		if (i)
			putchar(',');
		if (text && column_name(text) == name->length)
			fputs(text, stdout);
		else
			put_text(name->text, name->length);
		free(text);
	}
	putchar('\n');
}

/* As in text, where names of values may have commas and quotes in it. */
static void put_column(const struct column *column, const struct row *row)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return;
	text_column(out, column, row);
	fclose(out);
	putchar('"');
	for (const char *at = text; at && *at; at++) {
		if (*at == '"')
			putchar('"');
		putchar(*at);
	}
	putchar('"');
	free(text);
}

void csv_row(const struct fields *fields, const struct column *columns, const struct row *row)
{
	for (size_t i = 0; i < fields->count; i++) {
		struct datum datum = column_value(&columns[i], row);
		const char *quote = datum.kind == DATUM_ARRAY ? "\"" : ""; /* it has commas */

		if (i)
			putchar(',');
		if (datum.kind == DATUM_TEXT) {
			put_text(datum.text, datum.size);
		} else if (datum.kind != DATUM_NONE && column_enum(&columns[i], row->object)) {
			put_column(&columns[i], row);
		} else if (datum.kind != DATUM_NONE) {
			fputs(quote, stdout);
			text_column(stdout, &columns[i], row);
			fputs(quote, stdout);
		}
	}
	putchar('\n');
}
