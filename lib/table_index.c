/* SPDX-License-Identifier: MIT */
/*
 * L4: tables: insert and remove, and the index of keys: open addressing, the next
 * place after one that is taken. The protocol is at the top of table.c.
 *
 * The index says where a key may be, generation whether it is (I1). So insert
 * stores the entry first and remove takes it away last, and a death between leaves
 * an entry that is none. What is left to repair are such entries, the numbers for
 * people, and a rebuild that did not end.
 */
#include "table.h"

#include <errno.h>
#include <limits.h>

#include "error.h"
#include "killpoint.h"

#define FIND_TRIES 3

/* --- Keys -------------------------------------------------------------------- */

static void key_hash(const struct table_geometry *is, struct table_key *key)
{
	uint64_t hash = 0x9e3779b97f4a7c15u + is->key_size;

	for (uint32_t at = 0; at < is->key_size; at += sizeof(uint64_t)) {
		uint64_t word = 0;

		memcpy(&word, key->bytes + at,
		       is->key_size - at < sizeof(word) ? is->key_size - at : sizeof(word));
		hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
		hash ^= hash >> 32;
	}
	key->hash = (uint32_t)(hash * 0x9e3779b97f4a7c15u >> 32);
}

static void key_make(const struct table_geometry *is, const void *bytes, size_t size,
		     struct table_key *key)
{
	if (is->key_text)
		size = strnlen(bytes, size);
	memcpy(key->bytes, bytes, size);
	memset(key->bytes + size, 0, is->key_size - size);
	key_hash(is, key);
}

uint32_t table_key_hash(const struct table_geometry *is, struct table_key *key)
{
	key_hash(is, key);
	return key->hash;
}

void table_key_from(const struct table_geometry *is, const void *record, struct table_key *key)
{
	key_make(is, (const char *)record + is->key_offset, is->key_size, key);
}

int table_key_given(const struct shr_table *table, const void *bytes, size_t size,
		    struct table_key *key)
{
	const struct table_geometry *is = &table->view.is;

	if (!table->tag)
		return table_refuse(table, 0);
	if (!is->key_field)
		return shr_fail(EOPNOTSUPP, "the table has no key");
	if (size > is->key_size || (size < is->key_size && !is->key_text))
		return shr_fail(EINVAL, "a key of %zu bytes, where the records have one of %u", size,
				is->key_size);
	key_make(is, bytes, size, key);
	return 0;
}

/* --- Finding, without a lock ------------------------------------------------- */

/* Is @slot used, and has it this key? Then *@generation is which use of it. */
static int slot_has(const struct table_view *view, uint32_t index, const struct table_key *key,
		    uint64_t *generation)
{
	struct shm_slot *slot = table_slot(view, index);
	/* used:A. Acquire: key and hash. Pairs with use:A. */
	uint64_t now = atomic_load_explicit(&slot->generation, memory_order_acquire);

	if (!(now & 1) || atomic_load_explicit(&slot->hash, memory_order_relaxed) != key->hash ||
	    memcmp(table_key_of(view, slot), key->bytes, view->is.key_size))
		return 0;
	/* read:B. Acquire: the key before the generation again. Pairs with insert:A. */
	atomic_thread_fence(memory_order_acquire);
	*generation = now;
	return atomic_load_explicit(&slot->generation, memory_order_relaxed) == now;
}

/* Along the index: 1, or 0 it is not there. */
static int probe(const struct table_view *view, const struct table_key *key, uint32_t *slot,
		 uint64_t *generation)
{
	for (uint64_t i = 0; i < view->is.index_size; i++) {
		uint64_t at = (key->hash + i) & (view->is.index_size - 1);
		/* find:A. Acquire: what insert wrote before. Pairs with version:B, too. */
		uint64_t entry = atomic_load_explicit(&view->index[at], memory_order_acquire);

		if (!entry)
			return 0;
		*slot = INDEX_SLOT(entry);
		if (INDEX_HASH(entry) == key->hash && *slot < view->is.slots &&
		    slot_has(view, *slot, key, generation))
			return 1;
	}
	return 0;
}

