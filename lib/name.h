/* SPDX-License-Identifier: MIT */
/* One name syntax for every backend: from a name to where its object is. */
#ifndef LIB_NAME_H
#define LIB_NAME_H

#include <limits.h>
#include <stdint.h>

#include <shmring/map.h>

#define SHM_DIR "/dev/shm"

struct name {
	uint32_t backend;    /* SHR_BACKEND_* */
	char path[PATH_MAX]; /* POSIX, file: of the object. Anonymous: the label */
	char dir[PATH_MAX];  /* POSIX, file: the directory it lies in */
	int fd;		     /* fd: */
	int32_t key;	     /* System V: 0 is private */
	int32_t id;	     /* System V: -1, or found by this and not by the key */
};

/* Returns 0, -EINVAL, -ENAMETOOLONG or what ftok(3) says, with a sentence. */
int name_resolve(const char *text, struct name *name);

static inline int name_is_path(const struct name *name)
{
	return name->backend == SHR_BACKEND_POSIX || name->backend == SHR_BACKEND_FILE;
}

#endif
