/* SPDX-License-Identifier: MIT */
/* L4: tables: reads, without a lock. The protocol is at the top of table.c. */
#include "table.h"

#include <errno.h>

/* Counters: each number by itself, in one piece. */
static void copy_numbers(void *to, const void *from, size_t size)
{
	const shm_atomic_u64 *number = from;

	for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
		uint64_t value = atomic_load_explicit(number++, memory_order_relaxed);

		memcpy((char *)to + at, &value, size - at < sizeof(value) ? size - at : sizeof(value));
	}
}

/* One try: 1 it was whole, 0 it was not. */
static inline __attribute__((always_inline)) int
read_once(const struct table_view *view, struct shm_slot *slot, uint64_t generation, int mode,
	  void *buffer, size_t bytes, uint64_t *sequence)
{
	/* read:A. Acquire: the copy that it makes current. Pairs with commit:A. */
	uint64_t before = atomic_load_explicit(&slot->sequence, memory_order_acquire);

	*sequence = before;
	if (mode == SHR_TABLE_IN_PLACE && before & 1)
		return 0;
	if (mode == SHR_TABLE_COUNTERS)
		copy_numbers(buffer, table_copy(view, slot, 0), bytes);
	else
		table_copy_bytes(buffer, table_copy(view, slot, before), bytes);
	/* read:B. Acquire: the copy before both again. Pairs with begin:A, insert:A. */
	atomic_thread_fence(memory_order_acquire);
	return before == atomic_load_explicit(&slot->sequence, memory_order_relaxed) &&
	       generation == atomic_load_explicit(&slot->generation, memory_order_relaxed);
}

int table_read(const struct table_view *view, uint32_t index, uint64_t wanted, void *buffer,
	       size_t size, struct shr_slot_info *info)
{
	struct shm_slot *slot = table_slot(view, index);
	size_t bytes = size < view->is.record_size ? size : (size_t)view->is.record_size;
	uint64_t sequence;

	for (int i = 0; i < SHR_TABLE_TRIES; i++) {
		/* used:A. Acquire: the record. Pairs with use:A. */
		uint64_t generation = atomic_load_explicit(&slot->generation, memory_order_acquire);

		if (!(generation & 1) || (wanted && generation != wanted))
			return -ENOENT;
		if (!read_once(view, slot, generation, (int)view->is.mode, buffer, bytes, &sequence)) {
			event_pause();
			continue;
		}
		if (bytes < size)
			memset((char *)buffer + bytes, 0, size - bytes);
		if (info)
			*info = table_info(view, generation, sequence);
		return 0;
	}
	return -EAGAIN;
}

/* What is inline is a symbol, too. */
extern inline int shr_table_read(const struct shr_table *, uint32_t, void *, size_t,
				 struct shr_slot_info *);
_Static_assert(offsetof(struct shm_slot, sequence) == SHR_SLOT_SEQUENCE_, "table.h");
_Static_assert(offsetof(struct shm_slot, generation) == SHR_SLOT_GENERATION_, "table.h");
_Static_assert(offsetof(struct shr_table, hot) == 0, "table.h");

int shr_table_read_slow(const struct shr_table *table, uint32_t slot, void *buffer, size_t size,
			struct shr_slot_info *info)
{
	if (slot >= table->view.is.slots)
		return table_refuse(table, slot);
	return table_read(&table->view, slot, 0, buffer, size, info);
}

int shr_table_read_changed(const struct shr_table *table, uint32_t slot, uint64_t version,
			   void *buffer, size_t size, struct shr_slot_info *info)
{
	int err;

	if (slot >= table->view.is.slots)
		return table_refuse(table, slot);
	if (table_version(&table->view, slot) == version)
		return 0;
	err = table_read(&table->view, slot, 0, buffer, size, info);
	return err ? err : 1;
}

int shr_table_read_key(const struct shr_table *table, const void *bytes, size_t key_size,
		       void *buffer, size_t size, struct shr_slot_info *info)
{
	struct table_key key;
	uint64_t generation;
	uint32_t slot;
	int err = table_key_given(table, bytes, key_size, &key);

	if (err)
		return err;
	for (int i = 0; i < SHR_TABLE_TRIES; i++) {
		err = table_key_find(&table->view, &key, &slot, &generation);
		if (err)
			return err;
		err = table_read(&table->view, slot, generation, buffer, size, info);
		if (err != -ENOENT) /* that: removed meanwhile, and maybe there again */
			return err;
	}
	return -EAGAIN;
}

int shr_table_next(const struct shr_table *table, uint32_t *slot)
{
	if (!table->tag)
		return table_refuse(table, 0);
	for (uint32_t i = *slot; i < table->view.is.slots; i++)
		if (atomic_load_explicit(&table_slot(&table->view, i)->generation,
					 memory_order_acquire) & 1) {
			*slot = i;
			return 0;
		}
	return -ENOENT;
}

int shr_table_get(const struct shr_table *table, uint32_t index, struct shr_slot_info *info,
		  struct shr_mutex_info *lock)
{
	struct shm_slot *slot;
	uint64_t generation, sequence;

	if (index >= table->view.is.slots)
		return table_refuse(table, index);
	slot = table_slot(&table->view, index);
	generation = atomic_load_explicit(&slot->generation, memory_order_acquire);
	sequence = atomic_load_explicit(&slot->sequence, memory_order_acquire);
	if (lock) {
		int err = mutex_view(lock, &slot->lock, table->segment->layout.header.members);

		if (err)
			return err;
	}
	*info = table_info(&table->view, generation, sequence);
	return 0;
}

void table_status(struct shr_table_status *status, const struct table_geometry *is,
		  const struct shm_table *shm)
{
	uint64_t used = atomic_load_explicit(&shm->used, memory_order_relaxed);
	uint64_t graves = atomic_load_explicit(&shm->graves, memory_order_relaxed);

	*status = (struct shr_table_status){
		.slots = is->slots,
		.used = used < is->slots ? (uint32_t)used : is->slots,
		.mode = is->mode,
		.key_field = is->key_field,
		.record_size = is->record_size,
		.index_size = is->index_size,
		.graves = graves < is->index_size ? graves : is->index_size,
		.rebuilds = atomic_load_explicit(&shm->rebuilds, memory_order_relaxed),
		.repairs = atomic_load_explicit(&shm->repairs, memory_order_relaxed),
		.takeovers = atomic_load_explicit(&shm->takeovers, memory_order_relaxed)};
}

int shr_table_stat(const struct shr_table *table, struct shr_table_status *status)
{
	if (!table->tag)
		return table_refuse(table, 0);
	table_status(status, &table->view.is, table->view.shm);
	return 0;
}
