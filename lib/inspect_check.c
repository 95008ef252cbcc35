/* SPDX-License-Identifier: MIT */
/*
 * Looking for damage, also in a segment that is in use: what is told cannot be the work of
 * processes that keep to the protocol, wherever they are just now. So numbers that move
 * are read in the order in which one bounds the other:
 *
 *	reclaim <= position (a gate's)    reclaim first
 *	position <= tail                  position first
 *	tail <= clean                     tail first
 *	clean <= reclaim + capacity       clean first
 *
 * and of what is changed in several steps (an entry of the index) it is asked again
 * whether it was changed meanwhile.
 */
#include "inspect.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "mutex.h"
#include "ring_core.h"
#include "table.h"

#define BLOCK       16384
#define PROBE       64 /* entries of an index that are read at once */
#define HOLE_EACH   64 /* slots, before a hole is looked for */
#define PROBES_EACH 64 /* entries of an index that may be looked at for each that it has */

struct check {
	const struct shr_inspect *inspect;
	int (*each)(const struct shr_damage *, void *);
	void *argument;
	uint32_t object;
	const struct shm_object *entry;
	uint32_t members;
	uint64_t probes; /* entries of an index that may still be looked at */
	struct inspect_work work;
	uint64_t end; /* of that, with this object */
	int told;        /* what @each has returned, if not 0 */
};

__attribute__((format(printf, 5, 6))) static void tell(struct check *check, uint32_t code,
						       uint32_t number, uint64_t position,
						       const char *format, ...)
{
	char text[200];
	struct shr_damage damage = {.code = code,
				    .object = check->object,
				    .number = number,
				    .position = position,
				    .text = text};
	va_list arguments;

	if (check->told)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	check->told = check->each(&damage, check->argument);
}

/* Of this object so many bytes more are done: 0, or -ECANCELED. */
static int did(struct check *check, uint64_t bytes)
{
	const uint64_t left = check->end - check->work.done;

	return inspect_did(&check->work, bytes < left ? bytes : left);
}

static uint32_t member_state(const struct check *check, uint32_t number)
{
	struct shr_member_info member;

	return shr_inspect_member(check->inspect, number, &member) ? SHR_MEMBER_FREE : member.state;
}

/* Who is said to hold something, by number: possible? Of the dead it is told once. */
static void check_holder(struct check *check, uint32_t member, uint32_t place, const char *what)
{
	if (member > check->members)
		tell(check, SHR_DAMAGE_OWNER, place, 0, "%s is held by member %u, and there are %u",
		     what, member, check->members);
	else if (member && member_state(check, member) == SHR_MEMBER_DEAD)
		tell(check, SHR_DAMAGE_LEFT, place, 0,
		     "%s was left by member %u, which died: the next one to take it mends that",
		     what, member);
}

static void check_mutex(struct check *check, const struct shm_mutex *mutex, uint32_t number,
			const char *what)
{
	struct shr_mutex_info info;

	if (mutex_view(&info, mutex, check->members)) {
		tell(check, SHR_DAMAGE_OWNER, number, 0, "%s: %s", what, shr_last_error());
		return;
	}
	if (info.state == SHR_MUTEX_LOST)
		tell(check, SHR_DAMAGE_LOST, number, 0,
		     "%s is lost: an owner died, and the next one gave it up", what);
	else if (info.owner)
		check_holder(check, info.owner, number, what);
}

static int check_mutexes(struct check *check)
{
	int err = 0;

	for (uint64_t i = 0; !err && !check->told && i < check->entry->param[0]; i++) {
		struct shm_mutex copy;
		char what[80];

		snprintf(what, sizeof(what), "mutex %.47s[%u]", check->entry->name, (uint32_t)i);
		err = inspect_read(check->inspect, &copy, sizeof(copy),
				   check->entry->offset + i * sizeof(copy));
		if (!err)
			check_mutex(check, &copy, (uint32_t)i, what);
	}
	return err;
}

/* --- Rings ------------------------------------------------------------------- */

static int number(const struct check *check, size_t field, uint64_t *value)
{
	int err = inspect_read_position(check->inspect, value, check->entry->offset + field);

	return err == -EAGAIN ? inspect_read(check->inspect, value, sizeof(*value),
					     check->entry->offset + field)
			      : err;
}

#define RING(field) offsetof(struct shm_ring, field)

