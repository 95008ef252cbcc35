/* SPDX-License-Identifier: MIT */
/*
 * What the machine refuses: each system call of the mapping layer failing once,
 * limits, full, read-only and missing filesystems, other users. Always the right
 * error, and no descriptor, map or object left.
 *
 * The calls are wrapped by the linker (--wrap), in a static link of the library.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <shmring/shmring.h>

#include "tap.h"

#define MUST(call) ck_assert_msg((call) == 0, "%s: %s", #call, shr_last_error())

/* --- The interposer ----------------------------------------------------------- */

static int countdown, injected; /* countdown 0: off */
static const char *struck;

static int strikes(const char *call)
{
	if (!countdown || --countdown)
		return 0;
	struck = call;
	errno = injected;
	return 1;
}

#define WRAP(type, call, parameters, arguments, failure)                                           \
	type __real_##call parameters;                                                             \
	type __wrap_##call parameters;                                                             \
	type __wrap_##call parameters                                                              \
	{                                                                                          \
		return strikes(#call) ? failure : __real_##call arguments;                         \
	}

WRAP(int, fstat, (int fd, struct stat *st), (fd, st), -1)
WRAP(int, lstat, (const char *path, struct stat *st), (path, st), -1)
WRAP(int, fstatfs, (int fd, struct statfs *fs), (fd, fs), -1)
WRAP(int, fallocate, (int fd, int mode, off_t from, off_t size), (fd, mode, from, size), -1)
WRAP(int, ftruncate, (int fd, off_t size), (fd, size), -1)
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode), -1)
WRAP(int, madvise, (void *at, size_t size, int advice), (at, size, advice), -1)
WRAP(int, mlock, (const void *at, size_t size), (at, size), -1)
WRAP(int, linkat, (int a, const char *from, int b, const char *to, int flags),
     (a, from, b, to, flags), -1)
WRAP(int, faccessat, (int fd, const char *path, int mode, int flags), (fd, path, mode, flags), -1)
WRAP(int, memfd_create, (const char *label, unsigned flags), (label, flags), -1)
WRAP(int, shmget, (key_t key, size_t size, int flags), (key, size, flags), -1)
WRAP(void *, shmat, (int id, const void *at, int flags), (id, at, flags), (void *)-1)
WRAP(ssize_t, pread, (int fd, void *buffer, size_t size, off_t at), (fd, buffer, size, at), -1)
WRAP(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at), -1)
WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags), -1)
WRAP(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags), -1)
WRAP(int, msync, (void *at, size_t size, int flags), (at, size, flags), -1)
WRAP(int, mprotect, (void *at, size_t size, int prot), (at, size, prot), -1)
WRAP(int, munlock, (const void *at, size_t size), (at, size), -1)
WRAP(void *, calloc, (size_t n, size_t size), (n, size), NULL)

WRAP(int, eventfd, (unsigned count, int flags), (count, flags), -1)
WRAP(int, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attributes, void *(*main)(void *), void *argument),
     (thread, attributes, main, argument), injected)

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	va_list list;
	unsigned mode;

	va_start(list, flags);
	mode = va_arg(list, unsigned);
	va_end(list);
	return strikes("open") ? -1 : __real_open(path, flags, mode);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
static dev_t without_locks; /* a filesystem that has none; 0: all have */

int __wrap_fcntl(int fd, int command, ...)
{
	struct stat st;
	va_list list;
	void *argument;

	va_start(list, command);
	argument = va_arg(list, void *);
	va_end(list);
	if (without_locks && (command == F_OFD_SETLK || command == F_OFD_GETLK) &&
	    !__real_fstat(fd, &st) && st.st_dev == without_locks) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return strikes("fcntl") ? -1 : __real_fcntl(fd, command, argument);
}

static int64_t mapped; /* bytes, by the library: handles are maps, too */

static uint64_t whole_pages(size_t size)
{
	return ((uint64_t)size + 4095) & ~(uint64_t)4095;
}

void *__real_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	void *map = strikes("mmap") ? MAP_FAILED : __real_mmap(at, size, prot, flags, fd, offset);

	if (map != MAP_FAILED && !(flags & MAP_FIXED))
		mapped += (int64_t)whole_pages(size);
	return map;
}

/* Not made to fail, as all that gives back what was had. */
int __real_munmap(void *at, size_t size);
int __wrap_munmap(void *at, size_t size);
int __wrap_munmap(void *at, size_t size)
{
	mapped -= (int64_t)whole_pages(size);
	return __real_munmap(at, size);
}

