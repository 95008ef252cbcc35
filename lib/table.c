/* SPDX-License-Identifier: MIT */
/*
 * L4: the table. This file has the handle and updates; table_read.c reads;
 * table_index.c insert, remove and the key; table_counters.c numbers without a lock; table_watch.c waits.
 *
 * A slot is a lock, a sequence, a generation, a key that does not change while the
 * slot is used, and the record: two copies of it (atomic) or one.
 *
 * States
 *	generation    even: free        --insert--> odd: used --remove--> even
 *	atomic        sequence s, the copy s & 1 is current
 *	                                --commit--> s + 1: the other one is
 *	in place      sequence even: whole --begin--> odd --commit--> even
 *	              odd, its owner dead: torn --begin, repaired, commit--> even
 *	index entry   0 --insert--> hash, slot --remove--> grave --insert--> hash, slot
 *	              any --rebuild, under an odd version--> 0 or hash, slot
 *
 * Who writes what
 *	sequence, the copy   the slot's lock, generation odd; while that is even the
 *	that is not current, owner of the table's lock: who locks a slot looks at
 *	the only copy        its generation before it writes anything
 *	key, hash            the owner of the table's lock, generation even
 *	generation           to odd: the table's lock; to even: that and the slot's
 *	index, version,      the table's lock
 *	used, graves, hint
 *	takeovers            anybody, by atomic addition
 *	event                event.h: whoever changed something is its publisher
 *	a counter            anybody, by one atomic operation
 *
 * The slot's lock is taken before the table's; whoever has the table's waits for
 * nothing.
 *
 * Invariants
 *	I1 generation alone says whether a record is there, in a read, in an iteration
 *	   and by its key: an entry of the index whose slot is free is none
 *	I2 every used slot of a table with a key has an entry with its hash, that no
 *	   empty entry separates from where its hash belongs; but under an odd version
 *	I3 an entry of a used slot does not move, but by a rebuild
 *	I4 atomic: nobody writes to the current copy of a used slot
 *
 * Ordering (pairs)
 *	commit:A read:A      the copy, the sequence that makes it current; it, then the copy
 *	begin:A  read:B      the sequence of the last commit (in place: the odd one),
 *	                     then stores to the copy; the copy, then the sequence again.
 *	                     So who saw one of these stores sees that the sequence moved
 *	use:A    used:A      key and record, generation odd; it, then key and record
 *	insert:A read:B      generation even, then stores to key and record; these, then
 *	                     the generation again
 *	version:A find:B     version odd, then stores to entries; entries, then version
 *	version:B find:A     entries, version even; it, then entries
 *	changed:A watched:A  the sequence or generation, a look at the bit of the event;
 *	                     the bit, then whatever the watcher looks at: the fences
 *	                     of event.h. One of the two sees the other
 *
 * Progress. Reads, finds and iteration: lock-free, bounded, and write nothing.
 * begin: waits for the slot's lock (mutex.c), with nobody there one CAS. commit:
 * wait-free but for a wake. insert, remove: wait for the table's lock, and search.
 *
 * Crash (the kill points have these names)
 *	table:begun              the lock is of the dead: taken over, nothing to mend
 *	table:copied             the same, atomic: the other copy is not current
 *	table:torn               in place: odd sequence, the next one is told and repairs
 *	table:committed          the update is there; who waits for any slot is not told
 *	                         until the lock is taken over or swept
 *	table:told               the same, and told
 *	table:written            insert: the slot is free
 *	table:indexed            insert: the slot is free, its entry none (I1); who takes
 *	                         the table's lock over makes it a grave
 *	table:used               insert: all is there; used is counted by who repairs; who
 *	                         waits is told when the table's lock is taken over or swept
 *	table:unused             remove: gone; its entry is none, and made a grave
 *	table:buried             remove: gone
 *	table:clearing           rebuild: the version is odd, so readers look at the slots;
 *	                         who takes the table's lock over builds it anew
 *	table:rebuilt            rebuild: the index is whole
 *	table:repaired           repairs again, the same
 */
#include "table.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "error.h"
#include "killpoint.h"

#define DEFAULT_SLOTS 64

/* --- Geometry ---------------------------------------------------------------- */

