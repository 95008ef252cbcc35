/* SPDX-License-Identifier: MIT */
/* The handle of an inspector, for inspect.c and walk.c. */
#ifndef LIB_INSPECT_H
#define LIB_INSPECT_H

#include <shmring/inspect.h>

#include "layout.h"

struct shr_inspect {
	struct object object; /* opened to read only */
	int life;	      /* of the file with the bytes of life; -1: there is none */
	int image;	      /* no segment, but a copy of one */
	struct layout layout;
	int (*progress)(uint64_t done, uint64_t total, void *argument); /* or NULL */
	void *progress_argument;
};

/* Long work, and how many bytes of it are done. */
struct inspect_work {
	const struct shr_inspect *inspect;
	uint64_t done, total;
};

/* So many more are; never more than all. 0, or -ECANCELED: whoever is told wants no more. */
int inspect_did(struct inspect_work *work, uint64_t bytes);

/* Read @size bytes at byte @offset of the file: 0, -ENODATA beyond its end, -errno. */
int inspect_read(const struct shr_inspect *inspect, void *buffer, size_t size, uint64_t offset);

/* Where in the file @fd the next byte from @offset on is that is not in a hole. */
uint64_t inspect_next_data(int fd, uint64_t offset);

/*
 * Read a number that others change. pread(2) promises nothing about how it
 * copies, so it is read until two reads agree; -EAGAIN if they never do.
 */
int inspect_read_u64(const struct shr_inspect *inspect, uint64_t *value, uint64_t offset);

/*
 * The same for a number that only grows, maybe faster than it can be read: three
 * reads in order, of which the second is given, will do too.
 */
int inspect_read_position(const struct shr_inspect *inspect, uint64_t *value, uint64_t offset);

/* The directory entry of object @index, or NULL with -ENOENT as last error. */
const struct shm_object *inspect_entry(const struct shr_inspect *inspect, uint32_t index);

#endif
