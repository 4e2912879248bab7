"""Becomes a PostgreSQL program that ends with the daemon, and a server that is not root. Run as a script, by file name.

    python -I -S _child.py PARENT_PID DATA_DIRECTORY PROGRAM [ARGUMENT...]

Without a data directory ("") the program is a client, which may be root.

It is a program of its own, and not a `preexec_fn`, because Python code between fork and exec of a process with threads
can deadlock, and because uvloop and asyncio fork in different ways. It imports nothing of the project, so that it
starts in a few milliseconds.
"""

import ctypes
import os
import pwd
import signal
import sys
from pathlib import Path

# linux/prctl.h, linux/capability.h, linux/securebits.h, linux/sched.h
PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAP_DAC_OVERRIDE = 1
CAP_SETPCAP = 8
CAPABILITY_VERSION_3 = 0x20080522
CLONE_NEWUSER = 0x10000000

libc = ctypes.CDLL(None, use_errno=True)


def main(parent: int, data: str, program: str, arguments: list[str]) -> None:
    """Replaces this process by `program`; on any failure writes why to stderr and exits with 127."""
    if data and os.geteuid() == 0:
        leave_root(Path(data), program)
    # After the change of user, which clears it. SIGINT is PostgreSQL's fast shutdown.
    call("prctl", PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the daemon ended before PostgreSQL could start")
    os.execv(program, [program, *arguments])  # noqa: S606 -- the very purpose of this script


def leave_root(data: Path, program: str) -> None:
    """Gives up root, as PostgreSQL insists, without opening any directory to others.

    Switching to an account that exists works wherever root is root, also in containers, whose seccomp filter mostly
    forbids user namespaces. It does not where only one user exists at all (`unshare --map-root-user`, some sandboxes):
    there a namespace of our own gives root's files to a process that sees itself as somebody else.
    """
    account = account_for(data)
    try:
        give(account.pw_uid, account.pw_gid, data)
        become(account)
    except OSError:
        try:
            give(0, 0, data)
            enter_user_namespace(account)
        except OSError as error:
            sys.exit(
                f"PostgreSQL refuses to run as root, and this root may neither become {account.pw_name} nor make a "
                f"user namespace ({error}): start dongbo as an ordinary user"
            )
    else:
        reach(account, program, data)


def account_for(data: Path) -> pwd.struct_passwd:
    """The owner of the data, such as the user of a service on which root works now; else an ordinary account.

    The owner need not have a name: only initdb looks up its own, and what it is given belongs to root.
    """
    owner = data.stat()
    if owner.st_uid != 0:
        return pwd.struct_passwd((f"user {owner.st_uid}", "", owner.st_uid, owner.st_gid, "", "/", ""))
    return unprivileged_account()


def unprivileged_account() -> pwd.struct_passwd:
    """An account that exists: initdb looks up its own name."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    for account in pwd.getpwall():
        if account.pw_uid != 0:
            return account
    sys.exit("PostgreSQL does not run as root, and there is no other account: add one, such as `nobody`")


def give(uid: int, gid: int, data: Path) -> None:
    """Makes all of a directory belong to a user, itself last: so a walk that was interrupted is made up next time."""
    if data.stat().st_uid == uid:
        return
    for folder, folders, files in os.walk(data, topdown=False):
        for name in (*folders, *files):
            os.lchown(os.path.join(folder, name), uid, gid)  # noqa: PTH118
    os.chown(data, uid, gid)


def become(account: pwd.struct_passwd) -> None:
    """Switches to an account for good, with capabilities that are permitted but not in effect."""
    call("prctl", PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)


def reach(account: pwd.struct_passwd, program: str, data: Path) -> None:
    """Sees to it that the account gets to the program and the data.

    Where a directory above belongs to root alone (an installation or a state directory under /root), the process keeps
    the one capability that lets it through: less than opening /root to everybody, and no more than what the root user
    who started the daemon may do. The other capabilities end with exec.
    """
    if os.access(program, os.X_OK) and os.access(data, os.R_OK | os.W_OK | os.X_OK):
        return
    try:
        keep_only(CAP_DAC_OVERRIDE)
    except OSError:
        sys.exit(
            f"{account.pw_name}, as whom PostgreSQL runs because it refuses to run as root, can't reach {program} or "
            f"{data}: install dongbo and put its state directory outside of /root"
        )


def keep_only(capability: int) -> None:
    """Keeps one capability over the coming exec, also for access(2); the others end with it.

    PostgreSQL looks for its own programs with access(2), which asks what the real user may do and leaves capabilities
    out of account, unless this securebit is set (capabilities(7)).
    """
    mask = 1 << capability
    set_capabilities(mask | 1 << CAP_SETPCAP, mask)
    call("prctl", PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    set_capabilities(mask, mask)
    call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def set_capabilities(effective: int, inheritable: int) -> None:
    """Sets the capabilities of this process; those in effect are the permitted ones, too."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    call("capset", header, (ctypes.c_uint32 * 6)(effective, effective, inheritable, 0, 0, 0))  # with the upper halves


def enter_user_namespace(account: pwd.struct_passwd) -> None:
    """Sees itself as `account` from here on, while its files stay those of the user who started it."""
    uid, gid = os.geteuid(), os.getegid()
    call("unshare", CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")  # the kernel asks for it before a gid_map without privilege
    Path("/proc/self/uid_map").write_text(f"{account.pw_uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{account.pw_gid} {gid} 1")


def call(function: str, *arguments: object) -> None:
    """Calls a function of libc that returns 0 or sets errno."""
    if getattr(libc, function)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{function}: {os.strerror(error)}")


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
    except OSError as error:
        sys.stderr.write(f"can't run {sys.argv[3]}: {error}\n")
        sys.exit(127)