static uint64_t round_up(uint64_t value, uint64_t to)
{
	return (value + to - 1) & ~(to - 1);
}

/* All but size from @entry's parameters: 0, or -EINVAL. */
static int geometry_of(struct table_geometry *is, const uint64_t param[5])
{
	uint32_t text = TABLE_PARAM_TEXT(param[1]);

	*is = (struct table_geometry){.mode = TABLE_PARAM_MODE(param[1]),
				      .key_field = TABLE_PARAM_FIELD(param[1]),
				      .key_offset = (uint32_t)param[3],
				      .key_size = (uint32_t)(param[3] >> 32),
				      .key_text = (int)text,
				      .record_size = param[2]};
	if (!param[0] || param[0] > SHR_TABLE_SLOTS_MAX || is->mode > SHR_TABLE_COUNTERS || text > 1 ||
	    !param[2] || param[2] > SHR_TABLE_RECORD_MAX || param[4])
		return -EINVAL;
	is->slots = (uint32_t)param[0];
	if (is->key_field) {
		if (is->key_field > SHR_FIELDS_MAX || !is->key_size || is->key_size > SHR_TABLE_KEY_MAX ||
		    (uint64_t)is->key_offset + is->key_size > is->record_size)
			return -EINVAL;
	} else if (param[3] || text) {
		return -EINVAL;
	}
	return 0;
}

static void geometry_derive(struct table_geometry *is)
{
	uint64_t at = sizeof(struct shm_slot);

	is->key_at = offsetof(struct shm_slot, key);
	if (is->key_size > FORMAT_SLOT_KEY) {
		is->key_at = (uint32_t)at;
		at += round_up(is->key_size, TABLE_COPY_ALIGN);
	}
	is->record_at = at;
	is->copy_size = round_up(is->record_size, TABLE_COPY_ALIGN);
	is->copy_step = is->mode == SHR_TABLE_ATOMIC ? is->copy_size : 0;
	is->slot_size = round_up(at + is->copy_size + is->copy_step, FORMAT_LINE);
	if (is->key_field)
		for (is->index_size = 16; is->index_size < 2 * (uint64_t)is->slots; is->index_size *= 2)
			;
	is->slots_at = FORMAT_TABLE_INDEX + is->index_size * sizeof(uint64_t);
	is->size = is->slots_at + is->slots * is->slot_size;
}

int table_geometry(struct table_geometry *is, const struct shm_object *entry)
{
	if (geometry_of(is, (const uint64_t *)entry->param))
		return -EINVAL;
	geometry_derive(is);
	return entry->flags || entry->size != is->size ? -EINVAL : 0;
}

int table_entry_check(const struct shm_object *entry)
{
	struct table_geometry is;

	if (table_geometry(&is, entry))
		return shr_fail(EBADMSG, "table %.47s has an impossible geometry", entry->name);
	return 0;
}

/* The key's field of a schema into @param: 0, or -EINVAL. */
static int describe_key(uint64_t param[5], const struct shr_table_options *o, const char *name)
{
	for (uint32_t i = 0; o->schema && i < o->schema->field_count; i++) {
		const struct shr_field *field = &o->schema->fields[i];
		uint64_t size = (uint64_t)shr_kind_size(field->kind) * (field->count ? field->count : 1);

		if (!field->name || strcmp(field->name, o->key))
			continue;
		if (field->kind == SHR_KIND_F32 || field->kind == SHR_KIND_F64 || !size ||
		    size > SHR_TABLE_KEY_MAX)
			return shr_fail(EINVAL, "member %.63s cannot be the key of table %s: an integer, or an "
						"array of integers or char of at most %d bytes can",
					o->key, name, SHR_TABLE_KEY_MAX);
		param[1] |= TABLE_PARAM(0, field->kind == SHR_KIND_CHAR, i + 1);
		param[3] = size << 32 | field->offset;
		return 0;
	}
	return shr_fail(EINVAL, "the records of table %s have no member %.63s to be the key", name, o->key);
}

