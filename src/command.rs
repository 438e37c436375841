//! The one way to run an outside program: no shell, a time limit, bounded output, and an error that says what the
//! program said. Long-lived programs (guests) are started with [`Tool::detach`].

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// More than this of a program's output is read and thrown away, unless [`Tool::output_limit`] says otherwise.
const OUTPUT_LIMIT: usize = 256 * 1024;
/// How much of stderr stands in an error.
const ERROR_TEXT: usize = 2000;
/// How long to wait for the end of what it said after the program itself ended: on a busy host the readers get their turn late.
/// A program that it left behind may hold its output for as long as it likes; then nobody knows whether that was all.
const OUTPUT_GRACE: Duration = Duration::from_secs(10);
/// The same for its complaints, which are only shown.
const ERROR_GRACE: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("{program}: cannot be started: {source}")]
    Start { program: String, source: io::Error },
    #[error("{program}: killed after {limit:?} without an end; it said: {stderr}")]
    TimedOut {
        program: String,
        limit: Duration,
        stderr: String,
    },
    #[error("{program}: {status}; it said: {stderr}")]
    Failed {
        program: String,
        status: ExitStatus,
        stderr: String,
    },
    #[error("{program}: {source}")]
    Wait { program: String, source: io::Error },
    #[error("{program}: it ended well, but not all that it said could be read: {source}")]
    Output { program: String, source: io::Error },
}

/// What a program that ended with status 0 said.
#[derive(Debug, Clone, Default)]
pub struct Said {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Said {
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// A program with its arguments, ready to run.
#[derive(Debug)]
pub struct Tool {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    cwd: Option<PathBuf>,
    limit: Duration,
    output_limit: usize,
}

impl Tool {
    /// The time limit is 30 seconds unless [`Tool::limit`] says otherwise.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            limit: Duration::from_secs(30),
            output_limit: OUTPUT_LIMIT,
        }
    }

    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    #[must_use]
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((key.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    #[must_use]
    pub fn cwd(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cwd = Some(dir.into());
        self
    }

    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Bytes that are kept of its standard output.
    #[must_use]
    pub fn output_limit(mut self, bytes: usize) -> Self {
        self.output_limit = bytes;
        self
    }

    /// Runs the program to its end. Any status but 0 is an error.
    pub fn run(&self) -> Result<Said, CommandError> {
        let mut command = self.command();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // A group of its own, so that a time-out also ends what the program itself started.
        command.process_group(0);
        let mut child = command.spawn().map_err(|source| self.start_error(source))?;
        let stdout = drain(child.stdout.take(), self.output_limit);
        let stderr = drain(child.stderr.take(), OUTPUT_LIMIT);
        let status = self.wait(&mut child, Instant::now() + self.limit)?;
        let complaints = || {
            let said = stderr.recv_timeout(ERROR_GRACE);
            said.ok().and_then(Result::ok).unwrap_or_default()
        };
        match status {
            Some(status) if status.success() => Ok(Said {
                stdout: self.whole(&stdout)?,
                stderr: complaints(),
            }),
            Some(status) => Err(CommandError::Failed {
                program: self.name(),
                status,
                stderr: printable(&complaints(), ERROR_TEXT),
            }),
            None => Err(CommandError::TimedOut {
                program: self.name(),
                limit: self.limit,
                stderr: printable(&complaints(), ERROR_TEXT),
            }),
        }
    }

    /// All of it, or an error: half of a list must not be taken for all, nor silence for an empty one.
    fn whole(&self, stdout: &mpsc::Receiver<io::Result<Vec<u8>>>) -> Result<Vec<u8>, CommandError> {
        let said = stdout.recv_timeout(OUTPUT_GRACE);
        said.map_err(io::Error::other)
            .flatten()
            .map_err(|source| CommandError::Output {
                program: self.name(),
                source,
            })
    }

    /// Starts a program that outlives its starter, its output (both streams) appended to `console`. `stdin` may carry
    /// a locked file, which the program then holds for as long as it lives. Returns its pid; it is reaped if it ends
    /// while this process lives. The program must leave the session itself (`setsid`, or `setsid` in front of it).
    pub fn detach(&self, stdin: Option<File>, console: File) -> Result<u32, CommandError> {
        let again = console
            .try_clone()
            .map_err(|source| self.start_error(source))?;
        let mut command = self.command();
        command
            .stdin(stdin.map_or_else(Stdio::null, Stdio::from))
            .stdout(Stdio::from(console))
            .stderr(Stdio::from(again));
        let mut child = command.spawn().map_err(|source| self.start_error(source))?;
        let pid = child.id();
        let reaper = thread::Builder::new().name(format!("reap-{pid}"));
        // Without the thread the guest merely stays a zombie until the agent ends, which reads as absent everywhere.
        let _ = reaper.spawn(move || child.wait());
        Ok(pid)
    }

    fn command(&self) -> Command {
        #[allow(
            clippy::disallowed_methods,
            reason = "this is the one home of outside commands"
        )]
        let mut command = Command::new(&self.program);
        // What programs say is read, and compared: never in the host's language.
        command
            .args(&self.args)
            .env("LC_ALL", "C")
            .envs(self.env.iter().map(|(key, value)| (key, value)));
        if let Some(dir) = &self.cwd {
            command.current_dir(dir);
        }
        command
    }

