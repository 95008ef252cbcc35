/* SPDX-License-Identifier: MIT */
/* L4: what the files of the table share. The protocol is at the top of table.c. */
#ifndef LIB_TABLE_H
#define LIB_TABLE_H

#include <string.h>

#include <shmring/inspect.h>
#include <shmring/table.h>

#include "attached.h"
#include "event.h"
#include "format.h"
#include "handle.h"
#include "mutex.h"

#define TABLE_TAG 0x5441424cu
#define TABLE_COPY_ALIGN 64u

/* Where what lies, from the checked directory entry. */
struct table_geometry {
	uint32_t slots;
	uint32_t mode;
	uint32_t key_field; /* + 1; 0: no key, and all that follows of it is 0 */
	uint32_t key_offset, key_size;
	uint32_t key_at; /* in a slot */
	int key_text;
	uint64_t record_size;
	uint64_t record_at; /* in a slot */
	uint64_t copy_size; /* a multiple of 64 */
	uint64_t copy_step; /* from the copy of an even sequence to that of an odd one; 0: one copy */
	uint64_t slot_size;
	uint64_t index_size; /* entries; a power of two, or 0 */
	uint64_t slots_at;   /* in the object */
	uint64_t size;
};

struct table_view {
	struct shm_table *shm;
	shm_atomic_u64 *index;
	uint8_t *slots;
	struct table_geometry is;
};

struct shr_table {
	struct shr_table_hot_ hot; /* of an atomic table; else zero, as all is in a child */
	uint32_t tag;		   /* 0 in a child */
	int own_segment;
	struct shr_segment *segment;
	struct table_view view;
	uint32_t me; /* member number; 0: observes */
	int registered;
	const shm_atomic_u32 *obsolete;
	int too_short;	 /* the records, for the program's struct */
	uint8_t *widths; /* counters: of the integer at each 4 bytes of the record: table_counters.c */
	_Atomic int64_t looked_ns;
	struct event_fd *fd;
	_Atomic uint64_t armed; /* what shr_table_changes() was, for the descriptor */
};

/* A key as it is compared: text is zero after its end. */
struct table_key {
	uint32_t hash;
	uint8_t bytes[SHR_TABLE_KEY_MAX];
};

static inline struct shm_slot *table_slot(const struct table_view *view, uint32_t slot)
{
	return (struct shm_slot *)(void *)(view->slots + slot * view->is.slot_size);
}

static inline uint8_t *table_key_of(const struct table_view *view, struct shm_slot *slot)
{
	return (uint8_t *)slot + view->is.key_at;
}

/* The copy that is current at @sequence. */
static inline uint8_t *table_copy(const struct table_view *view, struct shm_slot *slot,
				  uint64_t sequence)
{
	return (uint8_t *)slot + view->is.record_at + (-(sequence & 1) & view->is.copy_step);
}

/* In place the half of a sequence, so that the version moves by commits only. */
static inline struct shr_slot_info table_info(const struct table_view *view, uint64_t generation,
					      uint64_t sequence)
{
	uint64_t commits = view->is.mode == SHR_TABLE_IN_PLACE ? sequence / 2 : sequence;

	return (struct shr_slot_info){generation + commits, generation, sequence};
}

static inline uint64_t table_version(const struct table_view *view, uint32_t index)
{
	struct shm_slot *slot = table_slot(view, index);
	/* read:A and used:A: whoever sees the version sees the record. */
	uint64_t generation = atomic_load_explicit(&slot->generation, memory_order_acquire);

	return table_info(view, generation,
			  atomic_load_explicit(&slot->sequence, memory_order_acquire)).version;
}

/* Both 64-byte aligned, @size a multiple of 64: without a call for what is small. */
static inline void table_copy_lines(void *to, const void *from, uint64_t size)
{
	if (size > 512) {
		memcpy(to, from, (size_t)size);
		return;
	}
	for (uint64_t at = 0; at < size; at += TABLE_COPY_ALIGN)
		memcpy(__builtin_assume_aligned((char *)to + at, TABLE_COPY_ALIGN),
		       __builtin_assume_aligned((const char *)from + at, TABLE_COPY_ALIGN),
		       TABLE_COPY_ALIGN);
}

static inline void table_copy_bytes(void *to, const void *from, size_t size)
{
	size_t at = 0;

	if (size <= 512)
		for (; at + TABLE_COPY_ALIGN <= size; at += TABLE_COPY_ALIGN)
			memcpy((char *)to + at, (const char *)from + at, TABLE_COPY_ALIGN);
	if (at < size)
		memcpy((char *)to + at, (const char *)from + at, size - at);
}

/* Of a slot's number too large, a child's or an observer's handle: why not. */
int table_refuse(const struct shr_table *table, uint32_t slot);

/* table.c. May this handle change something? In a child all of it is zero. */
static inline int table_may_write(const struct shr_table *table)
{
	if (__builtin_expect(!table->me, 0))
		return table_refuse(table, 0);
	if (__builtin_expect(atomic_load_explicit(table->obsolete, memory_order_acquire), 0))
		return segment_stale(table->segment, 0);
	return 0;
}

/*
 * Lock a used slot, of that generation: 0 (in place: look at its sequence, it may be torn), -ENOENT
 * it is not, or -errno.
 */
int table_lock(struct shr_table *table, uint32_t slot, int64_t deadline_ns);
int table_lock_generation(struct shr_table *table, uint32_t slot, uint64_t generation);
/* @leave: dirty as it is, for the next one to be told; else well. */
void table_unlock(struct shr_table *table, struct shm_slot *slot, int leave);
/* Tell whoever watches. */
void table_changed(struct shr_table *table);
/* A consistent copy, of generation @generation if that is not 0. */
int table_read(const struct table_view *view, uint32_t slot, uint64_t generation, void *buffer,
	       size_t size, struct shr_slot_info *info);

/* table_index.c. The key in @record, or one of @size bytes that is looked for: 0, -EINVAL. */
void table_key_from(const struct table_geometry *is, const void *record, struct table_key *key);
/* The hash of one whose text is zero after its end. */
uint32_t table_key_hash(const struct table_geometry *is, struct table_key *key);
int table_key_given(const struct shr_table *table, const void *bytes, size_t size,
		    struct table_key *key);
/* Its slot, and the generation it had then; -ENOENT. */
int table_key_find(const struct table_view *view, const struct table_key *key, uint32_t *slot,
		   uint64_t *generation);

/* table_counters.c: make table->widths from the schema. */
int table_counters_attach(struct shr_table *table, const struct shr_schema *schema);

/*
 * table_inspect.c: from @slot on the first of which something is not in a hole of the file:
 * the others were never used. It may be beyond the last.
 */
uint64_t table_next_slot(const struct shr_inspect *inspect, const struct shm_object *entry,
			 const struct table_geometry *is, uint64_t slot);

/* table.c, for kinds.c and table_inspect.c. */
int table_entry_check(const struct shm_object *entry);
/* 0, or -EINVAL: impossible. */
int table_geometry(struct table_geometry *is, const struct shm_object *entry);
void table_status(struct shr_table_status *status, const struct table_geometry *is,
		  const struct shm_table *shm);
void table_sweep(void *object, const struct shm_object *entry, uint32_t dead);
void table_wake(void *object, const struct shm_object *entry);

#endif
