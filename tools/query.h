/* SPDX-License-Identifier: MIT */
/*
 * shmring-dump -q: expressions that choose records.
 *
 *	or:       and { ("or" | "||") and }
 *	and:      not { ("and" | "&&") not }
 *	not:      ("not" | "!") not | "(" or ")" | value operator value
 *	value:    a name of a column (row.h), a number, or a "string"
 *	operator: == != < <= > >= ~ !~
 *
 * A value that has a name is that, too: side == "buy", side ~ "^b".
 *
 * Comparisons are exact, whatever the types of the numbers. What a record has not makes
 * a comparison neither true nor false, but unknown; a record is chosen if all
 * expressions are true of it.
 */
#ifndef TOOLS_QUERY_H
#define TOOLS_QUERY_H

#include "row.h"

struct query; /* any number of expressions */

/*
 * Add the expression @text, which must stay, to *@query: NULL at first.
 *
 * Returns: 0, -ENOMEM, or -EINVAL and the mistake was printed
 */
int query_add(struct query **query, const char *text);
void query_free(struct query *query);

/*
 * What the names mean for records of @object: *@columns, for query_test(), to be freed.
 *
 * Returns: 0, -ENOMEM, or -EINVAL: it has no such columns, and *@mistake says where if that
 *          is further on than what it said before
 */
int query_bind(const struct query *query, const struct shr_object_info *object,
	       struct column **columns, struct mistake *mistake);

/* 1: all expressions are true of @row; 0: not; -ENOMEM. */
int query_test(const struct query *query, const struct column *columns, const struct row *row);

#endif
