"""The command's own errors, and its exit codes.

::

    QdError
     └─ CliError
         ├─ NoStack          no stack to talk to, and no settings that name one
         ├─ StackBusy        another command is changing this stack
         ├─ StateBroken      the state folder's file is not readable
         ├─ ProfileBroken    Fluvio's profile file cannot be used
         ├─ FileBroken       a file that the user gave is not what it should be
         ├─ PartFailed       a part of the stack did not start
         ├─ PartDied         a command failed because a part of the stack died
         ├─ NotAcknowledged  not every record that was to be produced is in the topic
         ├─ NotDecoded       records that were to be decoded are no messages
         ├─ KubernetesUnusable  no kubectl, or no cluster that it may use
         │   └─ KubernetesUnreachable  the cluster does not answer (retriable)
         ├─ KubernetesFailed    the cluster refuses what was asked of it
         ├─ DeploymentFailed    a part of a deployment does not become ready
         └─ RequestRefused   what the user asked for makes no sense here
"""

from __future__ import annotations

import enum
import signal

from qd_schemas.errors import QdError


class ExitCode(enum.IntEnum):
    """What the shell sees when the command ends."""

    OK = 0
    FAILED = 1
    """Something failed; one line on standard error says what."""
    USAGE = 2
    """The command line makes no sense."""
    PART_DIED = 3
    """``qd status``: a part of the stack died, or does not run."""
    NOT_RUNNING = 4
    """``qd status``: no stack is running here."""
    DIFFERS = 5
    """``qd topics apply``: the cluster's topics are not as they are declared."""
    UNSOUND = 6
    """``qd db check``: something in the database is wrong."""
    OUTDATED = 7
    """``qd db status``: the tables are missing, or of another version than this qd's."""
    TRY_AGAIN = 75
    """Something failed that may pass: the same command may succeed later, unchanged (EX_TEMPFAIL
    of sysexits.h), as where the database, the cluster or a bucket does not answer."""
    DEFECT = 70
    """A defect of qd itself (EX_SOFTWARE of sysexits.h)."""
    SIGNALLED = 128
    """Plus the signal's number: 130 for Ctrl-C, 143 for SIGTERM, 141 for a closed pipe."""


class OutputClosed(Exception):
    """The reader of our output went away: the end of the command, but no failure."""


class Interrupted(Exception):
    """A signal ended the command; everything is cleaned up."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class CliError(QdError):
    """Anything the command itself reports."""


class NoStack(CliError):
    """No stack is running, and no setting names another."""


class StackBusy(CliError):
    """Another command is changing this stack right now."""

    retriable = True


class StateBroken(CliError):
    """The file in the state folder is not what ``qd`` wrote there."""


class ProfileBroken(CliError):
    """Fluvio's profile file cannot be read or written, or makes no sense."""


class FileBroken(CliError):
    """A file that the user gave is not what it should be; the message says where."""


class NotAcknowledged(CliError):
    """Not every record that was to be produced is in the topic; the message says how many."""


class NotDecoded(CliError):
    """Records that were to be decoded are no messages of the schema."""


class PartFailed(CliError):
    """A part of the stack did not start; the message holds its log's end."""


class PartDied(CliError):
    """A command failed, and a part of the stack that it used has died; `qd up` starts it again."""


class KubernetesUnusable(CliError):
    """There is no kubectl, no cluster that it knows, or none that takes this user."""


class KubernetesUnreachable(KubernetesUnusable):
    """The cluster does not answer."""

    retriable = True


class KubernetesFailed(CliError):
    """The cluster, or kubectl, refuses what was asked of it."""


class DeploymentFailed(CliError):
    """A part of a deployment does not become ready; the message says which, and why."""


class RequestRefused(CliError):
    """What was asked for makes no sense here."""
