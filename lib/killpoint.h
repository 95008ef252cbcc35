/* SPDX-License-Identifier: MIT */
/*
 * Points in a protocol at which a test may kill the process: nothing at all in
 * the library that is installed. Built with SHR_KILL_POINTS each calls
 * shr_kill_point(), which the test has. The labels are those of the tables
 * under "Crash" at the top of each file.
 */
#ifndef LIB_KILLPOINT_H
#define LIB_KILLPOINT_H

#ifdef SHR_KILL_POINTS
void shr_kill_point(const char *label);
#define KILL_POINT(label) shr_kill_point(label)
#else
#define KILL_POINT(label) ((void)0)
#endif

#endif
