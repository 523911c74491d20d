/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* flic push, pull and their other ends: an operation of flicd whose tunnel goes to a peer. */
#include "cli/cancel.h"
#include "cli/cmd.h"
#include "cli/human.h"
#include "cli/member.h"
#include "cli/progress.h"
#include "cli/transport.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TICK_MS 200

struct copying {
    struct cmd_request *req;
    const char *there;          /* the peer's command; NULL: we are the other end */
    struct transport transport;
    struct progress progress;
    const volatile int *cancel;
    char operation[64];
    bool aborted;
};

/* ---- the operation ---- */

static int attach(struct copying *c, int socket)
{
    return c->there ? transport_start(&c->transport, c->req->command, c->req->peer, c->there, socket) : transport_serve(&c->transport, socket);
}

/* A second connection of flicd's socket, which carries what the two flicd say from then on. */
static int open_tunnel(struct copying *c, struct flic_err *err)
{
    struct flic_talk *talk;
    int fd = -1, rc = flic_talk_open(c->req->socket, &talk, err);

    if (rc)
        return rc;
    rc = flic_talk_send(talk, json_pack("{s:s, s:s}", "op", "tunnel", "operation", c->operation), err);
    if (!rc && (fd = dup(flic_talk_fd(talk))) < 0)
        rc = flic_err_errno(err, "open a tunnel to the peer");
    flic_talk_close(talk);
    if (rc)
        return rc;
    rc = attach(c, fd);
    return rc ? flic_err_set(err, rc, "reach the peer: %s", strerror(-rc)) : 0;
}

static int on_event(struct copying *c, const char *name, const json_t *event, struct flic_err *err)
{
    if (!strcmp(name, "progress"))
        progress_show(&c->progress, member_text(event, "phase"), member_u64(event, "done"), member_u64(event, "total"));
    if (strcmp(name, "ready"))
        return 0;
    (void)snprintf(c->operation, sizeof(c->operation), "%s", member_text(event, "operation"));
    return open_tunnel(c, err);
}

/* Once: flicd's answer comes all the same, and says what became of it. */
static int see_cancel(struct copying *c, struct flic_err *err)
{
    if (!*c->cancel || c->aborted)
        return 0;
    if (!c->operation[0])
        return flic_err_set(err, FLIC_E_CANCELLED, "cancelled");
    c->aborted = true;
    return flic_talk_send(c->req->talk, json_pack("{s:s, s:s}", "op", "abort", "operation", c->operation), err);
}

static int converse(struct copying *c, json_t **ret_answer, struct flic_err *err)
{
    const char *name;
    json_t *msg;
    int rc = 0;

    while (!rc) {
        rc = flic_talk_next(c->req->talk, TICK_MS, &msg, err);
        if (rc == FLIC_E_TIMEOUT || rc == -EINTR) {
            *err = (struct flic_err){ 0 };
            rc = see_cancel(c, err);
            continue;
        }
        if (rc)
            break;
        if (!flic_talk_is_event(msg, &name)) {
            rc = flic_talk_outcome(msg, err);
            if (rc)
                json_decref(msg);
            else
                *ret_answer = msg;
            return rc;
        }
        rc = on_event(c, name, msg, err);
        json_decref(msg);
        if (!rc)
            rc = see_cancel(c, err);
    }
    return rc;
}

static int copy(struct copying *c, json_t *question, json_t **ret_answer, struct flic_err *err)
{
    int rc;

    if (!question)
        return flic_err_set(err, -ENOMEM, "out of memory");
    c->cancel = cancel_on_signals();
    progress_init(&c->progress, c->req->verb->name, c->req->what ? c->req->what : "", c->cancel, c->req->quiet || !c->there);
    rc = flic_talk_send(c->req->talk, question, err);
    if (!rc)
        rc = converse(c, ret_answer, err);
    progress_end(&c->progress);
    transport_end(&c->transport, rc ? 1 : 5);
    return rc;
}

static json_t *question_of(const struct cmd_request *req, const char *op)
{
    json_t *question = cmd_question(req, op);

    if (question)
        (void)json_object_update_new(question, json_pack("{s:s, s:b, s:b}", "peer", req->peer, "backup", (int)req->backup, "ram_only",
                                                         (int)req->ram_only));
    return question;
}

/* ---- the verbs ---- */

int cmd_push(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    struct copying c = { .req = req, .there = "flic receive" };

    return copy(&c, question_of(req, "give"), ret_answer, err);
}

int cmd_pull(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    struct copying c = { .req = req, .there = "flic send" };

    if (req->target.from_file)
        return flic_err_set(err, FLIC_E_USAGE, "'%s' is a file here: name a guest of %s", req->what, req->peer);
    return copy(&c, question_of(req, "get"), ret_answer, err);
}

int cmd_send(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    struct copying c = { .req = req };

    return copy(&c, cmd_question(req, "give"), ret_answer, err);
}

int cmd_receive(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    struct copying c = { .req = req };

    return copy(&c, cmd_question(req, "get"), ret_answer, err);
}

int cmd_say_nothing(const struct cmd_request *req, const json_t *answer)
{
    (void)req;
    (void)answer;
    return 0;
}

/* ---- for people ---- */

int cmd_push_print(const struct cmd_request *req, const json_t *answer)
{
    const json_t *figures = json_object_get(answer, "figures");
    const char *name = member_text(answer, "domain");
    char sent[HUMAN_ROOM], ram[HUMAN_ROOM], there[HUMAN_ROOM];

    if (req->quiet)
        return 0;
    (void)printf("pushed %s@%" PRIu64 " to %s, as its @%" PRIu64 ": %s sent for %s of memory, %s was there already\n", name, member_u64(answer, "seq"),
                 req->peer, member_u64(answer, "peer_seq"), human_bytes(member_u64(figures, "sent_bytes"), sent),
                 human_bytes(member_u64(figures, "ram_pages") * 4096, ram), human_bytes(member_u64(figures, "there_pages") * 4096, there));
    if (json_is_true(json_object_get(answer, "handed")))
        (void)printf("it may be brought up there now, and no longer here; 'flic pull %s %s' takes it back\n", req->peer, name);
    else
        (void)printf("what is there is a copy: where the guest may be brought up has not changed\n");
    return 0;
}

int cmd_pull_print(const struct cmd_request *req, const json_t *answer)
{
    const json_t *figures = json_object_get(answer, "figures");
    const char *name = member_text(answer, "domain");
    char received[HUMAN_ROOM], ram[HUMAN_ROOM], here[HUMAN_ROOM];

    if (req->quiet)
        return 0;
    (void)printf("pulled %s@%" PRIu64 " of %s, here @%" PRIu64 "%s: %s received for %s of memory, %s was here already\n", name,
                 member_u64(answer, "peer_seq"), req->peer, member_u64(answer, "seq"),
                 json_is_true(json_object_get(answer, "was_there")) ? ", which was here" : "",
                 human_bytes(member_u64(figures, "received_bytes"), received), human_bytes(member_u64(figures, "ram_pages") * 4096, ram),
                 human_bytes((member_u64(figures, "same_pages") + member_u64(figures, "found_pages")) * 4096, here));
    if (json_is_true(json_object_get(answer, "handed")))
        (void)printf("it may be brought up here now ('xl restore --flic %s'), and no longer there\n", name);
    else
        (void)printf("what is here is a copy: where the guest may be brought up has not changed\n");
    return 0;
}
