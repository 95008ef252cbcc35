/* SPDX-License-Identifier: MIT */
/*
 * What is counted in a segment, described in the segment itself: a tool of any
 * version, in any language, can name each number, with its unit and what it means.
 */
#include <errno.h>

#include <shmring/inspect.h>

#include "error.h"
#include "inspect.h"
#include "layout.h"

#define COUNTER(type, member, about_unit, about_help)                                                      \
	{.name = #member, .offset = (uint32_t)offsetof(struct type, member),                   \
	 .kind = SHR_KIND_U64, .unit = (about_unit), .help = (about_help)}
#define COUNTERS(type, table)                                                                  \
	{sizeof(struct shr_schema), sizeof(struct shr_field), #type, 1, sizeof(struct type),   \
	 sizeof(table) / sizeof((table)[0]), 0, table}

static const struct shr_field ring[] = {
	COUNTER(shm_ring, tail, "bytes",
		"position of the next record; with a single producer, of one some time ago"),
	COUNTER(shm_ring, sequence, "records",
		"number of the next record, if they are numbered; with a single producer, of one some time ago"),
	COUNTER(shm_ring, dropped, "records", "given up by producers for lack of room"),
	COUNTER(shm_ring, reclaim, "bytes", "position of the oldest record that is kept"),
	COUNTER(shm_ring, redelivered, "records", "queue: taken once more"),
	COUNTER(shm_ring, acked, "records", "queue: acknowledged, and so all before them"),
	COUNTER(shm_ring, full, "times", "a producer found no room"),
};
static const struct shr_field cursor[] = {
	COUNTER(shm_cursor, position, "bytes", "released are all records below"),
	COUNTER(shm_cursor, delivered, "bytes", "given to the program are all records below"),
	COUNTER(shm_cursor, skipped, "records", "reserved, never committed, and passed over"),
	COUNTER(shm_cursor, redelivered, "records", "delivered once more to the next owner"),
	COUNTER(shm_cursor, lost, "records",
		"dropped or overwritten before the cursor had them; queue: given up, at most once"),
	COUNTER(shm_cursor, lost_bytes, "bytes", "overwritten before the cursor came there"),
	COUNTER(shm_cursor, sequence, "records", "number that its next record should have"),
};
static const struct shr_field member[] = {
	COUNTER(shm_member, attaches, "times", "a process got this slot"),
	COUNTER(shm_member, detaches, "times", "a process left it in order"),
	COUNTER(shm_member, death.deaths, "times", "a process died in it, and that was proven"),
};
static const struct shr_field mutex[] = {
	COUNTER(shm_mutex, acquired, "times", "it was taken"),
	COUNTER(shm_mutex, waited, "times", "somebody went to sleep for it"),
};
static const struct shr_field table[] = {
	COUNTER(shm_table, used, "slots", "that have a record"),
	COUNTER(shm_table, graves, "entries",
		"of the index that removed keys left until the next rebuild"),
	COUNTER(shm_table, rebuilds, "times", "the index was built anew"),
	COUNTER(shm_table, repairs, "times",
		"somebody died inside an insert or a remove, and that was mended"),
	COUNTER(shm_table, takeovers, "times",
		"somebody died inside an update, and the slot's lock was taken over"),
	COUNTER(shm_table, lock.acquired, "times",
		"the table's lock was taken, to insert or to remove"),
	COUNTER(shm_table, lock.waited, "times", "somebody went to sleep for it"),
};
static const struct shr_schema schemas[FORMAT_COUNTERS] = {
	[SHR_COUNTERS_RING] = COUNTERS(shm_ring, ring),
	[SHR_COUNTERS_CURSOR] = COUNTERS(shm_cursor, cursor),
	[SHR_COUNTERS_MEMBER] = COUNTERS(shm_member, member),
	[SHR_COUNTERS_MUTEX] = COUNTERS(shm_mutex, mutex),
	[SHR_COUNTERS_TABLE] = COUNTERS(shm_table, table),
};

const struct shr_schema *counters_of(uint32_t kind)
{
	return &schemas[kind];
}

const struct shr_schema *shr_inspect_counters(const struct shr_inspect *inspect, uint32_t of)
{
	return of < FORMAT_COUNTERS ? inspect->layout.counters[of] : NULL;
}

/* Where number @number of what is counted lies, and how long it is. */
static int place(const struct shr_inspect *inspect, uint32_t of, uint32_t index, uint32_t number,
		 uint64_t *offset, uint64_t *size)
{
	const struct shm_header *h = &inspect->layout.header;
	const struct shm_object *entry;
	uint32_t kind = of == SHR_COUNTERS_MUTEX   ? SHR_OBJECT_MUTEX
			: of == SHR_COUNTERS_TABLE ? SHR_OBJECT_TABLE
						   : SHR_OBJECT_RING;

	if (of == SHR_COUNTERS_MEMBER) {
		*size = sizeof(struct shm_member);
		*offset = h->member_offset + (uint64_t)(number - 1) * *size;
		return number && number <= h->members ? 0 : shr_fail(ENOENT, "there is no member %u", number);
	}
	entry = inspect_entry(inspect, index);
	if (!entry)
		return -ENOENT;
	if (entry->kind != kind)
		return shr_fail(EPROTOTYPE, "object %.47s is of another kind", entry->name);
	*offset = entry->offset;
	*size = of == SHR_COUNTERS_TABLE ? sizeof(struct shm_table) : sizeof(struct shm_ring);
	if (of == SHR_COUNTERS_CURSOR) {
		*size = sizeof(struct shm_cursor);
		*offset += offsetof(struct shm_ring, cursor) + number * *size;
		return number < FORMAT_CURSORS ? 0 : shr_fail(ENOENT, "a ring has no cursor %u", number);
	}
	if (of == SHR_COUNTERS_MUTEX) {
		*size = sizeof(struct shm_mutex);
		*offset += number * *size;
		return number < entry->param[0] ? 0 : shr_fail(ENOENT, "there is no mutex %u", number);
	}
	return 0;
}

int shr_inspect_counter(const struct shr_inspect *inspect, uint32_t of, uint32_t index,
			uint32_t number, uint32_t field, uint64_t *value)
{
	const struct shr_schema *schema = shr_inspect_counters(inspect, of);
	uint64_t offset = 0, size = 0;
	int err;

	if (!schema || field >= schema->field_count)
		return shr_fail(ENOENT, "the segment has no such counter");
	err = place(inspect, of, index, number, &offset, &size);
	if (err)
		return err;
	if (schema->fields[field].kind != SHR_KIND_U64 || schema->fields[field].count ||
	    schema->fields[field].offset + (uint64_t)8 > size)
		return shr_fail(EBADMSG, "counter %.63s is described in an impossible way",
				schema->fields[field].name);
	offset += schema->fields[field].offset;
	err = inspect_read_position(inspect, value, offset);
	return err == -EAGAIN ? inspect_read(inspect, value, sizeof(*value), offset) : err;
}
