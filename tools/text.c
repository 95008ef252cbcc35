/* SPDX-License-Identifier: MIT */
/* shmring-dump: things as text for a terminal. Contents are not trusted. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dump.h"

void text_whole_lines(void)
{
	/* Not NULL: where libc makes no buffer for stderr there would be none (musl). */
	static char line[BUFSIZ];

	setvbuf(stderr, line, _IOLBF, sizeof(line));
}

/* Bytes of the UTF-8 character at @at, or 0: none, or one that a terminal obeys. */
static size_t printable(const unsigned char *at, size_t size)
{
	size_t n = at[0] < 0x80   ? 1
		   : at[0] < 0xc2 ? 0
		   : at[0] < 0xe0 ? 2
		   : at[0] < 0xf0 ? 3
		   : at[0] < 0xf5 ? 4
				  : 0;
	uint32_t code = n < 2 ? at[0] : at[0] & (0x7fu >> n);

	if (!n || n > size)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (at[i] & 0x3f);
	}
	if ((n == 3 && code < 0x800) || (n == 4 && (code < 0x10000 || code > 0x10ffff)) ||
	    (code >= 0xd800 && code < 0xe000))
		return 0;
	/* Controls, and what hides or reorders the text around it. */
	if (code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x200b && code <= 0x200f) ||
	    (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) ||
	    code == 0xfeff)
		return 0;
	return n;
}

/* Escape what is in , and all that is not printable. Returns the columns. */
static int put_bytes(FILE *out, const unsigned char *byte, size_t size, const char *plain,
		     const char *named)
{
	int width = 0;

	for (size_t i = 0; i < size;) {
		const char *at = byte[i] ? strchr(plain, byte[i]) : NULL;
		size_t n = printable(byte + i, size - i);

		if (at) {
			width += 2;
			if (out)
				fprintf(out, "\\%c", named[at - plain]);
			n = 1;
		} else if (n) {
			width++;
			if (out)
				fwrite(byte + i, 1, n, out);
		} else {
			width += 4;
			if (out)
				fprintf(out, "\\x%02x", byte[i]);
			n = 1;
		}
		i += n;
	}
	return width;
}

void text_bytes(FILE *out, const void *bytes, size_t size)
{
	put_bytes(out, bytes, size, "\n\r\t\"\\", "nrt\"\\");
}

void text_plain(FILE *out, const void *bytes, size_t size)
{
	put_bytes(out, bytes, size, "\n\r\t\\", "nrt\\");
}

void text_string(FILE *out, const char *string)
{
	put_bytes(out, (const unsigned char *)string, strlen(string), "\n\r\t\\", "nrt\\");
}

int text_width(const char *string)
{
	return put_bytes(NULL, (const unsigned char *)string, strlen(string), "\n\r\t\\", "nrt\\");
}

/* The fewest digits that read back as the same number. */
static void text_number(FILE *out, double number, int single)
{
	char text[32];

	for (int digits = single ? 6 : 15; digits <= (single ? 9 : 17); digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, number);
		if (single ? strtof(text, NULL) == (float)number : strtod(text, NULL) == number)
			break;
	}
	fputs(text, out);
}

void text_value(FILE *out, const struct shr_field *field, const void *payload, uint32_t index)
{
	struct value value = field_value(field, payload, index);
	const char *name = value_name(field, &value);
	char byte;

	if (name) {
		text_string(out, name);
		return;
	}
	switch (field->kind) {
	case SHR_KIND_CHAR:
		byte = (char)value.u;
		fputc('\'', out);
		text_bytes(out, &byte, value.u ? 1 : 0);
		fputc('\'', out);
		break;
	case SHR_KIND_I8:
	case SHR_KIND_I16:
	case SHR_KIND_I32:
	case SHR_KIND_I64:
		fprintf(out, "%" PRId64, value.i);
		break;
	case SHR_KIND_F32:
	case SHR_KIND_F64:
		if (isnan(value.f))
			fputs("NaN", out);
		else if (isinf(value.f))
			fputs(value.f < 0 ? "-Infinity" : "Infinity", out);
		else
			text_number(out, value.f, field->kind == SHR_KIND_F32);
		break;
	default:
		fprintf(out, "%" PRIu64, value.u);
	}
}

void text_field_value(FILE *out, const struct shr_field *field, const void *payload)
{
	if (field->kind == SHR_KIND_CHAR && field->count) {
		const char *string = (const char *)payload + field->offset;

		fputc('"', out);
		text_bytes(out, string, strnlen(string, field->count));
		fputc('"', out);
	} else if (field->count) {
		for (uint32_t i = 0; i < field->count; i++) {
			fputc(i ? ',' : '[', out);
			text_value(out, field, payload, i);
		}
		fputc(']', out);
	} else {
		text_value(out, field, payload, 0);
	}
}

