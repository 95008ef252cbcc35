// SPDX-License-Identifier: MIT
// What C++ costs: the instructions of 1,000 records by the typed calls of shmring.hpp are
// within 5% of those by the calls of C, in the same program, counted by single steps.
#include <shmring/shmring.hpp>

#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

struct reading {
	uint64_t number;
	double celsius;
	char room[16];
};
SHMRING_SCHEMA(reading, 1, number, celsius, room);

namespace
{

const uint64_t records = 1000;
const double more = 1.05;

/* A ring of the process that counts, in its own memory, which all records fit. */
struct side {
	shmring::ring<reading> ring;
	shmring::producer<reading> producer;
	shmring::cursor<reading> cursor;
	struct shr_producer *p;
	struct shr_cursor *c;

	side()
	    : ring("anon:cost", "+>", shmring::ring_options(SHR_RING_SINGLE_PRODUCER)),
	      producer(ring), cursor(ring), p(producer.get()), c(cursor.get())
	{
	}
};

/* Each gives the sum of all numbers, or 0: a record was not written or read. */
typedef uint64_t work(side &s);

uint64_t c_write(side &s)
{
	uint64_t sum = 0;

	for (uint64_t i = 1; i <= records; i++) {
		struct reading reading = {i, 20.5, "kitchen"};

		if (shr_producer_write(s.p, &reading, sizeof(reading)))
			return 0;
		sum += i;
	}
	return sum;
}

uint64_t cxx_write(side &s)
{
	uint64_t sum = 0;

	for (uint64_t i = 1; i <= records; i++) {
		if (!s.producer.try_write({i, 20.5, "kitchen"}))
			return 0;
		sum += i;
	}
	return sum;
}

uint64_t c_in_place(side &s)
{
	uint64_t sum = 0;

	for (uint64_t i = 1; i <= records; i++) {
		void *payload;

		if (shr_producer_reserve(s.p, sizeof(struct reading), &payload))
			return 0;
		*static_cast<struct reading *>(payload) = {i, 20.5, "kitchen"};
		if (shr_producer_commit(s.p))
			return 0;
		sum += i;
	}
	return sum;
}

uint64_t cxx_in_place(side &s)
{
	uint64_t sum = 0;

	for (uint64_t i = 1; i <= records; i++) {
		auto record = s.producer.try_reserve();

		if (!record)
			return 0;
		*record = {i, 20.5, "kitchen"};
		record.commit();
		sum += i;
	}
	return sum;
}

uint64_t c_next(side &s)
{
	struct shr_record record;
	uint64_t sum = 0;
	int err;

	while (!(err = shr_cursor_next(s.c, &record))) {
		if (record.size < sizeof(struct reading))
			return 0;
		sum += static_cast<const struct reading *>(record.payload)->number;
		if (shr_cursor_release(s.c))
			return 0;
	}
	return err == -EAGAIN ? sum : 0;
}

uint64_t cxx_next(side &s)
{
	uint64_t sum = 0;

	while (auto record = s.cursor.try_next()) {
		sum += record->number;
		s.cursor.release();
	}
	return sum;
}

uint64_t cxx_loop(side &s)
{
	uint64_t sum = 0;

	for (const auto &record : s.cursor.available())
		sum += record->number;
	return sum;
}

uint64_t c_read(side &s)
{
	struct shr_record record;
	struct reading reading;
	uint64_t sum = 0;
	int err;

	while (!(err = shr_cursor_read(s.c, &reading, sizeof(reading), &record))) {
		if (record.size != sizeof(reading))
			return 0;
		sum += reading.number;
	}
	return err == -EAGAIN ? sum : 0;
}

uint64_t cxx_read(side &s)
{
	struct reading reading;
	uint64_t sum = 0;

	while (s.cursor.try_read(reading))
		sum += reading.number;
	return sum;
}

/* 0: a stop at SIGTRAP; the signal of another stop; or -1, it has ended. */
int stopped(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return -1;
	return WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
}

/* In a child: @before, if there is one, and @counted between two stops. */
void child(work *before, work *counted)
{
	const uint64_t all = records * (records + 1) / 2;
	side s;

	if (before && before(s) != all)
		_exit(1);
	if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) < 0)
		_exit(2);
	raise(SIGSTOP);
	if (counted(s) != all)
		_exit(1);
	raise(SIGSTOP);
	_exit(0);
}

/* Instructions of @counted, for 1,000 records; 0: it did not do it. */
uint64_t instructions(work *before, work *counted)
{
	uint64_t count = 0;
	pid_t pid = fork();
	int stop;

	if (pid < 0)
		return 0;
	if (!pid)
		child(before, counted);
	if (stopped(pid) != SIGSTOP)
		return 0;
	do {
		if (ptrace(PTRACE_SINGLESTEP, pid, nullptr, nullptr) < 0)
			break;
		stop = stopped(pid);
		count++;
	} while (!stop);
	if (stop != SIGSTOP)
		count = 0;
	kill(pid, SIGKILL);
	waitpid(pid, nullptr, 0);
	return count;
}

int cases, failures;

void compare(const char *what, work *before, work *c, work *cxx)
{
	uint64_t of_c = instructions(before, c), of_cxx = instructions(before, cxx);
	bool is = of_c && of_cxx && static_cast<double>(of_cxx) <= more * static_cast<double>(of_c);

	std::printf("%sok %d - %s: C++ takes at most 5%% more instructions than C\n",
		    is ? "" : "not ", ++cases, what);
	std::printf("# %" PRIu64 ".%03" PRIu64 " a record in C, %" PRIu64 ".%03" PRIu64 " in C++\n",
		    of_c / records, of_c % records, of_cxx / records, of_cxx % records);
	std::fflush(stdout);
	failures += !is;
}

/* Are there single steps? Not under qemu-user, or where ptrace(2) is forbidden. */
bool can_count()
{
	return instructions(nullptr, c_write) != 0;
}

} // namespace

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

int main()
{
#if !defined(__OPTIMIZE__) || defined(SANITIZED)
	std::printf("1..0 # SKIP built without optimisation, or with a sanitizer\n");
	return 0;
#endif
	if (!can_count()) {
		std::printf("1..0 # SKIP this machine does not single-step\n");
		return 0;
	}
	compare("write", nullptr, c_write, cxx_write);
	compare("reserve and commit", nullptr, c_in_place, cxx_in_place);
	compare("next and release", c_write, c_next, cxx_next);
	compare("a range-for", c_write, c_next, cxx_loop);
	compare("read", c_write, c_read, cxx_read);
	std::printf("1..%d\n", cases);
	return failures != 0;
}