int table_key_find(const struct table_view *view, const struct table_key *key, uint32_t *slot,
		   uint64_t *generation)
{
	for (int i = 0; i < FIND_TRIES; i++) {
		/* find:A. Acquire: the index that was built. Pairs with version:B. */
		uint64_t version = atomic_load_explicit(&view->shm->version, memory_order_acquire);

		if (version & 1) {
			event_pause();
			continue;
		}
		if (probe(view, key, slot, generation))
			return 0;
		/* find:B. Acquire: entries before the version again. Pairs with version:A. */
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&view->shm->version, memory_order_relaxed) == version)
			return -ENOENT;
	}
	/* The index is being built, maybe by somebody dead: the slots are always right. */
	for (*slot = 0; *slot < view->is.slots; ++*slot)
		if (slot_has(view, *slot, key, generation))
			return 0;
	return -ENOENT;
}

int shr_table_find(const struct shr_table *table, const void *bytes, size_t size, uint32_t *slot)
{
	struct table_key key;
	uint64_t generation;
	uint32_t found;
	int err = table_key_given(table, bytes, size, &key);

	if (!err)
		err = table_key_find(&table->view, &key, &found, &generation);
	if (!err)
		*slot = found;
	return err;
}

/* --- The table's lock -------------------------------------------------------- */

/* Numbers that only the lock's owner writes, and peers may have spoilt. */
static uint64_t get(shm_atomic_u64 *number)
{
	return atomic_load_explicit(number, memory_order_relaxed);
}

static void set(shm_atomic_u64 *number, uint64_t value)
{
	atomic_store_explicit(number, value, memory_order_relaxed);
}

static int is_used(const struct table_view *view, uint32_t slot)
{
	return get(&table_slot(view, slot)->generation) & 1;
}

/* The first empty place for @hash, which there is in an index of slots only; or the last looked at. */
static uint64_t empty_place(const struct table_view *view, uint32_t hash)
{
	uint64_t at = 0;

	for (uint64_t i = 0; i < view->is.index_size; i++) {
		at = (hash + i) & (view->is.index_size - 1);
		if (!get(&view->index[at]))
			break;
	}
	return at;
}

static void rebuild(const struct table_view *view)
{
	struct shm_table *shm = view->shm;
	uint64_t version = get(&shm->version) | 1;

	set(&shm->version, version);
	/* version:A. Release: that it is odd, before entries change. Pairs with find:B. */
	atomic_thread_fence(memory_order_release);
	KILL_POINT("table:clearing");
	for (uint64_t i = 0; i < view->is.index_size; i++)
		set(&view->index[i], 0);
	for (uint32_t slot = 0; slot < view->is.slots; slot++) {
		uint32_t hash = atomic_load_explicit(&table_slot(view, slot)->hash, memory_order_relaxed);

		if (is_used(view, slot))
			set(&view->index[empty_place(view, hash)], INDEX_ENTRY(hash, slot));
	}
	set(&shm->graves, 0);
	/* version:B. Release: the entries. Pairs with find:A. */
	atomic_store_explicit(&shm->version, version + 1, memory_order_release);
	KILL_POINT("table:rebuilt");
	set(&shm->rebuilds, get(&shm->rebuilds) + 1);
}

/* What the dead owner of the lock left. Idempotent; nobody who reads is disturbed. */
static void repair(const struct table_view *view)
{
	uint64_t used = 0, graves = 0;

	if (get(&view->shm->version) & 1)
		rebuild(view);
	for (uint64_t i = 0; i < view->is.index_size; i++) {
		uint64_t entry = get(&view->index[i]);
		uint32_t slot = INDEX_SLOT(entry);

		if (entry && (slot >= view->is.slots || !is_used(view, slot) ||
			      INDEX_HASH(entry) != atomic_load_explicit(&table_slot(view, slot)->hash,
									memory_order_relaxed))) {
			set(&view->index[i], INDEX_GRAVE);
			graves++;
		}
	}
	for (uint32_t slot = 0; slot < view->is.slots; slot++)
		used += (uint64_t)is_used(view, slot);
	set(&view->shm->used, used);
	set(&view->shm->graves, graves);
	set(&view->shm->repairs, get(&view->shm->repairs) + 1);
	KILL_POINT("table:repaired");
}

