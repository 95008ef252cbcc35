/* SPDX-License-Identifier: MIT */
/* The commands of shmring-dump. Each returns the exit status. */
#ifndef TOOLS_COMMANDS_H
#define TOOLS_COMMANDS_H

#include "dump.h"

enum {
	EXIT_USAGE = 2,
	EXIT_NONE = 3,
	EXIT_PERMISSION = 4,
	EXIT_FOREIGN = 5,
	EXIT_DAMAGED = 6,
	EXIT_MISMATCH = 7,
	EXIT_LOSS = 8,
};

struct fields;
struct query;

/* Where to begin or to end: the number of a record, or its time. */
struct limit {
	enum { LIMIT_NONE, LIMIT_SEQUENCE, LIMIT_TIME } kind;
	uint64_t value;
};

/* What records, follow, stat and top are asked for. */
struct request {
	struct style style;
	uint64_t interval_ns; /* stat, top: between looks; 0: not given */
	int lines;            /* stat: one for each counter */
	int follow;
	int fail_on_loss;
	uint64_t rate;       /* follow: records that are shown in a second */
	uint64_t silence_ns; /* follow: without a record, and then it ends */
	int once;            /* follow: this segment only, and only if it is there; top: as text */
	int from;            /* SHR_WALK_OLDEST ... */
	uint64_t last;       /* UINT64_MAX: all */
	uint64_t count;
	const char *directory;      /* of bare names and all segments; NULL: /dev/shm */
	const char *image;          /* NULL: a segment that is there */
	struct shr_inspect *opened; /* stat: that image; records: that, or the segment */
	struct query *query;        /* NULL: all records */
	struct fields *fields;      /* NULL: all of them */
	struct fields *group;       /* count by this one; NULL: show records */
	const char *cursor_file;
	int as, as_c;     /* schema: --as was given; with c */
	const char *diff; /* schema: the other segment or image */
	struct limit since, until;
	uint64_t groups; /* values of it that are shown */
	char **objects;  /* by name; none: all rings */
	int object_count;
};

int command_list(const struct request *request);
int command_info(const struct shr_inspect *inspect, const struct style *style, const char *name);
int command_schema(const struct shr_inspect *inspect, const struct request *request,
		   const char *name);
/* @count segments of @names; none: all. */
int command_stat(const struct request *request, int count, char **names);
/* The same as metrics, in one of the two formats that monitoring systems read. */
int command_metrics(const struct request *request, int count, char **names);
int command_top(const struct request *request, int count, char **names);
int command_blame(const struct shr_inspect *inspect, const struct style *style, const char *name);
int command_locks(const struct shr_inspect *inspect, const struct style *style, const char *name);
int command_check(const struct shr_inspect *inspect, const struct style *style, const char *name);
/* To @file, which must not be there yet. */
int command_save(struct shr_inspect *inspect, const char *name, const char *file);
/* The records of request->opened, or what follow finds by @name. */
int command_records(const struct request *request, const char *name);

/* Call @each for all segments, as shr_inspect_list(), or those in request->directory. */
int each_segment(const struct request *request,
		 int (*each)(const char *name, int err, void *argument), void *argument);

/*
 * A bare name, without "file:" or the like, in request->directory: for free(). NULL: it is
 * to be taken as it is.
 */
char *name_in_directory(const struct request *request, const char *name);

/* Print what is wrong with the command line, and return EXIT_USAGE. @argument: or NULL. */
int usage(const char *sentence, const char *argument);

/* Print why a call failed with @err, and return the exit status for it. */
int failed(const char *segment, int err);

/* Print one JSON value and a newline, and free it. */
void show_json(const struct style *style, json_t *json);

void put_size(uint64_t bytes);      /* "1234567 bytes (1.2 MiB)" */
void put_time(uint64_t time_ns);    /* to the second */
void put_time_ns(uint64_t time_ns); /* all of it */

#endif
