/* SPDX-License-Identifier: MIT */
/*
 * shmring-dump list: a row for each object of each segment, all made before the first
 * is printed, so that columns are as wide as what is in them.
 */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "times.h"

enum column {
	SEGMENT,
	BYTES,
	ALIVE,
	DEAD,
	OWNER,
	MADE,
	OBJECT,
	KIND,
	SCHEMA,
	NEWEST,
	LAG,
	COLUMNS
};

static const struct {
	const char *title;
	int right; /* numbers */
} columns[COLUMNS] = {
	[SEGMENT] = {"SEGMENT", 0}, [BYTES] = {"BYTES", 1}, [ALIVE] = {"ALIVE", 1},
	[DEAD] = {"DEAD", 1},       [OWNER] = {"OWNER", 0}, [MADE] = {"MADE", 0},
	[OBJECT] = {"OBJECT", 0},   [KIND] = {"KIND", 0},   [SCHEMA] = {"SCHEMA", 0},
	[NEWEST] = {"NEWEST", 0},   [LAG] = {"LAG", 0},
};

/* Cells are as they are printed; NULL: empty. */
struct row {
	char *cell[COLUMNS];
	char *error; /* behind the last cell: what cannot be read, and why */
};

struct found {
	char *name;
	int err; /* -EACCES: it may be a segment, and may not be read */
};

struct listing {
	const struct style *style;
	struct found *found;
	size_t count;
	struct row *rows;
	size_t row_count;
	json_t *all; /* NULL: shown one by one */
};

/* What list knows of an object. */
struct summary {
	struct shr_object_info object;
	struct shr_ring_status ring;
	struct shr_table_status table;
	int has_lag;
	uint64_t lag;                          /* bytes, of the slowest cursor */
	char slowest[SHR_CURSOR_NAME_MAX + 1]; /* "": the ring has one without a name */
};

static void out_of_memory(void)
{
	fputs("shmring-dump: out of memory\n", stderr);
	exit(EXIT_FAILURE);
}

/* --- What there is to be said -------------------------------------------------- */

struct counts {
	uint32_t alive, dead;
};

static struct counts count_members(const struct shr_inspect *inspect, uint32_t members)
{
	struct counts counts = {0};
	struct shr_member_info member;

	for (uint32_t i = 1; i <= members && !shr_inspect_member(inspect, i, &member); i++) {
		counts.alive += member.state == SHR_MEMBER_ALIVE;
		counts.dead += member.state == SHR_MEMBER_DEAD;
	}
	return counts;
}

/* Nobody has to read a flight recorder: only cursors that are there can be late. */
static void summarize_lag(const struct shr_inspect *inspect, uint32_t index,
			  struct summary *summary)
{
	const struct shr_ring_status *ring = &summary->ring;
	struct shr_cursor_info cursor;

	if (summary->object.ring.mode != SHR_RING_OVERWRITE) {
		summary->has_lag = 1;
		summary->lag = ring->tail - ring->position;
	}
	for (uint32_t i = 0; i < SHR_RING_CURSORS_MAX; i++) {
		uint64_t lag;

		if (shr_inspect_cursor(inspect, index, i, &cursor))
			continue;
		/* It may have gone on since the look at the tail. */
		lag = (int64_t)(ring->tail - cursor.position) > 0 ? ring->tail - cursor.position
								  : 0;
		if (summary->has_lag && lag < summary->lag)
			continue;
		summary->has_lag = 1;
		summary->lag = lag;
		memcpy(summary->slowest, cursor.name, sizeof(summary->slowest));
	}
}

static int summarize(const struct shr_inspect *inspect, uint32_t index, struct summary *summary)
{
	int err;

	*summary = (struct summary){0};
	err = shr_inspect_object(inspect, index, &summary->object);
	if (!err && summary->object.kind == SHR_OBJECT_TABLE)
		err = shr_inspect_table(inspect, index, &summary->table);
	if (!err && summary->object.kind == SHR_OBJECT_RING) {
		err = shr_inspect_ring(inspect, index, &summary->ring);
		if (!err)
			summarize_lag(inspect, index, summary);
	}
	return err;
}

