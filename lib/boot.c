/* SPDX-License-Identifier: MIT */
#include "boot.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void boot_id(uint8_t id[16])
{
	char text[40] = "";
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC), digits = 0;

	memset(id, 0, 16);
	if (fd < 0)
		return;
	if (read(fd, text, 36) != 36)
		text[0] = '\0';
	close(fd);
	for (const char *at = text; *at; at++) {
		int digit = *at >= 'a' ? *at - 'a' + 10 : *at - '0';

		if (*at == '-' || digits == 32)
			continue;
		id[digits / 2] |= (uint8_t)(digits % 2 ? digit : digit << 4);
		digits++;
	}
}

uint64_t boot_pid_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) < 0 ? 0 : st.st_ino;
}
