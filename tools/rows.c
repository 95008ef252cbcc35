/* SPDX-License-Identifier: MIT */
/* shmring-dump top: look at segments, and compare with the look before. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "slot.h"
#include "top.h"

struct look {
	struct rows *rows;
	const struct rows *before;
	size_t hint; /* where in that the next one is likely to be */
	const char *segment;
	const struct shr_inspect *inspect;
	uint64_t epoch;
	struct shr_ring_status ring; /* of the cursors that follow */
	int ring_err;
};

/* --- Rows ------------------------------------------------------------------------ */

static struct row *row_add(struct look *look, enum row_kind kind, uint32_t index, uint32_t number)
{
	struct rows *rows = look->rows;

	if (rows->count == rows->room) {
		size_t room = rows->room ? 2 * rows->room : 64;
		struct row *more = realloc(rows->rows, room * sizeof(*more));

		if (!more)
			return NULL;
		rows->rows = more;
		rows->room = room;
	}
	rows->rows[rows->count] = (struct row){.kind = kind,
					       .epoch = look->epoch,
					       .index = index,
					       .number = number,
					       .time_ns = look_time_ns(),
					       .byte_rate = NAN,
					       .record_rate = NAN};
	return &rows->rows[rows->count++];
}

void rows_free(struct rows *rows)
{
	for (size_t i = 0; i < rows->count; i++) {
		free(rows->rows[i].name);
		free(rows->rows[i].who);
	}
	free(rows->rows);
	*rows = (struct rows){0};
}

/* @row at the look before, or NULL. */
static const struct row *row_before(struct look *look, const struct row *row)
{
	const struct rows *before = look->before;

	for (size_t i = 0; before && i < before->count; i++) {
		size_t at = (look->hint + i) % before->count;
		const struct row *it = &before->rows[at];

		if (it->kind == row->kind && it->epoch == row->epoch && it->index == row->index &&
		    it->number == row->number && !strcmp(it->name, row->name)) {
			look->hint = at + 1;
			return it;
		}
	}
	return NULL;
}

static void row_rates(struct look *look, struct row *row)
{
	const struct row *before = row_before(look, row);
	uint64_t ns;

	row->lost_first = before ? before->lost_first : row->lost;
	if (!before)
		return;
	ns = row->time_ns - before->time_ns;
	if (row->kind == ROW_TABLE) {
		row->record_rate = look_rate(before->changes, row->changes, ns);
		return;
	}
	row->byte_rate = look_rate(before->bytes, row->bytes, ns);
	if (row->numbered && before->numbered)
		row->record_rate = look_rate(before->records, row->records, ns);
}

/* Printable text of untrusted strings: each of @part to a NULL, after @first. */
static char *shown(const char *first, const char *const *part)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fputs(first, out);
	for (; *part; part++)
		text_string(out, *part);
	fclose(out);
	return text;
}

#define SHOWN(first, ...) shown(first, (const char *const[]){__VA_ARGS__, NULL})

/* "alive pid 1234 feed as watch" */
static char *process(const struct shr_member_info *member)
{
	char state[64];

	snprintf(state, sizeof(state), "%s pid %" PRIu32 "%s ", name_of_member_state(member->state),
		 member->pid, member->same_namespace ? "" : " (of another namespace)");
	return SHOWN(state, member->command, member->role[0] ? " as " : "", member->role);
}

/* Who has a role, if somebody has. */
static void row_who(struct look *look, struct row *row, uint32_t number)
{
	struct shr_member_info member;
	char pid[16];

	if (!number)
		return;
	if (shr_inspect_member(look->inspect, number, &member)) {
		row->who = strdup("a member that is impossible");
		row->bad = 1;
		return;
	}
	snprintf(pid, sizeof(pid), " %" PRIu32, member.pid);
	row->bad = member.state == SHR_MEMBER_DEAD;
	row->who = SHOWN(row->bad ? "dead: " : "", member.command, pid,
			 member.role[0] ? " as " : "", member.role);
}

/* --- What is in a segment -------------------------------------------------------- */

static int add_ring(struct look *look, const struct thing *thing)
{
	const struct shr_ring_options *ring = &thing->object->ring;
	struct row *row = row_add(look, ROW_RING, thing->index, 0);
	struct shr_ring_status *status = &look->ring;

	if (!row)
		return -ENOMEM;
	row->name = SHOWN("", look->segment, " ", thing->object->name);
	look->ring_err = shr_inspect_ring(look->inspect, thing->index, status);
	if (look->ring_err || !row->name)
		return row->name ? look->ring_err : -ENOMEM;
	row->bytes = status->tail;
	row->numbered = status->sequence != 0;
	row->records = status->sequence;
	row->filled = ring->mode != SHR_RING_OVERWRITE;
	row->lag = status->tail - status->position;
	row->capacity = ring->capacity;
	row->lost = status->dropped + status->lost;
	row_who(look, row, status->producer);
	row_rates(look, row);
	return 0;
}