static int lock_table(struct shr_table *table)
{
	struct shm_mutex *lock = &table->view.shm->lock;
	int err = mutex_word_lock(table->segment, lock, table->me, SHR_FOREVER);

	if (err != -EOWNERDEAD)
		return err;
	repair(&table->view);
	mutex_word_consistent(lock, atomic_load_explicit(&lock->word, memory_order_relaxed));
	/* What the dead one did may not have been told. */
	table_changed(table);
	return 0;
}

static void unlock_table(struct shr_table *table)
{
	struct shm_mutex *lock = &table->view.shm->lock;

	mutex_word_unlock(lock, atomic_load_explicit(&lock->word, memory_order_relaxed),
			  table->registered);
}

/* --- Insert ------------------------------------------------------------------ */

/* Where the entry of @key may be put, a grave or an empty one: 0, -EEXIST, -EBADMSG. */
static int place_of(const struct table_view *view, const struct table_key *key, uint64_t *place)
{
	uint64_t generation;
	int found = 0;

	for (uint64_t i = 0; i < view->is.index_size; i++) {
		uint64_t at = (key->hash + i) & (view->is.index_size - 1);
		uint64_t entry = get(&view->index[at]);

		if ((!entry || entry == INDEX_GRAVE) && !found) {
			found = 1;
			*place = at;
		}
		if (!entry)
			return 0;
		if (INDEX_HASH(entry) == key->hash && INDEX_SLOT(entry) < view->is.slots &&
		    slot_has(view, INDEX_SLOT(entry), key, &generation))
			return shr_fail(EEXIST, "the key is there already, in slot %u", INDEX_SLOT(entry));
	}
	return found ? 0 : shr_fail(EBADMSG, "the index of the table is corrupt: it is full");
}

static int free_slot(const struct table_view *view, uint32_t *slot)
{
	uint32_t hint = (uint32_t)(get(&view->shm->hint) % view->is.slots);

	for (uint32_t i = 0; i < view->is.slots; i++) {
		*slot = hint + i < view->is.slots ? hint + i : hint + i - view->is.slots;
		if (!is_used(view, *slot))
			return 0;
	}
	return shr_fail(ENOSPC, "all %u slots are used", view->is.slots);
}

/* Key and record into a slot that is free. */
static void fill(const struct table_view *view, struct shm_slot *slot, const struct table_key *key,
		 const void *record, size_t size)
{
	uint64_t sequence = get(&slot->sequence);
	size_t bytes = size < view->is.record_size ? size : (size_t)view->is.record_size;
	uint8_t *copy = table_copy(view, slot, sequence);

	/* insert:A. Release: that it is free, before it is written to. Pairs with read:B. */
	atomic_thread_fence(memory_order_release);
	if (view->is.key_field) {
		memcpy(table_key_of(view, slot), key->bytes, view->is.key_size);
		atomic_store_explicit(&slot->hash, key->hash, memory_order_relaxed);
	}
	memcpy(copy, record, bytes);
	memset(copy + bytes, 0, (size_t)view->is.copy_size - bytes);
	if (view->is.mode == SHR_TABLE_IN_PLACE && sequence & 1) /* torn, when it was removed */
		set(&slot->sequence, sequence + 1);
	KILL_POINT("table:written");
}