static int take_options(struct shr_table_options *own, const struct shr_table_options *options)
{
	int err;

	*own = (struct shr_table_options){.struct_size = sizeof(*own)};
	if (!options)
		return 0;
	err = shr_options_check(options, options->struct_size, sizeof(*own));
	if (!err)
		memcpy(own, options,
		       options->struct_size < sizeof(*own) ? options->struct_size : sizeof(*own));
	return err;
}

int shr_table_describe(struct shr_object *object, const char *name,
		       const struct shr_table_options *options)
{
	struct shr_table_options own;
	struct table_geometry is;
	uint64_t param[5] = {0};
	int err = take_options(&own, options);

	if (err)
		return err;
	if (own.schema && own.record_size && own.record_size != own.schema->size)
		return shr_fail(EINVAL, "records of %llu bytes are not the %u of struct %s",
				(unsigned long long)own.record_size, own.schema->size, own.schema->name);
	err = kind_describe(object, SHR_OBJECT_TABLE, name, 0, 0);
	if (err)
		return err;
	param[0] = own.slots ? own.slots : DEFAULT_SLOTS;
	param[1] = own.mode > SHR_TABLE_COUNTERS ? 255 : own.mode;
	param[2] = own.schema ? own.schema->size : own.record_size;
	if (own.key)
		err = describe_key(param, &own, name);
	if (err)
		return err;
	if (geometry_of(&is, param) || (own.mode == SHR_TABLE_COUNTERS && !own.schema))
		return shr_fail(EINVAL, "table %s: mode %u, %llu slots and records of %llu bytes do not go "
					"together, or are too many, too large or none",
				name, own.mode, (unsigned long long)param[0], (unsigned long long)param[2]);
	geometry_derive(&is);
	memcpy(object->param, param, sizeof(param));
	object->schema = own.schema;
	object->size = is.size;
	return 0;
}

/* --- Handle ------------------------------------------------------------------ */

/* Does the schema in the segment say the same of the key as the directory? */
static int key_matches(const struct table_geometry *is, const struct shr_schema *schema)
{
	const struct shr_field *field;

	if (schema && schema->size != is->record_size)
		return 0;
	if (!is->key_field)
		return 1;
	if (!schema || is->key_field > schema->field_count)
		return 0;
	field = &schema->fields[is->key_field - 1];
	return field->offset == is->key_offset && (field->kind == SHR_KIND_CHAR) == is->key_text &&
	       (uint64_t)shr_kind_size(field->kind) * (field->count ? field->count : 1) == is->key_size;
}

static void view_make(struct table_view *view, char *object)
{
	view->shm = (struct shm_table *)(void *)object;
	view->index = (shm_atomic_u64 *)(void *)(object + FORMAT_TABLE_INDEX);
	view->slots = (uint8_t *)object + view->is.slots_at;
}

/* For shr_table_read(), inline in the program. */
static void hot_make(struct shr_table *table)
{
	const struct table_geometry *is = &table->view.is;

	if (is->mode == SHR_TABLE_ATOMIC)
		table->hot = (struct shr_table_hot_){.first = table->view.slots,
						     .slots = is->slots,
						     .slot_size = is->slot_size,
						     .record_size = is->record_size,
						     .record_at = is->record_at,
						     .copy_step = is->copy_step};
}

int shr_table_attach_version(struct shr_table **result, struct shr_segment *segment,
			     const char *object_name, const struct shr_schema *schema, uint32_t version)
{
	const struct shm_object *entry;
	const struct shr_schema *theirs;
	struct shr_table *table;
	int index, err;

	if (!result || *result)
		return shr_fail(result ? EBUSY : EINVAL, "the handle is in use, or none");
	if (version != SHR_TABLE_HOT_VERSION)
		return shr_fail(EPROTO, "compiled for inline reads of version %u, the library has %u",
				version, SHR_TABLE_HOT_VERSION);
	index = segment_find(segment, object_name, SHR_OBJECT_TABLE, "a table");
	if (index < 0)
		return index;
	entry = &segment->layout.header.directory[index];
	theirs = segment->layout.schema[index];
	err = shr_schema_match(schema, theirs);
	if (err)
		return err;
	table = handle_alloc(sizeof(*table));
	if (!table)
		return shr_fail(ENOMEM, "out of memory");
	err = table_geometry(&table->view.is, entry);
	if (err || !key_matches(&table->view.is, theirs)) {
		err = shr_fail(EBADMSG, "table %.47s and its schema do not go together", entry->name);
		goto free_handle;
	}
	view_make(&table->view, segment->base + entry->offset);
	table->segment = segment;
	table->me = segment->slot == SLOT_NONE ? 0 : segment->slot + 1;
	table->registered = segment->registered;
	table->obsolete = &segment_header(segment)->obsolete;
	table->too_short = schema && schema->size > table->view.is.record_size;
	if (table->view.is.mode == SHR_TABLE_COUNTERS)
		err = table_counters_attach(table, theirs);
	if (err)
		goto free_handle;
	hot_make(table);
	table->tag = TABLE_TAG;
	atomic_fetch_add(&segment->users, 1);
	*result = table;
	return 0;
free_handle:
	handle_free(table, sizeof(*table));
	return err;
}

