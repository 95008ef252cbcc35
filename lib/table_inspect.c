/* SPDX-License-Identifier: MIT */
/* L4: tables looked at from outside, with pread(2). */
#include "inspect.h"

#include <errno.h>

#include "error.h"
#include "table.h"

#define SLOTS_LOOK 16384 /* bytes that are read at once */
#define LOCKS_LOOK 4     /* slots that are looked at first: the next one may be near */

/* Geometry of object @index: its entry, or NULL and *@err. */
static const struct shm_object *table_of(const struct shr_inspect *inspect, uint32_t index,
					 struct table_geometry *is, int *err)
{
	const struct shm_object *entry = inspect_entry(inspect, index);

	*err = -ENOENT;
	if (!entry)
		return NULL;
	if (entry->kind != SHR_OBJECT_TABLE) {
		*err = shr_fail(EPROTOTYPE, "object %.47s is not a table", entry->name);
		return NULL;
	}
	*err = table_entry_check(entry);
	if (*err)
		return NULL;
	table_geometry(is, entry);
	return entry;
}

int shr_inspect_table(const struct shr_inspect *inspect, uint32_t index,
		      struct shr_table_status *status)
{
	const struct shm_object *entry;
	struct table_geometry is;
	struct shm_table copy;
	int err;

	entry = table_of(inspect, index, &is, &err);
	if (!entry)
		return err;
	err = inspect_read(inspect, &copy, sizeof(copy), entry->offset);
	if (!err)
		table_status(status, &is, &copy);
	return err;
}

int shr_inspect_table_lock(const struct shr_inspect *inspect, uint32_t index,
			   struct shr_mutex_info *lock)
{
	const struct shm_object *entry;
	struct table_geometry is;
	struct shm_mutex copy;
	int err;

	entry = table_of(inspect, index, &is, &err);
	if (!entry)
		return err;
	err = inspect_read(inspect, &copy, sizeof(copy),
			   entry->offset + offsetof(struct shm_table, lock));
	return err ? err : mutex_view(lock, &copy, inspect->layout.header.members);
}

/* --- Slots ------------------------------------------------------------------- */

/* Generation and sequence, side by side in a slot. */
struct numbers {
	uint64_t sequence;
	uint64_t generation;
};
_Static_assert(offsetof(struct shm_slot, generation) == offsetof(struct shm_slot, sequence) + 8,
	       "struct numbers");

/* Those of the slot that begins at byte @at of the segment, each true at some time. */
static int read_numbers(const struct shr_inspect *inspect, uint64_t at, struct numbers *numbers)
{
	int err = inspect_read_position(inspect, &numbers->generation,
					at + offsetof(struct shm_slot, generation));

	if (!err)
		err = inspect_read_position(inspect, &numbers->sequence,
					    at + offsetof(struct shm_slot, sequence));
	/* No number that grows: of a peer that scribbles anything will do. */
	return err == -EAGAIN ? inspect_read(inspect, numbers, sizeof(*numbers),
					     at + offsetof(struct shm_slot, sequence))
			      : err;
}

/* Small slots lie close together, and one call reads many. */
static int read_look(const struct shr_inspect *inspect, uint64_t at, uint64_t step, uint32_t count,
		     char *look)
{
	return inspect_read(inspect, look, (size_t)((count - 1) * step) + sizeof(struct shm_slot),
			    at);
}

uint64_t table_next_slot(const struct shr_inspect *inspect, const struct shm_object *entry,
			 const struct table_geometry *is, uint64_t slot)
{
	const uint64_t slots = entry->offset + is->slots_at;
	uint64_t data = inspect_next_data(inspect->object.fd, slots + slot * is->slot_size);
	uint64_t next = data > slots ? (data - slots) / is->slot_size : 0;

	return next > slot ? next : slot;
}

