/* SPDX-License-Identifier: MIT */
/* L0: the object behind a map: stat, owner, name, growth, seals, a word to wait on. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <shmring/map.h>

#include "error.h"
#include "event.h"
#include "map_file.h"
#include "map_handle.h"
#include "map_sysv.h"

static int64_t nanoseconds(const struct timespec *time)
{
	return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

static int stat_sysv(const struct shr_map *map, struct shr_map_status *result)
{
	struct shmid_ds ds;
	int err = sysv_stat(map->id, &ds);

	if (err)
		return err;
	*result = (struct shr_map_status){.backend = SHR_BACKEND_SYSV,
					.perms = ds.shm_perm.mode & 0777,
					.uid = ds.shm_perm.uid,
					.gid = ds.shm_perm.gid,
					.creator_uid = ds.shm_perm.cuid,
					.creator_gid = ds.shm_perm.cgid,
					.creator_pid = (uint32_t)ds.shm_cpid,
					.last_pid = (uint32_t)ds.shm_lpid,
					.key = (int32_t)ds.shm_perm.__key,
					.id = map->id,
					.size = ds.shm_segsz,
					.links = ds.shm_nattch,
					.accessed_ns = (int64_t)ds.shm_atime * 1000000000,
					.modified_ns = (int64_t)ds.shm_dtime * 1000000000,
					.changed_ns = (int64_t)ds.shm_ctime * 1000000000};
	return 0;
}

int shr_map_stat(const struct shr_map *map, struct shr_map_status *result)
{
	struct stat st;

	if (!map || !result)
		return shr_fail(EINVAL, MAP_NONE);
	if (map->fd < 0)
		return stat_sysv(map, result);
	if (fstat(map->fd, &st) < 0)
		return shr_fail(errno, "cannot stat: %s", strerror(errno));
	*result = (struct shr_map_status){.backend = map->name.backend,
					.perms = st.st_mode & 07777,
					.uid = st.st_uid,
					.gid = st.st_gid,
					.creator_uid = st.st_uid,
					.creator_gid = st.st_gid,
					.key = -1,
					.id = -1,
					.size = (uint64_t)st.st_size,
					.allocated = (uint64_t)st.st_blocks * 512,
					.links = st.st_nlink,
					.accessed_ns = nanoseconds(&st.st_atim),
					.modified_ns = nanoseconds(&st.st_mtim),
					.changed_ns = nanoseconds(&st.st_ctim),
					.device = st.st_dev,
					.inode = st.st_ino};
	return 0;
}

/* IPC_SET takes owner and permissions together. */
static int set_sysv(int id, uint32_t perms, uint32_t uid, uint32_t gid)
{
	struct shmid_ds ds;
	int err = sysv_stat(id, &ds);

	if (err)
		return err;
	if (perms <= 07777)
		ds.shm_perm.mode = (ds.shm_perm.mode & ~0777u) | (perms & 0777);
	if (uid != UINT32_MAX)
		ds.shm_perm.uid = uid;
	if (gid != UINT32_MAX)
		ds.shm_perm.gid = gid;
	if (shmctl(id, IPC_SET, &ds) < 0)
		return shr_fail(errno, "cannot set owner or permissions: %s", strerror(errno));
	return 0;
}

int shr_map_chmod(const struct shr_map *map, uint32_t perms)
{
	if (!map)
		return shr_fail(EINVAL, MAP_NONE);
	if (perms > 07777)
		return shr_fail(EINVAL, "permissions %o are over 7777", perms);
	if (map->fd < 0)
		return set_sysv(map->id, perms, UINT32_MAX, UINT32_MAX);
	if (fchmod(map->fd, perms) < 0)
		return shr_fail(errno, "cannot set permissions %o: %s", perms, strerror(errno));
	return 0;
}

int shr_map_chown(const struct shr_map *map, uint32_t uid, uint32_t gid)
{
	if (!map)
		return shr_fail(EINVAL, MAP_NONE);
	if (map->fd < 0)
		return set_sysv(map->id, UINT32_MAX, uid, gid);
	if (fchown(map->fd, uid, gid) < 0)
		return shr_fail(errno, "cannot set owner %d and group %d: %s", (int)uid, (int)gid,
				strerror(errno));
	return 0;
}

static int no_name(const struct name *name)
{
	return shr_fail(EOPNOTSUPP, "%s has no name to remove",
			name->backend == SHR_BACKEND_ANON ? "anonymous memory" : "a descriptor");
}

int shr_map_unlink(const char *text)
{
	struct shmid_ds ds;
	struct name name;
	int id, err = name_resolve(text, &name);

	if (err)
		return err;
	if (name.backend == SHR_BACKEND_SYSV) {
		id = sysv_find(&name, &ds);
		return id < 0 ? id : sysv_remove(id);
	}
	if (!name_is_path(&name))
		return no_name(&name);
	if (unlink(name.path) < 0)
		return shr_fail(errno, "cannot remove %.200s: %s", name.path, strerror(errno));
	return 0;
}

static int unlink_own_sysv(const struct shr_map *map)
{
	struct shmid_ds ds;
	int err = sysv_stat(map->id, &ds), id;

	if (err)
		return err;
	/* Marked for removal: its key is free, or another's by now. */
	if (ds.shm_perm.mode & SHM_DEST) {
		id = map->name.key ? shmget((key_t)map->name.key, 0, 0) : -1;
		return id < 0 ? shr_fail(ENOENT, "System V segment %d is removed already", map->id)
			      : shr_fail(ESTALE, "the key is that of System V segment %d now", id);
	}
	return sysv_remove(map->id);
}

