/* SPDX-License-Identifier: MIT */
/*
 * The object behind a segment.
 *
 * Life. A member proves that it lives by a lock on a byte of a file (member.c).
 * That is the segment's own file where that can be locked. A System V segment
 * has no file, and some filesystems have no locks: there a companion file in
 * /dev/shm is locked, named after the epoch of the segment, which is random and
 * stands in its header. Which of both it is, is decided when the segment is
 * made and stands in the header, so that all members lock the same.
 *
 * Crash. The companion is there before the segment can be seen and is removed
 * after it. Who dies between leaves a companion of 32 bytes that nobody needs.
 */
#include "object.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "error.h"
#include "format.h"

#define LIFE_MAGIC "SHRLIFE"
#define LIFE_PREFIX ".shmring-life-"

struct life_contents {
	char magic[8];
	uint64_t epoch;
	uint64_t ipc_namespace;
	int64_t id; /* System V, else -1 */
};

static int open_sysv(struct object *object, const struct name *name, int writes)
{
	struct shmid_ds ds;
	int err = 0;

	object->id = sysv_find(name, &ds);
	if (object->id < 0)
		return object->id;
	if (ds.shm_perm.mode & SHM_DEST)
		return shr_fail(ENOENT, "System V segment %d is removed", object->id);
	object->size = ds.shm_segsz;
	object->named = 1;
	object->base = sysv_attach(object->id, writes, &err);
	if (!err && madvise(object->base, (size_t)object->size, MADV_DONTFORK) < 0) {
		err = shr_fail(errno, "cannot keep the segment from children: %s", strerror(errno));
		shmdt(object->base);
	}
	return err;
}

int object_open(struct object *object, const struct name *name, enum object_use use)
{
	int writes = use == OBJECT_MAP_TO_WRITE, seals;
	struct stat st;

	*object = (struct object){.backend = name->backend, .fd = -1, .id = -1};
	if (name->backend == SHR_BACKEND_SYSV)
		return open_sysv(object, name, writes);
	if (name->backend == SHR_BACKEND_ANON)
		return shr_fail(ENOENT, "anonymous memory has no name to open it by: pass its "
					"descriptor and open fd:N");
	if (name->backend == SHR_BACKEND_FD)
		object->fd = map_open_fd(name->fd, writes ? O_RDWR : O_RDONLY, &st);
	else
		object->fd = map_open_file(name->path, writes ? O_RDWR : O_RDONLY, &st);
	if (object->fd < 0)
		return object->fd;
	object->size = (uint64_t)st.st_size;
	object->named = name->backend != SHR_BACKEND_FD || st.st_nlink;
	seals = object->named || use == OBJECT_READ ? F_SEAL_SHRINK : fcntl(object->fd, F_GET_SEALS);
	if (seals >= 0 && seals & F_SEAL_SHRINK)
		return 0;
	close(object->fd);
	return shr_fail(EPERM, "descriptor %d is of memory without a name that others may shrink: "
			       "seal it (F_SEAL_SHRINK)", name->fd);
}

void object_close(struct object *object)
{
	if (object->fd >= 0)
		close(object->fd);
	if (object->base)
		shmdt(object->base);
	object->fd = -1;
	object->base = NULL;
}

