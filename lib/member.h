/* SPDX-License-Identifier: MIT */
/* L3, membership: who is alive. The protocol is at the top of member.c. */
#ifndef LIB_MEMBER_H
#define LIB_MEMBER_H

#include "attached.h"

/* Map the segment and win a slot. Fills base, size, life, slot. */
int member_attach(struct shr_segment *segment, const char *role);

/* Give the slot back and unmap. The caller owns nothing any more. */
void member_detach(struct shr_segment *segment);

/*
 * Win the byte of @slot, which is proof that its owner is dead, for as long as
 * *@token is open. Never blocks. Until member_release() no fork() starts in
 * this process.
 *
 * 0, or -EBUSY alive, or another process is recovering it; or why it cannot be
 * known.
 */
int member_win(const struct shr_segment *segment, uint32_t slot, int *token);
void member_release(int token, uint32_t slot);

#endif
