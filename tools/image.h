/* SPDX-License-Identifier: MIT */
/* shmring-dump: what -r names: a saved image, or a core dump. */
#ifndef TOOLS_IMAGE_H
#define TOOLS_IMAGE_H

#include <shmring/shmring.h>

/*
 * Open the image @name: a file; "-", the standard input; core:FILE or core:FILE#SEGMENT,
 * a segment that a process had attached when it dumped core. 0, or the exit status
 * after a message.
 */
int image_open(struct shr_inspect **inspect, const char *name);

#endif
