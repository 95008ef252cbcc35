/* SPDX-License-Identifier: MIT */
/* Two cpus, and how far apart they are. */
#include "bench.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#define SIBLING_BELOW_NS 85
#define NEAR_BELOW_NS    350
#define FAR_BELOW_NS     5000 /* above, one of the two had no cpu */

const char *const distance_name[DISTANCES] = {"sibling", "near", "far"};

/* A virtual machine's cpus move: this is measured all the time, not read from sysfs. */
enum distance distance_of(double round_trip_ns)
{
	if (round_trip_ns < SIBLING_BELOW_NS)
		return SIBLING;
	if (round_trip_ns < NEAR_BELOW_NS)
		return NEAR;
	return round_trip_ns < FAR_BELOW_NS ? FAR : DISTANCES;
}

/* What sysfs calls core and package; unknown is -1. */
static int topology(int cpu, const char *file)
{
	char path[100];
	int value = -1;
	FILE *stream;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/%s", cpu, file);
	stream = fopen(path, "re");
	if (!stream)
		return -1;
	if (fscanf(stream, "%d", &value) != 1)
		value = -1;
	fclose(stream);
	return value;
}

/* The first cpu that is allowed, and the next that is on another core; else the next. */
int machine_pick(int cpu[2])
{
	cpu_set_t allowed;
	int next = -1;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		die_errno("sched_getaffinity");
	cpu[0] = -1;
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &allowed))
			continue;
		if (cpu[0] < 0) {
			cpu[0] = i;
			continue;
		}
		if (next < 0)
			next = i;
		if (topology(i, "core_id") != topology(cpu[0], "core_id") ||
		    topology(i, "physical_package_id") != topology(cpu[0], "physical_package_id")) {
			next = i;
			break;
		}
	}
	cpu[1] = next;
	return next < 0 ? -1 : 0;
}

void machine_pin(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		die_errno("sched_setaffinity");
}

void machine_model(char *text, size_t size)
{
	FILE *stream = fopen("/proc/cpuinfo", "re");
	struct utsname system;
	char line[200];
	int found = 0;

	while (stream && !found && fgets(line, sizeof(line), stream)) {
		char *value = strchr(line, ':');

		if (strncmp(line, "model name", 10) || !value)
			continue;
		value[strcspn(value, "\n")] = 0;
		snprintf(text, size, "%s", value[1] == ' ' ? value + 2 : value + 1);
		found = 1;
	}
	if (stream)
		fclose(stream);
	if (!found)
		snprintf(text, size, "%s", uname(&system) ? "unknown cpu" : system.machine);
}

/* Its file of scheduler times, or -1: there is none, and nothing is known. */
int times_open(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

struct times times_read(int fd)
{
	struct times times = {0, 0};
	long long ran, waited;
	char text[100];
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return times;
	text[n] = 0;
	if (sscanf(text, "%lld %lld", &ran, &waited) == 2)
		times = (struct times){ran, waited};
	return times;
}
