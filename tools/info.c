/* SPDX-License-Identifier: MIT */
/* shmring-dump info. */
#include <inttypes.h>
#include <string.h>

#include "commands.h"

static const char *name_of_backend(uint32_t backend)
{
	static const char *const names[] = {"?", "posix", "file", "sysv", "anon", "fd"};

	return names[backend <= SHR_BACKEND_FD ? backend : 0];
}

static const char *name_of_life(uint32_t life)
{
	return life == SHR_LIFE_FILE	    ? "by locks on the segment itself"
	       : life == SHR_LIFE_COMPANION ? "by locks on its companion in /dev/shm"
	       : life == SHR_LIFE_IMAGE	    ? "cannot be told of an image"
					    : "cannot be told: its companion lock file in /dev/shm is "
					      "gone, or may not be read";
}

/* The same, and the locks, in a word. */
static const char *word_of_life(uint32_t life)
{
	static const char *const words[] = {"?", "file", "companion", "none", "image"};

	return words[life <= SHR_LIFE_IMAGE ? life : 0];
}

static const char *word_of_locks(uint32_t locks)
{
	return locks == SHR_LOCKS_PTHREAD ? "pthread" : locks == SHR_LOCKS_WORD ? "word" : "?";
}

static void put_owner(const struct shr_inspect *inspect, const struct style *style,
		      const char *what, uint32_t number, uint64_t takeovers)
{
	struct shr_member_info member;

	printf("  %-12s ", what);
	if (!number)
		fputs("nobody", stdout);
	else if (shr_inspect_member(inspect, number, &member))
		printf("%smember %" PRIu32 ", which is impossible%s", BAD(style), number,
		       PLAIN(style));
	else
		printf("member %" PRIu32 ", %s%s%s", number,
		       member.state == SHR_MEMBER_ALIVE ? "" : BAD(style),
		       name_of_member_state(member.state), PLAIN(style));
	printf("; died and replaced: %" PRIu64 "\n", takeovers);
}

static void put_unread(uint64_t unread, uint64_t capacity)
{
	put_size(unread);
	printf(", %.0f%% of the capacity", 100.0 * (double)unread / (double)capacity);
}

static void info_cursors(const struct shr_inspect *inspect, const struct style *style,
			 uint32_t index, const struct shr_object_info *object, uint64_t tail)
{
	struct shr_cursor_info cursor;
	uint32_t used = 0;

	for (uint32_t i = 0; i < SHR_RING_CURSORS_MAX; i++)
		used += !shr_inspect_cursor(inspect, index, i, &cursor);
	printf("  %-12s %" PRIu32 " of %" PRIu32 " places\n", "cursors", used, object->ring.cursors);
	for (uint32_t i = 0; i < SHR_RING_CURSORS_MAX; i++) {
		if (shr_inspect_cursor(inspect, index, i, &cursor))
			continue;
		fputs("    ", stdout);
		text_string(stdout, cursor.name);
		printf(": %s%s\n", cursor.flags & SHR_CURSOR_LOSSY ? "lossy" : "gate",
		       cursor.flags & SHR_CURSOR_DURABLE ? ", durable" : "");
		fputs("    ", stdout);
		put_owner(inspect, style, "consumer", cursor.member, cursor.takeovers);
		printf("      %-12s %" PRIu64 ", unread ", "released to", cursor.position);
		put_unread(tail - cursor.position, object->ring.capacity);
		printf("\n      %-12s skipped %" PRIu64 ", redelivered %" PRIu64 ", lost %" PRIu64
		       " records, %" PRIu64 " bytes\n",
		       "counters", cursor.skipped, cursor.redelivered, cursor.lost, cursor.lost_bytes);
	}
}

static void info_mode(const struct shr_ring_options *ring)
{
	static const struct {
		uint32_t flag;
		const char *text;
	} flags[] = {
		{SHR_RING_DROP_NEWEST, ", drops the newest when full"},
		{SHR_RING_AT_MOST_ONCE, ", at most once"},
		{SHR_RING_SEQUENCE, ", numbered"},
		{SHR_RING_TIME, ", timed"},
	};

	fputs(ring->flags & SHR_RING_SINGLE_PRODUCER ? ", single producer" : ", several producers",
	      stdout);
	if (ring->mode != SHR_RING_STREAM)
		printf(", %s", name_of_ring_mode(ring->mode));
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (ring->flags & flags[i].flag)
			fputs(flags[i].text, stdout);
}

