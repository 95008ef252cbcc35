/* SPDX-License-Identifier: MIT */
/* The handle of a plain map, for the files of L0. */
#ifndef LIB_MAP_HANDLE_H
#define LIB_MAP_HANDLE_H

#include <stddef.h>
#include <stdint.h>

#include "name.h"

struct shr_map {
	void *base;	 /* page aligned; System V: the whole segment */
	size_t length;	 /* of that */
	size_t before;	 /* bytes from base to the caller's first byte */
	size_t size;	 /* bytes from there on */
	uint64_t offset; /* of that byte in the object */
	uint64_t page;	 /* bytes of a page of the object */
	int fd;		 /* -1: System V */
	int32_t id;	 /* System V, else -1 */
	int created;
	int writes; /* the mode, not private */
	int private;
	uint64_t numa_nodes; /* as asked */
	struct name name;
};

/* What a call of shr_map_open() asks for. */
struct request {
	int flags; /* for open(2), without O_CREAT */
	int creates, writes;
	int exact, private, populate, mlock, huge_tlb, huge_advise;
	uint32_t perms, seals, numa_policy;
	uint64_t offset, size, huge_page_size, numa_nodes;
	int (*init)(void *address, size_t size, void *argument);
	void *init_argument;
};

#define MAP_NONE "there is no map"

/* map_place.c: what the caller wants of the pages. 0, or -errno with a sentence. */
int place_check(const struct shr_map *map, const struct request *request);
int place_bind(const struct shr_map *map, const struct request *request);
int place_present(const struct shr_map *map, const struct request *request);

#endif
