/* SPDX-License-Identifier: MIT */
/*
 * shmring restore: a new segment from the copy of another one's file.
 *
 * It is filled under a name that nobody looks for, ".shmring-restore-PID" beside the
 * new one, and linked when it is whole: others see nothing or all of it, and link(2)
 * never replaces another. Killed meanwhile, that file is left.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "operate.h"
#include "progress.h"

#define SHM_DIR "/dev/shm"
#define SLOTS   256 /* whose numbers are asked for at once */

struct restore {
	uint32_t perms;
	char path[PATH_MAX];     /* of the new segment */
	char hidden[PATH_MAX];   /* where it is filled, */
	char name[PATH_MAX + 8]; /* and "file:" before that */
	char image[PATH_MAX + 8];
	const struct shr_inspect *inspect; /* of the image */
	struct shr_segment_info info;
	struct shr_object objects[SHR_OBJECTS_MAX];
	struct shr_segment *segment;
	uint64_t records;
	uint64_t unfinished; /* records that were never committed */
	uint64_t slots;
	uint64_t torn;
};

static const struct option_row options[] = {
	{'M', "mode", "OCTAL", "permissions, less the umask; 0600 if not given"}, {0}};

static int take(void *request, int letter, const char *argument)
{
	(void)letter;
	return operate_perms(argument, &((struct restore *)request)->perms);
}

static void show_progress(const struct restore *restore)
{
	progress_show("shmring: %" PRIu64 " records of rings and %" PRIu64 " of tables",
		      restore->records, restore->slots);
}

static int image_failed(const struct restore *restore, int err)
{
	return operate_failed(restore->image, err);
}

static int new_failed(const struct restore *restore, int err)
{
	return operate_failed(restore->path, err);
}

/* --- Places of cursors -------------------------------------------------------------- */

struct place {
	struct shr_cursor_info info;
	int made;
};

struct places {
	struct place place[SHR_RING_CURSORS_MAX];
	uint32_t count;
};

/* The cursors that outlive their processes, and *@start: the first position that one of them needs.
 */
static int find_places(const struct restore *restore, uint32_t index, uint32_t mode,
		       struct places *places, uint64_t *start)
{
	struct shr_ring_status status;
	int err = shr_inspect_ring(restore->inspect, index, &status);

	if (err)
		return image_failed(restore, err);
	*start = mode == SHR_RING_STREAM ? status.tail : status.position;
	if (mode == SHR_RING_OVERWRITE)
		*start = status.reclaim;
	for (uint32_t i = 0; mode != SHR_RING_QUEUE && i < SHR_RING_CURSORS_MAX; i++) {
		struct place *place = &places->place[places->count];

		err = shr_inspect_cursor(restore->inspect, index, i, &place->info);
		if (err == -ENOENT)
			continue;
		if (err)
			return image_failed(restore, err);
		if (!(place->info.flags & SHR_CURSOR_DURABLE))
			continue;
		places->count++;
		if ((int64_t)(place->info.position - status.reclaim) < 0)
			place->info.position = status.reclaim;
		if ((int64_t)(place->info.position - *start) < 0)
			*start = place->info.position;
	}
	return 0;
}

/* --- The same objects --------------------------------------------------------------- */

static int describe(const struct restore *restore, uint32_t index, struct shr_object *object)
{
	struct shr_table_status status;
	struct shr_table_options table = {.struct_size = sizeof(table)};
	struct places places = {.count = 0};
	struct shr_object_info info;
	int result, err = shr_inspect_object(restore->inspect, index, &info);

	if (err)
		return image_failed(restore, err);
	switch (info.kind) {
	case SHR_OBJECT_BYTES:
		*object = (struct shr_object){
			.kind = info.kind, .size = info.size, .schema = info.schema};
		memcpy(object->name, info.name, sizeof(object->name));
		return 0;
	case SHR_OBJECT_RING:
		/* The same positions, so that records lie as they lay and need no more room. */
		result = find_places(restore, index, info.ring.mode, &places,
				     &info.ring.first_position);
		if (result)
			return result;
		info.ring.struct_size = sizeof(info.ring);
		err = shr_ring_describe(object, info.name, &info.ring);
		break;
	case SHR_OBJECT_MUTEX:
		err = shr_mutex_describe(object, info.name, info.count);
		break;
	case SHR_OBJECT_EVENT:
		err = shr_event_describe(object, info.name, info.count);
		break;
	case SHR_OBJECT_TABLE:
		err = shr_inspect_table(restore->inspect, index, &status);
		if (err)
			break;
		table.mode = status.mode;
		table.slots = status.slots;
		table.schema = info.schema;
		table.record_size = info.schema ? 0 : status.record_size;
		if (status.key_field && info.schema && status.key_field <= info.schema->field_count)
			table.key = info.schema->fields[status.key_field - 1].name;
		err = shr_table_describe(object, info.name, &table);
		break;
	default:
		operate_say("%s: %s is of a kind that this version does not know", restore->image,
			    info.name);
		return EXIT_FOREIGN;
	}
	return err ? image_failed(restore, err) : 0;
}

