/* SPDX-License-Identifier: MIT */
/* The sentence behind an error: one buffer a thread, never in shared memory. */
#ifndef LIB_ERROR_H
#define LIB_ERROR_H

#define ERROR_SIZE 320 /* of a sentence, with its zero */

/* Record the sentence and return -@err, for `return shr_fail(EINVAL, "...")`. */
int shr_fail(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* 0 if the struct of options of @size bytes is usable by a library that knows @known. */
int shr_options_check(const void *options, unsigned long size, unsigned long known);

#endif