static int check_cursor(struct check *check, const struct ring_view *view, uint32_t place)
{
	const size_t at = RING(cursor) + place * sizeof(struct shm_cursor);
	uint64_t reclaim, position, tail = 0, mode, role;
	int err = number(check, at + offsetof(struct shm_cursor, mode), &mode);
	char what[40];

	if (err || !(mode & CURSOR_USED) || mode & CURSOR_JOINING)
		return err;
	err = number(check, RING(reclaim), &reclaim);
	if (!err)
		err = number(check, at + offsetof(struct shm_cursor, position), &position);
	if (!err && !view->single)
		err = number(check, RING(tail), &tail);
	if (!err)
		err = number(check, at + offsetof(struct shm_cursor, role), &role);
	if (err)
		return err;
	snprintf(what, sizeof(what), "cursor %u", place);
	check_holder(check, ROLE_MEMBER(role), place, what);
	if (position & 7)
		tell(check, SHR_DAMAGE_POSITION, place, position,
		     "cursor %u is at no record's start", place);
	else if (mode & CURSOR_GATE && (int64_t)(position - reclaim) < 0)
		tell(check, SHR_DAMAGE_POSITION, place, position,
		     "cursor %u has released to %llu, and all below %llu is used again", place,
		     (unsigned long long)position, (unsigned long long)reclaim);
	else if (!view->single && (int64_t)(tail - position) < 0)
		tell(check, SHR_DAMAGE_POSITION, place, position,
		     "cursor %u has released to %llu, which was not written yet", place,
		     (unsigned long long)position);
	return 0;
}

/* Every record that is there, one lap at most. */
static int check_records(struct check *check, const struct ring_view *view)
{
	struct shr_walk_record record;
	struct shr_walk *walk = NULL;
	uint64_t start, at, tail = 0, reclaim, busy = 0;
	uint32_t owner = 0;
	int err = view->single ? 0 : number(check, RING(tail), &tail);

	if (!err)
		err = shr_walk_open(&walk, check->inspect, check->object,
				    SHR_WALK_OLDEST | SHR_WALK_BUSY | SHR_WALK_SKIPPED, 0);
	if (err == -EBADMSG) {
		tell(check, SHR_DAMAGE_RECORD, 0, 0, "%s", shr_last_error());
		return 0;
	}
	if (err)
		return err;
	start = at = shr_walk_position(walk);
	while (!err && at - start <= view->capacity) {
		err = shr_walk_next(walk, &record);
		if (!err && record.state == SHR_STATE_BUSY && record.member != owner &&
		    member_state(check, record.member) == SHR_MEMBER_DEAD) {
			owner = record.member;
			busy = record.position;
		}
		if (!err)
			err = did(check, shr_walk_position(walk) - at);
		at = shr_walk_position(walk);
	}
	if (err == -EBADMSG)
		tell(check, SHR_DAMAGE_RECORD, 0, shr_walk_position(walk), "%s", shr_last_error());
	else if (err == -EAGAIN && !view->single) {
		/* Below a tail of some time ago all is written, if it is not cleaned by now. */
		err = number(check, RING(reclaim), &reclaim);
		if (!err && (int64_t)(tail - shr_walk_position(walk)) > 0 &&
		    (int64_t)(shr_walk_position(walk) - reclaim) >= 0)
			tell(check, SHR_DAMAGE_RECORD, 0, shr_walk_position(walk),
			     "nothing is written at %llu, and the tail is at %llu",
			     (unsigned long long)shr_walk_position(walk), (unsigned long long)tail);
	}
	if (owner)
		tell(check, SHR_DAMAGE_LEFT, 0, busy,
		     "a record was not committed by member %u, which died: it is skipped by the "
		     "next attach",
		     owner);
	shr_walk_close(walk);
	return err == -EAGAIN || err == -EBADMSG ? 0 : err;
}

/*
 * Behind the tail all is zero up to clean, but for what a record starts with, which who
 * claims it writes first. A single producer writes all of it before it tells, so of its rings
 * only who mends can know.
 */