static int info_ring(const struct shr_inspect *inspect, const struct style *style, uint32_t index,
		     const struct shr_object_info *object)
{
	const struct shr_ring_options *ring = &object->ring;
	int queue = ring->mode == SHR_RING_QUEUE, one = ring->cursors == 1 && ring->mode == SHR_RING_STREAM;
	struct shr_ring_status status;
	int err = shr_inspect_ring(inspect, index, &status);

	if (err)
		return err;
	info_mode(ring);
	printf("\n  %-12s ", "capacity");
	put_size(ring->capacity);
	printf(", records up to %" PRIu64 ", history %" PRIu64 "\n", ring->max_record, ring->history);
	printf("  %-12s %" PRIu64 "\n", "written to", status.tail);
	if (queue)
		printf("  %-12s %" PRIu64 "\n", "taken to", status.delivered);
	if (ring->mode != SHR_RING_OVERWRITE)
		printf("  %-12s %" PRIu64 "\n", queue ? "done to" : "released to", status.position);
	printf("  %-12s %" PRIu64 "\n", "kept from", status.reclaim);
	if (ring->mode != SHR_RING_OVERWRITE) {
		printf("  %-12s ", queue ? "not done" : "unread");
		put_unread(status.tail - status.position, ring->capacity);
		putchar('\n');
	}
	if (status.sequence)
		printf("  %-12s next %" PRIu64 ", dropped %" PRIu64 "\n", "numbers", status.sequence,
		       status.dropped);
	if (ring->flags & SHR_RING_SINGLE_PRODUCER)
		put_owner(inspect, style, "producer", status.producer, status.producer_takeovers);
	if (one)
		put_owner(inspect, style, "consumer", status.consumer, status.consumer_takeovers);
	if (queue)
		printf("  %-12s acknowledged %" PRIu64 ", lost %" PRIu64 ", skipped %" PRIu64
		       ", redelivered %" PRIu64 ", locks mended %" PRIu64 "\n",
		       "counters", status.acked, status.lost, status.skipped, status.redelivered,
		       status.lock_repairs);
	else if (one)
		printf("  %-12s skipped %" PRIu64 ", redelivered %" PRIu64 ", claim locks mended %" PRIu64
		       "\n",
		       "counters", status.skipped, status.redelivered, status.lock_repairs);
	else
		printf("  %-12s cursors evicted %" PRIu64 ", claim locks mended %" PRIu64 "\n", "counters",
		       status.evicted, status.lock_repairs);
	if (!one && !queue)
		info_cursors(inspect, style, index, object, status.tail);
	return 0;
}

/* The name of the field that is the key, NULL: none. */
static const char *key_of(const struct shr_object_info *object,
			  const struct shr_table_status *table)
{
	if (!table->key_field)
		return NULL;
	if (!object->schema || table->key_field > object->schema->field_count)
		return "of a field that there is not";
	return object->schema->fields[table->key_field - 1].name;
}

static int info_table(const struct shr_inspect *inspect, uint32_t index,
		      const struct shr_object_info *object)
{
	struct shr_table_status table;
	int err = shr_inspect_table(inspect, index, &table);

	if (err)
		return err;
	printf(", %s", name_of_table_mode(table.mode));
	if (table.key_field) {
		fputs(", key ", stdout);
		text_string(stdout, key_of(object, &table));
	}
	printf("\n  %-12s %" PRIu32 " of %" PRIu32 " used\n  %-12s ", "slots", table.used,
	       table.slots, "record");
	put_size(table.record_size);
	if (table.key_field)
		printf("\n  %-12s %" PRIu64 " entries, graves %" PRIu64 ", built anew %" PRIu64,
		       "index", table.index_size, table.graves, table.rebuilds);
	printf("\n  %-12s died and replaced: inside an update %" PRIu64
	       ", inside an insert or remove %" PRIu64 "\n",
	       "writers", table.takeovers, table.repairs);
	return 0;
}

/* The last one that died in a slot. */
static void info_death(const struct shr_death *death)
{
	if (!death->deaths)
		return;
	printf("  %4" PRIu32 "  died     pid %" PRIu32 "%s  ", death->number, death->pid,
	       death->same_namespace ? "" : " (of another namespace)");
	text_string(stdout, death->command);
	if (death->role[0]) {
		fputs(" as ", stdout);
		text_string(stdout, death->role);
	}
	fputs(", proved ", stdout);
	put_time(death->noticed_ns);
	printf(" by member %" PRIu32 "; deaths in this slot: %" PRIu64 "\n", death->by, death->deaths);
}

