/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * marks - what a guest carries in xenstore, below its own folder, as long as flicd may have to finish what is done with it. Whoever finishes it
 * makes the value empty.
 */
#ifndef FLIC_COMMON_MARKS_H
#define FLIC_COMMON_MARKS_H

/* It may be suspended because of us: the operation's id, of a migration its uuid. */
#define MARK_OPERATION "flic/operation"

/* It is half a guest: the operation's id, of a migration its uuid. Or MARK_WHOLE: restored to its end, and to be let run. */
#define MARK_RESTORING "flic/restoring"
#define MARK_WHOLE "whole"

#endif
