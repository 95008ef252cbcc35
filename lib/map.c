/* SPDX-License-Identifier: MIT */
/*
 * L0: open or create, reserve, map.
 *
 * Create or open: a bare O_CREAT on an existing name is EACCES under
 * fs.protected_regular even for root. So: open plainly; if there is none,
 * build an unnamed file and link it; if the name is taken by then, again.
 */
#include "map_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <shmring/map.h>

#include "error.h"

#define CREATE_TRIES 1000
#define RESERVE_CHUNK ((uint64_t)1 << 20)
#define GROW_LOCK_BYTE (((int64_t)1 << 40) - 2)

struct shr_map {
	void *base;	/* what mmap gave, page aligned */
	size_t length;	/* of that */
	size_t before;	/* bytes from base to the caller's first byte */
	int fd;
	int created;
};

struct request {
	int flags;	  /* for open(2), without O_CREAT */
	int creates;
	int exact;
	int writes;
	uint32_t perms;
	uint64_t offset, size;
};

int map_open_file(const char *path, int flags, struct stat *st)
{
	int fd, err;

	/* O_NONBLOCK: a FIFO must not hang us; no effect on a regular file. */
	fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		err = errno;
		if (err == EISDIR || err == ENXIO)
			err = EMEDIUMTYPE;
		return shr_fail(err, "cannot open %.200s: %s", path, strerror(err));
	}
	if (fstat(fd, st) < 0) {
		err = errno;
		close(fd);
		return shr_fail(err, "cannot stat %.200s: %s", path, strerror(err));
	}
	if (!S_ISREG(st->st_mode)) {
		close(fd);
		return shr_fail(EMEDIUMTYPE, "%.200s is not a regular file", path);
	}
	return fd;
}

