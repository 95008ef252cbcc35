/* SPDX-License-Identifier: MIT */
/* L4: tables looked at from outside, with pread(2). */
#include "inspect.h"

#include <errno.h>

#include "error.h"
#include "table.h"

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

int shr_inspect_table(const struct shr_inspect *inspect, uint32_t index, struct shr_table_status *status)
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

int shr_inspect_slot(const struct shr_inspect *inspect, uint32_t index, uint32_t number, void *buffer,
		     size_t size, struct shr_slot_info *info, struct shr_mutex_info *lock)
{
	struct table_view view = {0};
	struct shm_slot before, after;
	const struct shm_object *entry;
	size_t bytes;
	uint64_t at;
	int err, whole = 0;

	entry = table_of(inspect, index, &view.is, &err);
	if (!entry)
		return err;
	if (number >= view.is.slots)
		return shr_fail(ERANGE, "table %.47s has no slot %u", entry->name, number);
	bytes = size < view.is.record_size ? size : (size_t)view.is.record_size;
	at = entry->offset + view.is.slots_at + number * view.is.slot_size;
	for (int i = 0; i < SHR_INSPECT_TRIES && !whole; i++) {
		err = inspect_read(inspect, &before, sizeof(before), at);
		if (!err && buffer && !(before.generation & 1))
			return -ENOENT;
		if (!err && buffer)
			err = inspect_read(inspect, buffer, bytes,
					   at + view.is.record_at +
						   (before.sequence & 1) * view.is.copy_step);
		/* The system calls are in order, and each reads what is there by then. */
		atomic_thread_fence(memory_order_seq_cst);
		if (!err)
			err = inspect_read(inspect, &after, sizeof(after), at);
		if (err)
			return err;
		whole = before.sequence == after.sequence && before.generation == after.generation &&
			!(buffer && view.is.mode == SHR_TABLE_IN_PLACE && before.sequence & 1);
	}
	if (!whole)
		return -EAGAIN;
	err = lock ? mutex_view(lock, &after.lock, inspect->layout.header.members) : 0;
	if (err)
		return err;
	if (buffer && bytes < size)
		memset((char *)buffer + bytes, 0, size - bytes);
	if (info)
		*info = table_info(&view, before.generation, before.sequence);
	return 0;
}