static int insert_locked(const struct table_view *view, const struct table_key *key,
			 const void *record, size_t size, uint32_t *result)
{
	struct shm_table *shm = view->shm;
	uint64_t used = get(&shm->used), graves = get(&shm->graves), place = 0;
	struct shm_slot *slot;
	uint32_t index = 0;
	int err = 0;

	if (view->is.key_field) {
		if (used + graves >= view->is.index_size / 4 * 3)
			rebuild(view);
		err = place_of(view, key, &place);
	}
	if (!err)
		err = free_slot(view, &index);
	if (err)
		return err;
	slot = table_slot(view, index);
	fill(view, slot, key, record, size);
	if (view->is.key_field) {
		if (get(&view->index[place]))
			set(&shm->graves, get(&shm->graves) - 1);
		/* use:A, find:A. Release: who sees the entry sees what was there before. */
		atomic_store_explicit(&view->index[place], INDEX_ENTRY(key->hash, index),
				      memory_order_release);
		KILL_POINT("table:indexed");
	}
	/* use:A. Release: key and record, and the entry. Pairs with used:A. */
	atomic_store_explicit(&slot->generation, get(&slot->generation) + 1, memory_order_release);
	KILL_POINT("table:used");
	set(&shm->used, used + 1);
	set(&shm->hint, index + 1);
	*result = index;
	return 0;
}

int shr_table_insert(struct shr_table *table, const void *record, size_t size, uint32_t *slot)
{
	const struct table_geometry *is = &table->view.is;
	struct table_key key;
	uint32_t index = 0;
	int err = table_may_write(table);

	if (!err && is->key_field && size < (size_t)is->key_offset + is->key_size)
		err = shr_fail(EINVAL, "a record of %zu bytes, whose key ends at %u", size,
			       is->key_offset + is->key_size);
	if (err)
		return err;
	if (is->key_field)
		table_key_from(is, record, &key);
	err = lock_table(table);
	if (err)
		return err;
	err = insert_locked(&table->view, &key, record, size, &index);
	/* Before the unlock: of somebody killed between, nobody could know. */
	if (!err)
		table_changed(table);
	unlock_table(table);
	if (err)
		return err;
	if (slot)
		*slot = index;
	return 0;
}

/* --- Remove ------------------------------------------------------------------ */

static void bury(const struct table_view *view, uint32_t slot)
{
	uint32_t hash = atomic_load_explicit(&table_slot(view, slot)->hash, memory_order_relaxed);

	for (uint64_t i = 0; i < view->is.index_size; i++) {
		uint64_t at = (hash + i) & (view->is.index_size - 1), entry = get(&view->index[at]);

		if (!entry)
			break;
		if (entry != INDEX_ENTRY(hash, slot))
			continue;
		set(&view->index[at], INDEX_GRAVE);
		set(&view->shm->graves, get(&view->shm->graves) + 1);
		break;
	}
	KILL_POINT("table:buried");
}

/* With the slot's lock, which is given back. */
static int remove_slot(struct shr_table *table, uint32_t index)
{
	const struct table_view *view = &table->view;
	struct shm_slot *slot = table_slot(view, index);
	int err = lock_table(table), torn;

	if (err) {
		torn = view->is.mode == SHR_TABLE_IN_PLACE && get(&slot->sequence) & 1;
		table_unlock(table, slot, torn);
		return err;
	}
	/* Release: whoever finds it free finds the table as it was then. */
	atomic_store_explicit(&slot->generation, get(&slot->generation) + 1, memory_order_release);
	KILL_POINT("table:unused");
	if (view->is.key_field)
		bury(view, index);
	if (get(&view->shm->used))
		set(&view->shm->used, get(&view->shm->used) - 1);
	set(&view->shm->hint, index);
	unlock_table(table);
	table_changed(table);
	table_unlock(table, slot, 0);
	return 0;
}

int shr_table_remove(struct shr_table *table, uint32_t slot)
{
	int err = table_lock(table, slot, SHR_FOREVER);

	return err ? err : remove_slot(table, slot);
}

int shr_table_remove_key(struct shr_table *table, const void *bytes, size_t size)
{
	struct table_key key;
	uint64_t generation;
	uint32_t slot;
	int err = table_may_write(table);

	if (!err)
		err = table_key_given(table, bytes, size, &key);
	if (err)
		return err;
	for (int i = 0; i < SHR_TABLE_TRIES; i++) {
		err = table_key_find(&table->view, &key, &slot, &generation);
		if (!err)
			err = table_lock_generation(table, slot, generation);
		else
			return err;
		if (!err)
			return remove_slot(table, slot);
		if (err != -ENOENT) /* that: removed meanwhile, and maybe there again */
			return err;
	}
	return -EAGAIN;
}