static int unnamed_temporary(struct map_unnamed *file, const struct shr_path *path, uint32_t perms)
{
	for (int i = 0; i < 100; i++) {
		uint64_t number;
		int n;

		if (getrandom(&number, sizeof(number), 0) != sizeof(number))
			return -errno;
		n = snprintf(file->temporary, sizeof(file->temporary), "%s/.shmring-%016llx",
			     path->dir, (unsigned long long)number);
		if (n >= (int)sizeof(file->temporary))
			return -ENAMETOOLONG;
		file->fd = open(file->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
				perms);
		if (file->fd >= 0)
			return 0;
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

int map_unnamed_open(struct map_unnamed *file, const struct shr_path *path, uint32_t perms,
		     int exact)
{
	int err = 0;

	file->temporary[0] = '\0';
	file->fd = open(path->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, perms);
	if (file->fd < 0) {
		err = -errno;
		if (err == -EOPNOTSUPP || err == -EISDIR || err == -EINVAL)
			err = unnamed_temporary(file, path, perms);
	}
	if (file->fd < 0) {
		file->temporary[0] = '\0';
		return shr_fail(-err, "cannot create a file in %.200s: %s", path->dir, strerror(-err));
	}
	if (exact && fchmod(file->fd, perms) < 0) {
		err = errno;
		map_unnamed_close(file);
		return shr_fail(err, "cannot set permissions %o: %s", perms, strerror(err));
	}
	return 0;
}

int map_unnamed_publish(struct map_unnamed *file, const struct shr_path *path)
{
	char link_path[64];
	int err;

	if (file->temporary[0]) {
		if (link(file->temporary, path->path) < 0)
			return errno == EEXIST ? -EEXIST
					       : shr_fail(errno, "cannot name %.200s: %s",
							  path->path, strerror(errno));
		unlink(file->temporary);
		file->temporary[0] = '\0';
		return 0;
	}
	snprintf(link_path, sizeof(link_path), "/proc/self/fd/%d", file->fd);
	if (!linkat(AT_FDCWD, link_path, AT_FDCWD, path->path, AT_SYMLINK_FOLLOW))
		return 0;
	err = errno;
	/* Without /proc: newer kernels allow the opener, older ones only root. */
	if (err == ENOENT && !linkat(file->fd, "", AT_FDCWD, path->path, AT_EMPTY_PATH))
		return 0;
	if (err == ENOENT)
		err = errno;
	if (err == EEXIST)
		return -EEXIST;
	return shr_fail(err, "cannot name %.200s: %s", path->path, strerror(err));
}

void map_unnamed_close(struct map_unnamed *file)
{
	if (file->temporary[0])
		unlink(file->temporary);
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

/* A filesystem that cannot reserve: only grow, under a lock, never shrink. */
static int grow_only(int fd, uint64_t end)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = GROW_LOCK_BYTE, .l_len = 1};
	struct stat st;
	int err = 0;

	for (int i = 0; fcntl(fd, F_OFD_SETLK, &lock) < 0; i++) {
		if ((errno != EAGAIN && errno != EACCES) || i == 1000)
			return -errno;
		usleep(1000);
	}
	if (fstat(fd, &st) < 0 || ((uint64_t)st.st_size < end && ftruncate(fd, (off_t)end) < 0))
		err = -errno;
	lock.l_type = F_UNLCK;
	fcntl(fd, F_OFD_SETLK, &lock);
	return err;
}

int map_reserve(int fd, uint64_t from, uint64_t end)
{
	struct rlimit limit;
	struct stat st;
	uint64_t at = from;

	if (end > INT64_MAX)
		return shr_fail(EOVERFLOW, "an object of %llu bytes is not possible",
				(unsigned long long)end);
	if (fstat(fd, &st) < 0)
		return shr_fail(errno, "cannot stat: %s", strerror(errno));
	/* Over the limit the kernel would send SIGXFSZ, so look first. */
	if (end > (uint64_t)st.st_size && !getrlimit(RLIMIT_FSIZE, &limit) &&
	    limit.rlim_cur != RLIM_INFINITY && end > limit.rlim_cur)
		return shr_fail(EFBIG, "%llu bytes are over this process's limit of file size (%llu)",
				(unsigned long long)end, (unsigned long long)limit.rlim_cur);
	while (at < end) {
		uint64_t chunk = end - at < RESERVE_CHUNK ? end - at : RESERVE_CHUNK;
		int err = fallocate(fd, 0, (off_t)at, (off_t)chunk) < 0 ? errno : 0;

		if (err == EINTR)
			continue; /* the chunk starts again: it is short enough to end */
		if (err == EOPNOTSUPP || err == ENODEV || err == ENOSYS) {
			err = -grow_only(fd, end);
			return err ? shr_fail(err, "cannot grow to %llu bytes: %s",
					      (unsigned long long)end, strerror(err))
				   : 0;
		}
		if (err)
			return shr_fail(err, "cannot reserve %llu bytes: %s",
					(unsigned long long)end, strerror(err));
		at += chunk;
	}
	return 0;
}

static int parse_mode(const char *mode, struct request *request)
{
	*request = (struct request){0};
	if (!mode || !strcmp(mode, "<")) {
		request->flags = O_RDONLY;
		return 0;
	}
	request->flags = O_RDWR;
	request->writes = 1;
	if (!strcmp(mode, ">") || !strcmp(mode, "+>"))
		request->creates = 1;
	else if (strcmp(mode, "+<"))
		return shr_fail(EINVAL, "unknown mode \"%.20s\": it is one of < +< > +>", mode);
	return 0;
}

static int parse_options(const struct shr_map_options *options, struct request *request)
{
	struct shr_map_options own = {.struct_size = sizeof(own)};
	const int known = O_EXCL | O_TRUNC | SHR_MAP_EXACT_PERMS;
	int err;

	if (options) {
		err = shr_options_check(options, options->struct_size, sizeof(own));
		if (err)
			return err;
		memcpy(&own, options,
		       options->struct_size < sizeof(own) ? options->struct_size : sizeof(own));
	}
	if (own.offset < 0)
		return shr_fail(EINVAL, "the offset is negative");
	if (own.flags & ~known)
		return shr_fail(EINVAL, "flags may be O_EXCL, O_TRUNC and SHR_MAP_EXACT_PERMS only");
	if ((own.flags & O_TRUNC) && !request->writes)
		return shr_fail(EINVAL, "O_TRUNC with mode \"<\" would destroy what it reads");
	if ((own.flags & O_EXCL) && !request->creates)
		return shr_fail(EINVAL, "O_EXCL needs a mode that creates: > or +>");
	if (own.perms & ~07777u)
		return shr_fail(EINVAL, "permissions %o are over 7777", own.perms);
	if (request->creates && !own.size)
		return shr_fail(EINVAL, "a mode that creates needs a size");
	if (own.size > SIZE_MAX - 4096 * 16 || own.size > (uint64_t)INT64_MAX - (uint64_t)own.offset)
		return shr_fail(EOVERFLOW, "offset and size add up to more than is possible here");
	request->flags |= own.flags & (O_EXCL | O_TRUNC);
	request->exact = !!(own.flags & SHR_MAP_EXACT_PERMS);
	request->perms = own.perms ? own.perms : 0600;
	request->offset = (uint64_t)own.offset;
	request->size = own.size;
	return 0;
}

/* Find the size to map and, where it is to be written, the memory for it. */
static int settle_size(int fd, struct request *request)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return shr_fail(errno, "cannot stat: %s", strerror(errno));
	if (!request->size) {
		if ((uint64_t)st.st_size <= request->offset)
			return shr_fail(ENODATA, "the object has %lld bytes: nothing at offset %llu",
					(long long)st.st_size, (unsigned long long)request->offset);
		request->size = (uint64_t)st.st_size - request->offset;
		if (request->size > SIZE_MAX - 4096 * 16)
			return shr_fail(EOVERFLOW, "the object is larger than this process can map");
	}
	if (!request->writes && request->offset + request->size > (uint64_t)st.st_size)
		return shr_fail(ERANGE, "the object has %lld bytes, not the %llu asked for",
				(long long)st.st_size,
				(unsigned long long)(request->offset + request->size));

	if (request->writes)
		return map_reserve(fd, request->offset, request->offset + request->size);
	return 0;
}

