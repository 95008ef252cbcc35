/* SPDX-License-Identifier: MIT */
/* What each kind of object adds to a segment: the one place that knows all. */
#include "attached.h"
#include "ring_core.h"

int kind_known(uint32_t kind)
{
	return kind == SHR_OBJECT_BYTES || kind == SHR_OBJECT_RING;
}

void kind_init(void *object, const struct shm_object *entry)
{
	if (entry->kind == SHR_OBJECT_RING)
		ring_init(object, entry);
}

int kind_sweep(void *object, const struct shm_object *entry, const struct shr_segment *segment,
	       uint32_t slot)
{
	return entry->kind == SHR_OBJECT_RING ? ring_sweep(object, entry, segment, slot) : 0;
}

void kind_wake(void *object, const struct shm_object *entry)
{
	if (entry->kind == SHR_OBJECT_RING)
		ring_wake(object);
}
