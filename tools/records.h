/* SPDX-License-Identifier: MIT */
/* shmring-dump records and follow: what records.c, for rings, and table.c share. */
#ifndef TOOLS_RECORDS_H
#define TOOLS_RECORDS_H

#include <signal.h>

#include "commands.h"
#include "cursor.h"
#include "fields.h"
#include "query.h"

#define BURST 1000 /* records of one object before the others have a turn */

struct column;
struct table_source;

/* A ring or a table that is shown. */
struct source {
	struct shr_object_info object;
	struct shr_walk *walk;      /* of a ring */
	struct table_source *table; /* of a table */
	uint64_t end;               /* ring, records: position where to stop */
	uint64_t lost;              /* ring: bytes, told so far */
	uint64_t expected;          /* ring: number of the first record that --since asks for */
	int done;                   /* ring: it is beyond --until */
	uint64_t sequence;          /* ring: number of the last record, 0: none yet */
	uint64_t untold;            /* ring: records that are missing, for JSON */
	struct column *query;       /* what the names in -q mean here, */
	struct column *fields;      /* in -F, */
	struct column *group;       /* and in -g */
};

struct show {
	const struct request *request;
	struct shr_inspect *inspect;
	const char *name;
	struct cursor_file *cursor; /* NULL: none */
	int from;                   /* SHR_WALK_* */
	uint64_t last;
	int anew; /* the segment was made while this program waited for it: all of it */
	struct source sources[SHR_OBJECTS_MAX];
	uint32_t count;
	int opened;             /* the segment was, and its objects */
	int limited;            /* there are records that have what --since asks for */
	int left_out;           /* objects, because */
	struct mistake mistake; /* of this in -q */
	struct fields *fields;  /* that are shown, NULL: all of them */
	struct group *group;    /* NULL: records are shown */
	uint64_t shown;
	uint64_t held;      /* back, because of -R, */
	uint64_t held_told; /* and told */
	uint64_t second_ns; /* when the second began, */
	uint64_t in_second; /* and records shown in it */
	uint64_t lost;      /* bytes */
	uint64_t missing;   /* records, where they have numbers */
	uint64_t merged;    /* changes of slots that are told in one with a later one */
};

extern volatile sig_atomic_t show_stopped;

/* records.c. The rings and tables of show->inspect: 0, or the exit status after a message. */
int show_open(struct show *show);
void show_close(struct show *show);
/*
 * Show up to a burst of what there is: number of records, or -errno. @now: a table, too,
 * that was looked at a moment ago.
 */
int show_some(struct show *show, struct source *source, int now);

/* follow.c. The exit status. */
int show_follow(struct show *show);

/* table.c. 0, -ENOMEM, or what shr_inspect_table() says. */
int table_open(struct table_source **table, const struct show *show, uint32_t index);
void table_close(struct table_source *table);
/*
 * Show up to a burst of what there is: number of lines, or -errno. A table is looked
 * at again after a while only, or @now.
 */
int table_some(struct show *show, struct source *source, int now);

#endif