/* The numbers of the @some slots, that fit into a look, from byte @at on. */
static int read_slots(const struct shr_inspect *inspect, const struct table_view *view, uint64_t at,
		      uint32_t some, struct shr_slot_info *info)
{
	const uint64_t step = view->is.slot_size;
	char one[SLOTS_LOOK], two[SLOTS_LOOK];
	int err = read_look(inspect, at, step, some, one);

	if (!err)
		err = read_look(inspect, at, step, some, two);
	for (uint32_t i = 0; !err && i < some; i++) {
		const uint64_t where = i * step + offsetof(struct shm_slot, sequence);
		struct numbers numbers, again;

		memcpy(&numbers, one + where, sizeof(numbers));
		memcpy(&again, two + where, sizeof(again));
		if (memcmp(&numbers, &again, sizeof(numbers)))
			err = read_numbers(inspect, at + i * step, &numbers);
		info[i] = table_info(view, numbers.generation, numbers.sequence);
	}
	return err;
}

int shr_inspect_slots(const struct shr_inspect *inspect, uint32_t index, uint32_t first,
		      uint32_t most, struct shr_slot_info *info)
{
	const struct shm_object *entry;
	struct table_view view = {0};
	uint32_t count, look;
	uint64_t data = 0; /* below it there is a hole: no slot was ever used */
	int err;

	entry = table_of(inspect, index, &view.is, &err);
	if (!entry)
		return err;
	count = first < view.is.slots ? view.is.slots - first : 0;
	count = count < most ? count : most;
	look = view.is.slot_size < SLOTS_LOOK ? (uint32_t)(SLOTS_LOOK / view.is.slot_size) : 1;
	for (uint32_t done = 0, some; done < count; done += some) {
		uint64_t slot = (uint64_t)first + done;

		some = look < count - done ? look : count - done;
		if (data <= slot)
			data = table_next_slot(inspect, entry, &view.is, slot);
		if (data > slot) {
			some = data - slot < count - done ? (uint32_t)(data - slot) : count - done;
			for (uint32_t i = 0; i + 1 < some; i++)
				info[done + i] = table_info(&view, 0, 0);
			/* Where the file ends early there is no data, too: the last one is read. */
			slot += some - 1;
			done += some - 1;
			some = 1;
		}
		err = read_slots(inspect, &view,
				 entry->offset + view.is.slots_at + slot * view.is.slot_size, some,
				 &info[done]);
		if (err)
			return err;
	}
	return (int)count;
}

/* A slot's lock and numbers, as they are just now. */
static int slot_now(const struct shr_inspect *inspect, uint64_t at, struct shm_slot *slot)
{
	struct numbers numbers;
	int err = inspect_read(inspect, slot, sizeof(*slot), at);

	if (!err)
		err = read_numbers(inspect, at, &numbers);
	if (!err) {
		slot->generation = numbers.generation;
		slot->sequence = numbers.sequence;
	}
	return err;
}

/* Of a used slot @bytes of the record, as a commit left it, with the slot as it was then. */
static int slot_record(const struct shr_inspect *inspect, const struct table_geometry *is,
		       uint64_t at, struct shm_slot *slot, void *buffer, size_t bytes)
{
	struct shm_slot before;

	for (int i = 0; i < SHR_INSPECT_TRIES; i++) {
		int err = inspect_read(inspect, &before, sizeof(before), at);

		if (!err && !(before.generation & 1))
			return -ENOENT;
		if (!err)
			err = inspect_read(inspect, buffer, bytes,
					   at + is->record_at +
						   (before.sequence & 1) * is->copy_step);
		/* The system calls are in order, and each reads what is there by then. */
		atomic_thread_fence(memory_order_seq_cst);
		if (!err)
			err = inspect_read(inspect, slot, sizeof(*slot), at);
		if (err)
			return err;
		if (before.sequence == slot->sequence && before.generation == slot->generation &&
		    !(is->mode == SHR_TABLE_IN_PLACE && before.sequence & 1))
			return 0;
	}
	return -EAGAIN;
}

int shr_inspect_slot(const struct shr_inspect *inspect, uint32_t index, uint32_t number,
		     void *buffer, size_t size, struct shr_slot_info *info,
		     struct shr_mutex_info *lock)
{
	struct table_view view = {0};
	const struct shm_object *entry;
	struct shm_slot slot;
	size_t bytes;
	uint64_t at;
	int err;