/* mbind, move_pages, futex */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	long argument[6];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		argument[i] = va_arg(list, long);
	va_end(list);
	return strikes("syscall") ? -1
				  : __real_syscall(number, argument[0], argument[1], argument[2],
						   argument[3], argument[4], argument[5]);
}

/* Removing what was made is not made to fail: nobody could keep the promise then. */
int __real_shmctl(int id, int command, struct shmid_ds *ds);
int __wrap_shmctl(int id, int command, struct shmid_ds *ds);
int __wrap_shmctl(int id, int command, struct shmid_ds *ds)
{
	return command != IPC_RMID && strikes("shmctl") ? -1 : __real_shmctl(id, command, ds);
}

void *__real_mremap(void *at, size_t old, size_t size, int flags, ...);
void *__wrap_mremap(void *at, size_t old, size_t size, int flags, ...);
void *__wrap_mremap(void *at, size_t old, size_t size, int flags, ...)
{
	void *map = strikes("mremap") ? MAP_FAILED : __real_mremap(at, old, size, flags);

	if (map != MAP_FAILED)
		mapped += (int64_t)whole_pages(size) - (int64_t)whole_pages(old);
	return map;
}

/* --- What there is ------------------------------------------------------------- */

static char posix[64], file[100], sysv[40], path[2][80];
static int key;

struct world {
	int fds, maps, files, segments;
	int64_t mapped;
};

static int entries(const char *directory, const char *prefix)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	int n = 0;

	while ((entry = readdir(dir)))
		n += !strncmp(entry->d_name, prefix, strlen(prefix));
	closedir(dir);
	return n;
}

static struct world world(void)
{
	struct world now = {.fds = entries("/proc/self/fd", ""), .mapped = mapped};
	FILE *maps = fopen("/proc/self/maps", "re");
	struct shm_info info;
	char line[512];

	while (fgets(line, sizeof(line), maps))
		now.maps += strstr(line, "-s ") || strstr(line, "s 0");
	fclose(maps);
	now.files = entries("/dev/shm", "") + entries("/tmp", posix + 1);
	__real_shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info);
	now.segments = info.used_ids;
	return now;
}

static void clean(void)
{
	int id = shmget(key, 0, 0);

	countdown = 0;
	unlink(path[0]);
	unlink(path[1]);
	if (id >= 0)
		shmctl(id, IPC_RMID, NULL);
}