static void info_members(const struct shr_inspect *inspect, const struct style *style,
			 const struct shr_segment_info *info)
{
	struct shr_member_info member;
	uint32_t used = 0;
	uint64_t died = 0;

	for (uint32_t i = 1; i <= info->members && !shr_inspect_member(inspect, i, &member); i++) {
		uint64_t lives = member.state == SHR_MEMBER_ALIVE;

		used += member.state != SHR_MEMBER_FREE;
		if (member.attaches > member.detaches + lives)
			died += member.attaches - member.detaches - lives;
	}
	printf("%smembers%s: %" PRIu32 " of %" PRIu32 " slots; died without detaching: %" PRIu64 "\n",
	       BOLD(style), PLAIN(style), used, info->members, died);
	for (uint32_t i = 1; i <= info->members && !shr_inspect_member(inspect, i, &member); i++) {
		info_death(&member.death);
		if (member.state == SHR_MEMBER_FREE)
			continue;
		printf("  %4" PRIu32 "  %s%-7s%s  pid %" PRIu32 "%s  ", i,
		       member.state == SHR_MEMBER_ALIVE ? "" : BAD(style),
		       name_of_member_state(member.state), PLAIN(style), member.pid,
		       member.same_namespace ? "" : " (of another namespace)");
		text_string(stdout, member.command);
		if (member.role[0]) {
			fputs(" as ", stdout);
			text_string(stdout, member.role);
		}
		fputs(", since ", stdout);
		put_time(member.attached_ns);
		putchar('\n');
	}
}

static int info_text(const struct shr_inspect *inspect, const struct style *style, const char *name,
		     const struct shr_segment_info *info)
{
	int result = 0;

	fputs(BOLD(style), stdout);
	text_string(stdout, name);
	printf("%s: ", PLAIN(style));
	put_size(info->size);
	printf(", format %" PRIu32 ".%" PRIu32 ", epoch %016" PRIx64 "\n", info->format_major,
	       info->format_minor, info->epoch);
	fputs("made ", stdout);
	put_time(info->created_ns);
	printf(" by pid %" PRIu32 "%s", info->creator_pid,
	       info->this_boot ? "" : ", before this machine was started");
	printf("; %s%s%s\n", info->obsolete ? BAD(style) : "",
	       info->obsolete ? "obsolete: unlinked or replaced" : "current", PLAIN(style));
	printf("alive or dead: %s%s%s\n", info->life == SHR_LIFE_NONE ? BAD(style) : "",
	       name_of_life(info->life), PLAIN(style));
	info_members(inspect, style, info);
	for (uint32_t i = 0; i < info->objects; i++) {
		struct shr_object_info object;
		int err = shr_inspect_object(inspect, i, &object);

		if (err) {
			result = failed(name, err);
			continue;
		}
		printf("%s%s ", BOLD(style), name_of_kind(object.kind));
		text_string(stdout, object.name);
		printf("%s: ", PLAIN(style));
		if (object.schema) {
			fputs("struct ", stdout);
			text_string(stdout, object.schema->name);
		} else if (object.kind == SHR_OBJECT_BYTES || object.kind == SHR_OBJECT_RING ||
			   object.kind == SHR_OBJECT_TABLE) {
			fputs("untyped", stdout);
		}
		if (object.kind == SHR_OBJECT_RING || object.kind == SHR_OBJECT_TABLE) {
			err = object.kind == SHR_OBJECT_RING ? info_ring(inspect, style, i, &object)
							     : info_table(inspect, i, &object);
			if (err) {
				putchar('\n');
				result = failed(name, err);
			}
		} else if (object.kind == SHR_OBJECT_MUTEX || object.kind == SHR_OBJECT_EVENT) {
			printf("%" PRIu32 "%s\n", object.count,
			       object.kind == SHR_OBJECT_EVENT		? ""
			       : info->locks == SHR_LOCKS_PTHREAD ? " robust pthread mutexes"
								  : "; see shmring-dump locks");
		} else {
			fputs(", ", stdout);
			put_size(object.size);
			putchar('\n');
		}
	}
	return result;
}