static void text_field(FILE *out, const struct style *style, const struct shr_field *field,
		       const void *payload)
{
	fputs(NAME(style), out);
	text_string(out, field->name);
	fprintf(out, "%s=", PLAIN(style));
	text_field_value(out, field, payload);
}

void text_record(FILE *out, const struct style *style, const struct shr_schema *schema,
		 const struct shr_walk_record *record)
{
	size_t from = 0, shown;

	if (schema) {
		uint32_t count = fields_in(schema, record->copied);

		for (uint32_t i = 0; i < count; i++) {
			fputc(' ', out);
			text_field(out, style, &schema->fields[i], record->payload);
		}
		if (count < schema->field_count)
			fprintf(out, " %s(cut short)%s", BAD(style), PLAIN(style));
		from = record->copied < schema->size ? record->copied : schema->size;
		if (record->size <= schema->size)
			return;
		fputs(" and", out);
	}
	shown = record->copied - from;
	if (shown > style->bytes)
		shown = style->bytes;
	fputs(" \"", out);
	text_bytes(out, (const char *)record->payload + from, shown);
	fputc('"', out);
	if (record->size - from > shown)
		fprintf(out, " and %" PRIu64 " bytes", record->size - from - shown);
}

void text_hexdump(FILE *out, const struct style *style, const struct shr_walk_record *record)
{
	const unsigned char *byte = record->payload;
	size_t shown = record->copied < style->bytes ? record->copied : style->bytes;

	for (size_t line = 0; line < shown; line += 16) {
		fprintf(out, "%08zx ", line);
		for (size_t i = line; i < line + 16; i++) {
			fputs(i % 8 ? "" : " ", out);
			if (i < shown)
				fprintf(out, "%02x ", byte[i]);
			else
				fputs("   ", out);
		}
		fputs(" |", out);
		for (size_t i = line; i < line + 16 && i < shown; i++)
			fputc(byte[i] >= 0x20 && byte[i] < 0x7f ? byte[i] : '.', out);
		fputs("|\n", out);
	}
	if (record->size > shown)
		fprintf(out, "and %" PRIu64 " bytes\n", record->size - shown);
}

void text_hex(FILE *out, const struct style *style, const struct shr_walk_record *record)
{
	const unsigned char *byte = record->payload;
	size_t shown = record->copied < style->bytes ? record->copied : style->bytes;

	for (size_t i = 0; i < shown; i++)
		fprintf(out, "%s%02x", i % 8 ? "" : " ", byte[i]);
	if (record->size > shown)
		fprintf(out, " and %" PRIu64 " bytes", record->size - shown);
}

void text_labels(FILE *out, const struct style *style, const struct shr_schema *schema,
		 uint32_t key_field, const struct shr_walk_record *record)
{
	uint32_t count = fields_in(schema, record->copied);

	for (uint32_t i = 0; i < count; i++) {
		if (is_counter(schema, i + 1, key_field))
			continue;
		fputc(' ', out);
		text_field(out, style, &schema->fields[i], record->payload);
	}
}

void text_counter_value(FILE *out, const struct shr_field *field, struct value value)
{
	if (field->kind == SHR_KIND_I32 || field->kind == SHR_KIND_I64)
		fprintf(out, "%20" PRId64, value.i);
	else
		fprintf(out, "%20" PRIu64, value.u);
}

void text_counter_name(FILE *out, const struct shr_field *field, int index)
{
	text_string(out, field->name);
	if (index >= 0)
		fprintf(out, "[%d]", index);
}

void text_counter_meaning(FILE *out, const struct shr_field *field, int index)
{
	int width = field->unit ? text_width(field->unit) : 0;

	text_string(out, field->unit ? field->unit : "");
	fprintf(out, "%*s ", width < 8 ? 8 - width : 0, "");
	text_counter_name(out, field, index);
	if (field->help) {
		fputs(": ", out);
		text_string(out, field->help);
	}
	fputc('\n', out);
}

void text_counter(FILE *out, const struct shr_field *field, int index, struct value value)
{
	fputs("  ", out);
	text_counter_value(out, field, value);
	fputc(' ', out);
	text_counter_meaning(out, field, index);
}

void text_counters(FILE *out, const struct shr_schema *schema, uint32_t key_field,
		   const struct shr_walk_record *record)
{
	uint32_t count = fields_in(schema, record->copied);

	for (uint32_t i = 0; i < count; i++) {
		const struct shr_field *field = &schema->fields[i];

		if (!is_counter(schema, i + 1, key_field))
			continue;
		for (uint32_t j = 0; j < (field->count ? field->count : 1); j++)
			text_counter(out, field, field->count ? (int)j : -1,
				     field_value(field, record->payload, j));
	}
}
