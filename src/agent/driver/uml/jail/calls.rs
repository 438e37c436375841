//! The system calls that UML, and with it a guest's root, may make of the host. Everything else fails with ENOSYS, as in a
//! kernel that does not have it.
#![allow(
    clippy::cast_sign_loss,
    clippy::cast_lossless,
    clippy::cast_possible_wrap,
    clippy::unnecessary_cast,
    reason = "constants of the kernel's, which libc declares with the signs and lengths of C"
)]

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

/// Whatever their arguments. Names are opened in the jail's root only, signals and traces reach the guest's own processes only.
#[rustfmt::skip]
const FREE: &[libc::c_long] = &[
    // Files, in the jail.
    libc::SYS_read, libc::SYS_write, libc::SYS_pread64, libc::SYS_pwrite64, libc::SYS_readv, libc::SYS_writev,
    libc::SYS_preadv, libc::SYS_pwritev, libc::SYS_open, libc::SYS_openat, libc::SYS_close, libc::SYS_lseek,
    libc::SYS_stat, libc::SYS_fstat, libc::SYS_lstat, libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_statfs, libc::SYS_fstatfs,
    libc::SYS_access, libc::SYS_faccessat, libc::SYS_faccessat2, libc::SYS_readlink, libc::SYS_readlinkat, libc::SYS_getdents64,
    libc::SYS_getcwd, libc::SYS_chdir, libc::SYS_umask, libc::SYS_mkdir, libc::SYS_mkdirat, libc::SYS_rmdir, libc::SYS_rename,
    libc::SYS_unlink, libc::SYS_unlinkat, libc::SYS_fchmod, libc::SYS_truncate, libc::SYS_ftruncate,
    libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_flock, libc::SYS_dup, libc::SYS_dup2,
    libc::SYS_dup3, libc::SYS_pipe, libc::SYS_pipe2,
    // Memory; mapping is below.
    libc::SYS_mprotect, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_brk, libc::SYS_madvise, libc::SYS_msync, libc::SYS_mincore,
    // Waiting.
    libc::SYS_poll, libc::SYS_ppoll, libc::SYS_select, libc::SYS_pselect6, libc::SYS_epoll_create, libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl, libc::SYS_epoll_wait, libc::SYS_epoll_pwait, libc::SYS_eventfd2, libc::SYS_pause, libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep, libc::SYS_futex, libc::SYS_sched_yield,
    // Time.
    libc::SYS_gettimeofday, libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_times, libc::SYS_alarm,
    libc::SYS_getitimer, libc::SYS_setitimer, libc::SYS_timer_create, libc::SYS_timer_settime, libc::SYS_timer_gettime,
    libc::SYS_timer_delete,
    // Signals and processes; new ones are below.
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_rt_sigpending, libc::SYS_rt_sigsuspend,
    libc::SYS_sigaltstack, libc::SYS_kill, libc::SYS_tkill, libc::SYS_tgkill, libc::SYS_fork, libc::SYS_vfork, libc::SYS_execve,
    libc::SYS_exit, libc::SYS_exit_group, libc::SYS_wait4, libc::SYS_waitid, libc::SYS_ptrace, libc::SYS_getpid, libc::SYS_getppid,
    libc::SYS_gettid, libc::SYS_getpgrp, libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid,
    libc::SYS_getrlimit, libc::SYS_setrlimit, libc::SYS_prlimit64, libc::SYS_getrusage, libc::SYS_uname, libc::SYS_sysinfo,
    libc::SYS_sched_getaffinity, libc::SYS_arch_prctl, libc::SYS_set_tid_address, libc::SYS_set_robust_list, libc::SYS_rseq,
    libc::SYS_getrandom, libc::SYS_restart_syscall,
    // Sockets that are there; new ones are below.
    libc::SYS_bind, libc::SYS_sendto, libc::SYS_sendmsg, libc::SYS_recvfrom, libc::SYS_recvmsg, libc::SYS_recvmmsg,
    libc::SYS_sendmmsg, libc::SYS_getsockname, libc::SYS_shutdown,
];