	entry = table_of(inspect, index, &view.is, &err);
	if (!entry)
		return err;
	if (number >= view.is.slots)
		return shr_fail(ERANGE, "table %.47s has no slot %u", entry->name, number);
	bytes = size < view.is.record_size ? size : (size_t)view.is.record_size;
	at = entry->offset + view.is.slots_at + number * view.is.slot_size;
	err = buffer ? slot_record(inspect, &view.is, at, &slot, buffer, bytes)
		     : slot_now(inspect, at, &slot);
	if (!err && lock)
		err = mutex_view(lock, &slot.lock, inspect->layout.header.members);
	if (err)
		return err;
	if (buffer && bytes < size)
		memset((char *)buffer + bytes, 0, size - bytes);
	if (info)
		*info = table_info(&view, slot.generation, slot.sequence);
	return 0;
}

/* --- Locks of slots ------------------------------------------------------------ */

/* A word that is not 0 is of one that is held, or was by one that died, or is spoilt. */
static int is_to_see(const struct table_geometry *is, const struct shm_slot *slot)
{
	return atomic_load_explicit(&slot->lock.word, memory_order_relaxed) ||
	       (is->mode == SHR_TABLE_IN_PLACE && slot->generation & slot->sequence & 1);
}

/* Of @count slots from byte @at on, how many there are before the first that is to see. */
static int count_quiet(const struct shr_inspect *inspect, const struct table_geometry *is,
		       uint64_t at, uint32_t count, uint32_t *quiet)
{
	char look[SLOTS_LOOK];
	int err = read_look(inspect, at, is->slot_size, count, look);

	for (*quiet = 0; !err && *quiet < count; ++*quiet) {
		struct shm_slot slot;

		memcpy(&slot, look + *quiet * is->slot_size, sizeof(slot));
		if (is_to_see(is, &slot))
			break;
	}
	return err;
}

/* From *@slot on the first that seems to be to see: 1, or 0 none, or -errno of that slot. */
static int seek_lock(const struct shr_inspect *inspect, const struct shm_object *entry,
		     const struct table_geometry *is, uint64_t *slot)
{
	const uint64_t slots = entry->offset + is->slots_at;
	const uint64_t most = is->slot_size < SLOTS_LOOK ? SLOTS_LOOK / is->slot_size : 1;
	uint64_t some = LOCKS_LOOK;

	while (*slot < is->slots) {
		uint32_t quiet;
		int err;

		/* Where the file ends early there is no data, too: the last one is looked at. */
		*slot = table_next_slot(inspect, entry, is, *slot);
		*slot = *slot < is->slots ? *slot : is->slots - 1;
		some = some < most ? some : most;
		some = some < is->slots - *slot ? some : is->slots - *slot;
		err = count_quiet(inspect, is, slots + *slot * is->slot_size, (uint32_t)some,
				  &quiet);
		if (err && some == 1)
			return err;
		*slot += quiet;
		if (!err && quiet < some)
			return 1;
		some = err ? 1 : 2 * some;
	}
	return 0;
}

int shr_inspect_next_lock(const struct shr_inspect *inspect, uint32_t index, uint32_t *number,
			  struct shr_slot_info *info, struct shr_mutex_info *lock)
{
	struct table_view view = {0};
	const struct shm_object *entry;
	struct shr_mutex_info seen;
	struct shm_slot slot;
	uint64_t at;
	int err;

	entry = table_of(inspect, index, &view.is, &err);
	if (!entry)
		return err;
	for (at = *number; (err = seek_lock(inspect, entry, &view.is, &at)) > 0; at++) {
		/* It may be gone again, and half of it may be of another time. */
		err = slot_now(inspect, entry->offset + view.is.slots_at + at * view.is.slot_size,
			       &slot);
		if (!err && !is_to_see(&view.is, &slot))
			continue;
		if (!err)
			err = mutex_view(&seen, &slot.lock, inspect->layout.header.members);
		*number = (uint32_t)at;
		if (err)
			return err;
		if (info)
			*info = table_info(&view, slot.generation, slot.sequence);
		if (lock)
			*lock = seen;
		return 1;
	}
	if (err)
		*number = (uint32_t)at;
	return err;
}