static int add_cursor(struct look *look, const struct thing *thing)
{
	const struct shr_cursor_info *cursor = thing->cursor;
	struct row *row;

	if (!cursor) /* the gate of a queue is the ring's */
		return 0;
	row = row_add(look, ROW_CURSOR, thing->index, thing->number);
	if (!row)
		return -ENOMEM;
	row->name = SHOWN("  > ", cursor->name);
	if (!row->name)
		return -ENOMEM;
	row->bytes = cursor->position;
	row->numbered = cursor->sequence != 0 && look->ring.sequence != 0;
	row->records = cursor->sequence;
	row->filled = 1;
	/* The ring was looked at before it. */
	if ((int64_t)(look->ring.tail - cursor->position) > 0)
		row->lag = look->ring.tail - cursor->position;
	row->capacity = thing->object->ring.capacity;
	row->lost = cursor->lost;
	row_who(look, row, cursor->member);
	row_rates(look, row);
	return 0;
}

static int add_table(struct look *look, const struct thing *thing)
{
	struct row *row = row_add(look, ROW_TABLE, thing->index, 0);
	struct slots slots;
	int err;

	if (!row)
		return -ENOMEM;
	row->name = SHOWN("", look->segment, " ", thing->object->name);
	if (!row->name)
		return -ENOMEM;
	err = slots_open(&slots, look->inspect, thing->index);
	if (!err && slots.status.mode != SHR_TABLE_COUNTERS)
		err = slots_commits(&slots, &row->changes);
	if (!err) {
		row->used = slots.status.used;
		row->slots = slots.status.slots;
		row->takeovers = slots.status.takeovers + slots.status.repairs;
		row->who = strdup(name_of_table_mode(slots.status.mode));
		row_rates(look, row);
		if (slots.status.mode == SHR_TABLE_COUNTERS) /* those are no commits */
			row->record_rate = NAN;
	}
	slots_close(&slots);
	return err;
}

static int add_member(struct look *look, const struct thing *thing)
{
	const struct shr_member_info *member = thing->member;
	char number[16];
	struct row *row;

	if (member->state == SHR_MEMBER_FREE)
		return 0;
	look->rows->alive += member->state == SHR_MEMBER_ALIVE;
	look->rows->dead += member->state == SHR_MEMBER_DEAD;
	row = row_add(look, ROW_MEMBER, 0, thing->number);
	if (!row)
		return -ENOMEM;
	snprintf(number, sizeof(number), " %" PRIu32, thing->number);
	row->name = SHOWN("", look->segment, number);
	row->who = process(member);
	row->bad = member->state == SHR_MEMBER_DEAD;
	return row->name && row->who ? 0 : -ENOMEM;
}

static int add_thing(const struct thing *thing, void *argument)
{
	switch (thing->of) {
	case SHR_COUNTERS_RING:
		return add_ring(argument, thing);
	case SHR_COUNTERS_CURSOR:
		return add_cursor(argument, thing);
	case SHR_COUNTERS_TABLE:
		return add_table(argument, thing);
	case SHR_COUNTERS_MEMBER:
		return add_member(argument, thing);
	default:
		return 0;
	}
}

static int look_at(struct look *look)
{
	struct shr_inspect *inspect = NULL;
	struct shr_segment_info info;
	int err = shr_inspect_open(&inspect, look->segment);

	if (err)
		return err;
	look->inspect = inspect;
	err = shr_inspect_segment(inspect, &info);
	look->epoch = info.epoch;
	if (!err)
		err = things_each(inspect, add_thing, look);
	look->rows->segments += !err;
	shr_inspect_close(inspect);
	return err;
}

/* Why a segment is not shown, or not all of it. */
static int add_error(struct look *look)
{
	struct row *row;

	look->epoch = 0;
	row = row_add(look, ROW_ERROR, 0, 0);
	if (!row)
		return -ENOMEM;
	row->bad = 1;
	row->name = SHOWN("", look->segment);
	row->who = SHOWN("", shr_last_error());
	return row->name && row->who ? 0 : -ENOMEM;
}

int rows_look(struct rows *rows, const struct rows *before, const struct request *request,
	      int count, char **names)
{
	struct look look = {.rows = rows, .before = before};
	struct segments segments;
	int err = segments_take(&segments, request, count, names);

	*rows = (struct rows){0};
	for (size_t i = 0; !err && i < segments.count; i++) {
		look.segment = segments.names[i];
		err = look_at(&look);
		if (err == -ENOENT && segments.all) /* gone meanwhile */
			err = 0;
		else if (err && err != -ENOMEM)
			err = add_error(&look);
	}
	if (err)
		rows_free(rows);
	segments_free(&segments);
	return err;
}
