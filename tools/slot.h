/* SPDX-License-Identifier: MIT */
/* shmring-dump: the slots of a table, looked at one by one and shown. */
#ifndef TOOLS_SLOT_H
#define TOOLS_SLOT_H

#include "dump.h"

/* A table, with room for a record of it. */
struct slots {
	const struct shr_inspect *inspect;
	uint32_t index;
	struct shr_object_info object;
	struct shr_table_status status;
	void *payload;
	size_t room;
};

enum slot_state {
	SLOT_READY, /* there is a copy of the record */
	SLOT_BUSY,  /* in place: somebody is inside an update */
	SLOT_TORN,  /* in place: somebody died inside one */
	SLOT_FAST,  /* changed faster than it can be copied */
};

struct slot {
	uint32_t number;
	enum slot_state state;
	struct shr_slot_info info;
	uint32_t member; /* of the busy or torn: who is, or was, inside; 0: not known */
};

/* What happened to a slot since it was looked at before. */
struct slot_change {
	const char *what; /* "insert", "update", "remove", "torn" */
	uint64_t count;   /* changes of the version; 0: none */
	uint64_t since;   /* version before */
};

#define SLOTS_MANY 256 /* numbers of slots that are asked for at once */

/* -ENOMEM, or what shr_inspect_table() says. */
int slots_open(struct slots *slots, const struct shr_inspect *inspect, uint32_t index);
void slots_close(struct slots *slots);

/*
 * Look at slot @number; the record goes to slots->payload. With @patience a while for
 * one that is being changed. -ENOENT: it is free, and the rest of *@slot is true.
 */
int slot_look(struct slots *slots, uint32_t number, int patience, struct slot *slot);

/* The record that slot_look() copied. */
struct shr_walk_record slots_record(const struct slots *slots);

/* "ready", "busy", "torn", "fast"; "free". */
const char *slot_state_name(const struct slot *slot);

/*
 * What is known of a slot, without what is in it. @change: NULL, the slot as it is.
 * 1: what is in it is to follow; 0: there is nothing, and the line has ended.
 */
int slot_text_head(const struct style *style, const struct slots *slots, const struct slot *slot,
		   const struct slot_change *change);
void slot_text_payload(const struct style *style, const struct slots *slots);
void slot_text(const struct style *style, const struct slots *slots, const struct slot *slot,
	       const struct slot_change *change); /* both */
json_t *slot_json(const struct slots *slots, const struct slot *slot,
		  const struct slot_change *change);

/*
 * Call @each for every used slot, until it returns something else than 0: that, or
 * -errno. Of a free one it is not called.
 */
int slots_each(struct slots *slots, int (*each)(const struct slot *slot, void *argument),
	       void *argument);

/* Of all slots: commits in total, 0 in a table of counters; -errno. */
int slots_commits(const struct slots *slots, uint64_t *commits);

#endif