static int open_existing(const struct shr_path *path, struct request *request)
{
	struct stat st;
	int fd, err;

	fd = map_open_file(path->path, request->flags & ~(O_EXCL | O_TRUNC), &st);
	if (fd < 0)
		return fd;
	if ((request->flags & O_TRUNC) && ftruncate(fd, 0) < 0) {
		err = shr_fail(errno, "cannot truncate: %s", strerror(errno));
		goto close_fd;
	}
	err = settle_size(fd, request);
	if (err)
		goto close_fd;
	return fd;
close_fd:
	close(fd);
	return err;
}

static int create_new(const struct shr_path *path, struct request *request)
{
	struct map_unnamed file;
	int err;

	err = map_unnamed_open(&file, path, request->perms, request->exact);
	if (err)
		return err;
	err = map_reserve(file.fd, 0, request->offset + request->size);
	if (!err)
		err = map_unnamed_publish(&file, path);
	if (err) {
		map_unnamed_close(&file);
		return err;
	}
	return file.fd;
}

/* A descriptor of the object, as large as it must be. */
static int open_or_create(const struct shr_path *path, struct request *request, int *created)
{
	int fd = -EEXIST;

	*created = 0;
	if (!request->creates)
		return open_existing(path, request);
	for (int i = 0; i < CREATE_TRIES; i++) {
		if (!(request->flags & O_EXCL)) {
			fd = open_existing(path, request);
			if (fd != -ENOENT)
				return fd;
		} else if (faccessat(AT_FDCWD, path->path, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
			fd = -EEXIST;
			break;
		}
		fd = create_new(path, request);
		if (fd >= 0)
			*created = 1;
		if (fd != -EEXIST || (request->flags & O_EXCL))
			break;
	}
	if (fd == -EEXIST)
		shr_fail(EEXIST, "%.200s exists already", path->path);
	return fd;
}

/* Take back a create whose map failed, if the name is still this object. */
static void undo_create(int fd, const struct shr_path *path)
{
	struct stat own, named;

	if (!fstat(fd, &own) && !lstat(path->path, &named) && own.st_ino == named.st_ino &&
	    own.st_dev == named.st_dev)
		unlink(path->path);
}

int shr_map_open(struct shr_map **result, const char *name, const char *mode,
		 const struct shr_map_options *options)
{
	struct request request;
	struct shr_path path;
	struct shr_map *map;
	int err;

	if (!result)
		return shr_fail(EINVAL, "no place for the handle");
	if (*result)
		return shr_fail(EBUSY, "the handle is in use: close it, or set it to NULL first");
	err = parse_mode(mode, &request);
	if (!err)
		err = parse_options(options, &request);
	if (!err)
		err = name_resolve(name, &path);
	if (err)
		return err;
	map = calloc(1, sizeof(*map));
	if (!map)
		return shr_fail(ENOMEM, "out of memory");
	map->fd = open_or_create(&path, &request, &map->created);
	if (map->fd < 0) {
		err = map->fd;
		goto free_map;
	}
	map->before = request.offset % (uint64_t)sysconf(_SC_PAGESIZE);
	map->length = (size_t)request.size + map->before;
	map->base = mmap(NULL, map->length, PROT_READ | (request.writes ? PROT_WRITE : 0),
			 MAP_SHARED, map->fd, (off_t)(request.offset - map->before));
	if (map->base == MAP_FAILED) {
		err = shr_fail(errno, "cannot map %llu bytes: %s", (unsigned long long)request.size,
			       strerror(errno));
		goto undo;
	}
	*result = map;
	return 0;
undo:
	if (map->created)
		undo_create(map->fd, &path);
	close(map->fd);
free_map:
	free(map);
	return err;
}

void shr_map_close(struct shr_map *map)
{
	if (!map)
		return;
	munmap(map->base, map->length);
	close(map->fd);
	free(map);
}

void *shr_map_address(const struct shr_map *map)
{
	return (char *)map->base + map->before;
}

size_t shr_map_size(const struct shr_map *map)
{
	return map->length - map->before;
}

int shr_map_fd(const struct shr_map *map)
{
	return map->fd;
}

int shr_map_created(const struct shr_map *map)
{
	return map->created;
}

int shr_map_unlink(const char *name)
{
	struct shr_path path;
	int err = name_resolve(name, &path);

	if (err)
		return err;
	if (unlink(path.path) < 0)
		return shr_fail(errno, "cannot remove %.200s: %s", path.path, strerror(errno));
	return 0;
}
