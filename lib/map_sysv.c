/* SPDX-License-Identifier: MIT */
/*
 * System V segments.
 *
 * A segment has its key from birth, so that a create with work to do before
 * others may see it needs a gate: a file in /dev/shm named after key and IPC
 * namespace, which is published holding a lock and saying who makes what size.
 *
 *	creator: gate file, lock, contents, name   then shmget(EXCL), work, unlink
 *	opener:  shmget, then no gate: whole. A gate: wait for its lock
 *
 * The gate is there before the segment and goes after the work, so who finds
 * the segment and then no gate has a whole one.
 *
 * Crash
 *	before the gate has its name   nothing was there
 *	before shmget                  the next to get the lock removes the gate
 *	before the gate is removed     the same, and the segment, if size and
 *	                               creator are those in the gate
 */
#include "map_sysv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "map_file.h"

#define GATE_MAGIC "SHRGATE"
#define TRIES 1000

#ifndef SHM_HUGETLB
#define SHM_HUGETLB 04000
#endif

struct gate_contents {
	char magic[8];
	uint64_t size;
	uint64_t pid;
};

uint64_t sysv_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/ipc", &st) < 0 ? 0 : st.st_ino;
}

static void gate_name(struct name *gate, int32_t key)
{
	*gate = (struct name){.backend = SHR_BACKEND_POSIX, .fd = -1, .id = -1};
	snprintf(gate->path, sizeof(gate->path), SHM_DIR "/.shmring-gate-%llx-%08x",
		 (unsigned long long)sysv_namespace(), (unsigned)key);
	strcpy(gate->dir, SHM_DIR);
}

int sysv_stat(int id, struct shmid_ds *ds)
{
	if (!shmctl(id, IPC_STAT, ds))
		return 0;
	if (errno == EINVAL || errno == EIDRM)
		return shr_fail(ENOENT, "there is no System V segment %d", id);
	return shr_fail(errno, "cannot stat System V segment %d: %s", id, strerror(errno));
}

int sysv_remove(int id)
{
	if (!shmctl(id, IPC_RMID, NULL))
		return 0;
	return shr_fail(errno == EINVAL || errno == EIDRM ? ENOENT : errno,
			"cannot remove System V segment %d: %s", id, strerror(errno));
}

/* The gate is ours and its maker dead: remove what it says is half-made. */
static int gate_clear(const struct name *gate, int fd, int32_t key)
{
	struct gate_contents contents = {.size = 0};
	struct shmid_ds ds;
	int id = shmget((key_t)key, 0, 0), half_made;

	if (pread(fd, &contents, sizeof(contents), 0) != sizeof(contents) ||
	    memcmp(contents.magic, GATE_MAGIC, sizeof(contents.magic)))
		return shr_fail(EBUSY, "%.100s is in the way and not ours: remove it", gate->path);
	if (id >= 0) {
		half_made = !shmctl(id, IPC_STAT, &ds) && ds.shm_segsz == contents.size &&
			    (uint64_t)ds.shm_cpid == contents.pid;
		if (!half_made)
			return shr_fail(EBUSY,
					"who made System V segment %d died in it: remove it with ipcrm -m %d, "
					"and %.100s",
					id, id, gate->path);
		if (shmctl(id, IPC_RMID, NULL) < 0 && errno != EINVAL && errno != EIDRM)
			return shr_fail(errno, "cannot remove the half-made System V segment %d: %s", id,
					strerror(errno));
	}
	unlink(gate->path);
	return 0;
}