    /// `None`: the limit passed, and the program was killed.
    fn wait(
        &self,
        child: &mut Child,
        deadline: Instant,
    ) -> Result<Option<ExitStatus>, CommandError> {
        let failed = |source| CommandError::Wait {
            program: self.name(),
            source,
        };
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(status) = child.try_wait().map_err(failed)? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                kill_group(child.id());
                child.kill().map_err(failed)?;
                child.wait().map_err(failed)?;
                return Ok(None);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    fn name(&self) -> String {
        let mut name = self.program.to_string_lossy().into_owned();
        if let Some(first) = self.args.first() {
            name.push(' ');
            name.push_str(&first.to_string_lossy());
        }
        name
    }

    fn start_error(&self, source: io::Error) -> CommandError {
        CommandError::Start {
            program: self.name(),
            source,
        }
    }
}

fn kill_group(pid: u32) {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // Already gone is as good as killed.
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
}

/// Reads a stream to its end in a thread of its own, keeping at most `limit` bytes.
fn drain<R: Read + Send + 'static>(
    stream: Option<R>,
    limit: usize,
) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    let work = move || {
        let mut kept = Vec::new();
        let read = stream.map_or(Ok(()), |mut stream| {
            stream.by_ref().take(limit as u64).read_to_end(&mut kept)?;
            io::copy(&mut stream, &mut io::sink()).map(drop)
        });
        let _ = sender.send(read.map(|()| kept));
    };
    // If no thread can be had, the receiver sees a closed channel.
    let _ = thread::Builder::new().name("output".into()).spawn(work);
    receiver
}

/// The last `limit` bytes of what a program said, with anything a terminal or a page could stumble over taken out.
#[must_use]
pub fn printable(bytes: &[u8], limit: usize) -> String {
    let from = bytes.len().saturating_sub(limit);
    let text = String::from_utf8_lossy(bytes.get(from..).unwrap_or_default());
    let clean: String = text
        .chars()
        .filter(|c| *c == '\n' || *c == '\t' || !c.is_control())
        .collect();
    clean.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_comes_back_and_arguments_meet_no_shell() {
        let said = Tool::new("printf")
            .args(["%s", "$HOME; `id`"])
            .run()
            .unwrap();
        assert_eq!(said.text(), "$HOME; `id`");
    }

    #[test]
    fn a_failure_carries_status_and_stderr() {
        let error = Tool::new("ls")
            .arg("/nowhere-at-all")
            .run()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("exit status: 2") && error.contains("nowhere-at-all"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Tool::new("no-such-program").run().unwrap_err().to_string();
        assert!(
            error.starts_with("no-such-program: cannot be started"),
            "{error}"
        );
    }

    #[test]
    fn the_limit_ends_the_program_and_what_it_started() {
        let begun = Instant::now();
        let error = Tool::new("sh")
            .args(["-c", "echo early >&2; sleep 30 & sleep 30"])
            .limit(Duration::from_millis(200))
            .run()
            .unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(5));
        let CommandError::TimedOut { stderr, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(stderr, "early");
    }

    #[test]
    fn output_that_has_no_end_is_not_silence() {
        // Left behind in a session of its own, with the output in its hand.
        let error = Tool::new("sh")
            .args(["-c", "echo said; setsid sleep 12 &"])
            .run()
            .unwrap_err();
        assert!(matches!(error, CommandError::Output { .. }), "{error}");
    }

    #[test]
    fn output_that_comes_late_is_all_there() {
        let said = Tool::new("sh")
            .args(["-c", "(sleep 1.5; echo late) &"])
            .run()
            .unwrap();
        assert_eq!(said.text(), "late\n");
    }

    #[test]
    fn no_program_speaks_the_hosts_language() {
        let said = Tool::new("sh").args(["-c", "echo $LC_ALL"]).run().unwrap();
        assert_eq!(said.text(), "C\n");
    }

    #[test]
    fn output_is_bounded() {
        let said = Tool::new("head")
            .args(["-c", "3000000", "/dev/zero"])
            .run()
            .unwrap();
        assert_eq!(said.stdout.len(), OUTPUT_LIMIT);
    }

    #[test]
    fn printable_drops_escape_sequences() {
        assert_eq!(printable(b"a\x1b[31mb\r\nc\0", 100), "a[31mb\nc");
        assert_eq!(printable(b"abcdef", 3), "def");
    }
}
