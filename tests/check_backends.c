/* SPDX-License-Identifier: MIT */
/* L0 beyond open: System V, anonymous memory, descriptors, and what a handle can do. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <shmring/shmring.h>

#include "tap.h"

#define MUST(call) ck_assert_msg((call) == 0, "%s: %s", #call, shr_last_error())

/* The same case on /name, file:PATH, System V, anonymous memory. */
enum { POSIX, A_FILE, SYSV, ANON, BACKENDS };
static char name[BACKENDS][128], path[2][128];
static int key;

static void clean(void)
{
	int id = shmget(key, 0, 0);

	unlink(path[0]);
	unlink(path[1]);
	if (id >= 0)
		shmctl(id, IPC_RMID, NULL);
}

static void setup(void)
{
	key = 0x53000000 | (int)getpid();
	snprintf(name[POSIX], 128, "/shmring-check-backends-%d", (int)getpid());
	snprintf(path[0], 128, "/dev/shm%.100s", name[POSIX]);
	snprintf(path[1], 128, "/tmp/shmring-check-backends-%d", (int)getpid());
	snprintf(name[A_FILE], 128, "file:%.100s", path[1]);
	snprintf(name[SYSV], 128, "sysv:0x%x", (unsigned)key);
	snprintf(name[ANON], 128, "anon:check");
	clean();
}

static int open_as(struct shr_map **map, const char *what, const char *mode, uint64_t size,
		   int64_t offset, int flags)
{
	struct shr_map_options options = {
		.struct_size = sizeof(options), .size = size, .offset = offset, .flags = flags};

	*map = NULL;
	return shr_map_open(map, what, mode, &options);
}

/* How a child that does @act at @address ends: its signal, or 0. */
static int signal_of(volatile char *address, int writes)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		if (writes)
			*address = 1;
		else
			(void)*address;
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static char *bytes(const struct shr_map *map)
{
	return shr_map_address(map);
}

START_TEST(sysv_from_create_to_remove)
{
	struct shr_map *a, *b;
	struct shr_map_status st;
	char by_id[40];
	int id;

	MUST(open_as(&a, name[SYSV], "+>", 5000, 0, 0));
	ck_assert_int_eq(shr_map_created(a), 1);
	ck_assert_int_eq(shr_map_fd(a), -EOPNOTSUPP);
	memcpy(bytes(a) + 100, "foobar", 6);
	MUST(shr_map_stat(a, &st));
	ck_assert_uint_eq(st.backend, SHR_BACKEND_SYSV);
	ck_assert_uint_eq(st.size, 5000);
	ck_assert_uint_eq(st.uid, getuid());
	ck_assert_uint_eq(st.gid, getgid());
	ck_assert_uint_eq(st.creator_uid, getuid());
	ck_assert_uint_eq(st.creator_gid, getgid());
	ck_assert_uint_eq(st.perms, 0600);
	ck_assert_uint_eq(st.creator_pid, (uint32_t)getpid());
	ck_assert_uint_eq(st.last_pid, (uint32_t)getpid());
	ck_assert_uint_eq(st.links, 1);
	ck_assert_int_eq(st.key, key);
	ck_assert(st.accessed_ns > 0 && st.modified_ns == 0 && st.changed_ns > 0);
	id = st.id;
	MUST(shr_map_chmod(a, 0644));
	MUST(shr_map_chown(a, UINT32_MAX, getgid()));
	MUST(shr_map_stat(a, &st));
	ck_assert_uint_eq(st.perms, 0644);
	ck_assert_int_eq(open_as(&b, name[SYSV], "+>", 5000, 0, O_EXCL), -EEXIST);
	ck_assert_int_eq(open_as(&b, name[SYSV], "+<", 5000, 0, O_TRUNC), -EOPNOTSUPP);
	ck_assert_int_eq(open_as(&b, name[SYSV], "+<", 5000, 0, SHR_MAP_PRIVATE), -EOPNOTSUPP);
	/* By identifier, a window, and really read-only. */
	snprintf(by_id, sizeof(by_id), "sysv:#%d", id);
	MUST(open_as(&b, by_id, "<", 6, 100, 0));
	ck_assert_uint_eq(shr_map_size(b), 6);
	ck_assert_mem_eq(bytes(b), "foobar", 6);
	ck_assert_int_eq(signal_of(bytes(b), 1), SIGSEGV);
	ck_assert_int_eq(shr_map_protect(b, 0, 0, PROT_READ | PROT_WRITE), -EACCES);
	ck_assert_int_eq(shr_map_remap(b, 5001), -ERANGE);
	shr_map_close(b);
	/* Removed, and still usable; its name is free. */
	MUST(shr_map_unlink(name[SYSV]));
	ck_assert_int_eq(shr_map_unlink(name[SYSV]), -ENOENT);
	ck_assert_mem_eq(bytes(a) + 100, "foobar", 6);
	ck_assert_int_eq(shr_map_unlink_own(a), -ENOENT);
	MUST(open_as(&b, name[SYSV], "+>", 100, 0, O_EXCL));
	ck_assert_int_eq(shr_map_unlink_own(a), -ESTALE);
	MUST(shr_map_unlink_own(b));
	shr_map_close(b);
	shr_map_close(a);
	ck_assert_int_eq(open_as(&b, by_id, "<", 0, 0, 0), -ENOENT);
}
END_TEST

