/* SPDX-License-Identifier: MIT */
/*
 * What must hold of a table's words when nobody is inside, and all that the dead left
 * was met by somebody who goes on. From the inside: link statically.
 */
#ifndef TESTS_TABLE_SOUND_H
#define TESTS_TABLE_SOUND_H

#include "table.h"

static inline uint64_t sound_get(shm_atomic_u64 *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

/* Is the entry of used @slot where who looks for it comes by, and there once? */
static const char *sound_entry(const struct table_view *view, uint32_t slot, uint32_t hash)
{
	uint64_t mask = view->is.index_size - 1, wanted = INDEX_ENTRY(hash, slot), times = 0,
		 at = 0;

	while (at <= mask && sound_get(&view->index[(hash + at) & mask]) &&
	       sound_get(&view->index[(hash + at) & mask]) != wanted)
		at++;
	if (at > mask || sound_get(&view->index[(hash + at) & mask]) != wanted)
		return "a used slot is not in the index";
	for (at = 0; at <= mask; at++)
		times += INDEX_SLOT(sound_get(&view->index[at])) == slot;
	return times == 1 ? NULL : "a slot is more than once in the index";
}

static const char *sound_slots(const struct table_view *view, uint64_t *used)
{
	for (uint32_t i = 0; i < view->is.slots; i++) {
		struct shm_slot *slot = table_slot(view, i);
		const char *bad = NULL;

		if (mutex_word_owner(&slot->lock))
			return "the lock of a slot is held";
		if (!(sound_get(&slot->generation) & 1))
			continue;
		++*used;
		if (view->is.mode == SHR_TABLE_IN_PLACE && sound_get(&slot->sequence) & 1)
			return "a record is torn";
		if (view->is.key_field)
			bad = sound_entry(view, i,
					  atomic_load_explicit(&slot->hash, memory_order_relaxed));
		if (bad)
			return bad;
	}
	return NULL;
}

/* NULL, or what is wrong. */
static const char *table_sound(const struct shr_table *table)
{
	const struct table_view *view = &table->view;
	uint64_t used = 0, graves = 0, entries = 0;
	const char *bad = sound_slots(view, &used);

	if (bad)
		return bad;
	for (uint64_t i = 0; i < view->is.index_size; i++) {
		uint64_t entry = sound_get(&view->index[i]);

		graves += entry == INDEX_GRAVE;
		entries += entry && entry != INDEX_GRAVE;
	}
	if (mutex_word_owner(&view->shm->lock))
		return "the lock of the table is held";
	if (sound_get(&view->shm->version) & 1)
		return "the index is being built";
	if (view->is.key_field && entries != used)
		return "an entry of the index is nobody's";
	if (sound_get(&view->shm->graves) != graves)
		return "the number of graves is wrong";
	if (sound_get(&view->shm->used) != used)
		return "the number of used slots is wrong";
	return NULL;
}

#endif