static json_t *info_json_cursors(const struct shr_inspect *inspect, uint32_t index)
{
	json_t *json = json_array();

	for (uint32_t i = 0; i < SHR_RING_CURSORS_MAX; i++) {
		struct shr_cursor_info cursor;
		json_t *one;

		if (shr_inspect_cursor(inspect, index, i, &cursor))
			continue;
		one = json_object();
		json_put_bytes(one, "name", cursor.name);
		json_put(one, "lossy", json_boolean(cursor.flags & SHR_CURSOR_LOSSY));
		json_put(one, "durable", json_boolean(cursor.flags & SHR_CURSOR_DURABLE));
		json_put(one, "member", json_integer(cursor.member));
		json_put(one, "position", json_u64(cursor.position));
		json_put(one, "delivered", json_u64(cursor.delivered));
		json_put(one, "skipped", json_u64(cursor.skipped));
		json_put(one, "redelivered", json_u64(cursor.redelivered));
		json_put(one, "lost", json_u64(cursor.lost));
		json_put(one, "lost_bytes", json_u64(cursor.lost_bytes));
		json_put(one, "takeovers", json_u64(cursor.takeovers));
		json_array_append_new(json, one);
	}
	return json;
}

static json_t *info_json_ring(const struct shr_inspect *inspect, uint32_t index,
			      const struct shr_object_info *object,
			      const struct shr_ring_status *status)
{
	const struct shr_ring_options *ring = &object->ring;
	json_t *json = json_object();

	json_put(json, "mode", json_enum(name_of_ring_mode(ring->mode), ring->mode));
	json_put(json, "capacity", json_u64(ring->capacity));
	json_put(json, "max_record", json_u64(ring->max_record));
	json_put(json, "history", json_u64(ring->history));
	json_put(json, "single_producer", json_boolean(ring->flags & SHR_RING_SINGLE_PRODUCER));
	json_put(json, "drop_newest", json_boolean(ring->flags & SHR_RING_DROP_NEWEST));
	json_put(json, "at_most_once", json_boolean(ring->flags & SHR_RING_AT_MOST_ONCE));
	json_put(json, "numbered", json_boolean(ring->flags & SHR_RING_SEQUENCE));
	json_put(json, "timed", json_boolean(ring->flags & SHR_RING_TIME));
	json_put(json, "tail", json_u64(status->tail));
	json_put(json, "position", json_u64(status->position));
	json_put(json, "delivered", json_u64(status->delivered));
	json_put(json, "reclaim", json_u64(status->reclaim));
	json_put(json, "unread_bytes", json_u64(status->tail - status->position));
	json_put(json, "producer", json_integer(status->producer));
	json_put(json, "consumer", json_integer(status->consumer));
	json_put(json, "producer_takeovers", json_u64(status->producer_takeovers));
	json_put(json, "consumer_takeovers", json_u64(status->consumer_takeovers));
	json_put(json, "skipped", json_u64(status->skipped));
	json_put(json, "redelivered", json_u64(status->redelivered));
	json_put(json, "lock_repairs", json_u64(status->lock_repairs));
	json_put(json, "sequence", json_u64(status->sequence));
	json_put(json, "dropped", json_u64(status->dropped));
	json_put(json, "lost", json_u64(status->lost));
	json_put(json, "acked", json_u64(status->acked));
	json_put(json, "evicted", json_u64(status->evicted));
	json_put(json, "full", json_u64(status->full));
	json_put(json, "cursors", info_json_cursors(inspect, index));
	return json;
}

static json_t *info_json_table(const struct shr_object_info *object,
			       const struct shr_table_status *table)
{
	json_t *json = json_object();

	json_put(json, "mode", json_enum(name_of_table_mode(table->mode), table->mode));
	json_put(json, "slots", json_integer(table->slots));
	json_put(json, "used", json_integer(table->used));
	json_put(json, "record_size", json_u64(table->record_size));
	if (table->key_field)
		json_put_bytes(json, "key", key_of(object, table));
	json_put(json, "index_size", json_u64(table->index_size));
	json_put(json, "graves", json_u64(table->graves));
	json_put(json, "rebuilds", json_u64(table->rebuilds));
	json_put(json, "repairs", json_u64(table->repairs));
	json_put(json, "takeovers", json_u64(table->takeovers));
	return json;
}

static json_t *info_json_death(const struct shr_death *death)
{
	json_t *json = json_object();

	json_put(json, "deaths", json_u64(death->deaths));
	json_put(json, "pid", json_integer(death->pid));
	json_put(json, "same_namespace", json_boolean(death->same_namespace));
	json_put(json, "attached_ns", json_u64(death->attached_ns));
	json_put(json, "noticed_ns", json_u64(death->noticed_ns));
	json_put(json, "by", json_integer(death->by));
	json_put_bytes(json, "command", death->command);
	json_put_bytes(json, "role", death->role);
	return json;
}