int object_read(const struct object *object, void *buffer, size_t size, uint64_t offset)
{
	size_t done = 0;

	if (object->fd < 0) {
		if (offset > object->size || size > object->size - offset)
			return shr_fail(ENODATA, "truncated: the segment ends before byte %llu",
					(unsigned long long)(offset + size));
		memcpy(buffer, object->base + offset, size);
		return 0;
	}
	while (done < size) {
		ssize_t n = pread(object->fd, (char *)buffer + done, size - done,
				  (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return shr_fail(errno, "cannot read the segment: %s", strerror(errno));
		if (!n)
			return shr_fail(ENODATA, "truncated: the file ends before byte %llu",
					(unsigned long long)(offset + size));
		done += (size_t)n;
	}
	return 0;
}

int object_write(const struct object *object, const void *data, size_t size, uint64_t offset)
{
	size_t done = 0;

	if (object->fd < 0) {
		if (offset > object->size || size > object->size - offset)
			return shr_fail(ERANGE, "the segment has %llu bytes",
					(unsigned long long)object->size);
		memcpy(object->base + offset, data, size);
		return 0;
	}
	while (done < size) {
		ssize_t n = pwrite(object->fd, (const char *)data + done, size - done,
				   (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return shr_fail(n ? errno : EIO, "cannot write the segment: %s",
					strerror(n ? errno : EIO));
		done += (size_t)n;
	}
	return 0;
}

int object_map(const struct object *object, void **result, size_t size, int writes)
{
	void *base;
	int err = 0;

	if (object->fd < 0)
		base = sysv_attach(object->id, writes, &err);
	else
		base = mmap(NULL, size, writes ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, object->fd, 0);
	if (base == MAP_FAILED)
		err = shr_fail(errno, "cannot map %zu bytes: %s", size, strerror(errno));
	if (err)
		return err;
	if (madvise(base, size, MADV_DONTFORK) < 0) {
		err = shr_fail(errno, "cannot keep the map from children: %s", strerror(errno));
		object_unmap(object, base, size);
		return err;
	}
	*result = base;
	return 0;
}

void object_unmap(const struct object *object, void *base, size_t size)
{
	if (object->fd < 0)
		shmdt(base);
	else
		munmap(base, size);
}

int object_gone(const struct object *object)
{
	struct shmid_ds ds;
	struct stat st;

	if (!object->named)
		return 0;
	if (object->fd >= 0)
		return !fstat(object->fd, &st) && !st.st_nlink;
	if (shmctl(object->id, IPC_STAT, &ds) < 0)
		return errno == EINVAL || errno == EIDRM;
	return !!(ds.shm_perm.mode & SHM_DEST);
}

uint32_t object_owner(const struct object *object)
{
	struct shmid_ds ds;
	struct stat st;

	if (object->fd >= 0)
		return fstat(object->fd, &st) ? UINT32_MAX : st.st_uid;
	return shmctl(object->id, IPC_STAT, &ds) < 0 ? UINT32_MAX : ds.shm_perm.uid;
}

/* --- Making one -------------------------------------------------------------- */

static int create_sysv(struct object_new *made, const struct name *name, uint64_t size, uint32_t perms)
{
	const struct sysv_create create = {.size = size, .perms = perms};
	struct object *object = &made->object;
	int err = 0;

	object->id = sysv_create(name, &create, &made->gate);
	if (object->id < 0)
		return object->id;
	object->named = 1;
	object->base = sysv_attach(object->id, 1, &err);
	if (!err && madvise(object->base, (size_t)size, MADV_DONTFORK) < 0)
		err = shr_fail(errno, "cannot keep the segment from children: %s", strerror(errno));
	return err;
}

int object_create(struct object_new *made, const struct name *name, uint64_t size, uint32_t perms,
		  int exact)
{
	int err;

	*made = (struct object_new){
		.object = {.backend = name->backend, .fd = -1, .id = -1, .size = size},
		.file = {.fd = -1},
		.gate = {.fd = -1}};
	switch (name->backend) {
	case SHR_BACKEND_SYSV:
		err = create_sysv(made, name, size, perms);
		break;
	case SHR_BACKEND_FD:
		err = -EEXIST;
		break;
	case SHR_BACKEND_ANON:
		made->file.fd = err = map_open_memory(name->path, perms, 0, 0);
		break;
	default:
		err = map_unnamed_open(&made->file, name, perms, exact);
		made->object.named = 1;
	}
	if (err >= 0 && name->backend != SHR_BACKEND_SYSV) {
		made->object.fd = made->file.fd;
		err = map_reserve(made->file.fd, 0, size);
	}
	if (err < 0)
		object_abandon(made);
	return err < 0 ? err : 0;
}

static void life_name(struct name *name, uint64_t epoch)
{
	*name = (struct name){.backend = SHR_BACKEND_POSIX, .fd = -1, .id = -1};
	snprintf(name->path, sizeof(name->path), SHM_DIR "/" LIFE_PREFIX "%016llx",
		 (unsigned long long)epoch);
	strcpy(name->dir, SHM_DIR);
}

static int create_companion(struct object_new *made, uint64_t epoch, uint32_t perms, int exact)
{
	struct life_contents contents = {.magic = LIFE_MAGIC,
					 .epoch = epoch,
					 .ipc_namespace = sysv_namespace(),
					 .id = made->object.id};
	struct map_unnamed file;
	struct name name;
	int err;

	life_name(&name, epoch);
	err = map_unnamed_open(&file, &name, perms, exact);
	if (err)
		return err;
	err = map_lock_byte(file.fd, F_OFD_SETLK, F_WRLCK, MAP_NAME_BYTE);
	if (err)
		err = shr_fail(-err, "no locks in " SHM_DIR ": %s", strerror(-err));
	else if (pwrite(file.fd, &contents, sizeof(contents), 0) != sizeof(contents))
		err = shr_fail(errno ? errno : EIO, "cannot write %.100s: %s", name.path, strerror(errno));
	else
		err = map_unnamed_publish(&file, &name);
	map_unnamed_close(&file);
	if (!err)
		made->companion = name;
	return err;
}

int object_life_create(struct object_new *made, uint64_t epoch, uint32_t perms, int exact)
{
	int fd = made->object.fd, err;

	if (fd >= 0) {
		err = map_lock_byte(fd, F_OFD_SETLK, F_WRLCK, MAP_NAME_BYTE);
		if (!err) {
			map_lock_byte(fd, F_OFD_SETLK, F_UNLCK, MAP_NAME_BYTE);
			return FORMAT_LIFE_OWN;
		}
		if (!map_has_no_locks(err))
			return shr_fail(-err, "cannot lock the segment: %s", strerror(-err));
	}
	err = create_companion(made, epoch, perms, exact);
	if (!err)
		return FORMAT_LIFE_COMPANION;
	if (err == -ENOSPC || err == -EMFILE || err == -ENFILE || err == -ENOMEM)
		return err;
	return shr_fail(EOPNOTSUPP,
			"nothing here can prove who is alive: the segment has no locks, and no "
			"companion lock file can be made in " SHM_DIR ": %s",
			strerror(-err));
}

int object_publish(struct object_new *made, const struct name *name)
{
	int err = 0;

	if (name_is_path(name))
		err = map_unnamed_publish(&made->file, name);
	else if (name->backend == SHR_BACKEND_ANON &&
		 fcntl(made->file.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		err = shr_fail(errno, "cannot seal anonymous memory: %s", strerror(errno));
	if (err)
		return err;
	sysv_gate_close(&made->gate);
	made->file.fd = -1;
	made->companion.path[0] = '\0';
	return 0;
}

void object_abandon(struct object_new *made)
{
	if (made->object.base)
		shmdt(made->object.base);
	if (made->object.id >= 0)
		shmctl(made->object.id, IPC_RMID, NULL);
	if (made->companion.path[0])
		unlink(made->companion.path);
	sysv_gate_close(&made->gate);
	map_unnamed_close(&made->file);
	made->object = (struct object){.fd = -1, .id = -1};
}

/* --- Life -------------------------------------------------------------------- */

int object_life_open(const struct object *object, const struct name *name, uint32_t life,
		     uint64_t epoch, int writes, char path[PATH_MAX])
{
	struct life_contents contents;
	struct name companion;
	struct stat st;
	int fd;

	path[0] = '\0';
	if (life == FORMAT_LIFE_OWN) {
		if (object->fd < 0)
			return shr_fail(EBADMSG, "a System V segment cannot be its own lock file");
		if (name_is_path(name))
			strcpy(path, name->path);
		return object->fd;
	}
	life_name(&companion, epoch);
	fd = map_open_file(companion.path, writes ? O_RDWR : O_RDONLY, &st);
	if (fd == -ENOENT)
		return shr_fail(EOPNOTSUPP,
				"%.100s is gone, and nothing else tells who is alive in this segment",
				companion.path);
	if (fd < 0)
		return fd;
	if (pread(fd, &contents, sizeof(contents), 0) != sizeof(contents) ||
	    memcmp(contents.magic, LIFE_MAGIC, sizeof(contents.magic)) || contents.epoch != epoch ||
	    contents.id != object->id) {
		close(fd);
		return shr_fail(EOPNOTSUPP, "%.100s is not the lock file of this segment",
				companion.path);
	}
	strcpy(path, companion.path);
	return fd;
}

void object_life_close(const struct object *object, int life)
{
	if (life >= 0 && life != object->fd)
		close(life);
}

int object_unlink(const struct object *object, const struct name *name)
{
	if (object->fd < 0)
		return sysv_remove(object->id);
	if (!name_is_path(name))
		return 0;
	if (!map_still_named(object->fd, name->path))
		return shr_fail(ENOENT, "%.200s was just removed", name->path);
	if (unlink(name->path) < 0)
		return shr_fail(errno, "cannot remove %.200s: %s", name->path, strerror(errno));
	return 0;
}

void object_life_unlink(uint32_t life, uint64_t epoch)
{
	struct name companion;

	if (life == FORMAT_LIFE_OWN)
		return;
	life_name(&companion, epoch);
	unlink(companion.path);
}

int object_life_list(int (*each)(int32_t id, const char *path, int err, void *argument), void *argument)
{
	uint64_t here = sysv_namespace();
	struct dirent *entry;
	DIR *dir = opendir(SHM_DIR);
	int result = 0;

	if (!dir)
		return shr_fail(errno, "cannot list " SHM_DIR ": %s", strerror(errno));
	while (!result && (entry = readdir(dir))) {
		char path[sizeof(SHM_DIR) + NAME_MAX + 2];
		struct life_contents contents;
		struct stat st;
		int fd;

		if (strncmp(entry->d_name, LIFE_PREFIX, strlen(LIFE_PREFIX)))
			continue;
		snprintf(path, sizeof(path), SHM_DIR "/%.*s", NAME_MAX, entry->d_name);
		fd = map_open_file(path, O_RDONLY, &st);
		if (fd == -EACCES)
			result = each(-1, path, fd, argument);
		if (fd < 0)
			continue;
		if (pread(fd, &contents, sizeof(contents), 0) == sizeof(contents) &&
		    !memcmp(contents.magic, LIFE_MAGIC, sizeof(contents.magic)) && contents.id >= 0 &&
		    contents.id <= INT32_MAX && contents.ipc_namespace == here)
			result = each((int32_t)contents.id, path, 0, argument);
		close(fd);
	}
	closedir(dir);
	return result;
}