/// Of `ioctl`: what a console, a pipe and a disk are asked. Not TIOCSTI, which types for others, and nothing of taps.
const IOCTLS: &[u64] = &[
    libc::TCGETS as u64,
    libc::TCSETS as u64,
    libc::TIOCGWINSZ as u64,
    libc::FIONREAD as u64,
    libc::FIONBIO as u64,
    libc::FIOASYNC as u64,
    libc::FIOCLEX as u64,
    BLKGETSIZE,
    BLKGETSIZE64,
    BLKDISCARD,
    BLKZEROOUT,
];
/// A volume's length, which UML asks in sectors.
const BLKGETSIZE: u64 = 0x1260;
const BLKGETSIZE64: u64 = 0x8008_1272;
const BLKDISCARD: u64 = 0x1277;
const BLKZEROOUT: u64 = 0x127f;

/// Flags of `clone` that make namespaces.
const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;

/// From here on `fcntl` has commands that POSIX has not (`F_SETLEASE` is the first).
const FIRST_OF_LINUX: u64 = 1024;

/// The type of a socket without its flags.
const SOCKET_TYPE: u64 = 0xf;

/// From now on, for this process and all that it starts.
pub(super) fn allow() -> io::Result<()> {
    let program = program().map_err(io::Error::other)?;
    apply_filter(&program).map_err(io::Error::other)
}

fn program() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        FREE.iter().map(|call| (*call, Vec::new())).collect();
    let is =
        |argument, op, value| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, op, value);
    let masked = SeccompCmpOp::MaskedEq;
    let unix = || is(0, SeccompCmpOp::Eq, libc::AF_UNIX as u64);
    // Only the guest's own processes and its agent can be spoken to: no network of the host's.
    let datagram = is(1, masked(SOCKET_TYPE), libc::SOCK_DGRAM as u64)?;
    rules.insert(
        libc::SYS_socket,
        vec![SeccompRule::new(vec![unix()?, datagram])?],
    );
    rules.insert(libc::SYS_socketpair, vec![SeccompRule::new(vec![unix()?])?]);
    // glibc asks with clone3 first, whose flags cannot be looked at; it has none here.
    let same = is(0, masked(NAMESPACES), 0)?;
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![same])?]);
    // Memory that is nobody's and no file's would be counted nowhere, and what grows down not as data.
    let anonymous = (libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_GROWSDOWN) as u64;
    let mappings = [
        libc::MAP_SHARED,
        libc::MAP_PRIVATE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    ];
    let mut mmap = Vec::new();
    for flags in mappings {
        let mask = anonymous | libc::MAP_PRIVATE as u64;
        mmap.push(SeccompRule::new(vec![is(3, masked(mask), flags as u64)?])?);
    }
    rules.insert(libc::SYS_mmap, mmap);
    // Holes only: room behind a disk's end would be taken without being seen.
    let hole = (libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE) as u64;
    let punches = is(1, SeccompCmpOp::Eq, hole)?;
    rules.insert(libc::SYS_fallocate, vec![SeccompRule::new(vec![punches])?]);
    // Not leases on its disks, for which the agent would wait, and not larger pipes.
    let mut fcntl = vec![SeccompRule::new(vec![is(
        1,
        SeccompCmpOp::Lt,
        FIRST_OF_LINUX,
    )?])?];
    let duplicates = is(1, SeccompCmpOp::Eq, libc::F_DUPFD_CLOEXEC as u64)?;
    fcntl.push(SeccompRule::new(vec![duplicates])?);
    rules.insert(libc::SYS_fcntl, fcntl);
    let mut ioctls = Vec::new();
    for request in IOCTLS {
        ioctls.push(SeccompRule::new(vec![is(1, SeccompCmpOp::Eq, *request)?])?);
    }
    rules.insert(libc::SYS_ioctl, ioctls);
    let arch: TargetArch = std::env::consts::ARCH.try_into()?;
    let refused = SeccompAction::Errno(libc::ENOSYS as u32);
    SeccompFilter::new(rules, refused, SeccompAction::Allow, arch)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_fits_the_kernel() {
        // BPF_MAXINSNS.
        assert!(program().unwrap().len() < 4096);
    }
}
