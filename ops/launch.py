"""Become a server that dies with its supervisor: `launch.py PARENT SIGNAL IDENTITY COMMAND...`.

A program of its own, started with `python -I -S`, rather than a `preexec_fn`: between `fork` and
`exec` of a process with threads hardly anything is safe, and Python 3.12 and later warn of it.

IDENTITY is one of

- `same`: stay who we are;
- `namespace`: for PostgreSQL, which refuses to run as root: a user namespace where root is called
  `nobody`, so that outside of it the files stay root's;
- `nobody`: the same where namespaces are not allowed (most containers): really become `nobody`,
  keeping only the capability to pass directories that are closed to others.
"""

import ctypes
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

NOBODY: Final = 65534

_CLONE_NEWUSER: Final = 0x10000000  # sched.h
_PR_SET_PDEATHSIG: Final = 1  # sys/prctl.h, as the following
_PR_SET_KEEPCAPS: Final = 8
_PR_SET_SECUREBITS: Final = 28
_SECBIT_NO_SETUID_FIXUP: Final = 4  # linux/securebits.h
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_RAISE: Final = 2
_CAP_DAC_OVERRIDE: Final = 1  # linux/capability.h, as the following
_CAPABILITY_VERSION_3: Final = 0x20080522


def _call(function: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc[function](*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


def _enter_user_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    _call("unshare", _CLONE_NEWUSER)
    # A group map may only be written once `setgroups` is denied: user_namespaces(7).
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {uid} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1", encoding="ascii")


def _become_nobody() -> None:
    _call("prctl", _PR_SET_KEEPCAPS, 1, 0, 0, 0)
    # access(2), by which PostgreSQL looks for its own programs, heeds capabilities only so. Where
    # this is not allowed, the checkout has to be open to others.
    with suppress(PermissionError):
        _call("prctl", _PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    kept = 1 << _CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # Twice (effective, permitted, inheritable): the low and the high 32 capabilities.
    _call("capset", header, (ctypes.c_uint32 * 6)(kept, kept, kept, 0, 0, 0))
    # Ambient, because an inheritable capability alone does not survive `exec`.
    _call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)


def _allow_many_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main(arguments: list[str]) -> None:
    """Take on the identity, tie our life to the supervisor's, and become the command."""
    parent, death_signal, identity, *command = arguments
    os.umask(0o077)
    _allow_many_files()
    if identity == "namespace":
        _enter_user_namespace()
    elif identity == "nobody":
        _become_nobody()
    if sys.platform == "linux":
        # After the change of identity, which clears it.
        _call("prctl", _PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("the supervisor has gone")
    os.execv(command[0], command)  # noqa: S606 -- to become another program is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
