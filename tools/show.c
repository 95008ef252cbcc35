/* SPDX-License-Identifier: MIT */
/* shmring-dump records and follow: which records are shown, and how. */
#include "show.h"

#include <errno.h>
#include <inttypes.h>

#include "csv.h"
#include "times.h"

void show_comma(const struct show *show)
{
	if (show->request->style.format == FORMAT_JSON)
		fputs(show->shown || show->lost ? ",\n" : "[\n", stdout);
}

int show_enough(const struct show *show)
{
	return show->shown >= show->request->count || show_stopped;
}

FILE *show_losses(const struct show *show)
{
	enum format format = show->request->style.format;

	if (format == FORMAT_TEXT || format == FORMAT_HEX)
		return stdout;
	fflush(stdout);
	return stderr;
}

/* By their numbers: dropped, or overwritten before they were read. */
static void text_missing(const struct show *show, const struct source *source,
			 const struct shr_walk_record *record)
{
	const struct style *style = &show->request->style;
	FILE *out = show_losses(show);

	fputs(BAD(style), out);
	text_string(out, source->object.name);
	fprintf(out, ": %" PRIu64 " records are missing, #%" PRIu64 " to #%" PRIu64 "%s\n",
		record->lost, record->sequence - record->lost, record->sequence - 1, PLAIN(style));
}

/* Without what is in it: 1, and that is to follow. */
static int text_of_record(const struct style *style, const struct row *row)
{
	const struct shr_walk_record *record = row->record;

	fputs(BOLD(style), stdout);
	text_string(stdout, row->object->name);
	printf("%s @%" PRIu64, PLAIN(style), record->position);
	if (record->sequence)
		printf(" #%" PRIu64, record->sequence);
	if (record->time_ns) {
		putchar(' ');
		put_time_ns(record->time_ns);
	}
	if (record->type)
		printf(" type %u", record->type);
	if (record->state >= SHR_STATE_TAKEN || record->deliveries)
		printf(" %s%s, times %" PRIu64 ", member %" PRIu32 "%s",
		       record->state == SHR_STATE_LOST ? BAD(style) : "",
		       record->state == SHR_STATE_READY ? "given back"
							: name_of_record_state(record->state),
		       record->deliveries, record->worker, PLAIN(style));
	if (row->has_payload) {
		putchar(':');
		return 1;
	}
	printf(": %s%s%s, member %u, %" PRIu64 " bytes\n", BAD(style),
	       record->state == SHR_STATE_BUSY ? "not committed yet" : "skipped", PLAIN(style),
	       record->member, record->size);
	return 0;
}

static void show_text(const struct show *show, const struct source *source, const struct row *row)
{
	const struct style *style = &show->request->style;
	int more = row->slot ? slot_text_head(style, row->slots, row->slot, row->change)
			     : text_of_record(style, row);

	if (!more)
		return;
	if (style->format == FORMAT_HEX) {
		putchar('\n');
		text_hexdump(stdout, style, row->record);
	} else if (show->fields) {
		text_fields(stdout, style, show->fields, source->fields, row);
		putchar('\n');
	} else if (row->slot) {
		slot_text_payload(style, row->slots);
	} else {
		text_record(stdout, style, row->object->schema, row->record);
		putchar('\n');
	}
}

static void show_as_json(const struct show *show, const struct source *source,
			 const struct row *row)
{
	json_t *json = row->slot ? slot_json(row->slots, row->slot, row->change)
				 : json_record(row->object->name, row->record);

	show_comma(show);
	if (show->fields && row->has_payload)
		json_put(json, "fields", json_fields(show->fields, source->fields, row));
	else if (row->has_payload)
		json_payload(json, row->object->schema, row->record);
	show_json(&show->request->style, json);
}

