/* SPDX-License-Identifier: MIT */
#include "name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "error.h"

static int name_posix(const char *name, struct shr_path *path)
{
	const char *base = name + strspn(name, "/");
	size_t length = strlen(base);

	if (!length || strchr(base, '/') || !strcmp(base, ".") || !strcmp(base, ".."))
		return shr_fail(EINVAL,
				"\"%.80s\" is no name for shared memory: it needs one part, as in "
				"\"/name\"; a file is \"file:PATH\"",
				name);
	if (length > NAME_MAX)
		return shr_fail(ENAMETOOLONG, "a name of %zu bytes is over %d", length, NAME_MAX);
	snprintf(path->path, sizeof(path->path), SHM_DIR "/%s", base);
	strcpy(path->dir, SHM_DIR);
	return 0;
}

static int name_file(const char *file, struct shr_path *path)
{
	size_t length = strlen(file);
	char *slash;

	if (!length || file[length - 1] == '/')
		return shr_fail(EINVAL, "\"file:%.80s\" names no file", file);
	if (length >= sizeof(path->path))
		return shr_fail(ENAMETOOLONG, "a path of %zu bytes is over %d", length, PATH_MAX - 1);
	strcpy(path->path, file);
	strcpy(path->dir, file);
	slash = strrchr(path->dir, '/');
	if (!slash)
		strcpy(path->dir, ".");
	else if (slash == path->dir)
		slash[1] = '\0';
	else
		*slash = '\0';
	return 0;
}

int name_resolve(const char *name, struct shr_path *path)
{
	static const char *const later[] = {"sysv:", "anon:", "fd:"};

	if (!name)
		return shr_fail(EINVAL, "the name is NULL");
	if (!strncmp(name, "file:", 5))
		return name_file(name + 5, path);
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		if (!strncmp(name, later[i], strlen(later[i])))
			return shr_fail(EOPNOTSUPP, "this version has no backend for \"%s\" names",
					later[i]);
	return name_posix(name, path);
}
