/* SPDX-License-Identifier: MIT */
/* System V segments as a backend. The protocol of the gate is at the top of map_sysv.c. */
#ifndef LIB_MAP_SYSV_H
#define LIB_MAP_SYSV_H

#include <stdint.h>
#include <sys/shm.h>

#include "name.h"

/* Held while a new segment is not to be seen. */
struct sysv_gate {
	int fd; /* -1: none */
	struct name name;
};

struct sysv_create {
	uint64_t size;
	uint32_t perms;
	int huge;
	uint64_t huge_page_size;
};

/* The identifier of an existing segment that is not in the making, or -ENOENT, -EACCES, ... */
int sysv_find(const struct name *name, struct shmid_ds *ds);

/*
 * Make the segment of @name. With @gate openers wait from now on until
 * sysv_gate_close(). The identifier, or -EEXIST, -ENOENT by identifier, -errno.
 */
int sysv_create(const struct name *name, const struct sysv_create *create, struct sysv_gate *gate);
void sysv_gate_close(struct sysv_gate *gate);

/* Attach, or NULL with the sentence set and *@err. */
void *sysv_attach(int id, int writes, int *err);

/* shmctl(IPC_STAT), with EINVAL and EIDRM made -ENOENT. */
int sysv_stat(int id, struct shmid_ds *ds);

int sysv_remove(int id);

/* The IPC namespace of this process: an inode; 0 without /proc. */
uint64_t sysv_namespace(void);

#endif