/* --- Rings -------------------------------------------------------------------------- */

/* Put a cursor behind all that was written so far. */
static int make_place(struct shr_ring *ring, struct place *place)
{
	struct shr_cursor_options how = {.struct_size = sizeof(how), .join = SHR_JOIN_NEWEST};
	struct shr_cursor *cursor = NULL;
	struct shr_record record;
	int err;

	place->made = 1;
	if (!strcmp(place->info.name, "default")) { /* it is there, at the first record */
		err = shr_cursor_open(&cursor, ring, NULL);
		while (!err && !(err = shr_cursor_next(cursor, &record)))
			err = shr_cursor_release(cursor);
		err = err == -EAGAIN ? 0 : err;
	} else {
		how.flags = SHR_CURSOR_CREATE | SHR_CURSOR_DURABLE |
			    (place->info.flags & SHR_CURSOR_LOSSY);
		err = shr_cursor_open_with(&cursor, ring, place->info.name, &how);
	}
	shr_cursor_close(cursor);
	return err;
}

/* Those cursors whose next record lies at @position or behind it; @all: the rest, too. */
static int make_places(struct shr_ring *ring, struct places *places, uint64_t position, int all)
{
	int err = 0;

	for (uint32_t i = 0; i < places->count && !err; i++) {
		struct place *place = &places->place[i];

		if (!place->made && (all || (int64_t)(position - place->info.position) >= 0))
			err = make_place(ring, place);
	}
	return err;
}

/* Is it still to be read by somebody? */
static int wanted(struct restore *restore, const struct shr_walk_record *record, uint64_t start,
		  int at_most_once)
{
	if ((int64_t)(record->position - start) < 0)
		return 0;
	restore->unfinished += record->state == SHR_STATE_BUSY;
	return record->state == SHR_STATE_READY ||
	       (record->state == SHR_STATE_TAKEN && !at_most_once);
}

static int copy_records(struct restore *restore, struct sink *sink, struct shr_walk *walk,
			struct places *places, uint64_t start)
{
	int at_most_once = !!(sink->object.ring.flags & SHR_RING_AT_MOST_ONCE), err;
	struct shr_walk_record record;

	while (!(err = shr_walk_next(walk, &record))) {
		if (!wanted(restore, &record, start, at_most_once))
			continue;
		if (record.copied < record.size) {
			operate_say("%s: %s has a record of %" PRIu64 " bytes that was not read",
				    restore->image, sink->object.name, record.size);
			return EXIT_DAMAGED;
		}
		err = make_places(sink->ring, places, record.position, 0);
		if (!err)
			err = sink_put(sink, record.payload, record.copied, record.type, 0);
		if (err == -EAGAIN || err == -ENOBUFS) {
			operate_say("%s: the records of %s do not fit", restore->path,
				    sink->object.name);
			return EXIT_FAILURE;
		}
		if (err)
			return new_failed(restore, err);
		restore->records++;
		show_progress(restore);
	}
	if (err != -EAGAIN)
		return image_failed(restore, err);
	err = make_places(sink->ring, places, 0, 1);
	return err ? new_failed(restore, err) : 0;
}