int shr_table_open_version(struct shr_table **result, const char *name, const char *mode,
			   const struct shr_table_options *options,
			   const struct shr_segment_options *segment_options, uint32_t version)
{
	struct shr_segment *segment = NULL;
	struct shr_table_options own;
	struct shr_object object = {0};
	int err;

	if (!result || *result)
		return shr_fail(result ? EBUSY : EINVAL, "the handle is in use, or none");
	err = take_options(&own, options);
	if (!err && (!mode || strcmp(mode, "+<")))
		err = shr_table_describe(&object, "table", options);
	if (!err)
		err = segment_open_one(&segment, name, mode, &object, segment_options);
	if (err)
		return err;
	err = shr_table_attach_version(result, segment, "table", own.schema, version);
	if (err)
		shr_segment_detach(segment);
	else
		(*result)->own_segment = 1;
	return err;
}

/* Is a thread of this process inside an update? Of one that has ended nothing stays locked. */
static int in_update(struct shr_table *table)
{
	int busy = 0;

	if (!table->me)
		return 0;
	for (uint32_t i = 0; i < table->view.is.slots && !busy; i++)
		busy = mutex_word_give_back(&table_slot(&table->view, i)->lock, table->me) != 0;
	return busy;
}

int shr_table_close(struct shr_table *table)
{
	int err;

	if (!table)
		return 0;
	if (table->tag == TABLE_TAG) {
		if (in_update(table))
			return shr_fail(EBUSY, "a thread of this process is inside an update: end it first");
		if (table->own_segment && atomic_load(&table->segment->users) > 1)
			return shr_fail(EBUSY, "other objects of the segment are still open: close them first");
		event_fd_close(table->fd);
		table->fd = NULL;
		err = segment_let_go(table->segment, table->own_segment);
		if (err)
			return err;
		free(table->widths);
	}
	handle_free(table, sizeof(*table));
	return 0;
}

struct shr_segment *shr_table_segment(const struct shr_table *table)
{
	return table->segment;
}

uint32_t shr_table_slots(const struct shr_table *table)
{
	return table->view.is.slots;
}

uint32_t shr_table_mode(const struct shr_table *table)
{
	return table->view.is.mode;
}

size_t shr_table_record_size(const struct shr_table *table)
{
	return (size_t)table->view.is.record_size;
}