static int check_zeroes(struct check *check, const struct ring_view *view)
{
	char block[BLOCK];
	uint64_t clean, from, tail;
	int err = number(check, RING(clean), &clean);

	if (!err)
		err = number(check, RING(tail), &from);
	/* Never more: check_ring() has told what is impossible, and a peer may have changed it
	 * since. */
	while (!err && (int64_t)(clean - from) > 0 && clean - from <= view->capacity) {
		uint64_t at = from & (view->capacity - 1), size = view->capacity - at, data;

		size = size < clean - from ? size : clean - from;
		at += check->entry->offset + FORMAT_RING_DATA;
		data = inspect_next_data(check->inspect->object.fd, at);
		if (data - at >= size) { /* a hole */
			from += size;
			err = did(check, size);
			continue;
		}
		from += data - at;
		size -= data - at;
		size = size < sizeof(block) ? size : sizeof(block);
		err = inspect_read(check->inspect, block, (size_t)size, data);
		if (!err)
			err = number(check, RING(tail), &tail);
		for (uint64_t i = 0; !err && i < size; i++)
			if (block[i] && (int64_t)(from + i - tail) >= (int64_t)view->header) {
				tell(check, SHR_DAMAGE_ZERO, 0, from + i,
				     "at %llu is something, and all behind the tail at %llu should "
				     "be zero",
				     (unsigned long long)(from + i), (unsigned long long)tail);
				return 0;
			}
		if (!err)
			err = did(check, size);
		from += size;
	}
	return err;
}

static int check_ring(struct check *check)
{
	uint64_t tail, clean, reclaim, producer;
	struct ring_view view;
	uint32_t lock, take_lock;
	int err;

	ring_view_make(&view, NULL, check->entry, check->members);
	err = number(check, RING(tail), &tail);
	if (!err)
		err = number(check, RING(clean), &clean);
	if (!err)
		err = number(check, RING(reclaim), &reclaim);
	if (!err)
		err = number(check, RING(producer), &producer);
	if (!err)
		err = inspect_read(check->inspect, &lock, sizeof(lock),
				   check->entry->offset + RING(lock));
	if (!err)
		err = inspect_read(check->inspect, &take_lock, sizeof(take_lock),
				   check->entry->offset + RING(take_lock));
	if (err)
		return err;
	check_holder(check, lock & 0xffff, 0, "the claim lock");
	check_holder(check, take_lock & 0xffff, 0, "the lock of takers");
	check_holder(check, ROLE_MEMBER(producer), 0, "the producer's place");
	if ((tail | reclaim) & 7 || (int64_t)(clean - tail) < 0 ||
	    (int64_t)(reclaim + view.capacity - clean) < 0 ||
	    (int64_t)(reclaim + view.capacity - tail) < 0) {
		tell(check, SHR_DAMAGE_POSITION, 0, tail,
		     "tail %llu, clean to %llu, used again to %llu: that is impossible",
		     (unsigned long long)tail, (unsigned long long)clean,
		     (unsigned long long)reclaim);
		return 0;
	}
	for (uint32_t i = 0; !err && !check->told && i < ring_cursor_places(&view); i++)
		err = check_cursor(check, &view, i);
	if (!err && !check->told)
		err = check_records(check, &view);
	if (!err && !check->told && !view.single)
		err = check_zeroes(check, &view);
	return err;
}

/* --- Tables ------------------------------------------------------------------ */

/*
 * Where the index leads for the key of the slot @wanted: a slot; UINT32_MAX: nowhere.
 * It is that slot if its entry is on the way.
 */
static int probe(struct check *check, const struct table_geometry *is, uint32_t hash,
		 uint32_t wanted, uint32_t *found)
{
	uint64_t entries[PROBE];
	int err = 0;

	*found = UINT32_MAX;
	for (uint64_t i = 0; !err && i < is->index_size;) {
		uint64_t at = (hash + i) & (is->index_size - 1);
		uint64_t count = is->index_size - at < PROBE ? is->index_size - at : PROBE;

		err = inspect_read(check->inspect, entries, (size_t)count * sizeof(entries[0]),
				   check->entry->offset + FORMAT_TABLE_INDEX +
					   at * sizeof(entries[0]));
		for (uint64_t k = 0; !err && k < count; k++) {
			if (!entries[k])
				return 0;
			if (entries[k] == INDEX_ENTRY(hash, wanted)) {
				*found = wanted;
				return 0;
			}
		}
		i += count;
		check->probes -= count < check->probes ? count : check->probes;
		if (!check->probes)
			break;
	}
	return err;
}