static int restore_ring(struct restore *restore, uint32_t index, struct sink *sink)
{
	struct places places = {.count = 0};
	struct shr_walk *walk = NULL;
	uint64_t start = 0;
	int err, result = find_places(restore, index, sink->object.ring.mode, &places, &start);

	if (result)
		return result;
	err = shr_walk_open(&walk, restore->inspect, index, SHR_WALK_OLDEST | SHR_WALK_BUSY,
			    (size_t)sink->object.ring.max_record);
	if (err)
		return image_failed(restore, err);
	result = copy_records(restore, sink, walk, &places, start);
	shr_walk_close(walk);
	return result;
}

/* --- Tables -------------------------------------------------------------------------------- */

/* Which slots are used; *@end is behind the last of them. */
static int find_used(const struct restore *restore, uint32_t index, unsigned char *used,
		     uint32_t *end)
{
	struct shr_slot_info info[SLOTS];
	int count = 0;

	*end = 0;
	for (uint32_t first = 0;; first += (uint32_t)count) {
		count = shr_inspect_slots(restore->inspect, index, first, SLOTS, info);
		if (count <= 0)
			return count;
		for (uint32_t i = 0; i < (uint32_t)count; i++) {
			used[first + i] = info[i].generation & 1;
			if (used[first + i])
				*end = first + i + 1;
		}
	}
}

/* The record of a used slot into @buffer. One that is torn counts as not used. */
static int read_slot(struct restore *restore, uint32_t index, uint32_t slot, void *buffer,
		     size_t size, unsigned char *used)
{
	int err = shr_inspect_slot(restore->inspect, index, slot, buffer, size, NULL, NULL);

	restore->torn += err == -EAGAIN;
	restore->slots += !err;
	*used = !err;
	if (err)
		memset(buffer, 0, size);
	return err == -EAGAIN || err == -ENOENT ? 0 : err;
}

/*
 * With @keep each record keeps the number of its slot, by which programs know it where
 * there is no key: the free ones before it are filled meanwhile.
 */
static int copy_slots(struct restore *restore, uint32_t index, struct shr_table *table,
		      void *buffer, unsigned char *used, int keep)
{
	const size_t size = shr_table_record_size(table);
	uint32_t end, slot = 0;
	int err = find_used(restore, index, used, &end);

	for (uint32_t i = 0; i < end && !err; i++) {
		memset(buffer, 0, used[i] ? 0 : size);
		if (used[i])
			err = read_slot(restore, index, i, buffer, size, &used[i]);
		show_progress(restore);
		if (err || (!used[i] && !keep))
			continue;
		err = shr_table_insert(table, buffer, size, &slot);
		if (!err && keep && slot != i) {
			operate_say("%s: slot %" PRIu32 " would be %" PRIu32, restore->path, i,
				    slot);
			return EXIT_FAILURE;
		}
	}
	for (uint32_t i = 0; i < end && keep && !err; i++)
		if (!used[i])
			err = shr_table_remove(table, i);
	return err ? image_failed(restore, err) : 0;
}

static int restore_table(struct restore *restore, uint32_t index, struct shr_table *table)
{
	void *buffer = malloc(shr_table_record_size(table));
	unsigned char *used = calloc(1, shr_table_slots(table));
	struct shr_table_status status;
	int err = buffer && used ? shr_table_stat(table, &status) : -ENOMEM;
	int result = err ? new_failed(restore, err)
			 : copy_slots(restore, index, table, buffer, used, !status.key_field);

	free(used);
	free(buffer);
	return result;
}

/* --- All of it ------------------------------------------------------------------------------ */

static int restore_bytes(const struct restore *restore, uint32_t index)
{
	void *to;
	size_t size;
	int err = shr_segment_bytes(restore->segment, restore->objects[index].name, &to, &size);

	if (!err)
		err = shr_inspect_bytes(restore->inspect, index, 0, to, size);
	return err ? image_failed(restore, err) : 0;
}

static int restore_objects(struct restore *restore)
{
	int result = 0;

	for (uint32_t i = 0; i < restore->info.objects && !result; i++) {
		uint32_t kind = restore->objects[i].kind;
		struct sink sink = {0};

		if (kind == SHR_OBJECT_BYTES)
			result = restore_bytes(restore, i);
		if (kind != SHR_OBJECT_RING && kind != SHR_OBJECT_TABLE)
			continue;
		result = sink_open(&sink, restore->inspect, restore->segment, restore->path, i);
		if (!result)
			result = kind == SHR_OBJECT_RING ? restore_ring(restore, i, &sink)
							 : restore_table(restore, i, sink.table);
		sink_close(&sink);
	}
	return result;
}

