/* SPDX-License-Identifier: MIT */
/* The handle of an attached segment, for the layers above L1. */
#ifndef LIB_ATTACHED_H
#define LIB_ATTACHED_H

#include <sys/types.h>

#include <shmring/segment.h>

#include "handle.h"
#include "layout.h"

#define SEGMENT_TAG 0x53484d52u

struct fork_entry;

struct shr_segment {
	uint32_t tag; /* 0 in a child */
	int created;
	char *base; /* the whole segment, read-write, not there in a child */
	size_t size;
	struct object object;
	int door; /* of the file with the bytes of life, to open fresh ones from */
	char door_path[PATH_MAX]; /* of that file; "": none */
	void *pin; /* a page of that file, where it is not the segment itself; or NULL */
	int life; /* -1, or the token's, where the mapping does not pin it */
	uint32_t slot;
	_Atomic uint32_t users; /* rings open on it */
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
 * What the kinds of object add to a segment (kinds.c). @object is the first
 * byte in a mapping, or for kind_init() a zeroed page that will be it.
 */
int kind_known(uint32_t kind);
void kind_init(void *object, const struct shm_object *entry);
/* Mend what the dead owner @slot left. Its byte is held. Idempotent. */
int kind_sweep(void *object, const struct shm_object *entry, const struct shr_segment *segment,
	       uint32_t slot);
/* Wake whoever sleeps in it: the segment is obsolete. */
void kind_wake(void *object, const struct shm_object *entry);

#endif
