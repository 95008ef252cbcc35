/* SPDX-License-Identifier: MIT */
/* Everything of shmring, in the order of the layers. */
#ifndef SHMRING_SHMRING_H
#define SHMRING_SHMRING_H

#include <shmring/base.h>
#include <shmring/map.h>
#include <shmring/segment.h>
#include <shmring/schema.h>
#include <shmring/lock.h>
#include <shmring/ring.h>
#include <shmring/table.h>
#include <shmring/inspect.h>

#endif