/* Names for the segment and for what becomes it. */
static int make_names(struct restore *restore, const char *name, const char *image)
{
	const char *base = name + strspn(name, "/"), *slash;
	int length, is_file = !strncmp(name, "file:", 5);

	if (!is_file && (strchr(base, '/') || !*base || !strncmp(name, "sysv:", 5) ||
			 !strncmp(name, "anon:", 5) || !strncmp(name, "fd:", 3)))
		return operate_usage("%s: restore makes segments named /NAME or file:PATH", name);
	length = is_file ? snprintf(restore->path, sizeof(restore->path), "%s", name + 5)
			 : snprintf(restore->path, sizeof(restore->path), SHM_DIR "/%s", base);
	if (length >= (int)sizeof(restore->path) - 40)
		return operate_usage("%s: too long", name);
	slash = strrchr(restore->path, '/');
	snprintf(restore->hidden, sizeof(restore->hidden), "%.*s.shmring-restore-%ld",
		 slash ? (int)(slash + 1 - restore->path) : 0, restore->path, (long)getpid());
	snprintf(restore->name, sizeof(restore->name), "file:%s", restore->hidden);
	snprintf(restore->image, sizeof(restore->image), "%s%.*s",
		 strncmp(image, "file:", 5) ? "file:" : "", PATH_MAX - 1, image);
	return 0;
}

static int already(const struct restore *restore)
{
	operate_say("%s is there already: restore makes new segments only", restore->path);
	return EXIT_FAILURE;
}

/* Fill a segment without the name, then give it that. */
static int make_segment(struct restore *restore)
{
	struct shr_segment_options how = {.struct_size = sizeof(how),
					  .perms = restore->perms,
					  .members = restore->info.members,
					  .locks = restore->info.locks,
					  .role = "shmring restore"};
	int err, result = 0;

	for (uint32_t i = 0; i < restore->info.objects && !result; i++)
		result = describe(restore, i, &restore->objects[i]);
	if (result)
		return result;
	err = shr_segment_create(&restore->segment, restore->name, restore->objects,
				 restore->info.objects, &how);
	if (err)
		return new_failed(restore, err);
	result = restore_objects(restore);
	shr_segment_detach(restore->segment);
	if (!result && link(restore->hidden, restore->path) < 0) {
		if (errno == EEXIST) {
			result = already(restore);
		} else {
			operate_say("cannot make %s: %s", restore->path, strerror(errno));
			result = EXIT_FAILURE;
		}
	}
	unlink(restore->hidden);
	return result;
}

static int run(const struct command *command, int argc, char **argv)
{
	static struct restore restore;
	struct shr_inspect *inspect = NULL;
	int err, result = operate_options(command, argc, argv, 2, 2, &restore);

	if (result != NO_COMMAND)
		return result;
	result = make_names(&restore, argv[optind], argv[optind + 1]);
	if (result)
		return result;
	if (!access(restore.path, F_OK))
		return already(&restore);
	progress_begin();
	err = shr_inspect_open(&inspect, restore.image);
	restore.inspect = inspect;
	if (!err)
		err = shr_inspect_segment(inspect, &restore.info);
	result = err ? image_failed(&restore, err) : make_segment(&restore);
	progress_clear();
	shr_inspect_close(inspect);
	if (result)
		return result;
	if (restore.unfinished)
		operate_say("%" PRIu64 " records that were never committed are left out",
			    restore.unfinished);
	if (restore.torn)
		operate_say("%" PRIu64 " records of tables were torn and are left out",
			    restore.torn);
	operate_say("%" PRIu64 " records of rings and %" PRIu64 " of tables restored",
		    restore.records, restore.slots);
	return restore.torn ? EXIT_FAILURE : 0;
}

const struct command command_restore = {
	.name = "restore",
	.arguments = "SEGMENT IMAGE",
	.summary = "Make a new segment from the copy of another one's file.",
	.options = options,
	.take = take,
	.run = run};