static int check_slot(struct check *check, const struct table_geometry *is, uint32_t slot,
		      uint64_t at, const struct shm_slot *seen)
{
	uint64_t version, again;
	struct table_key key;
	struct shm_slot now;
	uint32_t found;
	char what[80];
	int err;

	snprintf(what, sizeof(what), "slot %.47s[%u]", check->entry->name, slot);
	check_mutex(check, &seen->lock, slot, what);
	if (is->mode == SHR_TABLE_IN_PLACE && seen->generation & seen->sequence & 1) {
		uint32_t owner = MUTEX_OWNER(seen->lock.word);

		if (!owner || member_state(check, owner) == SHR_MEMBER_DEAD)
			tell(check, SHR_DAMAGE_TORN, slot, 0,
			     "%s is torn: its writer died inside an update; the next one to begin "
			     "is told to repair it",
			     what);
	}
	if (!is->key_size || !(seen->generation & 1) || !check->probes)
		return 0;
	err = number(check, offsetof(struct shm_table, version), &version);
	if (!err)
		err = inspect_read(check->inspect, key.bytes, is->key_size, at + is->key_at);
	if (!err)
		err = probe(check, is, seen->hash, slot, &found);
	if (!err)
		err = inspect_read(check->inspect, &now, sizeof(now), at);
	if (!err)
		err = number(check, offsetof(struct shm_table, version), &again);
	if (err || now.generation != seen->generation || version & 1 || version != again)
		return err;
	if (table_key_hash(is, &key) != seen->hash)
		tell(check, SHR_DAMAGE_INDEX, slot, 0, "%s has a key of another hash", what);
	else if (!check->probes)
		tell(check, SHR_DAMAGE_INDEX, slot, 0,
		     "the index of table %.47s is so full that not all keys were looked for",
		     check->entry->name);
	else if (found != slot)
		tell(check, SHR_DAMAGE_INDEX, slot, 0, "%s is used, and not found by its key",
		     what);
	return 0;
}

static int check_table(struct check *check)
{
	struct table_geometry is;
	struct shm_table copy;
	uint64_t slots;
	char what[80];
	int err = inspect_read(check->inspect, &copy, sizeof(copy), check->entry->offset);

	if (err)
		return err;
	table_geometry(&is, check->entry);
	check->probes = PROBES_EACH * (is.index_size + PROBE);
	slots = check->entry->offset + is.slots_at;
	snprintf(what, sizeof(what), "the lock of table %.47s", check->entry->name);
	check_mutex(check, &copy.lock, 0, what);
	if (copy.version & 1 && !MUTEX_OWNER(copy.lock.word))
		tell(check, SHR_DAMAGE_INDEX, 0, 0, "the index is being built, and by nobody");
	for (uint64_t slot = 0; !err && !check->told && slot < is.slots; slot++) {
		const uint64_t before = slot;
		struct shm_slot seen;
		uint64_t at;

		if (slot % HOLE_EACH == 0)
			slot = table_next_slot(check->inspect, check->entry, &is, slot);
		err = did(check, (slot - before) * is.slot_size);
		if (slot >= is.slots)
			break;
		at = slots + slot * is.slot_size;
		if (!err)
			err = inspect_read(check->inspect, &seen, sizeof(seen), at);
		if (!err)
			err = check_slot(check, &is, (uint32_t)slot, at, &seen);
		if (!err)
			err = did(check, is.slot_size);
	}
	return err;
}

/* --- All --------------------------------------------------------------------- */

int shr_inspect_check(const struct shr_inspect *inspect,
		      int (*each)(const struct shr_damage *damage, void *argument), void *argument)
{
	const struct shm_header *h = &inspect->layout.header;
	struct check check = {
		.inspect = inspect, .each = each, .argument = argument, .members = h->members};
	char last;
	int err = 0;

	check.work.inspect = inspect;
	for (uint32_t i = 0; i < h->objects; i++)
		check.work.total += h->directory[i].size;
	for (uint32_t i = 0; !err && !check.told && i < h->objects; i++) {
		check.object = i;
		check.entry = &h->directory[i];
		check.end += check.entry->size;
		if (kind_check(check.entry)) {
			tell(&check, SHR_DAMAGE_OBJECT, 0, 0, "%s", shr_last_error());
			continue;
		}
		if (check.entry->kind == SHR_OBJECT_RING)
			err = check_ring(&check);
		else if (check.entry->kind == SHR_OBJECT_TABLE)
			err = check_table(&check);
		else if (check.entry->kind == SHR_OBJECT_MUTEX &&
			 FORMAT_LOCKS_BACKEND(h->locks) != FORMAT_LOCKS_PTHREAD)
			err = check_mutexes(&check);
		if (!err && !check.told)
			err = did(&check, UINT64_MAX);
	}
	/* What lay in holes may be cut off meanwhile. */
	if (!err && !check.told)
		err = inspect_read(inspect, &last, sizeof(last), h->total_size - sizeof(last));
	return check.told ? check.told : err;
}
