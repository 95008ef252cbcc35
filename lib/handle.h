/* SPDX-License-Identifier: MIT */
/*
 * Memory of handles. A handle lies on pages of its own that a child made by
 * fork() finds zeroed (MADV_WIPEONFORK), so that its tag is gone there and
 * every call says -ECHILD, whatever way the child was made.
 */
#ifndef LIB_HANDLE_H
#define LIB_HANDLE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "error.h"

#define HANDLE_CHILD "the handle belongs to the parent process: open one's own after fork()"
#define HANDLE_OBSERVES "an observer's handle changes nothing: attach without SHR_SEGMENT_OBSERVE"

/* Zeroed, or NULL. */
static inline void *handle_alloc(size_t size)
{
	void *handle = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (handle == MAP_FAILED)
		return NULL;
	if (madvise(handle, size, MADV_WIPEONFORK) < 0) {
		munmap(handle, size);
		return NULL;
	}
	return handle;
}

static inline void handle_free(void *handle, size_t size)
{
	munmap(handle, size);
}

#endif
