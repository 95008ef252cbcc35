/* SPDX-License-Identifier: MIT */
/* What each kind of object adds to a segment: the one place that knows all. */
#include <string.h>

#include "attached.h"
#include "error.h"
#include "event.h"
#include "mutex.h"
#include "ring_core.h"
#include "table.h"

int kind_known(uint32_t kind)
{
	return kind >= SHR_OBJECT_BYTES && kind <= SHR_OBJECT_TABLE;
}

int kind_check(const struct shm_object *entry)
{
	switch (entry->kind) {
	case SHR_OBJECT_RING:
		return ring_entry_check(entry);
	case SHR_OBJECT_MUTEX:
		return mutex_entry_check(entry);
	case SHR_OBJECT_EVENT:
		return event_entry_check(entry);
	case SHR_OBJECT_TABLE:
		return table_entry_check(entry);
	default:
		return 0;
	}
}

int kind_init(void *object, const struct shm_object *entry, uint32_t locks)
{
	if (entry->kind == SHR_OBJECT_RING)
		ring_init(object, entry);
	return entry->kind == SHR_OBJECT_MUTEX ? mutex_init(object, entry, locks) : 0;
}

int kind_sweep(void *object, const struct shm_object *entry, const struct shr_segment *segment,
	       uint32_t slot)
{
	int err = kind_check(entry);

	if (err)
		return err;
	if (entry->kind == SHR_OBJECT_RING)
		return ring_sweep(object, entry, segment, slot);
	if (entry->kind == SHR_OBJECT_MUTEX)
		mutex_sweep(object, entry, segment->layout.header.locks, slot + 1);
	else if (entry->kind == SHR_OBJECT_TABLE)
		table_sweep(object, entry, slot + 1);
	return 0;
}

void kind_wake(void *object, const struct shm_object *entry)
{
	if (kind_check(entry))
		return;
	if (entry->kind == SHR_OBJECT_RING)
		ring_wake(object);
	else if (entry->kind == SHR_OBJECT_MUTEX)
		mutex_wake(object, entry);
	else if (entry->kind == SHR_OBJECT_EVENT)
		event_wake_all(object, entry);
	else if (entry->kind == SHR_OBJECT_TABLE)
		table_wake(object, entry);
}

int kind_describe(struct shr_object *object, uint32_t kind, const char *name, uint64_t count,
		  uint64_t size)
{
	if (!object || !name || !name[0] || strnlen(name, SHR_NAME_MAX + 1) > SHR_NAME_MAX)
		return shr_fail(EINVAL, "an object needs a name of 1 to %d bytes", SHR_NAME_MAX);
	memset(object, 0, sizeof(*object));
	object->kind = kind;
	memcpy(object->name, name, strlen(name));
	object->size = size;
	object->param[0] = count;
	return 0;
}