static void setup(void)
{
	/* A /dev/shm and System V segments of one's own, where that may be: others come and go. */
	if (!unshare(CLONE_NEWNS | CLONE_NEWIPC) &&
	    !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		mount("tmpfs", "/dev/shm", "tmpfs", 0, NULL);
	key = 0x54000000 | (int)getpid();
	snprintf(posix, sizeof(posix), "/shmring-check-faults-%d", (int)getpid());
	snprintf(path[0], sizeof(path[0]), "/dev/shm%s", posix);
	snprintf(path[1], sizeof(path[1]), "/tmp%s", posix);
	snprintf(file, sizeof(file), "file:%s", path[1]);
	snprintf(sysv, sizeof(sysv), "sysv:%d", key);
	clean();
}

/* --- Each call failing once ------------------------------------------------------ */

static int fill(void *address, size_t size, void *argument)
{
	(void)argument;
	memset(address, 1, size);
	return 0;
}

static int map_and_close(const char *name, const char *mode, uint64_t size, int flags, int init,
			 uint32_t seals)
{
	struct shr_map_options options = {.struct_size = sizeof(options),
					  .size = size,
					  .offset = 100,
					  .flags = flags,
					  .seals = seals,
					  .init = init ? fill : NULL};
	struct shr_map *map = NULL;
	int err = shr_map_open(&map, name, mode, &options);

	ck_assert_int_eq(!err, !!map);
	shr_map_close(map);
	return err;
}

static struct shr_map *there;
static int pair[2];
static char by_fd[40];

static int do_posix(void) { return map_and_close(posix, "+>", 9000, SHR_MAP_POPULATE, 1, 0); }
static int do_file(void) { return map_and_close(file, "+>", 9000, O_EXCL | SHR_MAP_EXACT_PERMS, 0, 0); }
static int do_sysv(void) { return map_and_close(sysv, "+>", 9000, SHR_MAP_MLOCK, 0, 0); }
static int do_sysv_init(void) { return map_and_close(sysv, "+>", 9000, 0, 1, 0); }
static int do_anon(void) { return map_and_close("anon:x", "+>", 9000, 0, 1, F_SEAL_SHRINK); }
static int do_read(void) { return map_and_close(posix, "<", 0, 0, 0, 0); }
static int do_grow(void) { return map_and_close(posix, "+<", 90000, 0, 0, 0); }
static int do_truncate(void) { return map_and_close(posix, "+<", 500, O_TRUNC, 0, 0); }
static int do_fd(void) { return map_and_close(by_fd, "+<", 0, SHR_MAP_PRIVATE, 0, 0); }
static int do_sysv_open(void) { return map_and_close(sysv, "<", 0, 0, 0, 0); }
static int do_remap(void) { return shr_map_remap(there, 100000); }
static int do_unlink_own(void) { return shr_map_unlink_own(there); }
static int do_stat(void)
{
	struct shr_map_status status;

	return shr_map_stat(there, &status);
}
static int do_place(void)
{
	struct shr_map_options options = {.struct_size = sizeof(options),
					  .size = 9000,
					  .flags = SHR_MAP_HUGEPAGE | SHR_MAP_POPULATE,
					  .numa_nodes = 1,
					  .numa_policy = SHR_NUMA_PREFERRED};
	struct shr_map_granted granted;
	struct shr_map *map = NULL;
	int err = shr_map_open(&map, posix, "+>", &options);

	if (err)
		return err;
	err = shr_map_report(map, &granted);
	shr_map_unlink_own(map);
	shr_map_close(map);
	return err;
}
static int do_ranges(void)
{
	int err = shr_map_sync(there, 0, 0);

	if (!err)
		err = shr_map_mlock(there, 0, 0);
	if (!err)
		err = shr_map_munlock(there, 0, 0);
	if (!err)
		err = shr_map_populate(there, 0, 0);
	if (!err)
		err = shr_map_advise(there, 0, 0, "sequential");
	if (!err)
		err = shr_map_protect(there, 0, 0, PROT_READ | PROT_WRITE);
	if (!err)
		err = shr_map_chmod(there, 0640);
	if (!err)
		err = shr_map_notify(there, 0, 1);
	return err < 0 ? err : 0;
}
static int do_pass(void)
{
	int err = shr_fd_send(pair[0], shr_map_fd(there)), fd;

	if (err)
		return err;
	fd = shr_fd_receive(pair[1]);
	if (fd < 0) { /* what is on its way still is: take it */
		int again = shr_fd_receive(pair[1]);

		ck_assert_int_ge(again, 0);
		close(again);
		return fd;
	}
	close(fd);
	return 0;
}
static int make_segment(const char *name)
{
	struct shr_segment *segment = NULL;
	int err = shr_segment_create(&segment, name, NULL, 0, NULL);

	ck_assert_int_eq(!err, !!segment);
	shr_segment_detach(segment);
	return err;
}
static int do_segment(void) { return make_segment(posix); }
static int do_segment_sysv(void) { return make_segment(sysv); }
static int do_segment_anon(void) { return make_segment("anon:x"); }
static int attach_to(const char *name)
{
	struct shr_segment *segment = NULL;
	int err = shr_segment_attach(&segment, name, NULL);

	ck_assert_int_eq(!err, !!segment);
	shr_segment_detach(segment);
	return err;
}
static int do_attach(void) { return attach_to(posix); }
static int do_attach_sysv(void) { return attach_to(sysv); }
static int do_inspect(void)
{
	struct shr_inspect *inspect = NULL;
	int err = shr_inspect_open(&inspect, sysv);

	shr_inspect_close(inspect);
	return err;
}

static int do_observe(void)
{
	struct shr_segment_options options = {.struct_size = sizeof(options),
					      .flags = SHR_SEGMENT_OBSERVE};
	struct shr_segment *segment = NULL;
	int err = shr_segment_attach(&segment, posix, &options);

	ck_assert_int_eq(!err, !!segment);
	shr_segment_detach(segment);
	return err;
}

/* Mutexes of pthread's and events, and a descriptor, from nothing. */
static int do_locks(void)
{
	struct shr_segment_options options = {.struct_size = sizeof(options),
					      .locks = SHR_LOCKS_PTHREAD};
	struct shr_object objects[2];
	struct shr_segment *segment = NULL;
	struct shr_mutex *mutex = NULL;
	struct shr_event *event = NULL;
	int err;

	MUST(shr_mutex_describe(&objects[0], "mutex", 3));
	MUST(shr_event_describe(&objects[1], "event", 2));
	err = shr_segment_create(&segment, posix, objects, 2, &options);
	if (err)
		return err;
	err = shr_mutex_attach(&mutex, segment, "mutex");
	if (!err)
		err = shr_mutex_lock(mutex, 2);
	if (!err)
		err = shr_mutex_unlock(mutex, 2);
	if (!err)
		err = shr_event_attach(&event, segment, "event");
	if (!err)
		err = shr_event_fd(event, 1);
	if (err > 0)
		err = shr_event_notify(event, 1);
	ck_assert_int_eq(shr_event_close(event), 0);
	ck_assert_int_eq(shr_mutex_close(mutex), 0);
	ck_assert_int_eq(shr_segment_detach(segment), 0);
	shr_map_unlink(posix);
	return err;
}

/* A table, from nothing or from what is there, and all that its handle can be asked for. */
struct service {
	uint64_t key, beats;
};
SHR_SCHEMA(service, 1, key, beats);

static int use_table(const char *name, const char *mode, uint32_t kind, uint32_t flags)
{
	struct shr_table_options o = {.struct_size = sizeof(o), .mode = kind, .slots = 8,
				      .schema = SHR_SCHEMA_OF(service), .key = "key"};
	struct shr_segment_options options = {.struct_size = sizeof(options), .flags = flags};
	struct service service = {.key = 7};
	struct shr_table *table = NULL;
	int err = shr_table_open(&table, name, mode, &o, &options);

	ck_assert_int_eq(!err, !!table);
	if (err)
		return err;
	if (!flags)
		err = shr_table_insert(table, &service, sizeof(service), NULL);
	if (err == -EEXIST)
		err = 0;
	if (!err && !flags && kind == SHR_TABLE_COUNTERS)
		err = shr_table_add(table, 0, offsetof(struct service, beats), 1, NULL);
	else if (!err && !flags)
		err = shr_table_write(table, 0, &service, sizeof(service));
	if (!err)
		err = shr_table_read_key(table, &service.key, 8, &service, sizeof(service), NULL);
	if (!err)
		err = shr_table_fd(table);
	if (err > 0)
		err = shr_table_arm(table, shr_table_changes(table));
	ck_assert_int_eq(shr_table_close(table), 0);
	return err;
}

static int make_table(const char *name, uint32_t kind)
{
	int err = use_table(name, "+>", kind, 0);

	countdown = 0; /* with its companion: that it goes is not in question */
	if (strncmp(name, "anon:", 5))
		shr_segment_unlink(name);
	return err;
}
static int do_table(void) { return make_table(posix, SHR_TABLE_ATOMIC); }
static int do_table_in_place(void) { return make_table(posix, SHR_TABLE_IN_PLACE); }
static int do_counters(void) { return make_table(posix, SHR_TABLE_COUNTERS); }
static int do_table_sysv(void) { return make_table(sysv, SHR_TABLE_ATOMIC); }
static int do_table_anon(void) { return make_table("anon:x", SHR_TABLE_ATOMIC); }
static int do_table_attach(void) { return use_table(posix, "+<", SHR_TABLE_COUNTERS, 0); }
static int do_table_observe(void) { return use_table(posix, "+<", SHR_TABLE_COUNTERS, SHR_SEGMENT_OBSERVE); }

/* Of a table in whose slot 0 somebody was killed. */
static struct shr_table *inherited;

static void find_inherited(void)
{
	struct shr_table_options o = {.struct_size = sizeof(o), .schema = SHR_SCHEMA_OF(service)};
	int status;
	pid_t pid;

	MUST(use_table(posix, "+>", SHR_TABLE_ATOMIC, 0));
	MUST(shr_table_open(&inherited, posix, "+<", &o, NULL));
	pid = fork();
	if (!pid) {
		struct shr_table *own = NULL;

		if (shr_table_open(&own, posix, "+<", &o, NULL) ||
		    shr_table_begin(own, 0, &(void *){0}))
			_exit(1);
		raise(SIGKILL);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
}

static int do_take_over(void)
{
	int err = shr_table_begin_until(inherited, 0, &(void *){0}, shr_deadline_ns(5000000000));

	return err ? err : shr_table_commit(inherited, 0);
}

static int do_remove(void)
{
	return shr_table_remove(inherited, 0);
}

/* A mutex that a dead process holds: proved, taken over; or swept. */
static struct shr_mutex *orphan;

static void find_orphan(void)
{
	int status;
	pid_t pid;

	MUST(shr_mutex_open(&orphan, posix, "+>", 1, NULL));
	pid = fork();
	if (!pid) {
		struct shr_mutex *own = NULL;

		if (shr_mutex_open(&own, posix, "+<", 1, NULL) || shr_mutex_lock(own, 0))
			_exit(1);
		raise(SIGKILL);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
}

static int do_prove(void)
{
	int err = shr_mutex_lock_until(orphan, 0, shr_deadline_ns(5000000000));

	if (err != -EOWNERDEAD)
		return err;
	err = shr_mutex_consistent(orphan, 0);
	return err ? err : shr_mutex_unlock(orphan, 0);
}

static int do_sweep(void)
{
	int died = shr_member_sweep(shr_mutex_segment(orphan), NULL, NULL);

	return died < 0 ? died : 0;
}

/* What a scenario finds: nothing, a map of posix or sysv as @there, a segment, a dead one's lock, ... */
enum { NOTHING, POSIX_MAP, SYSV_MAP, POSIX_SEGMENT, SYSV_SEGMENT, ORPHAN, TABLE, INHERITED };

static const struct {
	const char *what;
	int (*run)(void);
	int finds;
} scenarios[] = {{"create /name", do_posix, NOTHING},
		 {"create file:", do_file, NOTHING},
		 {"create sysv:", do_sysv, NOTHING},
		 {"create sysv: with init", do_sysv_init, NOTHING},
		 {"create anon:", do_anon, NOTHING},
		 {"read", do_read, POSIX_MAP},
		 {"grow", do_grow, POSIX_MAP},
		 {"truncate", do_truncate, POSIX_MAP},
		 {"fd:", do_fd, POSIX_MAP},
		 {"open sysv:", do_sysv_open, SYSV_MAP},
		 {"remap", do_remap, POSIX_MAP},
		 {"unlink own", do_unlink_own, POSIX_MAP},
		 {"stat", do_stat, POSIX_MAP},
		 {"stat sysv:", do_stat, SYSV_MAP},
		 {"pass", do_pass, POSIX_MAP},
		 {"place", do_place, NOTHING},
		 {"ranges", do_ranges, POSIX_MAP},
		 {"ranges sysv:", do_ranges, SYSV_MAP},
		 {"segment", do_segment, NOTHING},
		 {"segment sysv:", do_segment_sysv, NOTHING},
		 {"segment anon:", do_segment_anon, NOTHING},
		 {"attach", do_attach, POSIX_SEGMENT},
		 {"attach sysv:", do_attach_sysv, SYSV_SEGMENT},
		 {"inspect sysv:", do_inspect, SYSV_SEGMENT},
		 {"observe", do_observe, POSIX_SEGMENT},
		 {"locks", do_locks, NOTHING},
		 {"prove a death", do_prove, ORPHAN},
		 {"sweep", do_sweep, ORPHAN},
		 {"table", do_table, NOTHING},
		 {"table in place", do_table_in_place, NOTHING},
		 {"counters", do_counters, NOTHING},
		 {"table sysv:", do_table_sysv, NOTHING},
		 {"table anon:", do_table_anon, NOTHING},
		 {"attach to a table", do_table_attach, TABLE},
		 {"observe a table", do_table_observe, TABLE},
		 {"update after a death", do_take_over, INHERITED},
		 {"remove after a death", do_remove, INHERITED}};
enum { SCENARIOS = sizeof(scenarios) / sizeof(scenarios[0]) };

static void find(int what)
{
	struct shr_map_options options = {.struct_size = sizeof(options), .size = 5000};

	there = NULL;
	if (what == POSIX_MAP || what == SYSV_MAP)
		MUST(shr_map_open(&there, what == POSIX_MAP ? posix : sysv, "+>", &options));
	if (what == POSIX_MAP)
		snprintf(by_fd, sizeof(by_fd), "fd:%d", shr_map_fd(there));
	if (what == ORPHAN)
		find_orphan();
	if (what == TABLE)
		MUST(use_table(posix, "+>", SHR_TABLE_COUNTERS, 0));
	if (what == INHERITED)
		find_inherited();
	if (what == POSIX_SEGMENT || what == SYSV_SEGMENT)
		MUST(make_segment(what == POSIX_SEGMENT ? posix : sysv));
}

static void lose(void)
{
	shr_map_close(there);
	ck_assert_int_eq(shr_mutex_close(orphan), 0);
	orphan = NULL;
	ck_assert_int_eq(shr_table_close(inherited), 0);
	inherited = NULL;
	shr_segment_unlink(posix);
	shr_segment_unlink(sysv);
	clean();
}

/* Errors that mean something else than themselves at some call. */
static int translated(int got, const char *call)
{
	if (got == -EOPNOTSUPP)
		return !strcmp(call, "fcntl") || !strcmp(call, "open") || !strcmp(call, "linkat") ||
		       !strcmp(call, "pwrite") || !strcmp(call, "pread") || !strcmp(call, "fstat");
	if (got == -ENOMEM)
		return !strcmp(call, "calloc") || !strcmp(call, "mmap") || !strcmp(call, "madvise");
	if (got == -EAGAIN) /* fcntl(2): EACCES is another word for it */
		return injected == EACCES && !strcmp(call, "fcntl");
	if (got == -EPERM) /* no seals can be read: none are there */
		return !strcmp(call, "fcntl");
	if (got == -EMEDIUMTYPE) /* the first bytes cannot be read */
		return !strcmp(call, "pread");
	if (got == -ESTALE) /* the name cannot be looked at: not known to be ours */
		return !strcmp(call, "lstat") || !strcmp(call, "fstat");
	return got == -ENOENT && !strcmp(call, "lstat");
}

START_TEST(each_call_fails_once)
{
	static const int errors[] = {EIO, ENOMEM, EMFILE, ENFILE, EACCES, EPERM, ENOSPC, EINTR, EAGAIN};
	const char *what = scenarios[_i].what;
	int points = 0, failures = 0;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	for (size_t e = 0; e < sizeof(errors) / sizeof(errors[0]); e++) {
		for (int n = 1;; n++) {
			struct world before, after;
			int err, sentence;

			find(scenarios[_i].finds);
			before = world();
			struck = NULL;
			injected = errors[e];
			countdown = n;
			err = scenarios[_i].run();
			countdown = 0;
			sentence = shr_last_error()[0] != '\0';
			after = world();
			if (!struck) { /* n is beyond the last call */
				ck_assert_msg(!err, "%s: %s", what, shr_last_error());
				lose();
				ck_assert_int_gt(n, 1);
				break;
			}
			points++;
			failures += !!err;
			ck_assert_msg(!err || err == -errors[e] || translated(err, struck),
				      "%s: call %d, %s, with %d gives %d: %s", what, n, struck, errors[e],
				      err, shr_last_error());
			ck_assert(!err || sentence);
			ck_assert_msg(after.fds == before.fds, "%s: call %d, %s, with %d (%d): %d fds, were %d",
				      what, n, struck, errors[e], err, after.fds, before.fds);
			ck_assert_msg(after.maps == before.maps || (!err && _i == 10),
				      "%s: call %d, %s, with %d (%d): maps", what, n, struck, errors[e], err);
			ck_assert_msg(after.mapped == before.mapped || (!err && _i == 10),
				      "%s: call %d, %s, with %d (%d): %d more bytes mapped", what, n, struck,
				      errors[e], err, (int)(after.mapped - before.mapped));
			if (err) {
				ck_assert_msg(after.files == before.files,
					      "%s: call %d, %s, with %d: %d files, were %d", what, n, struck,
					      errors[e], after.files, before.files);
				ck_assert_msg(after.segments == before.segments,
					      "%s: call %d, %s, with %d: segments", what, n, struck, errors[e]);
			}
			lose();
		}
	}
	ck_assert_int_gt(failures, 0);
	fprintf(stderr, "# %s: %d calls failed, %d of them made it fail\n", what, points, failures);
	close(pair[0]);
	close(pair[1]);
}
END_TEST

/* --- What a machine can be like ------------------------------------------------- */

static int open_size(struct shr_map **map, const char *name, const char *mode, uint64_t size)
{
	struct shr_map_options options = {.struct_size = sizeof(options), .size = size};

	*map = NULL;
	return shr_map_open(map, name, mode, &options);
}

/* In a child with mounts of its own. */
static int in_namespace(int (*run)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
			_exit(77);
		_exit(run());
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static int nothing(void)
{
	return 0;
}

static int on_full(void)
{
	struct shr_map *a, *b;

	if (mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=4m"))
		return 1;
	if (open_size(&a, posix, "+>", 8 << 20) != -ENOSPC || !access(path[0], F_OK))
		return 2;
	if (open_size(&a, posix, "+>", 1 << 20))
		return 3;
	memset(shr_map_address(a), 'k', 1 << 20);
	if (shr_map_remap(a, 8 << 20) != -ENOSPC || shr_map_size(a) != 1 << 20)
		return 4;
	if (open_size(&b, posix, "+<", 8 << 20) != -ENOSPC)
		return 5;
	for (int i = 0; i < 1 << 20; i++)
		if (((char *)shr_map_address(a))[i] != 'k')
			return 6;
	return make_segment("/other") ? 0 : 7; /* full by now */
}

START_TEST(a_full_filesystem_is_enospc_and_no_sigbus)
{
	ck_assert_int_eq(in_namespace(on_full), 0);
}
END_TEST

static int on_read_only(void)
{
	struct shr_map *a;

	if (mount("tmpfs", "/dev/shm", "tmpfs", MS_RDONLY, NULL))
		return 1;
	if (open_size(&a, posix, "+>", 100) != -EROFS || make_segment(posix) != -EROFS)
		return 2;
	if (open_size(&a, posix, "<", 0) != -ENOENT)
		return 3;
	/* No companion can be made, so no segment without locks of its own. */
	if (make_segment(sysv) != -EROFS && make_segment(sysv) != -EOPNOTSUPP)
		return 4;
	return shmget(key, 0, 0) < 0 ? 0 : 5;
}

START_TEST(a_read_only_dev_shm)
{
	ck_assert_int_eq(in_namespace(on_read_only), 0);
}
END_TEST

static int on_missing(void)
{
	struct shr_map *a;
	struct shr_segment *segment = NULL;

	if (mount("tmpfs", "/dev", "tmpfs", 0, NULL))
		return 1;
	if (open_size(&a, posix, "+>", 100) != -ENOENT || make_segment(posix) != -ENOENT)
		return 2;
	if (make_segment(sysv) >= 0 || shmget(key, 0, 0) >= 0)
		return 3;
	if (shr_map_list("/", 0, NULL, NULL) != -EINVAL)
		return 4;
	return shr_segment_create(&segment, "anon:x", NULL, 0, NULL) ? 5 : 0;
}

START_TEST(no_dev_shm)
{
	ck_assert_int_eq(in_namespace(on_missing), 0);
}
END_TEST

START_TEST(no_descriptor_left)
{
	struct rlimit limit;
	struct world before = world(), after;
	struct shr_map *a;
	int fd = dup(0);

	close(fd);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = (rlim_t)fd;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(open_size(&a, posix, "+>", 100), -EMFILE);
	ck_assert_int_eq(open_size(&a, file, "+>", 100), -EMFILE);
	ck_assert_int_eq(open_size(&a, "anon:x", "+>", 100), -EMFILE);
	ck_assert_int_eq(open_size(&a, "fd:0", "<", 100), -EMFILE);
	ck_assert_int_eq(make_segment(posix), -EMFILE);
	ck_assert_int_lt(make_segment(sysv), 0);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	after = world();
	ck_assert_int_eq(memcmp(&before, &after, sizeof(after)), 0);
}
END_TEST

/* As nobody, on objects of ours. */
static int as_another(void)
{
	struct shr_map *a;
	struct shr_segment *segment = NULL;

	if (setgid(65534) || setuid(65534))
		return 77;
	if (open_size(&a, posix, "<", 0) != -EACCES || open_size(&a, posix, "+>", 10) != -EACCES ||
	    open_size(&a, file, "+<", 0) != -EACCES)
		return 1;
	if (open_size(&a, sysv, "<", 0) != -EACCES || open_size(&a, sysv, "+>", 10) != -EACCES)
		return 2;
	if (shr_segment_attach(&segment, posix, NULL) != -EACCES)
		return 3;
	if (shr_map_unlink(posix) != -EPERM && shr_map_unlink(posix) != -EACCES)
		return 4;
	return shr_map_unlink(sysv) == -EACCES || shr_map_unlink(sysv) == -EPERM ? 0 : 5;
}

START_TEST(another_user_is_refused)
{
	struct shr_map *a, *b, *c;
	int status;
	pid_t pid;

	MUST(open_size(&a, posix, "+>", 100));
	MUST(open_size(&b, file, "+>", 100));
	MUST(open_size(&c, sysv, "+>", 100));
	pid = fork();
	if (!pid)
		_exit(as_another());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	shr_map_close(a);
	shr_map_close(b);
	shr_map_close(c);
}
END_TEST

/* A filesystem without locks: the companion tells who lives, and after it nobody. */
START_TEST(a_file_without_locks_has_a_companion)
{
	struct shr_segment *segment = NULL, *other = NULL;
	struct shr_inspect *inspect = NULL;
	struct shr_segment_info info;
	struct shr_member_info member;
	struct world before = world(), after;
	int told[2], status;
	char companion[80], byte;
	struct stat st;
	pid_t pid;

	ck_assert_int_eq(stat("/tmp", &st), 0);
	without_locks = st.st_dev;
	MUST(shr_segment_create(&segment, file, NULL, 0, NULL));
	snprintf(companion, sizeof(companion), "/dev/shm/.shmring-life-%016llx",
		 (unsigned long long)shr_segment_epoch(segment));
	ck_assert_int_eq(access(companion, F_OK), 0);
	ck_assert_int_eq(pipe(told), 0);
	pid = fork();
	if (!pid) {
		if (shr_segment_attach(&other, file, NULL) || write(told[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	close(told[1]);
	ck_assert_int_eq(read(told[0], &byte, 1), 1);
	close(told[0]);
	MUST(shr_inspect_open(&inspect, file));
	MUST(shr_inspect_segment(inspect, &info));
	ck_assert_uint_eq(info.life, SHR_LIFE_COMPANION);
	MUST(shr_inspect_member(inspect, 2, &member));
	ck_assert_uint_eq(member.state, SHR_MEMBER_ALIVE);
	ck_assert_uint_eq(member.pid, (uint32_t)pid);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	MUST(shr_inspect_member(inspect, 2, &member));
	ck_assert_uint_eq(member.state, SHR_MEMBER_DEAD);
	MUST(shr_segment_attach(&other, file, NULL)); /* gets that slot */
	ck_assert_int_eq(shr_segment_member(other), 2);
	MUST(shr_segment_detach(other));
	shr_inspect_close(inspect);
	MUST(shr_segment_unlink(file));
	ck_assert_int_eq(access(companion, F_OK), -1);
	ck_assert_int_eq(shr_segment_check(segment), -ESTALE);
	MUST(shr_segment_detach(segment));
	after = world();
	ck_assert_int_eq(memcmp(&before, &after, sizeof(after)), 0);
}
END_TEST

static const char sysctl[] = "/proc/sys/fs/protected_regular";

static int set_sysctl(char value, char *old)
{
	int fd = open(sysctl, O_RDWR), done;

	if (fd < 0)
		return 0;
	done = pread(fd, old, 1, 0) == 1 && pwrite(fd, &value, 1, 0) == 1;
	close(fd);
	return done;
}

/* Where a bare O_CREAT is EACCES even for root. */
START_TEST(an_object_of_another_user_in_a_sticky_directory)
{
	struct shr_map *a;
	char old, ignored;
	int fd = open(path[0], O_CREAT | O_RDWR, 0666), err, bare;

	ck_assert_int_eq(fchmod(fd, 0666), 0);
	ck_assert_int_eq(fchown(fd, 65534, 65534), 0);
	close(fd);
	ck_assert(set_sysctl('2', &old));
	bare = open(path[0], O_CREAT | O_RDWR, 0600) < 0 ? errno : 0;
	err = open_size(&a, posix, "+>", 100);
	set_sysctl(old, &ignored);
	ck_assert_int_eq(bare, EACCES);
	ck_assert_int_eq(err, 0);
	ck_assert_int_eq(shr_map_created(a), 0);
	shr_map_close(a);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("faults");
	TCase *tc = tcase_create("faults");
	struct stat tmp, shm;
	char old, ignored;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, clean);
	tcase_add_loop_test(tc, each_call_fails_once, 0, SCENARIOS);
	tcase_add_test(tc, no_descriptor_left);
	if (!stat("/tmp", &tmp) && !stat("/dev/shm", &shm) && tmp.st_dev != shm.st_dev)
		tcase_add_test(tc, a_file_without_locks_has_a_companion);
	else
		fputs("# not run: a file without locks: /tmp and /dev/shm are one\n", stderr);
	if (in_namespace(nothing) == 0) {
		tcase_add_test(tc, a_full_filesystem_is_enospc_and_no_sigbus);
		tcase_add_test(tc, a_read_only_dev_shm);
		tcase_add_test(tc, no_dev_shm);
	} else {
		fputs("# not run: full, read-only and missing /dev/shm: no right to mount\n", stderr);
	}
	if (!getuid())
		tcase_add_test(tc, another_user_is_refused);
	else
		fputs("# not run: another_user_is_refused: not root\n", stderr);
	if (!getuid() && set_sysctl('2', &old) && set_sysctl(old, &ignored))
		tcase_add_test(tc, an_object_of_another_user_in_a_sticky_directory);
	else
		fputs("# not run: another user's object: fs.protected_regular cannot be set\n", stderr);
	suite_add_tcase(suite, tc);
	return tap_run(suite);
}
