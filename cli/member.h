/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * member - reading the members of flicd's answers, which a different version may have sent.
 *
 * A missing member or one of another type reads as the default: the commands print what they got. Numbers may be
 * JSON numbers or decimal strings (docs/protocol.md).
 */
#ifndef FLIC_CLI_MEMBER_H
#define FLIC_CLI_MEMBER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

bool member_number(const json_t *object, const char *name, uint64_t *ret_value);
uint64_t member_u64(const json_t *object, const char *name);            /* 0 when missing */
const char *member_text(const json_t *object, const char *name);       /* "" when missing; borrowed */

/*
 * One value as people read it, by the ending of its name: _bytes, _pages, _us, _ms, _ns, _s, _mib; lists joined with ", ",
 * truth as yes and no. Gives text to free(); NULL without memory.
 */
char *member_humanised(const char *name, const json_t *value);

/* "name  value" of every member that is no object, indented by `indent`; underscores in names become blanks. */
int member_print_all(const json_t *object, int indent, FILE *to);

/* All text in it as flic_make_printable() has it, but a "config": that is JSON itself, which its reader makes printable line by line. */
void member_make_printable(json_t *value);
/* One line of JSON; on a terminal only ASCII that it obeys in no way. 0 or -errno. */
int member_print_json(const json_t *object, FILE *to);

#endif
