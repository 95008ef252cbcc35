/* SPDX-License-Identifier: MIT */
/* shmring-dump top: what a look finds. */
#ifndef TOOLS_TOP_H
#define TOOLS_TOP_H

#include "look.h"

enum row_kind { ROW_RING, ROW_CURSOR, ROW_TABLE, ROW_MEMBER, ROW_ERROR };

/* A ring, one of its cursors behind it, a table, or a member; strings are printable. */
struct row {
	enum row_kind kind;
	/* Which it is: the same in another look */
	uint64_t epoch;
	uint32_t index, number;
	uint64_t time_ns;
	char *name;
	char *who; /* who produces or consumes it; state and process of a member; the error */
	int bad;   /* somebody is dead */
	/* A ring or cursor */
	int numbered, filled; /* records are counted; there is a gate */
	uint64_t bytes, records, lag, capacity;
	uint64_t lost, lost_first; /* records; at the first look */
	/* A table */
	uint64_t changes, used, slots, takeovers;
	/* NaN: not known */
	double byte_rate, record_rate; /* of a table: changes */
};

struct rows {
	struct row *rows;
	size_t count, room;
	size_t segments, alive, dead;
};

/* Look at the segments; rates since @before. 0, or -errno: nothing could be looked at. */
int rows_look(struct rows *rows, const struct rows *before, const struct request *request,
	      int count, char **names);
void rows_free(struct rows *rows);

#endif
