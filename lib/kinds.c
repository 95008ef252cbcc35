/* SPDX-License-Identifier: MIT */
/* What each kind of object adds to a segment: the one place that knows all. */
#include "attached.h"

int kind_known(uint32_t kind)
{
	return kind == SHR_OBJECT_BYTES;
}

void kind_init(void *object, const struct shm_object *entry)
{
	(void)object;
	(void)entry;
}

int kind_sweep(void *object, const struct shm_object *entry, const struct shr_segment *segment,
	       uint32_t slot)
{
	(void)object;
	(void)entry;
	(void)segment;
	(void)slot;
	return 0;
}

void kind_wake(void *object, const struct shm_object *entry)
{
	(void)object;
	(void)entry;
}