/* 0: nobody is making the segment of @key; 1: somebody was, look again. */
static int gate_wait(int32_t key)
{
	struct name gate;
	struct stat st;
	int fd, err;

	gate_name(&gate, key);
	fd = open(gate.path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return shr_fail(errno, "%.100s, which says that this segment is being made: %s",
				gate.path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return shr_fail(EBUSY, "%.100s is in the way and not ours: remove it", gate.path);
	}
	do
		err = map_lock_byte(fd, F_OFD_SETLKW, F_WRLCK, MAP_NAME_BYTE);
	while (err == -EINTR);
	if (err)
		err = shr_fail(-err, "cannot wait for who makes the segment: %s", strerror(-err));
	else if (!map_still_named(fd, gate.path))
		err = 1;
	else
		err = gate_clear(&gate, fd, key);
	close(fd);
	return err < 0 ? err : 1;
}

static int gate_open(struct sysv_gate *gate, int32_t key, uint64_t size, uint32_t perms)
{
	struct gate_contents contents = {
		.magic = GATE_MAGIC, .size = size, .pid = (uint64_t)getpid()};
	struct map_unnamed file;
	int err;

	gate_name(&gate->name, key);
	err = map_unnamed_open(&file, &gate->name, perms, 1);
	if (err)
		return err;
	err = map_lock_byte(file.fd, F_OFD_SETLK, F_WRLCK, MAP_NAME_BYTE);
	if (!err && pwrite(file.fd, &contents, sizeof(contents), 0) != sizeof(contents))
		err = -errno;
	if (err)
		err = shr_fail(-err, "cannot write %.100s: %s", gate->name.path, strerror(-err));
	else
		err = map_unnamed_publish(&file, &gate->name);
	if (err) {
		map_unnamed_close(&file);
		return err;
	}
	gate->fd = file.fd;
	return 0;
}

void sysv_gate_close(struct sysv_gate *gate)
{
	if (gate->fd < 0)
		return;
	unlink(gate->name.path);
	close(gate->fd);
	gate->fd = -1;
}

int sysv_find(const struct name *name, struct shmid_ds *ds)
{
	for (int i = 0; i < TRIES; i++) {
		int id = name->id, err;

		if (id < 0 && !name->key)
			return shr_fail(ENOENT, "a private segment is found by its identifier: sysv:#ID");
		if (id < 0)
			id = shmget((key_t)name->key, 0, 0);
		if (id < 0)
			return shr_fail(errno, "no System V segment of key 0x%x: %s",
					(unsigned)name->key, strerror(errno));
		err = sysv_stat(id, ds);
		if (err == -ENOENT && name->id < 0)
			continue;
		if (err)
			return err;
		if (!ds->shm_perm.__key)
			return id;
		err = gate_wait((int32_t)ds->shm_perm.__key);
		if (err <= 0)
			return err ? err : id;
	}
	return shr_fail(EBUSY, "the System V segment is made and removed all the time");
}

int sysv_create(const struct name *name, const struct sysv_create *create, struct sysv_gate *gate)
{
	int flags = 0, id, err;

	if (gate)
		gate->fd = -1;
	if (name->id >= 0)
		return shr_fail(ENOENT, "there is no System V segment %d, and none can be made by number",
				name->id);
	if (create->huge) {
		flags = map_huge_flags(SHM_HUGETLB, create->huge_page_size);
		if (flags < 0)
			return flags;
	}
	if (gate && name->key) {
		err = gate_open(gate, name->key, create->size, create->perms);
		if (err == -EEXIST) {
			err = gate_wait(name->key);
			return err < 0 ? err : -EEXIST;
		}
		if (err)
			return err;
	}
	id = shmget((key_t)name->key, (size_t)create->size,
		    IPC_CREAT | IPC_EXCL | flags | (int)(create->perms & 0777));
	if (id >= 0)
		return id;
	err = errno;
	if (gate)
		sysv_gate_close(gate);
	if (err == EEXIST)
		return -EEXIST;
	if (err == EINVAL && !create->huge)
		err = EFBIG;
	return shr_fail(err, "cannot make a System V segment of %llu bytes: %s",
			(unsigned long long)create->size, strerror(err));
}

void *sysv_attach(int id, int writes, int *err)
{
	void *base = shmat(id, NULL, writes ? 0 : SHM_RDONLY);

	if (base != (void *)-1)
		return base;
	*err = errno == EINVAL || errno == EIDRM ? -ENOENT : -errno;
	shr_fail(-*err, "cannot attach System V segment %d: %s", id, strerror(-*err));
	return NULL;
}
