/* SPDX-License-Identifier: MIT */
/*
 * L0: which objects there are.
 *
 * System V segments of others are never attached to look at them: their owners
 * may watch the count of attaches. Those of shmring are found by their
 * companion lock files.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <shmring/map.h>

#include "error.h"
#include "format.h"
#include "object.h"

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

struct listing {
	int (*each)(const char *name, int err, void *argument);
	void *argument;
};

/* 0: a segment, -EACCES: may be one, else not. */
static int look(const char *path)
{
	char magic[8];
	struct stat st;
	int fd = map_open_file(path, O_RDONLY, &st), err = -EMEDIUMTYPE;

	if (fd < 0)
		return fd;
	if (pread(fd, magic, sizeof(magic), 0) == sizeof(magic) && !memcmp(magic, FORMAT_MAGIC, sizeof(magic)))
		err = 0;
	close(fd);
	return err;
}

static int list_files(const char *directory, const char *prefix, uint32_t flags,
		      const struct listing *listing)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	int result = 0;

	if (!dir)
		return shr_fail(errno, "cannot list %.200s: %s", directory, strerror(errno));
	while (!result && (entry = readdir(dir))) {
		char path[PATH_MAX + NAME_MAX + 2], name[PATH_MAX + NAME_MAX + 16];
		struct stat st;
		int err = 0;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		snprintf(name, sizeof(name), "%s/%s", prefix, entry->d_name);
		if (flags & SHR_LIST_SEGMENTS)
			err = look(path);
		else if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
			err = -EMEDIUMTYPE;
		if (!err || err == -EACCES)
			result = listing->each(name, err, listing->argument);
	}
	closedir(dir);
	return result;
}

static int give_sysv(int id, const struct shmid_ds *ds, const struct listing *listing)
{
	char name[32];

	if (ds->shm_perm.__key)
		snprintf(name, sizeof(name), "sysv:0x%08x", (unsigned)ds->shm_perm.__key);
	else
		snprintf(name, sizeof(name), "sysv:#%d", id);
	return listing->each(name, 0, listing->argument);
}

static int list_sysv(const struct listing *listing)
{
	struct shm_info info;
	int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info), result = 0;

	if (last < 0)
		return shr_fail(errno, "cannot list System V segments: %s", strerror(errno));
	for (int i = 0; i <= last && !result; i++) {
		struct shmid_ds ds;
		int id = shmctl(i, SHM_STAT_ANY, &ds);

		if (id < 0) /* before Linux 4.17, of those that may be read */
			id = shmctl(i, SHM_STAT, &ds);
		if (id >= 0 && !(ds.shm_perm.mode & SHM_DEST))
			result = give_sysv(id, &ds, listing);
	}
	return result;
}

static int give_companion(int32_t id, const char *path, int err, void *argument)
{
	const struct listing *listing = argument;
	struct shmid_ds ds;

	if (err)
		return listing->each(path, err, listing->argument);
	if (shmctl(id, IPC_STAT, &ds) < 0) {
		char name[32];

		if (errno != EACCES)
			return 0; /* removed by hand */
		snprintf(name, sizeof(name), "sysv:#%d", id);
		return listing->each(name, -EACCES, listing->argument);
	}
	return ds.shm_perm.mode & SHM_DEST ? 0 : give_sysv(id, &ds, listing);
}

int shr_map_list(const char *where, uint32_t flags,
		 int (*each)(const char *name, int err, void *argument), void *argument)
{
	struct listing listing = {each, argument};
	char directory[PATH_MAX];
	size_t length;

	if (!where || !each || flags & ~(uint32_t)SHR_LIST_SEGMENTS)
		return shr_fail(EINVAL, "nothing to list, or unknown flags");
	if (!strcmp(where, "/"))
		return list_files(SHM_DIR, "", flags, &listing);
	if (!strcmp(where, "sysv:"))
		return flags & SHR_LIST_SEGMENTS ? object_life_list(give_companion, &listing)
						 : list_sysv(&listing);
	if (!strcmp(where, "anon:") || !strcmp(where, "fd:"))
		return shr_fail(EOPNOTSUPP, "%s has no names to list", where);
	if (strncmp(where, "file:", 5) || !where[5])
		return shr_fail(EINVAL, "\"%.80s\" is none of /, sysv:, file:DIR", where);
	length = strlen(where + 5);
	while (length > 1 && where[5 + length - 1] == '/')
		length--;
	if (length >= sizeof(directory))
		return shr_fail(ENAMETOOLONG, "a path of %zu bytes is over %d", length, PATH_MAX - 1);
	memcpy(directory, where + 5, length);
	directory[length] = '\0';
	{
		char prefix[PATH_MAX + 8];

		snprintf(prefix, sizeof(prefix), "file:%s", strcmp(directory, "/") ? directory : "");
		return list_files(directory, prefix, flags, &listing);
	}
}