/* The name of a user, NULL: there is none. */
static const char *name_of_user(uint32_t uid)
{
	const struct passwd *user = uid == UINT32_MAX ? NULL : getpwuid(uid);

	return user ? user->pw_name : NULL;
}

/* --- Text ------------------------------------------------------------------------ */

static FILE *cell(char **text)
{
	static size_t size; /* nobody asks */
	FILE *out = open_memstream(text, &size);

	if (!out)
		out_of_memory();
	return out;
}

static void cell_end(FILE *out)
{
	if (fclose(out))
		out_of_memory();
}

static void cell_string(char **text, const char *string)
{
	FILE *out = cell(text);

	text_string(out, string);
	cell_end(out);
}

static void cell_number(char **text, uint64_t number)
{
	FILE *out = cell(text);

	fprintf(out, "%" PRIu64, number);
	cell_end(out);
}

static struct row *row_add(struct listing *listing)
{
	struct row *more = realloc(listing->rows, (listing->row_count + 1) * sizeof(*more));

	if (!more)
		out_of_memory();
	listing->rows = more;
	more[listing->row_count] = (struct row){0};
	return &more[listing->row_count++];
}

static void row_schema(struct row *row, const struct shr_object_info *object)
{
	FILE *out;

	if (object->kind == SHR_OBJECT_MUTEX || object->kind == SHR_OBJECT_EVENT)
		return;
	out = cell(&row->cell[SCHEMA]);
	if (object->schema) {
		text_string(out, object->schema->name);
		fprintf(out, "/%" PRIu32, object->schema->version);
	} else {
		fputs("untyped", out);
	}
	cell_end(out);
}

static void row_object(struct row *row, const struct summary *summary)
{
	const struct shr_object_info *object = &summary->object;
	FILE *out;

	cell_string(&row->cell[OBJECT], object->name);
	cell_string(&row->cell[KIND], name_of_kind(object->kind));
	row_schema(row, object);
	if (object->kind != SHR_OBJECT_RING && object->kind != SHR_OBJECT_TABLE)
		return;
	out = cell(&row->cell[NEWEST]);
	if (object->kind == SHR_OBJECT_TABLE)
		fprintf(out, "%" PRIu32 " of %" PRIu32, summary->table.used, summary->table.slots);
	else if (summary->ring.sequence)
		fprintf(out, "#%" PRIu64, summary->ring.sequence - 1);
	else
		fprintf(out, "@%" PRIu64, summary->ring.tail);
	cell_end(out);
	if (!summary->has_lag)
		return;
	out = cell(&row->cell[LAG]);
	fprintf(out, "%" PRIu64 "%s", summary->lag, summary->slowest[0] ? " " : "");
	text_string(out, summary->slowest);
	cell_end(out);
}

static void row_segment(struct row *row, const char *name, const struct shr_inspect *inspect,
			const struct shr_segment_info *info)
{
	struct counts counts = count_members(inspect, info->members);
	const char *user = name_of_user(info->uid);
	FILE *out;

	cell_string(&row->cell[SEGMENT], name);
	cell_number(&row->cell[BYTES], info->size);
	cell_number(&row->cell[ALIVE], counts.alive);
	cell_number(&row->cell[DEAD], counts.dead);
	if (user)
		cell_string(&row->cell[OWNER], user);
	else if (info->uid != UINT32_MAX)
		cell_number(&row->cell[OWNER], info->uid);
	out = cell(&row->cell[MADE]);
	time_write(out, info->created_ns);
	if (info->obsolete)
		fputs(", obsolete", out);
	cell_end(out);
}

/* @error: why nothing is known of it; or NULL. */
static void list_text(struct listing *listing, const char *name, const struct shr_inspect *inspect,
		      const struct shr_segment_info *info, const char *error)
{
	struct row *row = row_add(listing);
	struct summary summary;

	if (error) {
		cell_string(&row->cell[SEGMENT], name);
		cell_string(&row->error, error);
		return;
	}
	row_segment(row, name, inspect, info);
	for (uint32_t i = 0; i < info->objects; i++) {
		int err = summarize(inspect, i, &summary);

		if (i)
			row = row_add(listing);
		if (err) {
			if (summary.object.name[0])
				cell_string(&row->cell[OBJECT], summary.object.name);
			cell_string(&row->error, shr_last_error());
		} else {
			row_object(row, &summary);
		}
	}
}

