/* SPDX-License-Identifier: MIT */
/* What the parts of shmring-dump, and shmring, share: how a thing is shown. */
#ifndef TOOLS_DUMP_H
#define TOOLS_DUMP_H

#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include <shmring/shmring.h>

/* The program's own, for its messages. */
extern const char tool_name[];

enum format {
	FORMAT_TEXT,
	FORMAT_JSON,
	FORMAT_JSONL,
	FORMAT_OPENMETRICS, /* stat only, and the next */
	FORMAT_PROMETHEUS,
	FORMAT_NAMES, /* list only */
	FORMAT_CSV, /* records and follow only, and the next two */
	FORMAT_HEX,
	FORMAT_RAW, /* no value of -o */
};

struct style {
	enum format format;
	int color;
	size_t bytes; /* most that is shown of what has no type */
	int still;    /* an image: nothing moves in it, however long one waits */
};

/* Beginnings and ends of colours: "" where there are none. */
#define BOLD(style) ((style)->color ? "\033[1m" : "")
#define NAME(style) ((style)->color ? "\033[36m" : "")
#define BAD(style) ((style)->color ? "\033[31m" : "")
#define PLAIN(style) ((style)->color ? "\033[0m" : "")

/* text.c: for a terminal. Whatever the bytes, no control character comes out. */
/* Messages come as whole lines, also beside those of other processes. To be called first. */
void text_whole_lines(void);
/* To stand between quotes. */
void text_bytes(FILE *out, const void *bytes, size_t size);
/* The same where a quote means nothing. */
void text_plain(FILE *out, const void *bytes, size_t size);
/* A name or sentence. */
void text_string(FILE *out, const char *string);
/* Bytes in the column width that text_string() fills. */
int text_width(const char *string);
/* name=value for each field, and what follows them. */
void text_record(FILE *out, const struct style *style, const struct shr_schema *schema,
		 const struct shr_walk_record *record);

/* The value of a field, and of one element of it. */
void text_field_value(FILE *out, const struct shr_field *field, const void *payload);
void text_value(FILE *out, const struct shr_field *field, const void *payload, uint32_t index);

/* All of it, in lines of 16 bytes: offset, hexadecimal, and ASCII. */
void text_hexdump(FILE *out, const struct style *style, const struct shr_walk_record *record);

/* What has no type. */
void text_hex(FILE *out, const struct style *style, const struct shr_walk_record *record);
/* Of a table of counters: what says which, in a line, and each counter in one of its own. */
void text_labels(FILE *out, const struct style *style, const struct shr_schema *schema,
		 uint32_t key_field, const struct shr_walk_record *record);
void text_counters(FILE *out, const struct shr_schema *schema, uint32_t key_field,
		   const struct shr_walk_record *record);
/* Such a line; @index: of an array's element, else -1. */
struct value;
void text_counter(FILE *out, const struct shr_field *field, int index, struct value value);
/* Its parts: the number, the name, and the unit, name and what it means. */
void text_counter_value(FILE *out, const struct shr_field *field, struct value value);
void text_counter_name(FILE *out, const struct shr_field *field, int index);
void text_counter_meaning(FILE *out, const struct shr_field *field, int index);

static inline int is_json(const struct style *style)
{
	return style->format == FORMAT_JSON || style->format == FORMAT_JSONL;
}

/* Has it a payload to be shown? */
static inline int has_payload(const struct shr_walk_record *record)
{
	return record->state != SHR_STATE_BUSY && record->state != SHR_STATE_SKIPPED;
}

/* json.c: values of JSON; NULL only without memory. */
json_t *json_bytes(const void *bytes, size_t size); /* a string, or {"hex": ...} */
json_t *json_u64(uint64_t value);		    /* a string */
/* @name of @value, or if it has none, which is "?", the number. */
json_t *json_enum(const char *name, uint32_t value);
json_t *json_kind(uint32_t kind); /* of an object */
/* What is known of a record, without what is in it. */
json_t *json_record(const char *object, const struct shr_walk_record *record);
/* What is in @record, and its type, to @object. */
void json_payload(json_t *object, const struct shr_schema *schema,
		  const struct shr_walk_record *record);
json_t *json_value(const struct shr_field *field, const void *payload, uint32_t index);
json_t *json_field(const struct shr_field *field, const void *payload);
json_t *json_schema(const struct shr_schema *schema, uint64_t hash);
/* Set @key of @object, whatever bytes @key has. */
void json_put(json_t *object, const char *key, json_t *value);
void json_put_bytes(json_t *object, const char *key, const char *string);
/* @json to @file, JSON_* for @flags, with no control character in it: 0 or -1. */
int json_write(const json_t *json, FILE *file, size_t flags);

/* Names for people and JSON. */
const char *name_of_kind(uint32_t kind);
const char *name_of_member_state(uint32_t state);
const char *name_of_ring_mode(uint32_t mode);
const char *name_of_record_state(uint32_t state);
const char *name_of_table_mode(uint32_t mode);

/* Value of field element @index, widened. @field->kind is known. */
struct value {
	int64_t i;
	uint64_t u;
	double f;
};
struct value field_value(const struct shr_field *field, const void *payload, uint32_t index);

/* The name of @value of @field, or NULL. */
const char *value_name(const struct shr_field *field, const struct value *value);

/* In a table of counters: is field @number, from 1, one? Neither the key, nor what has names; 0: no key. */
int is_counter(const struct shr_schema *schema, uint32_t number, uint32_t key_field);

/* Number of fields of @schema that lie in @size bytes whole. */
uint32_t fields_in(const struct shr_schema *schema, size_t size);

#endif