START_TEST(sysv_modes_and_sizes)
{
	static const char *const modes[] = {"<", "+<", ">", "+>"};
	static const uint64_t sizes[] = {0, 100, 300, 9000};
	struct shr_map *a;

	for (int m = 0; m < 4; m++)
		for (int there = 0; there < 2; there++)
			for (int z = 0; z < 4; z++) {
				int creates = m >= 2, want = 0, got;

				clean();
				if (there)
					ck_assert_int_ge(shmget(key, 300, IPC_CREAT | 0600), 0);
				if (creates && !sizes[z])
					want = -EINVAL;
				else if (!there)
					want = creates ? 0 : -ENOENT;
				else if (sizes[z] > 300)
					want = -ERANGE;
				got = open_as(&a, name[SYSV], modes[m], sizes[z], 0, 0);
				ck_assert_msg(got == want, "%s there %d size %d: %d", modes[m], there,
					      (int)sizes[z], got);
				if (got) {
					ck_assert_int_eq(shmget(key, 0, 0) >= 0, there);
					continue;
				}
				ck_assert_uint_eq(shr_map_size(a), sizes[z] ? sizes[z] : 300);
				ck_assert_int_eq(shr_map_created(a), !there);
				shr_map_close(a);
			}
	ck_assert_int_eq(open_as(&a, name[SYSV], "<", 0, 400, 0), -ENODATA);
	ck_assert_int_eq(open_as(&a, name[SYSV], "+>", UINT64_MAX, 0, 0), -EOVERFLOW);
}
END_TEST

START_TEST(sysv_names)
{
	static const char *const bad[] = {"sysv:",	"sysv:x",      "sysv:0",	"sysv:#",
					  "sysv:#-1",	"sysv:#x",     "sysv:1 2",	"sysv:/tmp#0",
					  "sysv:/tmp#256", "sysv:/tmp#x", "sysv:99999999999"};
	struct shr_map *a, *b;
	struct shr_map_status st;
	char text[150];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(open_as(&a, bad[i], "+>", 10, 0, 0) == -EINVAL, "%s", bad[i]);
	ck_assert_int_eq(open_as(&a, "sysv:/no/such/file", "+>", 10, 0, 0), -ENOENT);
	ck_assert_int_eq(open_as(&a, name[SYSV], "<", 0, 0, 0), -ENOENT);
	close(open(path[1], O_CREAT | O_RDWR, 0600));
	for (int project = 1; project < 256; project += 254) {
		snprintf(text, sizeof(text), project == 1 ? "sysv:%.100s" : "sysv:%.100s#255", path[1]);
		MUST(open_as(&a, text, "+>", 10, 0, O_EXCL));
		MUST(shr_map_stat(a, &st));
		ck_assert_int_eq(st.key, ftok(path[1], project));
		MUST(shr_map_unlink_own(a));
		shr_map_close(a);
	}
	/* Private ones are each another. */
	MUST(open_as(&a, "sysv:private", "+>", 10, 0, O_EXCL));
	MUST(open_as(&b, "sysv:private", ">", 10, 0, 0));
	ck_assert_int_eq(shr_map_created(b), 1);
	bytes(a)[0] = 'a';
	ck_assert_int_eq(bytes(b)[0], 0);
	ck_assert_int_eq(open_as(&(struct shr_map *){NULL}, "sysv:private", "+<", 0, 0, 0), -ENOENT);
	MUST(shr_map_unlink_own(a));
	MUST(shr_map_unlink_own(b));
	shr_map_close(a);
	shr_map_close(b);
}
END_TEST

/* The first segment of a fresh IPC namespace has number 0, which is a number like any. */
START_TEST(sysv_number_zero)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct shr_map *a, *b;
		struct shr_map_status st;

		if (unshare(CLONE_NEWIPC) || open_as(&a, name[SYSV], "+>", 100, 0, 0))
			_exit(1);
		bytes(a)[99] = 'z';
		if (shr_map_stat(a, &st) || st.id != 0 || open_as(&b, "sysv:#0", "<", 0, 0, 0))
			_exit(2);
		_exit(bytes(b)[99] == 'z' ? 0 : 3);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

static int may_unshare_ipc(void)
{
	int status = 1;
	pid_t pid = fork();

	if (!pid)
		_exit(unshare(CLONE_NEWIPC) ? 1 : 0);
	return waitpid(pid, &status, 0) == pid && !status;
}

static int set_and_count(void *address, size_t size, void *argument)
{
	memset(address, 'i', size);
	++*(int *)argument;
	return 0;
}

static int refuse(void *address, size_t size, void *argument)
{
	(void)address;
	(void)size;
	return *(int *)argument;
}

static int open_init(struct shr_map **map, const char *what,
		     int (*init)(void *, size_t, void *), void *argument)
{
	struct shr_map_options options = {
		.struct_size = sizeof(options), .size = 100, .init = init, .init_argument = argument};

	*map = NULL;
	return shr_map_open(map, what, "+>", &options);
}

START_TEST(init_runs_once_and_its_failure_leaves_nothing)
{
	struct shr_map *a, *b;
	int calls = 0, failure = -EDOM;

	ck_assert_int_eq(open_init(&a, name[_i], refuse, &failure), -EDOM);
	if (_i != ANON)
		ck_assert_int_eq(open_as(&a, name[_i], "<", 0, 0, 0), -ENOENT);
	MUST(open_init(&a, name[_i], set_and_count, &calls));
	ck_assert_int_eq(bytes(a)[99], 'i');
	if (_i != ANON) {
		MUST(open_init(&b, name[_i], set_and_count, &calls));
		shr_map_close(b);
		MUST(shr_map_unlink(name[_i]));
	}
	ck_assert_int_eq(calls, 1);
	shr_map_close(a);
}
END_TEST