/* Columns that @text takes: its characters. */
static int width_of(const char *text)
{
	int width = 0;

	for (; text && *text; text++)
		width += (*text & 0xc0) != 0x80;
	return width;
}

static void print_row(const struct style *style, const struct row *row, const int *width)
{
	int gap = 0; /* owed by the columns before */

	for (int i = 0; i < COLUMNS; i++) {
		const char *text = row->cell[i] ? row->cell[i] : "";
		int room = width[i] - width_of(text);
		const char *begin = i == SEGMENT                     ? NAME(style)
				    : i == DEAD && strcmp(text, "0") ? BAD(style)
								     : "";

		if (*text) {
			printf("%*s%s%s%s", gap + (columns[i].right ? room : 0), "", begin, text,
			       *begin ? PLAIN(style) : "");
			gap = (columns[i].right ? 0 : room) + 2;
		} else {
			gap += width[i] + 2;
		}
		if (row->error && (i == OBJECT || (i == SEGMENT && !row->cell[BYTES] && *text)))
			break;
	}
	if (row->error)
		printf("%*s%s%s%s", gap, "", BAD(style), row->error, PLAIN(style));
	putchar('\n');
}

static void print_rows(const struct listing *listing)
{
	int width[COLUMNS];

	for (int i = 0; i < COLUMNS; i++)
		width[i] = width_of(columns[i].title);
	for (size_t r = 0; r < listing->row_count; r++)
		for (int i = 0; i < COLUMNS; i++)
			if (width_of(listing->rows[r].cell[i]) > width[i])
				width[i] = width_of(listing->rows[r].cell[i]);
	fputs(BOLD(listing->style), stdout);
	for (int i = 0; i < COLUMNS; i++)
		printf("%*s%s",
		       columns[i].right   ? width[i]
		       : i == COLUMNS - 1 ? 0
					  : -width[i],
		       columns[i].title, i < COLUMNS - 1 ? "  " : "");
	puts(PLAIN(listing->style));
	for (size_t r = 0; r < listing->row_count; r++)
		print_row(listing->style, &listing->rows[r], width);
}

/* --- JSON ------------------------------------------------------------------------ */

static json_t *object_json(const struct summary *summary, int err)
{
	const struct shr_object_info *object = &summary->object;
	const struct shr_schema *schema = object->schema;
	json_t *json = json_object(), *of;

	if (err && !object->kind) { /* nothing is known of it */
		json_put_bytes(json, "error", shr_last_error());
		return json;
	}
	json_put_bytes(json, "name", object->name);
	json_put(json, "kind", json_kind(object->kind));
	json_put(json, "size", json_u64(object->size));
	if (schema) {
		of = json_object();
		json_put_bytes(of, "name", schema->name);
		json_put(of, "version", json_integer(schema->version));
		json_put(of, "hash", json_sprintf("%016" PRIx64, object->schema_hash));
		json_put(json, "schema", of);
	} else {
		json_put(json, "schema", json_null());
	}
	if (err) {
		json_put_bytes(json, "error", shr_last_error());
	} else if (object->kind == SHR_OBJECT_RING) {
		json_put(json, "tail", json_u64(summary->ring.tail));
		if (summary->ring.sequence)
			json_put(json, "newest", json_u64(summary->ring.sequence - 1));
		if (summary->has_lag)
			json_put(json, "lag_bytes", json_u64(summary->lag));
		if (summary->slowest[0])
			json_put_bytes(json, "slowest", summary->slowest);
	} else if (object->kind == SHR_OBJECT_TABLE) {
		json_put(json, "slots", json_integer(summary->table.slots));
		json_put(json, "used", json_integer(summary->table.used));
	}
	return json;
}

