/* SPDX-License-Identifier: MIT */
/* Runs a check suite and reports every case to automake's TAP driver. */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <check.h>
#include <stdlib.h>

static inline int tap_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
