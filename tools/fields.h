/* SPDX-License-Identifier: MIT */
/* shmring-dump -F and -g: lists of columns, and records counted by the value of one. */
#ifndef TOOLS_FIELDS_H
#define TOOLS_FIELDS_H

#include "row.h"

struct name {
	const char *text; /* not terminated */
	size_t length;
	int found; /* some object has it */
};

struct fields {
	char option;
	const char *text; /* what was written after it */
	char *own;        /* NULL, or what the names are in */
	size_t count;
	struct name names[];
};

/*
 * The names in @text, which must stay, with commas between them; at most @most. To be freed.
 *
 * Returns: 0, -ENOMEM, or -EINVAL and the mistake was printed
 */
int fields_parse(struct fields **fields, char option, const char *text, size_t most);

/*
 * The columns of @object, to be freed; of what it has not, COLUMN_NONE.
 *
 * Returns: 0, -ENOMEM, or -EINVAL: it has none of them
 */
int fields_bind(struct fields *fields, const struct shr_object_info *object,
		struct column **columns);

void fields_free(struct fields *fields);

/* A mistake, if there is a name that no object had. */
int fields_mistake(const struct fields *fields, struct mistake *mistake);

/* A value as it is in text, and in JSON. */
void text_column(FILE *out, const struct column *column, const struct row *row);
json_t *json_column(const struct column *column, const struct row *row);

/* name=value, with a space before each. */
void text_fields(FILE *out, const struct style *style, const struct fields *fields,
		 const struct column *columns, const struct row *row);
json_t *json_fields(const struct fields *fields, const struct column *columns,
		    const struct row *row);

/* --- Records by the value of a column ---------------------------------------- */

#define GROUP_VALUES_MAX 65536              /* distinct values, */
#define GROUP_BYTES_MAX  ((size_t)64 << 20) /* and bytes of them, that are told apart */

struct group;

/* NULL: no memory. */
struct group *group_new(void);
void group_free(struct group *group);

/* Count @row. 0, or -ENOMEM. */
int group_add(struct group *group, const struct column *column, const struct row *row);

/* A line, or an object of JSON, for each of the @most most frequent values. */
void group_show(struct group *group, const struct style *style, const struct fields *fields,
		uint64_t most);

#endif
