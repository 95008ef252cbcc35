/* SPDX-License-Identifier: MIT */
/* Which start of which machine this is, and which pid namespace. */
#ifndef LIB_BOOT_H
#define LIB_BOOT_H

#include <stdint.h>

/* random(4): a number a start of the machine has; all zero if it cannot be read. */
void boot_id(uint8_t id[16]);

/* namespaces(7): the inode of ours; 0 without /proc. */
uint64_t boot_pid_namespace(void);

#endif
