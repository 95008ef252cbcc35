/* SPDX-License-Identifier: MIT */
/* Files: open, make without a name, publish, reserve, lock a byte. */
#include "map_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "error.h"

#define RESERVE_CHUNK ((uint64_t)1 << 20)
#define LOCK_TRIES 1000

#ifndef MFD_HUGE_SHIFT
#define MFD_HUGE_SHIFT 26
#endif

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

int map_open_fd(int fd, int flags, struct stat *st)
{
	int mode = fcntl(fd, F_GETFL), own, err;

	if (mode < 0)
		return shr_fail(errno, "descriptor %d is not open", fd);
	if (mode & O_PATH)
		return shr_fail(EBADF, "descriptor %d is open as a path only (O_PATH)", fd);
	if ((mode & O_ACCMODE) != O_RDWR && (mode & O_ACCMODE) != (flags & O_ACCMODE))
		return shr_fail(EACCES, "descriptor %d is not open for %s", fd,
				(flags & O_ACCMODE) == O_RDWR ? "reading and writing" : "reading");
	own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (own < 0)
		return shr_fail(errno, "cannot copy descriptor %d: %s", fd, strerror(errno));
	if (fstat(own, st) < 0)
		err = shr_fail(errno, "cannot stat descriptor %d: %s", fd, strerror(errno));
	else if (!S_ISREG(st->st_mode))
		err = shr_fail(EMEDIUMTYPE, "descriptor %d is not a regular file", fd);
	else
		return own;
	close(own);
	return err;
}

int map_huge_flags(int base, uint64_t huge_page_size)
{
	if (!huge_page_size)
		return base;
	if (huge_page_size & (huge_page_size - 1))
		return shr_fail(EINVAL, "pages of %llu bytes: not a power of two",
				(unsigned long long)huge_page_size);
	return base | __builtin_ctzll(huge_page_size) << MFD_HUGE_SHIFT;
}

int map_open_memory(const char *label, uint32_t perms, int huge, uint64_t huge_page_size)
{
	int flags = huge ? map_huge_flags(MFD_HUGETLB, huge_page_size) : 0, fd, err;

	if (flags < 0)
		return flags;
	fd = memfd_create(label, (unsigned)flags | MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return shr_fail(errno, "cannot make anonymous memory%s: %s",
				huge ? " of huge pages" : "", strerror(errno));
	if (fchmod(fd, perms) < 0) {
		err = shr_fail(errno, "cannot set permissions %o: %s", perms, strerror(errno));
		close(fd);
		return err;
	}
	return fd;
}

static int unnamed_temporary(struct map_unnamed *file, const struct name *name, uint32_t perms)
{
	for (int i = 0; i < 100; i++) {
		uint64_t number;
		int n;

		if (getrandom(&number, sizeof(number), 0) != sizeof(number))
			return -errno;
		n = snprintf(file->temporary, sizeof(file->temporary), "%s/.shmring-%016llx",
			     name->dir, (unsigned long long)number);
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

int map_unnamed_open(struct map_unnamed *file, const struct name *name, uint32_t perms,
		     int exact)
{
	int err = 0;

	file->temporary[0] = '\0';
	file->fd = open(name->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, perms);
	if (file->fd < 0) {
		err = -errno;
		if (err == -EOPNOTSUPP || err == -EISDIR || err == -EINVAL)
			err = unnamed_temporary(file, name, perms);
	}
	if (file->fd < 0) {
		file->temporary[0] = '\0';
		return shr_fail(-err, "cannot create a file in %.200s: %s", name->dir, strerror(-err));
	}
	if (exact && fchmod(file->fd, perms) < 0) {
		err = errno;
		map_unnamed_close(file);
		return shr_fail(err, "cannot set permissions %o: %s", perms, strerror(err));
	}
	return 0;
}

int map_unnamed_publish(struct map_unnamed *file, const struct name *name)
{
	char link_path[64];
	int err;

	if (file->temporary[0]) {
		if (link(file->temporary, name->path) < 0)
			return errno == EEXIST ? -EEXIST
					       : shr_fail(errno, "cannot name %.200s: %s",
							  name->path, strerror(errno));
		unlink(file->temporary);
		file->temporary[0] = '\0';
		return 0;
	}
	snprintf(link_path, sizeof(link_path), "/proc/self/fd/%d", file->fd);
	if (!linkat(AT_FDCWD, link_path, AT_FDCWD, name->path, AT_SYMLINK_FOLLOW))
		return 0;
	err = errno;
	/* Without /proc: newer kernels allow the opener, older ones only root. */
	if (err == ENOENT && !linkat(file->fd, "", AT_FDCWD, name->path, AT_EMPTY_PATH))
		return 0;
	if (err == ENOENT)
		err = errno;
	if (err == EEXIST)
		return -EEXIST;
	return shr_fail(err, "cannot name %.200s: %s", name->path, strerror(err));
}

void map_unnamed_close(struct map_unnamed *file)
{
	if (file->temporary[0])
		unlink(file->temporary);
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

int map_lock_byte(int fd, int command, short type, int64_t byte)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	if (fcntl(fd, command, &lock) < 0)
		return errno == EACCES ? -EAGAIN : -errno;
	return 0;
}

/* The same, again and again for a second. */
static int lock_soon(int fd, int64_t byte)
{
	int err = -EAGAIN;

	for (int i = 0; i < LOCK_TRIES && err == -EAGAIN; i++) {
		if (i)
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		err = map_lock_byte(fd, F_OFD_SETLK, F_WRLCK, byte);
	}
	return err == -EAGAIN ? -EBUSY : err;
}

int map_lock_name(int fd)
{
	int err = lock_soon(fd, MAP_NAME_BYTE);

	return err ? shr_fail(-err, "cannot lock the name: %s", strerror(-err)) : 0;
}

int map_still_named(int fd, const char *path)
{
	struct stat own, named;

	return !fstat(fd, &own) && !lstat(path, &named) && own.st_dev == named.st_dev &&
	       own.st_ino == named.st_ino;
}

int map_has_no_locks(int err)
{
	return err == -EOPNOTSUPP || err == -ENOLCK || err == -ENOSYS || err == -EINVAL;
}

/* A filesystem that cannot reserve: only grow, under a lock, never shrink. */
static int grow_only(int fd, uint64_t end)
{
	struct stat st;
	int err = lock_soon(fd, MAP_GROW_BYTE);

	if (err)
		return err;
	if (fstat(fd, &st) < 0 || ((uint64_t)st.st_size < end && ftruncate(fd, (off_t)end) < 0))
		err = -errno;
	map_lock_byte(fd, F_OFD_SETLK, F_UNLCK, MAP_GROW_BYTE);
	return err;
}

int map_limit(int fd, uint64_t end)
{
	struct rlimit limit;
	struct stat st;

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
	return 0;
}

int map_reserve(int fd, uint64_t from, uint64_t end)
{
	uint64_t at = from;
	int limit = map_limit(fd, end);

	if (limit)
		return limit;
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
