/* SPDX-License-Identifier: MIT */
/* shmring-dump stat and top: what both look at, now and again. */
#ifndef TOOLS_LOOK_H
#define TOOLS_LOOK_H

#include "commands.h"

/* Names of segments. */
struct segments {
	char **names;
	size_t count;
	int all; /* those that there were: one that goes is no error */
};

/* Those of @names, or if there are none, all. 0 or -errno. */
int segments_take(struct segments *segments, const struct request *request, int count,
		  char **names);
void segments_free(struct segments *segments);

/* The segment @name, or the image that is asked for. 0 or -errno. */
int look_open(struct shr_inspect **inspect, const struct request *request, const char *name);
void look_close(struct shr_inspect *inspect, const struct request *request);

/* Something that has counters. */
struct thing {
	uint32_t of; /* SHR_COUNTERS_* */
	uint32_t index, number;
	const char *title;
	const struct shr_object_info *object; /* of a member: NULL */
	const struct shr_cursor_info *cursor; /* else NULL */
	const struct shr_member_info *member; /* else NULL */
};

/*
 * Call @each for every ring, and then its cursors, every mutex and table, and then every
 * member that there is or was, until it returns something else than 0: that, or -errno.
 */
int things_each(const struct shr_inspect *inspect,
		int (*each)(const struct thing *thing, void *argument), void *argument);

/*
 * What no number in the segment says itself. Of a table: commits of all its slots
 * together. Of a ring: how far it is written, and how many numbers it has given, which
 * a single producer tells only now and then.
 */
extern const struct shr_field commits_field, written_field, numbered_field;

/* CLOCK_MONOTONIC */
uint64_t look_time_ns(void);

/* A second between looks, if no interval was asked for. */
#define LOOK_INTERVAL_NS 1000000000u

/* From here on SIGINT and the like are taken note of, and only there. */
void look_until_signal(void);
/* Has one come? */
int look_ended(void);
/* Sleep until @time_ns, or the signal. */
void look_again_at(uint64_t time_ns);

/* How much a number that only grows has grown a second; NaN: it has not. */
double look_rate(uint64_t before, uint64_t now, uint64_t ns);

#endif
