/* SPDX-License-Identifier: MIT */
/* One name syntax for every backend: from a name to a path. */
#ifndef LIB_NAME_H
#define LIB_NAME_H

#include <limits.h>

#define SHM_DIR "/dev/shm"

struct shr_path {
	char path[PATH_MAX]; /* of the object */
	char dir[PATH_MAX];  /* the directory it lies in */
};

/* Returns 0, -EINVAL, -ENAMETOOLONG or -EOPNOTSUPP, with a sentence. */
int name_resolve(const char *name, struct shr_path *path);

#endif