void show_held(struct show *show)
{
	uint64_t now = time_steady();

	if (now - show->second_ns < 1000000000u)
		return;
	if (show->held != show->held_told) {
		fflush(stdout);
		fprintf(stderr, "shmring-dump: %" PRIu64 " more records, not shown: -R\n",
			show->held - show->held_told);
	}
	show->held_told = show->held;
	show->second_ns = now;
	show->in_second = 0;
}

/* Are there too many in this second? */
static int hold(struct show *show)
{
	if (show->request->rate == UINT64_MAX)
		return 0;
	show_held(show);
	if (show->in_second == show->request->rate) {
		show->held++;
		return 1;
	}
	show->in_second++;
	return 0;
}

static void show_chosen(const struct show *show, const struct source *source, const struct row *row)
{
	switch (show->request->style.format) {
	case FORMAT_TEXT:
	case FORMAT_HEX:
		show_text(show, source, row);
		break;
	case FORMAT_JSON:
	case FORMAT_JSONL:
		show_as_json(show, source, row);
		break;
	case FORMAT_CSV:
		csv_row(show->fields, source->fields, row);
		break;
	case FORMAT_RAW:
		if (row->has_payload)
			fwrite(row->record->payload, 1, row->record->copied, stdout);
		break;
	case FORMAT_OPENMETRICS:
	case FORMAT_PROMETHEUS:
	case FORMAT_NAMES:
		break; /* of stat */
	}
}

static int show_row(struct show *show, const struct source *source, const struct row *row)
{
	const struct request *request = show->request;
	int chosen = request->query ? query_test(request->query, source->query, row) : 1;

	if (chosen <= 0)
		return chosen;
	if (!show->group && hold(show))
		return 0;
	if (show->group) {
		int err = group_add(show->group, source->group, row);

		if (err)
			return err;
	} else {
		show_chosen(show, source, row);
	}
	show->shown++;
	return 0;
}

/* Producers take the time before their turn: how much a record may be behind others. */
#define TIME_SPREAD_NS 1000000000u

/* Is it between --since and --until? What was missing before --since is not missed. */
static int in_limits(const struct show *show, struct source *source, struct shr_walk_record *record)
{
	const struct limit *since = &show->request->since, *until = &show->request->until;
	uint64_t spread = until->kind == LIMIT_TIME ? TIME_SPREAD_NS : 0;
	uint64_t value = until->kind == LIMIT_TIME ? record->time_ns : record->sequence;
	uint64_t expected = source->expected;

	if (until->kind != LIMIT_NONE && value > until->value) {
		source->done = value - until->value > spread;
		return 0;
	}
	if (since->kind == LIMIT_TIME && record->time_ns < since->value)
		return 0;
	if (since->kind == LIMIT_SEQUENCE && record->sequence < since->value)
		return 0;
	if (expected) { /* the first one */
		record->lost = record->sequence > expected ? record->sequence - expected : 0;
		source->expected = 0;
	}
	return 1;
}

int show_record(struct show *show, struct source *source, const struct shr_walk_record *record)
{
	struct shr_walk_record own = *record;
	struct row row = {
		.object = &source->object, .record = &own, .has_payload = has_payload(record)};
	uint64_t before = show->shown;
	int err;

	source->sequence = record->sequence;
	if (!in_limits(show, source, &own))
		return 0;
	show->missing += own.lost;
	if (own.lost && !is_json(&show->request->style) && !show->group)
		text_missing(show, source, &own);
	/* JSON tells it with the next record that is shown. */
	own.lost += source->untold;
	err = show_row(show, source, &row);
	source->untold = show->shown == before ? own.lost : 0;
	return err;
}

int show_slot(struct show *show, const struct source *source, const struct slots *slots,
	      const struct slot *slot, const struct slot_change *change)
{
	struct shr_walk_record record = slots_record(slots);
	struct row row = {.object = &source->object,
			  .record = &record,
			  .slots = slots,
			  .slot = slot,
			  .change = change,
			  .has_payload = slot->info.generation & 1 && slot->state == SLOT_READY};

	return show_row(show, source, &row);
}