int shr_map_unlink_own(const struct shr_map *map)
{
	struct stat st;
	int fd, err;

	if (!map)
		return shr_fail(EINVAL, MAP_NONE);
	if (map->fd < 0)
		return unlink_own_sysv(map);
	if (!name_is_path(&map->name))
		return no_name(&map->name);
	/* Of one's own, so that the lock is not shared with a child; writable, as a lock needs. */
	fd = map_open_file(map->name.path, O_RDWR, &st);
	if (fd < 0)
		return fd;
	err = map_lock_name(fd);
	if (err && map_has_no_locks(err))
		err = 0;
	if (!err && !map_still_named(map->fd, map->name.path))
		err = shr_fail(ESTALE, "%.200s is another object now", map->name.path);
	if (!err && unlink(map->name.path) < 0)
		err = shr_fail(errno, "cannot remove %.200s: %s", map->name.path, strerror(errno));
	close(fd);
	return err;
}

/* --- Growth ----------------------------------------------------------------- */

int shr_map_generation(const struct shr_map *map, uint64_t *generation)
{
	struct shr_map_status stat;
	int err = shr_map_stat(map, &stat);

	if (!err)
		*generation = stat.size;
	return err;
}

int shr_map_remap(struct shr_map *map, uint64_t size)
{
	struct shr_map_status stat;
	size_t length;
	void *base;
	int err = shr_map_stat(map, &stat);

	if (err)
		return err;
	if (size > SIZE_MAX / 2 || size > (uint64_t)INT64_MAX - map->offset)
		return shr_fail(EOVERFLOW, "%llu bytes are more than can be mapped here",
				(unsigned long long)size);
	if (!size && stat.size <= map->offset)
		return shr_fail(ENODATA, "the object has %llu bytes: nothing is left of the map",
				(unsigned long long)stat.size);
	if (!size)
		size = stat.size - map->offset;
	if (size > SIZE_MAX / 2)
		return shr_fail(EOVERFLOW, "the object is larger than this process can map");
	if (map->offset + size > stat.size && (map->fd < 0 || !map->writes))
		return shr_fail(ERANGE, "the object has %llu bytes, and the map cannot grow it",
				(unsigned long long)stat.size);
	if (map->fd < 0) { /* the whole segment is mapped as it is */
		map->size = (size_t)size;
		return 0;
	}
	if (map->writes) {
		err = map_reserve(map->fd, map->offset, map->offset + size);
		if (err)
			return err;
	}
	length = (size_t)((size + map->before + map->page - 1) / map->page * map->page);
	base = mremap(map->base, map->length, length, MREMAP_MAYMOVE);
	if (base == MAP_FAILED)
		return shr_fail(errno, "cannot map %llu bytes: %s", (unsigned long long)size,
				strerror(errno));
	map->base = base;
	map->length = length;
	map->size = (size_t)size;
	return 0;
}

/* --- Seals ------------------------------------------------------------------ */

int shr_map_seal(const struct shr_map *map, uint32_t seals)
{
	if (!map)
		return shr_fail(EINVAL, MAP_NONE);
	if (map->fd < 0 || fcntl(map->fd, F_GET_SEALS) < 0)
		return shr_fail(EOPNOTSUPP, "only anonymous memory has seals");
	if (fcntl(map->fd, F_ADD_SEALS, seals) < 0)
		return shr_fail(errno, "cannot add seals 0x%x: %s", seals, strerror(errno));
	return 0;
}

int shr_map_seals(const struct shr_map *map, uint32_t *seals)
{
	int have;

	if (!map || !seals)
		return shr_fail(EINVAL, MAP_NONE);
	have = map->fd < 0 ? -1 : fcntl(map->fd, F_GET_SEALS);
	*seals = have < 0 ? 0 : (uint32_t)have;
	return 0;
}

/* --- A word to wait on ------------------------------------------------------ */

static int word_at(const struct shr_map *map, size_t offset, uint32_t **word)
{
	*word = NULL;
	if (!map)
		return shr_fail(EINVAL, MAP_NONE);
	if (map->private)
		return shr_fail(EOPNOTSUPP, "a private map is nobody else's: none can notify");
	*word = (uint32_t *)(void *)((char *)map->base + map->before + offset);
	if (offset > map->size || map->size - offset < sizeof(**word))
		return shr_fail(ERANGE, "the map has %zu bytes", map->size);
	if ((uintptr_t)*word % sizeof(**word))
		return shr_fail(EINVAL, "a word to wait on is aligned to 4 bytes");
	return 0;
}

int shr_map_wait(const struct shr_map *map, size_t offset, uint32_t value, int64_t deadline_ns)
{
	uint32_t *word;
	int err = word_at(map, offset, &word);

	if (err)
		return err;
	if (deadline_ns < 0)
		return -ETIMEDOUT;
	err = event_futex_wait(word, value, deadline_ns);
	if (!err || err == -EAGAIN)
		return 0;
	if (err == -ETIMEDOUT || err == -EINTR)
		return err;
	return shr_fail(-err, "cannot wait: %s", strerror(-err));
}

int shr_map_notify(const struct shr_map *map, size_t offset, int count)
{
	uint32_t *word;
	int err = word_at(map, offset, &word);

	if (err)
		return err;
	err = event_futex_wake(word, count < 0 ? INT_MAX : count);
	return err < 0 ? shr_fail(-err, "cannot notify: %s", strerror(-err)) : err;
}
