/* SPDX-License-Identifier: Apache-2.0 */
/* For dlopen. */
int answer(void);
int answer(void) { return 42; }
