/* SPDX-License-Identifier: MIT */
/* L3, membership: who is alive. The protocol is at the top of member.c. */
#ifndef LIB_MEMBER_H
#define LIB_MEMBER_H

#include "attached.h"

/* Map the segment and win a slot. Fills base, size, life, slot. */
int member_attach(struct shr_segment *segment, const char *role);

/* Map the segment to read, without a slot. Fills base, size. */
int member_observe(struct shr_segment *segment);

/* Give the slot back, if there is one, and unmap. The caller owns nothing any more. */
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

/* Does somebody hold the byte of @slot in the file @door: 1, 0, or -errno. Proves life only. */
int member_held(int door, uint32_t slot);

/*
 * Mend what the dead owner of @slot left, whose byte is held, record its death
 * and make the slot free. -EOPNOTSUPP where there is an object that this
 * library cannot mend.
 */
int member_mend(const struct shr_segment *segment, uint32_t slot);

/*
 * What people are shown of a slot, from an untrusted copy of it and what
 * member_held() said: member_watch.c.
 */
struct shr_member_info;
void member_view(struct shr_member_info *info, const struct shm_member *member, uint32_t number,
		 int held, uint64_t own_namespace);

#endif
