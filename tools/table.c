/* SPDX-License-Identifier: MIT */
/*
 * shmring-dump records and follow, of tables: the slots as they are, then what has
 * become of them, by their numbers. A table keeps no history: what happened between
 * two looks is told as the last of it and a count.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "show.h"

#define LOOK_NS 1000000 /* between two looks, or as long as one takes */

struct seen {
	uint64_t generation;
	uint64_t sequence; /* in place: odd, and torn was told */
};

struct table_source {
	struct slots slots;
	uint32_t next;     /* slot to be shown as it is; slots.status.slots: no more */
	uint64_t skip;     /* used ones before the first of them */
	struct seen *seen; /* follow: told of each slot */
	int64_t due_ns;
};

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* In place, that somebody is inside an update is not told, but when it was torn. */
static struct seen seen_of(const struct table_source *table, const struct shr_slot_info *info,
			   int torn)
{
	int odd = table->slots.status.mode != SHR_TABLE_IN_PLACE || torn;

	return (struct seen){info->generation,
			     odd ? info->sequence : info->sequence & ~(uint64_t)1};
}

/* What the slots are before anything is told, and how many are used. */
static int look_first(struct table_source *table, uint64_t *used)
{
	const struct slots *slots = &table->slots;
	struct shr_slot_info info[SLOTS_MANY];
	int count = 0;

	*used = 0;
	for (uint32_t first = 0;; first += (uint32_t)count) {
		count = shr_inspect_slots(slots->inspect, slots->index, first, SLOTS_MANY, info);
		for (int i = 0; i < count; i++) {
			*used += info[i].generation & 1;
			if (table->seen)
				table->seen[first + (uint32_t)i] = seen_of(table, &info[i], 0);
		}
		if (count <= 0)
			return count;
	}
}

int table_open(struct table_source **result, const struct show *show, uint32_t index)
{
	const struct request *request = show->request;
	struct table_source *table = calloc(1, sizeof(*table));
	uint64_t used;
	int err;

	if (!table)
		return -ENOMEM;
	err = slots_open(&table->slots, show->inspect, index);
	if (!err && request->follow) {
		table->seen = calloc(table->slots.status.slots, sizeof(*table->seen));
		err = table->seen ? 0 : -ENOMEM;
	}
	if (!err)
		err = look_first(table, &used);
	if (err) {
		table_close(table);
		return err;
	}
	if (show->from == SHR_WALK_NEW)
		table->next = table->slots.status.slots;
	if (used > show->last)
		table->skip = used - show->last;
	*result = table;
	return 0;
}

void table_close(struct table_source *table)
{
	if (!table)
		return;
	slots_close(&table->slots);
	free(table->seen);
	free(table);
}

static int tell(struct show *show, const struct source *source, const struct slot *slot,
		const struct slot_change *change)
{
	struct table_source *table = source->table;

	if (table->seen)
		table->seen[slot->number] = seen_of(table, &slot->info, slot->state == SLOT_TORN);
	return show_slot(show, source, &table->slots, slot, change);
}

static int enough(const struct show *show, int n)
{
	return n >= BURST || show_enough(show);
}

/* The slots as they are. */
static int show_slots(struct show *show, const struct source *source)
{
	struct table_source *table = source->table;
	struct slots *slots = &table->slots;
	struct shr_slot_info info[SLOTS_MANY];
	int n = 0, count, err;

	while (table->next < slots->status.slots && !enough(show, n)) {
		count = shr_inspect_slots(slots->inspect, slots->index, table->next, SLOTS_MANY,
					  info);
		if (count < 0)
			return count;
		for (int i = 0; i < count && !enough(show, n); i++, table->next++) {
			struct slot slot;

			if (!(info[i].generation & 1))
				continue;
			if (table->skip) {
				table->skip--;
				continue;
			}
			err = slot_look(slots, table->next, 1, &slot);
			if (err && err != -ENOENT)
				return err;
			if (err)
				continue;
			err = tell(show, source, &slot, NULL);
			if (err)
				return err;
			n++;
		}
	}
	return n;
}

static uint64_t version_of(const struct table_source *table, const struct seen *seen)
{
	return seen->generation + (table->slots.status.mode == SHR_TABLE_IN_PLACE
					   ? seen->sequence / 2
					   : seen->sequence);
}

/* One that is not as it was: 1 that was told, 0 nothing has happened yet, or -errno. */
static int show_change(struct show *show, const struct source *source, uint32_t number)
{
	struct table_source *table = source->table;
	const struct seen *seen = &table->seen[number];
	struct slot_change change = {.since = version_of(table, seen)};
	struct slot slot;
	int err = slot_look(&table->slots, number, 0, &slot);

	if (err && err != -ENOENT)
		return err;
	change.count = slot.info.version - change.since;
	if (!change.count && (slot.state != SLOT_TORN || slot.info.sequence == seen->sequence))
		return 0;
	change.what = !change.count                              ? "torn"
		      : slot.info.generation == seen->generation ? "update"
		      : slot.info.generation & 1                 ? "insert"
								 : "remove";
	if (change.count > 1)
		show->merged += change.count - 1;
	err = tell(show, source, &slot, &change);
	return err ? err : 1;
}

static int show_changes(struct show *show, const struct source *source)
{
	const struct table_source *table = source->table;
	const struct slots *slots = &table->slots;
	struct shr_slot_info info[SLOTS_MANY];
	int n = 0, count = 1;

	for (uint32_t first = 0; count > 0 && !enough(show, n); first += (uint32_t)count) {
		count = shr_inspect_slots(slots->inspect, slots->index, first, SLOTS_MANY, info);
		if (count < 0)
			return count;
		for (int i = 0; i < count && !show_enough(show); i++) {
			const struct seen *seen = &table->seen[first + (uint32_t)i];
			int told;

			if (info[i].generation == seen->generation &&
			    info[i].sequence == seen->sequence)
				continue;
			told = show_change(show, source, first + (uint32_t)i);
			if (told < 0)
				return told;
			n += told;
		}
	}
	return n;
}

int table_some(struct show *show, struct source *source, int now)
{
	struct table_source *table = source->table;
	int64_t start = now_ns();
	int n;

	if (table->next < table->slots.status.slots || !show->request->follow)
		return show_slots(show, source);
	if (start < table->due_ns && !now)
		return 0;
	n = show_changes(show, source);
	table->due_ns = now_ns();
	table->due_ns += table->due_ns - start > LOOK_NS ? table->due_ns - start : LOOK_NS;
	return n;
}
