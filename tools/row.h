/* SPDX-License-Identifier: MIT */
/*
 * shmring-dump: a record of a ring or in a slot of a table, as something that has
 * columns: its fields, elements of them, and what is known about the record itself.
 */
#ifndef TOOLS_ROW_H
#define TOOLS_ROW_H

#include "dump.h"
#include "slot.h"

struct row {
	const struct shr_object_info *object;
	const struct shr_walk_record *record; /* of a slot: payload and sizes only */
	const struct slots *slots;            /* the table; NULL: of a ring */
	const struct slot *slot;
	const struct slot_change *change; /* NULL: the slot as it is */
	int has_payload;
};

enum column_kind {
	COLUMN_NONE, /* there is none of this name */
	COLUMN_FIELD,
	COLUMN_BYTES, /* and those below: the name with @ before it */
	COLUMN_MEMBER,
	COLUMN_OBJECT,
	COLUMN_POSITION,
	COLUMN_SEQUENCE,
	COLUMN_SIZE,
	COLUMN_SLOT,
	COLUMN_STATE,
	COLUMN_TIME,
	COLUMN_TYPE,
	COLUMN_VERSION,
};

#define ELEMENT_NONE UINT32_MAX

struct column {
	enum column_kind kind;
	uint32_t number;  /* of the field in the schema */
	uint32_t element; /* of an array; ELEMENT_NONE: not one element */
	int64_t named;	  /* -q: the value whose name stands beside it */
};

enum datum_kind {
	DATUM_NONE, /* this record has it not */
	DATUM_SIGNED,
	DATUM_UNSIGNED,
	DATUM_SINGLE, /* a float, in f */
	DATUM_DOUBLE,
	DATUM_TEXT,
	DATUM_ARRAY, /* of what is not text */
};

struct datum {
	enum datum_kind kind;
	int64_t i;
	uint64_t u;
	double f;
	const char *text; /* in the record; not terminated */
	size_t size;
};

/* Where in an option something is wrong. */
struct mistake {
	char option;
	const char *text; /* what was written after it */
	size_t order;     /* where there are several, from 0 */
	size_t at;
	const char *sentence; /* NULL: nothing is wrong */
};

/* Print it, with a caret under the place. */
void mistake_tell(const struct mistake *mistake);

/* Bytes at @text that can be a name of a column: NAME, NAME[3], @NAME. 0: none. */
size_t column_name(const char *text);

/*
 * The column @name, of @length bytes, of records of @object.
 * -ENOENT: they have none; -ERANGE: the array is shorter.
 */
int column_find(struct column *column, const char *name, size_t length,
		const struct shr_object_info *object);

/* The field, if its values have names; else NULL. */
const struct shr_field *column_enum(const struct column *column,
				    const struct shr_object_info *object);

/* What its values are. */
enum datum_kind column_type(const struct column *column, const struct shr_object_info *object);

struct datum column_value(const struct column *column, const struct row *row);

#endif