static json_t *info_json_members(const struct shr_inspect *inspect,
				 const struct shr_segment_info *info)
{
	json_t *members = json_array();
	struct shr_member_info member;

	for (uint32_t i = 1; i <= info->members && !shr_inspect_member(inspect, i, &member); i++) {
		json_t *json;

		if (!member.attaches && member.state == SHR_MEMBER_FREE)
			continue;
		json = json_object();
		json_put(json, "number", json_integer(member.number));
		json_put(json, "state", json_enum(name_of_member_state(member.state), member.state));
		json_put(json, "pid", json_integer(member.pid));
		json_put(json, "same_namespace", json_boolean(member.same_namespace));
		json_put(json, "start_time", json_u64(member.start_time));
		json_put(json, "attached_ns", json_u64(member.attached_ns));
		json_put(json, "attaches", json_u64(member.attaches));
		json_put(json, "detaches", json_u64(member.detaches));
		if (member.death.deaths)
			json_put(json, "last_death", info_json_death(&member.death));
		json_put_bytes(json, "command", member.command);
		json_put_bytes(json, "role", member.role);
		json_array_append_new(members, json);
	}
	return members;
}

static int info_json(const struct shr_inspect *inspect, const struct style *style, const char *name,
		     const struct shr_segment_info *info)
{
	json_t *json = json_object(), *objects = json_array();
	int result = 0;

	json_put(json, "v", json_integer(1));
	json_put_bytes(json, "segment", name);
	json_put(json, "format", json_sprintf("%" PRIu32 ".%" PRIu32, info->format_major,
					      info->format_minor));
	json_put(json, "size", json_u64(info->size));
	json_put(json, "epoch", json_sprintf("%016" PRIx64, info->epoch));
	json_put(json, "created_ns", json_u64(info->created_ns));
	json_put(json, "creator_pid", json_integer(info->creator_pid));
	json_put(json, "this_boot", json_boolean(info->this_boot));
	json_put(json, "obsolete", json_boolean(info->obsolete));
	json_put(json, "backend", json_enum(name_of_backend(info->backend), info->backend));
	json_put(json, "life", json_enum(word_of_life(info->life), info->life));
	json_put(json, "locks", json_enum(word_of_locks(info->locks), info->locks));
	json_put(json, "uid", info->uid == UINT32_MAX ? json_null() : json_integer(info->uid));
	json_put(json, "slots", json_integer(info->members));
	json_put(json, "members", info_json_members(inspect, info));
	for (uint32_t i = 0; i < info->objects; i++) {
		struct shr_object_info object;
		struct shr_table_status table;
		struct shr_ring_status status;
		int err = shr_inspect_object(inspect, i, &object);
		json_t *one;

		if (err) {
			result = failed(name, err);
			continue;
		}
		one = json_object();
		json_put_bytes(one, "name", object.name);
		json_put(one, "kind", json_kind(object.kind));
		json_put(one, "size", json_u64(object.size));
		if (object.schema)
			json_put_bytes(one, "schema", object.schema->name);
		if (object.kind == SHR_OBJECT_MUTEX || object.kind == SHR_OBJECT_EVENT)
			json_put(one, "count", json_integer(object.count));
		if (object.kind == SHR_OBJECT_RING) {
			err = shr_inspect_ring(inspect, i, &status);
			if (!err) {
				json_put(one, "ring", info_json_ring(inspect, i, &object, &status));
			} else {
				json_put_bytes(one, "error", shr_last_error());
				result = failed(name, err);
			}
		}
		if (object.kind == SHR_OBJECT_TABLE) {
			err = shr_inspect_table(inspect, i, &table);
			if (!err) {
				json_put(one, "table", info_json_table(&object, &table));
			} else {
				json_put_bytes(one, "error", shr_last_error());
				result = failed(name, err);
			}
		}
		json_array_append_new(objects, one);
	}
	json_put(json, "objects", objects);
	show_json(style, json);
	return result;
}

int command_info(const struct shr_inspect *inspect, const struct style *style, const char *name)
{
	struct shr_segment_info info;
	int err = shr_inspect_segment(inspect, &info);

	if (err)
		return failed(name, err);
	return style->format == FORMAT_TEXT ? info_text(inspect, style, name, &info)
					    : info_json(inspect, style, name, &info);
}
