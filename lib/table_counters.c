/* SPDX-License-Identifier: MIT */
/* L4: tables of counters: integers changed without a lock, each by one operation. */
#include "table.h"

#include <errno.h>
#include <stdlib.h>

#include "error.h"

/* Of table->widths, one for each 4 bytes of the record. */
enum { WIDTH_NONE, WIDTH_U32, WIDTH_I32, WIDTH_64 };

static int width_of(uint32_t kind)
{
	switch (kind) {
	case SHR_KIND_I32:
		return WIDTH_I32;
	case SHR_KIND_U32:
		return WIDTH_U32;
	case SHR_KIND_I64:
	case SHR_KIND_U64:
		return WIDTH_64;
	default:
		return WIDTH_NONE;
	}
}

int table_counters_attach(struct shr_table *table, const struct shr_schema *schema)
{
	const struct table_geometry *is = &table->view.is;

	if (!schema)
		return shr_fail(EBADMSG, "a table of counters without a schema");
	table->widths = calloc(1, (size_t)is->record_size / 4 + 1);
	if (!table->widths)
		return shr_fail(ENOMEM, "out of memory");
	for (uint32_t i = 0; i < schema->field_count; i++) {
		const struct shr_field *field = &schema->fields[i];
		uint32_t size = shr_kind_size(field->kind);
		int width = i + 1 == is->key_field ? WIDTH_NONE : width_of(field->kind);

		for (uint32_t j = 0; width && j < (field->count ? field->count : 1); j++)
			table->widths[(field->offset + j * size) / 4] = (uint8_t)width;
	}
	return 0;
}

/* The number, and its width; NULL and *@err. */
static void *number_at(const struct shr_table *table, uint32_t index, size_t offset, int *width,
		       int *err)
{
	const struct table_geometry *is = &table->view.is;
	struct shm_slot *slot;

	*err = 0;
	if (index >= is->slots) {
		*err = table_refuse(table, index);
	} else if (is->mode != SHR_TABLE_COUNTERS) {
		*err = shr_fail(EOPNOTSUPP, "this is not a table of counters");
	} else if (offset % 4 || offset >= is->record_size || !table->widths[offset / 4]) {
		*err = shr_fail(EINVAL, "no counter of 4 or 8 bytes lies %zu bytes from the start", offset);
	} else {
		slot = table_slot(&table->view, index);
		*width = table->widths[offset / 4];
		/* used:A. Acquire: the record. Pairs with use:A. */
		if (atomic_load_explicit(&slot->generation, memory_order_acquire) & 1)
			return table_copy(&table->view, slot, 0) + offset;
		*err = shr_fail(ENOENT, "slot %u is free", index);
	}
	return NULL;
}

static uint64_t widen(uint32_t value, int width)
{
	return width == WIDTH_I32 ? (uint64_t)(int64_t)(int32_t)value : value;
}

/* Relaxed, all of them: a counter says nothing about other memory. */

int shr_table_add(struct shr_table *table, uint32_t slot, size_t offset, int64_t amount, uint64_t *before)
{
	uint64_t was;
	int width, err = table_may_write(table);
	void *number = err ? NULL : number_at(table, slot, offset, &width, &err);

	if (!number)
		return err;
	if (width == WIDTH_64)
		was = atomic_fetch_add_explicit((shm_atomic_u64 *)number, (uint64_t)amount,
						memory_order_relaxed);
	else
		was = widen(atomic_fetch_add_explicit((shm_atomic_u32 *)number, (uint32_t)amount,
						      memory_order_relaxed), width);
	if (before)
		*before = was;
	return 0;
}

int shr_table_fetch(const struct shr_table *table, uint32_t slot, size_t offset, uint64_t *value)
{
	int width, err;
	void *number = number_at(table, slot, offset, &width, &err);

	if (!number)
		return err;
	if (width == WIDTH_64)
		*value = atomic_load_explicit((shm_atomic_u64 *)number, memory_order_relaxed);
	else
		*value = widen(atomic_load_explicit((shm_atomic_u32 *)number, memory_order_relaxed), width);
	return 0;
}

int shr_table_compare_set(struct shr_table *table, uint32_t slot, size_t offset, uint64_t *expected,
			  uint64_t value)
{
	int width, done, err = table_may_write(table);
	void *number = err ? NULL : number_at(table, slot, offset, &width, &err);
	uint32_t narrow;

	if (!number)
		return err;
	if (width == WIDTH_64)
		return atomic_compare_exchange_strong_explicit((shm_atomic_u64 *)number, expected, value,
							       memory_order_relaxed, memory_order_relaxed)
			       ? 0
			       : -EAGAIN;
	narrow = (uint32_t)*expected;
	done = atomic_compare_exchange_strong_explicit((shm_atomic_u32 *)number, &narrow, (uint32_t)value,
						       memory_order_relaxed, memory_order_relaxed);
	if (!done)
		*expected = widen(narrow, width);
	return done ? 0 : -EAGAIN;
}
