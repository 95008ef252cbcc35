/* SPDX-License-Identifier: MIT */
/* The handle of an attached segment, for the layers above L1. */
#ifndef LIB_ATTACHED_H
#define LIB_ATTACHED_H

#include <sys/types.h>

#include <shmring/segment.h>

#include "handle.h"
#include "layout.h"

#define SEGMENT_TAG 0x53484d52u
#define SLOT_NONE UINT32_MAX

struct fork_entry;

struct shr_segment {
	uint32_t tag; /* 0 in a child */
	int created;
	int membarrier; /* may be asked for */
	int registered; /* for it: fence.h */
	char *base; /* the whole segment, read-write, not there in a child */
	size_t size;
	struct object object;
	int door; /* of the file with the bytes of life, to open fresh ones from */
	char door_path[PATH_MAX]; /* of that file; "": none */
	void *pin; /* a page of that file, where it is not the segment itself; or NULL */
	int life; /* -1, or the token's, where the mapping does not pin it */
	uint32_t slot; /* SLOT_NONE: an observer */
	_Atomic uint32_t users; /* rings, tables, mutexes and events open on it */
	_Atomic uint64_t *deaths_seen; /* a slot: shm_death.deaths that was reported */
	dev_t device;
	ino_t inode;
	struct fork_entry *fork_entry;
	struct layout layout;
};

static inline struct shm_header *segment_header(const struct shr_segment *segment)
{
	return (struct shm_header *)segment->base;
}

static inline struct shm_member *segment_member(const struct shr_segment *segment, uint32_t slot)
{
	return (struct shm_member *)(segment->base + segment->layout.header.member_offset) + slot;
}

/*
 * An object of @kind in @segment for a handle to be opened: its index in the
 * directory, checked, or -errno with a sentence. @what is for that.
 */
int segment_find(const struct shr_segment *segment, const char *name, uint32_t kind,
		 const char *what);

/* The segment @name that holds @object: mode "+<" attaches to it, "+>" creates it if absent. */
int segment_open_one(struct shr_segment **segment, const char *name, const char *mode,
		     const struct shr_object *object, const struct shr_segment_options *options);

/* The end of a handle on an object: one user less, and with @detach the segment goes, too. */
int segment_let_go(struct shr_segment *segment, int detach);

/* 0, or -ESTALE: obsolete, or @thorough and the file has no name any more. */
int segment_stale(const struct shr_segment *segment, int thorough);

/*
 * What the kinds of object add to a segment (kinds.c). @object is the first
 * byte in a mapping; kind_init() finds it zeroed, kind_check() looks at what
 * the entry says.
 */
int kind_known(uint32_t kind);
int kind_check(const struct shm_object *entry);
int kind_init(void *object, const struct shm_object *entry, uint32_t locks);
/* Mend what the dead owner @slot left. Its byte is held. Idempotent. */
int kind_sweep(void *object, const struct shm_object *entry, const struct shr_segment *segment,
	       uint32_t slot);
/* Wake whoever sleeps in it: the segment is obsolete. */
void kind_wake(void *object, const struct shm_object *entry);

/* Fill @object with the object @name of a kind that is an array of @count. */
int kind_describe(struct shr_object *object, uint32_t kind, const char *name, uint64_t count,
		  uint64_t size);

#endif