static int told[2];

static int slow_init(void *address, size_t size, void *argument)
{
	char byte = 'x';

	(void)size;
	*(char *)address = 'h'; /* half */
	if (write(told[1], &byte, 1) != 1 || *(int *)argument)
		pause();
	usleep(100000);
	*(char *)address = 'w';
	return 0;
}

/* Openers see all of the work of a creator or, if it dies in it, nothing. */
START_TEST(nobody_sees_a_segment_in_the_making)
{
	struct shr_map *a;
	int calls = 0, status;
	char byte;

	ck_assert_int_eq(pipe(told), 0);
	for (int dies = 0; dies < 2; dies++) {
		pid_t pid = fork();

		if (!pid)
			_exit(open_init(&a, name[SYSV], slow_init, &dies) ? 1 : 0);
		ck_assert_int_eq(read(told[0], &byte, 1), 1);
		ck_assert_int_ge(shmget(key, 0, 0), 0);
		if (dies)
			kill(pid, SIGKILL);
		if (dies) {
			ck_assert_int_eq(waitpid(pid, &status, 0), pid);
			ck_assert_int_eq(open_as(&a, name[SYSV], "<", 0, 0, 0), -ENOENT);
			MUST(open_init(&a, name[SYSV], set_and_count, &calls));
			ck_assert_int_eq(bytes(a)[0], 'i');
		} else {
			MUST(open_as(&a, name[SYSV], "<", 0, 0, 0));
			ck_assert_int_eq(bytes(a)[0], 'w');
			ck_assert_int_eq(waitpid(pid, &status, 0), pid);
			ck_assert_int_eq(status, 0);
		}
		MUST(shr_map_unlink_own(a));
		shr_map_close(a);
	}
	ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(a_private_map_is_copied_on_write)
{
	struct shr_map *a, *b;
	int reads = _i >= ANON;
	int which = _i % ANON;

	if (which == SYSV)
		which = ANON;
	MUST(open_as(&a, name[which], "+>", 9000, 0, 0));
	memset(bytes(a), 'o', 9000);
	if (which == ANON)
		snprintf(name[which], 128, "fd:%d", shr_map_fd(a));
	MUST(open_as(&b, name[which], reads ? "<" : "+<", 0, 4100, SHR_MAP_PRIVATE));
	ck_assert_uint_eq(shr_map_size(b), 4900);
	bytes(b)[0] = 'p';
	ck_assert_int_eq(bytes(a)[4100], 'o');
	bytes(a)[0] = 'q';
	ck_assert_int_eq(bytes(b)[1], 'o');
	ck_assert_int_eq(shr_map_wait(b, 0, 0, 0), -EOPNOTSUPP);
	shr_map_close(b);
	shr_map_close(a);
}
END_TEST

START_TEST(descriptors)
{
	struct shr_map *a, *b;
	char text[40];
	int fd[2], before = dup(0), file;

	close(before);
	ck_assert_int_eq(open_as(&a, "fd:x", "<", 0, 0, 0), -EINVAL);
	ck_assert_int_eq(open_as(&a, "fd:", "<", 0, 0, 0), -EINVAL);
	ck_assert_int_eq(open_as(&a, "fd:-1", "<", 0, 0, 0), -EBADF);
	ck_assert_int_eq(open_as(&a, "fd:9999", "<", 0, 0, 0), -EBADF);
	ck_assert_int_eq(pipe(fd), 0);
	snprintf(text, sizeof(text), "fd:%d", fd[0]);
	ck_assert_int_eq(open_as(&a, text, "<", 10, 0, 0), -EMEDIUMTYPE);
	close(fd[0]);
	close(fd[1]);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	snprintf(text, sizeof(text), "fd:%d", fd[0]);
	ck_assert_int_eq(open_as(&a, text, "+<", 10, 0, 0), -EMEDIUMTYPE);
	close(fd[0]);
	close(fd[1]);
	file = open("/tmp", O_RDONLY | O_DIRECTORY);
	snprintf(text, sizeof(text), "fd:%d", file);
	ck_assert_int_eq(open_as(&a, text, "<", 10, 0, 0), -EMEDIUMTYPE);
	close(file);
	/* A read-only one is not made more of. */
	MUST(open_as(&a, name[A_FILE], "+>", 300, 0, 0));
	file = open(path[1], O_RDONLY);
	snprintf(text, sizeof(text), "fd:%d", file);
	ck_assert_int_eq(open_as(&b, text, "+<", 0, 0, 0), -EACCES);
	ck_assert_int_eq(open_as(&b, text, "+>", 10, 0, O_EXCL), -EACCES);
	MUST(open_as(&b, text, "<", 0, 0, 0));
	close(file); /* the map has its own */
	bytes(a)[299] = 'f';
	ck_assert_int_eq(bytes(b)[299], 'f');
	ck_assert_int_eq(shr_map_protect(b, 0, 0, PROT_WRITE), -EACCES);
	ck_assert_int_eq(shr_map_unlink_own(b), -EOPNOTSUPP);
	ck_assert_int_eq(shr_map_unlink(text), -EOPNOTSUPP);
	ck_assert_int_eq(shr_map_unlink("anon:x"), -EOPNOTSUPP);
	ck_assert_int_eq(open_as(&(struct shr_map *){NULL}, "anon:x", "<", 0, 0, 0), -ENOENT);
	shr_map_close(b);
	/* Grown through a descriptor. */
	snprintf(text, sizeof(text), "fd:%d", shr_map_fd(a));
	ck_assert_int_eq(open_as(&b, text, "+>", 10, 0, O_EXCL), -EEXIST);
	MUST(open_as(&b, text, "+<", 70000, 0, 0));
	bytes(b)[69999] = 1;
	shr_map_close(b);
	shr_map_close(a);
	ck_assert_int_eq(dup(0), before);
	close(before);
}
END_TEST

/* The mode table on what a descriptor refers to. */
START_TEST(descriptor_modes_and_sizes)
{
	static const char *const modes[] = {"<", "+<", ">", "+>"};
	static const int states[] = {0, 100, 300, 9000};
	static const uint64_t sizes[] = {0, 100, 300, 9000};

	for (int m = 0; m < 4; m++)
		for (int s = 0; s < 4; s++)
			for (int z = 0; z < 4; z++) {
				int memory = memfd_create("x", MFD_ALLOW_SEALING), want = 0, got;
				uint64_t mapped = sizes[z] ? sizes[z] : (uint64_t)states[s];
				struct shr_map *a;
				struct stat st;
				char text[40];

				ck_assert_int_eq(ftruncate(memory, states[s]), 0);
				snprintf(text, sizeof(text), "fd:%d", memory);
				if (m >= 2 && !sizes[z])
					want = -EINVAL;
				else if (!mapped)
					want = -ENODATA;
				else if (!m && mapped > (uint64_t)states[s])
					want = -ERANGE;
				got = open_as(&a, text, modes[m], sizes[z], 0, 0);
				ck_assert_msg(got == want, "%s state %d size %d: %d", modes[m], states[s],
					      (int)sizes[z], got);
				ck_assert_int_eq(fstat(memory, &st), 0);
				if (!got) {
					ck_assert_uint_eq(shr_map_size(a), mapped);
					ck_assert_int_eq(shr_map_created(a), 0);
					ck_assert_int_eq(st.st_size, (int)mapped > states[s] ? (int)mapped
											     : states[s]);
					shr_map_close(a);
				} else {
					ck_assert_int_eq(st.st_size, states[s]);
				}
				close(memory);
			}
}
END_TEST

START_TEST(the_umask_does_not_count_for_system_v)
{
	struct shr_map_options options = {.struct_size = sizeof(options), .size = 10, .perms = 0666};
	struct shr_map *a = NULL;
	struct shr_map_status st;

	umask(077);
	MUST(shr_map_open(&a, name[SYSV], "+>", &options));
	MUST(shr_map_stat(a, &st));
	ck_assert_uint_eq(st.perms, 0666);
	shr_map_close(a);
}
END_TEST

START_TEST(sealed_memory_is_passed_and_its_seals_are_checked)
{
	const uint32_t seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	struct shr_map_options options = {.struct_size = sizeof(options), .size = 4096};
	int pair[2], status;
	uint32_t got;
	pid_t pid;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid = fork();
	if (!pid) {
		struct shr_map *a = NULL, *b = NULL;

		if (shr_map_open(&a, "anon:unsealed", "+>", &options) ||
		    shr_fd_send(pair[1], shr_map_fd(a)))
			_exit(1);
		options.seals = seals;
		if (shr_map_open(&b, "anon:sealed", "+>", &options) ||
		    shr_fd_send(pair[1], shr_map_fd(b)))
			_exit(2);
		if (shr_map_seals(b, &got) || got != seals || shr_map_seal(b, F_SEAL_WRITE) != -EPERM ||
		    ftruncate(shr_map_fd(b), 0) != -1 || shr_map_remap(b, 8192) != -EPERM)
			_exit(3);
		if (shr_map_wait(b, 0, 0, shr_deadline_ns(10000000000)) || bytes(b)[0] != 'r')
			_exit(4);
		if (write(pair[1], "??", 2) != 2)
			_exit(5);
		_exit(0);
	}
	close(pair[1]);
	for (int sealed = 0; sealed < 2; sealed++) {
		struct shr_map *map = NULL;
		char text[40];
		int fd = shr_fd_receive(pair[0]);

		ck_assert_msg(fd >= 0, "%s", shr_last_error());
		ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		snprintf(text, sizeof(text), "fd:%d", fd);
		options.seals = F_SEAL_SHRINK;
		ck_assert_int_eq(shr_map_open(&map, text, "+<", &options), sealed ? 0 : -EPERM);
		close(fd);
		if (!sealed)
			continue;
		__atomic_store_n((uint32_t *)(void *)bytes(map), 'r', __ATOMIC_SEQ_CST);
		ck_assert_int_ge(shr_map_notify(map, 0, -1), 0);
		shr_map_close(map);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(shr_fd_receive(pair[0]), -EPROTO); /* a byte, and not ours */
	ck_assert_int_eq(shr_fd_receive(pair[0]), -EPROTO);
	ck_assert_int_eq(shr_fd_receive(pair[0]), -ENODATA);
	ck_assert_int_eq(shr_fd_receive(0x7fff), -EBADF);
	options.seals = seals;
	ck_assert_int_eq(shr_map_open(&(struct shr_map *){NULL}, name[POSIX], "+>", &options),
			 -EOPNOTSUPP);
	ck_assert_int_eq(access(path[0], F_OK), -1);
}
END_TEST

START_TEST(growth_is_a_generation_for_others)
{
	struct shr_map *a, *b;
	uint64_t generation = 0;

	MUST(open_as(&a, name[_i], "+>", 300, 5, 0));
	memcpy(bytes(a), "kept", 4);
	if (_i == ANON)
		snprintf(name[_i], 128, "fd:%d", shr_map_fd(a));
	MUST(open_as(&b, name[_i], "<", 0, 0, 0));
	MUST(shr_map_generation(b, &generation));
	ck_assert_uint_eq(generation, 305);
	ck_assert_int_eq(shr_map_remap(b, 306), -ERANGE);
	MUST(shr_map_remap(a, 65535));
	ck_assert_uint_eq(shr_map_size(a), 65535);
	ck_assert_mem_eq(bytes(a), "kept", 4);
	bytes(a)[0] = 'K';
	bytes(a)[65534] = 'E';
	MUST(shr_map_generation(b, &generation));
	ck_assert_uint_eq(generation, 65540);
	MUST(shr_map_remap(b, 0));
	ck_assert_uint_eq(shr_map_size(b), 65540);
	ck_assert_int_eq(bytes(b)[5], 'K');
	ck_assert_int_eq(bytes(b)[65539], 'E');
	MUST(shr_map_remap(b, 6)); /* the map only */
	ck_assert_uint_eq(shr_map_size(b), 6);
	MUST(shr_map_generation(b, &generation));
	ck_assert_uint_eq(generation, 65540);
	ck_assert_int_eq(shr_map_remap(a, UINT64_MAX), -EOVERFLOW);
	ck_assert_int_eq(bytes(a)[0], 'K');
	shr_map_close(b);
	shr_map_close(a);
}
END_TEST

START_TEST(ranges_advice_protection)
{
	static const char *const words[] = {"normal", "random", "sequential", "willneed", "cold",
					    "pageout", "dontdump", "dodump", "dontfork", "dofork",
					    "dontneed", "hugepage", "nohugepage"};
	struct shr_map *a;

	MUST(open_as(&a, name[_i], "+>", 20000, 100, SHR_MAP_POPULATE));
	memset(bytes(a), 'd', 20000);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		int err = shr_map_advise(a, 10, 0, words[i]);

		/* Only huge pages may be unknown to a kernel or a filesystem. */
		ck_assert_msg(!err || (strstr(words[i], "hugepage") && err == -EINVAL), "%s: %s",
			      words[i], shr_last_error());
	}
	ck_assert_int_eq(bytes(a)[19999], 'd');
	ck_assert_int_eq(shr_map_advise(a, 0, 0, "nonsense"), -EINVAL);
	ck_assert_int_eq(shr_map_advise(a, 0, 0, NULL), -EINVAL);
	ck_assert_int_eq(shr_map_advise(a, 20000, 0, "normal"), -ERANGE);
	ck_assert_int_eq(shr_map_sync(a, 1, 20000), -ERANGE);
	MUST(shr_map_sync(a, 5000, 6000));
	MUST(shr_map_sync(a, 0, 0));
	MUST(shr_map_mlock(a, 0, 100));
	MUST(shr_map_munlock(a, 0, 100));
	MUST(shr_map_populate(a, 0, 0));
	MUST(shr_map_protect(a, 8192, 4096, PROT_READ));
	ck_assert_int_eq(signal_of(bytes(a) + 8192, 1), SIGSEGV);
	ck_assert_int_eq(signal_of(bytes(a) + 8192, 0), 0);
	ck_assert_int_eq(signal_of(bytes(a), 1), 0);
	MUST(shr_map_protect(a, 0, 0, PROT_NONE));
	ck_assert_int_eq(signal_of(bytes(a), 0), SIGSEGV);
	MUST(shr_map_protect(a, 0, 0, PROT_READ | PROT_WRITE));
	ck_assert_int_eq(signal_of(bytes(a) + 8192, 1), 0);
	if (_i != SYSV) {
		MUST(shr_map_advise(a, 0, 0, "remove"));
		ck_assert_int_eq(bytes(a)[5000], 0);
	}
	shr_map_close(a);
}
END_TEST

START_TEST(no_map_is_a_clean_error)
{
	struct shr_map_status st;
	struct shr_map_granted granted;
	uint32_t seals;
	uint64_t generation;

	ck_assert_ptr_null(shr_map_address(NULL));
	ck_assert_uint_eq(shr_map_size(NULL), 0);
	ck_assert_int_eq(shr_map_created(NULL), 0);
	ck_assert_int_eq(shr_map_fd(NULL), -EINVAL);
	ck_assert_int_eq(shr_map_stat(NULL, &st), -EINVAL);
	ck_assert_int_eq(shr_map_chmod(NULL, 0600), -EINVAL);
	ck_assert_int_eq(shr_map_chown(NULL, 0, 0), -EINVAL);
	ck_assert_int_eq(shr_map_unlink_own(NULL), -EINVAL);
	ck_assert_int_eq(shr_map_sync(NULL, 0, 0), -EINVAL);
	ck_assert_int_eq(shr_map_advise(NULL, 0, 0, "normal"), -EINVAL);
	ck_assert_int_eq(shr_map_protect(NULL, 0, 0, PROT_READ), -EINVAL);
	ck_assert_int_eq(shr_map_mlock(NULL, 0, 0), -EINVAL);
	ck_assert_int_eq(shr_map_munlock(NULL, 0, 0), -EINVAL);
	ck_assert_int_eq(shr_map_populate(NULL, 0, 0), -EINVAL);
	ck_assert_int_eq(shr_map_remap(NULL, 0), -EINVAL);
	ck_assert_int_eq(shr_map_generation(NULL, &generation), -EINVAL);
	ck_assert_int_eq(shr_map_report(NULL, &granted), -EINVAL);
	ck_assert_int_eq(shr_map_wait(NULL, 0, 0, 0), -EINVAL);
	ck_assert_int_eq(shr_map_notify(NULL, 0, 1), -EINVAL);
	ck_assert_int_eq(shr_map_seal(NULL, 0), -EINVAL);
	ck_assert_int_eq(shr_map_seals(NULL, &seals), -EINVAL);
	shr_map_close(NULL);
}
END_TEST

/* The waiter looks again after each return: one that is for nothing changes nothing. */
START_TEST(a_waiter_sleeps_until_its_predicate)
{
	struct shr_map *a;
	uint32_t *word;
	int status, woken = 0;
	pid_t pid;

	MUST(open_as(&a, name[_i], "+>", 64, 0, 0));
	word = (uint32_t *)(void *)bytes(a);
	pid = fork();
	if (!pid) {
		int64_t deadline = shr_deadline_ns(20000000000);
		uint32_t seen;

		while ((seen = __atomic_load_n(word, __ATOMIC_SEQ_CST)) != 3)
			if (shr_map_wait(a, 0, seen, deadline))
				_exit(1);
		_exit(0);
	}
	for (uint32_t value = 0; value <= 3; value++) { /* 0: spurious */
		__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
		woken += shr_map_notify(a, 0, 1);
		usleep(10000);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_ge(woken, 1);
	ck_assert_int_eq(shr_map_wait(a, 0, 3, shr_deadline_ns(2000000)), -ETIMEDOUT);
	ck_assert_int_eq(shr_map_wait(a, 0, 2, SHR_FOREVER), 0);
	ck_assert_int_eq(shr_map_wait(a, 2, 2, SHR_FOREVER), -EINVAL);
	ck_assert_int_eq(shr_map_wait(a, 61, 2, SHR_FOREVER), -ERANGE);
	ck_assert_int_eq(shr_map_notify(a, 64, 1), -ERANGE);
	shr_map_close(a);
}
END_TEST

START_TEST(unlink_own_leaves_a_successor)
{
	struct shr_map *a, *b;

	MUST(open_as(&a, name[_i], "+>", 64, 0, 0));
	MUST(shr_map_unlink(name[_i]));
	ck_assert_int_eq(shr_map_unlink_own(a), -ENOENT);
	MUST(open_as(&b, name[_i], "+>", 64, 0, 0));
	ck_assert_int_eq(shr_map_unlink_own(a), -ESTALE);
	ck_assert_int_eq(access(path[_i], F_OK), 0);
	MUST(shr_map_unlink_own(b));
	ck_assert_int_eq(access(path[_i], F_OK), -1);
	shr_map_close(a);
	shr_map_close(b);
}
END_TEST

struct seen {
	const char *name;
	int count;
};

static int look_for(const char *found, int err, void *argument)
{
	struct seen *seen = argument;

	seen->count += !err && !strcmp(found, seen->name);
	return 0;
}

static int stop_at_once(const char *found, int err, void *argument)
{
	(void)found;
	(void)err;
	++*(int *)argument;
	return 77;
}

START_TEST(listing)
{
	static const char *const where[] = {"/", "file:/tmp/", "sysv:"};
	struct seen seen = {name[_i], 0};
	struct shr_map *a;
	int calls = 0;

	snprintf(name[SYSV], 128, "sysv:0x%08x", (unsigned)key);
	MUST(open_as(&a, name[_i], "+>", 64, 0, 0));
	MUST(shr_map_list(where[_i], 0, look_for, &seen));
	ck_assert_int_eq(seen.count, 1);
	MUST(shr_map_list(where[_i], SHR_LIST_SEGMENTS, look_for, &seen));
	ck_assert_int_eq(seen.count, 1); /* no segment */
	ck_assert_int_eq(shr_map_list(where[_i], 0, stop_at_once, &calls), 77);
	ck_assert_int_eq(calls, 1);
	MUST(shr_map_unlink(name[_i]));
	shr_map_close(a);
	MUST(shr_segment_create(&(struct shr_segment *){NULL}, name[_i], NULL, 0, NULL));
	MUST(shr_map_list(where[_i], SHR_LIST_SEGMENTS, look_for, &seen));
	ck_assert_int_eq(seen.count, 2);
	MUST(shr_segment_unlink(name[_i]));
	ck_assert_int_eq(shr_map_list("anon:", 0, look_for, &seen), -EOPNOTSUPP);
	ck_assert_int_eq(shr_map_list("file:/no/such", 0, look_for, &seen), -ENOENT);
	ck_assert_int_eq(shr_map_list("x", 0, look_for, &seen), -EINVAL);
	ck_assert_int_eq(shr_map_list("/", 8, look_for, &seen), -EINVAL);
}
END_TEST

START_TEST(placement_is_granted_and_reported_or_refused)
{
	struct shr_map_options options = {.struct_size = sizeof(options),
					  .size = 1 << 20,
					  .flags = SHR_MAP_POPULATE | SHR_MAP_MLOCK,
					  .numa_nodes = 1,
					  .numa_policy = SHR_NUMA_BIND};
	struct shr_map_granted granted;
	struct shr_map *a = NULL;
	int err;

	err = shr_map_open(&a, name[_i], "+>", &options);
	if (_i == A_FILE && err == -EOPNOTSUPP) { /* /tmp is no tmpfs */
		ck_assert_int_eq(access(path[1], F_OK), -1);
		options.numa_nodes = options.numa_policy = 0;
		err = shr_map_open(&a, name[_i], "+>", &options);
	}
	ck_assert_msg(!err, "%s", shr_last_error());
	MUST(shr_map_report(a, &granted));
	ck_assert_uint_eq(granted.page_size, (uint64_t)sysconf(_SC_PAGESIZE));
	ck_assert_uint_eq(granted.resident, 1 << 20);
#ifndef __SANITIZE_ADDRESS__ /* which makes mlock(2) do nothing */
	ck_assert_uint_ge(granted.locked, 1 << 20);
#endif
	ck_assert_uint_eq(granted.numa_nodes, 1);
	ck_assert_uint_eq(granted.elsewhere, 0);
	shr_map_close(a);
	clean();
	/* A node that is not there, a policy without nodes. */
	a = NULL;
	options.numa_nodes = (uint64_t)1 << 63;
	options.numa_policy = SHR_NUMA_BIND;
	err = shr_map_open(&a, name[_i], "+>", &options);
	ck_assert(err == -EINVAL || (_i == A_FILE && err == -EOPNOTSUPP));
	options.numa_nodes = 0;
	ck_assert_int_eq(shr_map_open(&a, name[_i], "+>", &options), -EINVAL);
	ck_assert_int_eq(shmget(key, 0, 0), -1);
	ck_assert_int_eq(access(path[0], F_OK), -1);
}
END_TEST

/* Given all the way, or an error: never small pages instead. */
START_TEST(huge_pages_are_huge_or_refused)
{
	struct shr_map_options options = {
		.struct_size = sizeof(options), .size = 1 << 20, .flags = SHR_MAP_HUGETLB};
	struct shr_map_granted granted;
	struct shr_map *a = NULL;
	int err = shr_map_open(&a, name[_i], "+>", &options);

	if (!err) {
		memset(bytes(a), 1, 1 << 20);
		MUST(shr_map_report(a, &granted));
		ck_assert_uint_gt(granted.page_size, (uint64_t)sysconf(_SC_PAGESIZE));
		ck_assert_uint_eq(granted.huge, granted.page_size);
		shr_map_close(a);
	} else {
		ck_assert_ptr_null(a);
		ck_assert_int_eq(shmget(key, 0, 0), -1);
	}
	options.huge_page_size = 12345;
	a = NULL;
	ck_assert_int_eq(shr_map_open(&a, name[_i], "+>", &options), -EINVAL);
	ck_assert_int_eq(shr_map_open(&a, name[POSIX], "+>", &options), -EOPNOTSUPP);
	options.flags = 0;
	ck_assert_int_eq(shr_map_open(&a, name[_i], "+>", &options), -EINVAL);
}
END_TEST

/* --- Segments and rings ------------------------------------------------------ */

static int companions(void)
{
	FILE *list = popen("ls -A /dev/shm | grep -c '^.shmring-life-'", "r");
	int n = -1;

	ck_assert_int_eq(fscanf(list, "%d", &n), 1);
	pclose(list);
	return n;
}

/* A producer is killed, its death seen, and its place taken, on every backend. */
START_TEST(a_ring_survives_its_producer)
{
	struct shr_ring_options options = {.struct_size = sizeof(options),
					   .capacity = 4096,
					   .flags = SHR_RING_SINGLE_PRODUCER};
	struct shr_ring *ring = NULL;
	struct shr_inspect *inspect = NULL;
	struct shr_segment_info info;
	struct shr_producer *producer = NULL;
	struct shr_cursor *cursor = NULL;
	struct shr_record record;
	int before = companions(), door = -1, status;
	char attach[150];
	pid_t pid;

	MUST(shr_ring_open(&ring, name[_i], "+>", &options, NULL));
	ck_assert_int_eq(companions(), before + (_i == SYSV));
	snprintf(attach, sizeof(attach), "%s", name[_i]);
	if (_i == ANON) {
		door = dup(shr_segment_fd(shr_ring_segment(ring)));
		snprintf(attach, sizeof(attach), "fd:%d", door);
	}
	ck_assert_int_eq(pipe(told), 0);
	pid = fork();
	if (!pid) {
		struct shr_ring *own = NULL;

		if (shr_ring_open(&own, attach, "+<", &options, NULL) ||
		    shr_producer_open(&producer, own) || shr_producer_write(producer, "alive", 5) ||
		    write(told[1], "x", 1) != 1) {
			fprintf(stderr, "# child: %s\n", shr_last_error());
			_exit(1);
		}
		pause();
	}
	close(told[1]);
	ck_assert_int_eq(read(told[0], attach + 149, 1), 1);
	attach[149] = '\0';
	ck_assert_int_eq(shr_producer_open(&producer, ring), -EBUSY);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	MUST(shr_producer_open(&producer, ring));
	MUST(shr_producer_write(producer, "heir", 4));
	MUST(shr_cursor_open(&cursor, ring, NULL));
	MUST(shr_cursor_next(cursor, &record));
	ck_assert_mem_eq(record.payload, "alive", 5);
	MUST(shr_cursor_release(cursor));
	MUST(shr_cursor_next(cursor, &record));
	ck_assert_mem_eq(record.payload, "heir", 4);
	MUST(shr_inspect_open(&inspect, attach));
	MUST(shr_inspect_segment(inspect, &info));
	ck_assert_uint_eq(info.life, _i == SYSV ? SHR_LIFE_COMPANION : SHR_LIFE_FILE);
	ck_assert_uint_eq(info.obsolete, 0);
	MUST(shr_segment_check(shr_ring_segment(ring)));
	ck_assert_int_eq(shr_segment_unlink(name[ANON]), -EOPNOTSUPP);
	MUST(shr_segment_unlink(attach));
	MUST(shr_inspect_segment(inspect, &info));
	ck_assert_uint_eq(info.obsolete, 1);
	shr_inspect_close(inspect);
	ck_assert_int_eq(shr_segment_check(shr_ring_segment(ring)), -ESTALE);
	ck_assert_int_eq(companions(), before);
	shr_cursor_close(cursor);
	shr_producer_close(producer);
	shr_ring_close(ring);
	ck_assert_int_eq(shmget(key, 0, 0), -1);
	close(door);
}
END_TEST

START_TEST(without_its_companion_nobody_is_guessed_dead)
{
	struct shr_segment *a = NULL, *b = NULL;
	struct shr_inspect *inspect = NULL;
	struct shr_segment_info info;
	struct shr_member_info member;
	char companion[80];

	MUST(shr_segment_create(&a, name[SYSV], NULL, 0, NULL));
	snprintf(companion, sizeof(companion), "/dev/shm/.shmring-life-%016llx",
		 (unsigned long long)shr_segment_epoch(a));
	ck_assert_int_eq(unlink(companion), 0);
	ck_assert_int_eq(shr_segment_attach(&b, name[SYSV], NULL), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(shr_last_error(), companion));
	MUST(shr_inspect_open(&inspect, name[SYSV]));
	MUST(shr_inspect_segment(inspect, &info));
	ck_assert_uint_eq(info.life, SHR_LIFE_NONE);
	MUST(shr_inspect_member(inspect, 1, &member));
	ck_assert_uint_eq(member.state, SHR_MEMBER_UNKNOWN);
	shr_inspect_close(inspect);
	MUST(shr_segment_detach(a));
	MUST(shr_segment_unlink(name[SYSV]));
	ck_assert_int_eq(shmget(key, 0, 0), -1);
}
END_TEST

START_TEST(an_anonymous_segment_is_sealed_and_one_that_is_not_is_refused)
{
	struct shr_segment *a = NULL, *b = NULL;
	int fd, other = memfd_create("x", MFD_ALLOW_SEALING);
	char text[40], page[4096];

	MUST(shr_segment_create(&a, "anon:x", NULL, 0, NULL));
	fd = shr_segment_fd(a);
	ck_assert_int_eq(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	snprintf(text, sizeof(text), "fd:%d", fd);
	ck_assert_int_eq(shr_segment_create(&b, text, NULL, 0, NULL), -EEXIST);
	MUST(shr_segment_attach(&b, text, NULL));
	ck_assert_int_ne(shr_segment_member(a), shr_segment_member(b));
	MUST(shr_segment_detach(b));
	b = NULL;
	for (off_t at = 0; pread(fd, page, sizeof(page), at) == sizeof(page); at += 4096)
		ck_assert_int_eq(pwrite(other, page, sizeof(page), at), sizeof(page));
	snprintf(text, sizeof(text), "fd:%d", other);
	ck_assert_int_eq(shr_segment_attach(&b, text, NULL), -EPERM);
	ck_assert_int_eq(fcntl(other, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	MUST(shr_segment_attach(&b, text, NULL));
	MUST(shr_segment_detach(b));
	MUST(shr_segment_detach(a));
	close(other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("backends");
	TCase *tc = tcase_create("backends");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, clean);
	tcase_add_test(tc, sysv_from_create_to_remove);
	tcase_add_test(tc, sysv_modes_and_sizes);
	tcase_add_test(tc, sysv_names);
	if (may_unshare_ipc())
		tcase_add_test(tc, sysv_number_zero);
	else
		fputs("# not run: sysv_number_zero: no right to make an IPC namespace\n", stderr);
	tcase_add_loop_test(tc, init_runs_once_and_its_failure_leaves_nothing, 0, BACKENDS);
	tcase_add_test(tc, nobody_sees_a_segment_in_the_making);
	tcase_add_loop_test(tc, a_private_map_is_copied_on_write, 0, 2 * ANON);
	tcase_add_test(tc, descriptors);
	tcase_add_test(tc, descriptor_modes_and_sizes);
	tcase_add_test(tc, the_umask_does_not_count_for_system_v);
	tcase_add_test(tc, sealed_memory_is_passed_and_its_seals_are_checked);
	tcase_add_loop_test(tc, growth_is_a_generation_for_others, 0, 2);
	tcase_add_loop_test(tc, growth_is_a_generation_for_others, ANON, BACKENDS);
	tcase_add_loop_test(tc, ranges_advice_protection, 0, BACKENDS);
	tcase_add_test(tc, no_map_is_a_clean_error);
	tcase_add_loop_test(tc, a_waiter_sleeps_until_its_predicate, 0, BACKENDS);
	tcase_add_loop_test(tc, unlink_own_leaves_a_successor, 0, 2);
	tcase_add_loop_test(tc, listing, 0, ANON);
	tcase_add_loop_test(tc, placement_is_granted_and_reported_or_refused, 0, BACKENDS);
	tcase_add_loop_test(tc, huge_pages_are_huge_or_refused, SYSV, BACKENDS);
	tcase_add_loop_test(tc, a_ring_survives_its_producer, 0, BACKENDS);
	tcase_add_test(tc, without_its_companion_nobody_is_guessed_dead);
	tcase_add_test(tc, an_anonymous_segment_is_sealed_and_one_that_is_not_is_refused);
	suite_add_tcase(suite, tc);
	return tap_run(suite);
}