static json_t *segment_json(const char *name, const struct shr_inspect *inspect,
			    const struct shr_segment_info *info, const char *error)
{
	json_t *json = json_object(), *objects;
	struct summary summary;
	struct counts counts;
	const char *user;

	json_put(json, "v", json_integer(1));
	json_put_bytes(json, "segment", name);
	if (error) {
		json_put_bytes(json, "error", error);
		return json;
	}
	counts = count_members(inspect, info->members);
	user = name_of_user(info->uid);
	json_put(json, "size", json_u64(info->size));
	json_put(json, "created_ns", json_u64(info->created_ns));
	json_put(json, "this_boot", json_boolean(info->this_boot));
	json_put(json, "obsolete", json_boolean(info->obsolete));
	if (info->uid != UINT32_MAX)
		json_put(json, "uid", json_integer(info->uid));
	if (user)
		json_put_bytes(json, "user", user);
	json_put(json, "alive", json_integer(counts.alive));
	json_put(json, "dead", json_integer(counts.dead));
	objects = json_array();
	for (uint32_t i = 0; i < info->objects; i++) {
		int err = summarize(inspect, i, &summary);

		json_array_append_new(objects, object_json(&summary, err));
	}
	json_put(json, "objects", objects);
	return json;
}

/* --- Which there are ------------------------------------------------------------- */

static int collect(const char *name, int err, void *argument)
{
	struct listing *listing = argument;
	struct found *more = realloc(listing->found, (listing->count + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	listing->found = more;
	more[listing->count] = (struct found){strdup(name), err};
	if (!more[listing->count].name)
		return -ENOMEM;
	listing->count++;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct found *)a)->name, ((const struct found *)b)->name);
}

static void list_one(struct listing *listing, const struct found *found)
{
	const struct style *style = listing->style;
	struct shr_inspect *inspect = NULL;
	struct shr_segment_info info;
	const char *error;
	int err;

	if (style->format == FORMAT_NAMES) {
		if (found->err)
			return; /* maybe no segment */
		text_string(stdout, found->name);
		putchar('\n');
		return;
	}
	err = found->err ? found->err : shr_inspect_open(&inspect, found->name);
	if (!err)
		err = shr_inspect_segment(inspect, &info);
	if (err == -ENOENT) /* gone meanwhile */
		return;
	error = found->err ? "may be a segment, and may not be read"
		: err      ? shr_last_error()
			   : NULL;
	if (style->format == FORMAT_TEXT)
		list_text(listing, found->name, inspect, &info, error);
	else if (listing->all)
		json_array_append_new(listing->all,
				      segment_json(found->name, inspect, &info, error));
	else
		show_json(style, segment_json(found->name, inspect, &info, error));
	shr_inspect_close(inspect);
}

static void listing_free(struct listing *listing)
{
	for (size_t i = 0; i < listing->count; i++)
		free(listing->found[i].name);
	free(listing->found);
	for (size_t r = 0; r < listing->row_count; r++) {
		for (int i = 0; i < COLUMNS; i++)
			free(listing->rows[r].cell[i]);
		free(listing->rows[r].error);
	}
	free(listing->rows);
	json_decref(listing->all);
}

int command_list(const struct request *request)
{
	const struct style *style = &request->style;
	struct listing listing = {.style = style,
				  .all = style->format == FORMAT_JSON ? json_array() : NULL};
	int err = each_segment(request, collect, &listing);

	if (!err && listing.count)
		qsort(listing.found, listing.count, sizeof(*listing.found), by_name);
	for (size_t i = 0; !err && i < listing.count; i++)
		list_one(&listing, &listing.found[i]);
	if (!err && listing.all)
		show_json(style, json_incref(listing.all));
	if (!err && listing.row_count) {
		print_rows(&listing);
	} else if (!err && style->format == FORMAT_TEXT) {
		fputs("shmring-dump: no segments in ", stderr);
		if (request->directory)
			text_string(stderr, request->directory);
		else
			fputs("/dev/shm or System V shared memory", stderr);
		fputc('\n', stderr);
	}
	listing_free(&listing);
	return err ? failed(request->directory ? request->directory : "/dev/shm", err) : 0;
}