int table_refuse(const struct shr_table *table, uint32_t slot)
{
	if (table->tag != TABLE_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	if (slot >= table->view.is.slots)
		return shr_fail(EINVAL, "there are %u slots, and no number %u", table->view.is.slots, slot);
	return shr_fail(EROFS, HANDLE_OBSERVES);
}

/* --- Updates ----------------------------------------------------------------- */

static inline void changed(struct shr_table *table)
{
	/* changed:A. The change, then the look at who watches. Pairs with watched:A. */
	event_notify(&table->view.shm->event, table->registered, INT_MAX);
	KILL_POINT("table:told");
}

void table_changed(struct shr_table *table)
{
	changed(table);
}

static int is_torn(const struct shr_table *table, struct shm_slot *slot)
{
	return table->view.is.mode == SHR_TABLE_IN_PLACE &&
	       atomic_load_explicit(&slot->sequence, memory_order_relaxed) & 1;
}

/* The owner died: is there something to mend? What it had committed is told now. */
static void take_over(struct shr_table *table, struct shm_slot *slot, int used)
{
	uint32_t seen = atomic_load_explicit(&slot->lock.word, memory_order_relaxed);

	atomic_fetch_add_explicit(&table->view.shm->takeovers, 1, memory_order_relaxed);
	table_changed(table);
	if (!used || !is_torn(table, slot))
		mutex_word_consistent(&slot->lock, seen);
}

void table_unlock(struct shr_table *table, struct shm_slot *slot, int leave)
{
	uint32_t seen = atomic_load_explicit(&slot->lock.word, memory_order_relaxed);

	if (leave)
		mutex_word_leave(&slot->lock, seen, table->registered);
	else
		mutex_word_unlock(&slot->lock, seen & ~MUTEX_DIRTY, table->registered);
}

static __attribute__((noinline)) int lock_slow(struct shr_table *table, uint32_t index, int64_t deadline_ns)
{
	struct shm_slot *slot;
	int err, used;

	if (__builtin_expect(index >= table->view.is.slots, 0))
		return table_refuse(table, index);
	err = table_may_write(table);
	if (err)
		return err;
	slot = table_slot(&table->view, index);
	err = mutex_word_lock(table->segment, &slot->lock, table->me, deadline_ns);
	if (err && err != -EOWNERDEAD)
		return err;
	KILL_POINT("table:begun");
	/* used:A. Acquire: key and record. Pairs with use:A. Who removes it locks it first. */
	used = atomic_load_explicit(&slot->generation, memory_order_acquire) & 1;
	if (err)
		take_over(table, slot, used);
	if (used)
		return 0;
	table_unlock(table, slot, 0);
	return shr_fail(ENOENT, "slot %u is free", index);
}

/* Free, used, in a segment that is current: what a slot mostly is. */
static inline int lock_fast(struct shr_table *table, uint32_t index)
{
	struct shm_slot *slot = table_slot(&table->view, index);

	/* In a child all of it is zero: no index is below. */
	if (__builtin_expect(index >= table->view.is.slots || !table->me ||
			     atomic_load_explicit(table->obsolete, memory_order_acquire) ||
			     !mutex_word_fast(&slot->lock, table->me), 0))
		return 0;
	KILL_POINT("table:begun");
	/* used:A. As in lock_slow(). */
	if (__builtin_expect(atomic_load_explicit(&slot->generation, memory_order_acquire) & 1, 1))
		return 1;
	table_unlock(table, slot, 0);
	return 0;
}

static inline int lock_slot(struct shr_table *table, uint32_t index, int64_t deadline_ns)
{
	return lock_fast(table, index) ? 0 : lock_slow(table, index, deadline_ns);
}

int table_lock(struct shr_table *table, uint32_t index, int64_t deadline_ns)
{
	return lock_slot(table, index, deadline_ns);
}

int table_lock_generation(struct shr_table *table, uint32_t index, uint64_t generation)
{
	int err = table_lock(table, index, SHR_FOREVER);
	struct shm_slot *slot = table_slot(&table->view, index);

	if (err || atomic_load_explicit(&slot->generation, memory_order_relaxed) == generation)
		return err;
	table_unlock(table, slot, is_torn(table, slot));
	return -ENOENT;
}

/* Locked: let the record be changed. 0, or -EOWNERDEAD it is torn. */
static inline int open_record(struct shr_table *table, struct shm_slot *slot, int whole, void **record)
{
	const struct table_view *view = &table->view;
	uint64_t sequence = atomic_load_explicit(&slot->sequence, memory_order_relaxed);

	if (view->is.mode == SHR_TABLE_ATOMIC) {
		/* begin:A. Release: the commit that made this copy the other one. Pairs with read:B. */
		atomic_thread_fence(memory_order_release);
		*record = table_copy(view, slot, sequence + 1);
		if (!whole)
			table_copy_lines(*record, table_copy(view, slot, sequence), view->is.copy_size);
		KILL_POINT("table:copied");
		return 0;
	}
	atomic_store_explicit(&slot->sequence, sequence | 1, memory_order_relaxed);
	/* begin:A. Release: that it is odd. Pairs with read:B. */
	atomic_thread_fence(memory_order_release);
	KILL_POINT("table:torn");
	*record = table_copy(view, slot, 0);
	return sequence & 1 ? -EOWNERDEAD : 0;
}

static int can_begin(const struct shr_table *table)
{
	if (__builtin_expect(table->view.is.mode == SHR_TABLE_COUNTERS, 0) && table->tag)
		return shr_fail(EOPNOTSUPP, "counters are changed one by one: shr_table_add()");
	return 0;
}

static int begin_fits(const struct shr_table *table)
{
	if (__builtin_expect(table->too_short, 0))
		return shr_fail(EMSGSIZE, "the records here are of %llu bytes, shorter than the program's",
				(unsigned long long)table->view.is.record_size);
	return can_begin(table);
}

static int torn(uint32_t slot)
{
	return shr_fail(EOWNERDEAD, "somebody was killed inside an update of slot %u, and it is torn", slot);
}

int shr_table_begin_until(struct shr_table *table, uint32_t slot, void **record, int64_t deadline_ns)
{
	int err = begin_fits(table);

	if (!err)
		err = lock_slot(table, slot, deadline_ns);
	if (err)
		return err;
	err = open_record(table, table_slot(&table->view, slot), 0, record);
	return err ? torn(slot) : 0;
}

int shr_table_begin(struct shr_table *table, uint32_t slot, void **record)
{
	return shr_table_begin_until(table, slot, record, SHR_FOREVER);
}

int shr_table_begin_key(struct shr_table *table, const void *bytes, size_t size, uint32_t *result,
			void **record)
{
	struct table_key key;
	uint64_t generation;
	uint32_t slot;
	int err = begin_fits(table);

	if (!err)
		err = table_key_given(table, bytes, size, &key);
	if (err)
		return err;
	for (int i = 0; i < SHR_TABLE_TRIES; i++) {
		err = table_key_find(&table->view, &key, &slot, &generation);
		if (err)
			return err;
		err = table_lock_generation(table, slot, generation);
		if (err == -ENOENT) /* removed meanwhile, and maybe there again */
			continue;
		if (err)
			return err;
		err = open_record(table, table_slot(&table->view, slot), 0, record);
		*result = slot;
		return err ? torn(slot) : 0;
	}
	return -EAGAIN;
}

/* The record is as it shall be: all see it from here on. */
static inline __attribute__((always_inline)) void publish(struct shr_table *table, struct shm_slot *slot, uint32_t seen)
{
	uint64_t sequence = atomic_load_explicit(&slot->sequence, memory_order_relaxed);

	if (table->view.is.mode == SHR_TABLE_IN_PLACE)
		sequence |= 1;
	/* commit:A. Release: the copy. Pairs with read:A. */
	atomic_store_explicit(&slot->sequence, sequence + 1, memory_order_release);
	KILL_POINT("table:committed");
	changed(table);
	mutex_word_unlock(&slot->lock, seen & ~MUTEX_DIRTY, table->registered);
}

/* This thread's update: its slot, or NULL and *@err. */
static struct shm_slot *mine(const struct shr_table *table, uint32_t index, uint32_t *seen, int *err)
{
	struct shm_slot *slot;

	*err = 0;
	if (!table->me || index >= table->view.is.slots) {
		*err = table_refuse(table, index);
		return NULL;
	}
	slot = table_slot(&table->view, index);
	if (mutex_word_held(&slot->lock, table->me, seen)) {
		*err = shr_fail(EPERM, "this thread is not inside an update of slot %u", index);
		return NULL;
	}
	return slot;
}

/* Is the key in the record @at what it was? */
static int key_kept(const struct table_view *view, struct shm_slot *slot, const uint8_t *record)
{
	const uint8_t *kept = table_key_of(view, slot), *now = record + view->is.key_offset;
	struct table_key key;

	if (view->is.key_size == sizeof(uint64_t) && !view->is.key_text)
		return !memcmp(kept, now, sizeof(uint64_t));
	if (!memcmp(kept, now, view->is.key_size))
		return 1;
	table_key_from(&view->is, record, &key);
	return !memcmp(kept, key.bytes, view->is.key_size);
}

int shr_table_commit(struct shr_table *table, uint32_t index)
{
	const struct table_view *view = &table->view;
	struct shm_slot *slot;
	uint32_t seen;
	uint8_t *record;
	int err;

	slot = mine(table, index, &seen, &err);
	if (!slot)
		return err;
	if (view->is.key_field) {
		record = table_copy(view, slot,
				    atomic_load_explicit(&slot->sequence, memory_order_relaxed) + 1);
		if (!key_kept(view, slot, record)) {
			err = shr_fail(EINVAL, "the key of a record does not change: remove and insert");
			if (view->is.mode == SHR_TABLE_ATOMIC) {
				table_unlock(table, slot, 0);
				return err;
			}
			memcpy(record + view->is.key_offset, table_key_of(view, slot), view->is.key_size);
		}
	}
	publish(table, slot, seen);
	return err;
}

int shr_table_abort(struct shr_table *table, uint32_t index)
{
	struct shm_slot *slot;
	uint32_t seen;
	int err;

	slot = mine(table, index, &seen, &err);
	if (!slot)
		return err;
	if (table->view.is.mode != SHR_TABLE_IN_PLACE) {
		table_unlock(table, slot, 0);
		return 0;
	}
	if (!(seen & MUTEX_DIRTY))
		return shr_fail(EOPNOTSUPP, "an update in place cannot be undone: commit it");
	table_unlock(table, slot, 1);
	return 0;
}

/* Does the @size bytes' record have the key of @slot, or none at all? */
static int write_keeps_key(const struct table_view *view, struct shm_slot *slot, const void *record,
			   size_t size)
{
	if (!view->is.key_field || size <= view->is.key_offset)
		return 1;
	return size >= (size_t)view->is.key_offset + view->is.key_size && key_kept(view, slot, record);
}

int shr_table_write(struct shr_table *table, uint32_t index, const void *record, size_t size)
{
	const struct table_view *view = &table->view;
	struct shm_slot *slot;
	int whole, err = can_begin(table);
	void *to;

	if (!err)
		err = lock_slot(table, index, SHR_FOREVER);
	if (err)
		return err;
	slot = table_slot(view, index);
	whole = size >= view->is.record_size;
	if (!write_keeps_key(view, slot, record, size)) {
		table_unlock(table, slot, is_torn(table, slot));
		return shr_fail(EINVAL, "the key of a record does not change: remove and insert");
	}
	if (!whole && is_torn(table, slot)) {
		table_unlock(table, slot, 1);
		return torn(index);
	}
	open_record(table, slot, whole, &to);
	table_copy_bytes(to, record, whole ? (size_t)view->is.record_size : size);
	publish(table, slot, atomic_load_explicit(&slot->lock.word, memory_order_relaxed));
	return 0;
}

/* --- For the segment --------------------------------------------------------- */

void table_sweep(void *object, const struct shm_object *entry, uint32_t dead)
{
	struct table_view view;

	if (table_geometry(&view.is, entry))
		return;
	view_make(&view, object);
	/* changed:A. It may have inserted and not told. Pairs with watched:A. */
	if (mutex_word_owner(&view.shm->lock) == dead)
		event_notify(&view.shm->event, 0, INT_MAX);
	mutex_word_orphan(&view.shm->lock, dead);
	for (uint32_t i = 0; i < view.is.slots; i++) {
		struct shm_slot *slot = table_slot(&view, i);

		if (mutex_word_owner(&slot->lock) != dead)
			continue;
		/* changed:A. It may have committed and not told. Pairs with watched:A. */
		event_notify(&view.shm->event, 0, INT_MAX);
		mutex_word_orphan(&slot->lock, dead);
	}
}

void table_wake(void *object, const struct shm_object *entry)
{
	struct table_view view;

	if (table_geometry(&view.is, entry))
		return;
	view_make(&view, object);
	event_wake(&view.shm->event, INT_MAX);
	event_notify(&view.shm->lock.event, 0, INT_MAX);
	for (uint32_t i = 0; i < view.is.slots; i++)
		event_notify(&table_slot(&view, i)->lock.event, 0, INT_MAX);
}
