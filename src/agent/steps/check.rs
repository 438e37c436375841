//! Asks whether a Linode's checks answer: at its own addresses, from this host, and never anything else.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use super::work::{StepError, Work};
use crate::agent::ledger::rules;
use crate::domain::linode::check::{ASK_S, Check, Http, MOST_CHECKS};
use crate::wire::{CheckAnswer, GuestSpec, Report};

const LIMIT: Duration = Duration::from_secs(ASK_S);

pub(super) fn check(
    work: &Work<'_>,
    epoch: i64,
    guest: &GuestSpec,
    checks: &[Check],
) -> Result<Report, StepError> {
    let entry = work.host.ledger.entry(work.locked.linode())?;
    rules::act(entry.marks, epoch)?;
    let answers = ask(work, guest, checks);
    let all_well = answers.iter().all(|it| it.ok == Some(true));
    Ok(Report::Checked {
        epoch,
        answers,
        console: if all_well {
            String::new()
        } else {
            work.console()
        },
    })
}

/// Side by side, so that all together take no longer than one.
pub(super) fn ask(work: &Work<'_>, guest: &GuestSpec, checks: &[Check]) -> Vec<CheckAnswer> {
    let checks = checks
        .get(..checks.len().min(MOST_CHECKS))
        .unwrap_or_default();
    thread::scope(|scope| {
        let asked: Vec<_> = checks
            .iter()
            .map(|check| (check, scope.spawn(move || ask_one(work, guest, check))))
            .collect();
        let joined = asked.into_iter().map(|(check, asked)| {
            let (ok, said) = asked
                .join()
                .unwrap_or_else(|_| (None, "The host's agent failed".to_owned()));
            CheckAnswer {
                check: check.clone(),
                ok,
                said,
            }
        });
        joined.collect()
    })
}

type Answer = (Option<bool>, String);

fn ask_one(work: &Work<'_>, guest: &GuestSpec, check: &Check) -> Answer {
    let is_its_own = guest.addresses.iter().any(|it| it.address == check.address);
    let Some(at) = check.at().filter(|_| is_its_own) else {
        return (None, "This is no address of the Linode".to_owned());
    };
    let Some(to) = work.host.driver.reach(work.locked.linode(), at) else {
        return (Some(false), "Nothing answers at this address".to_owned());
    };
    match &check.http {
        None => match TcpStream::connect_timeout(&to, LIMIT) {
            Ok(_) => (Some(true), "Takes connections".to_owned()),
            Err(error) => failed(&error),
        },
        Some(http) => get(at, to, http),
    }
}

/// `at`: whom it is asked of; `to`: where that is.
fn get(at: SocketAddr, to: SocketAddr, http: &Http) -> Answer {
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .timeout_global(Some(LIMIT))
        .user_agent(concat!("xenbeta-agent/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent();
    let asked = agent
        .get(format!("http://{to}{}", http.path))
        .header("host", at.to_string())
        .header("connection", "close")
        .call();
    match asked {
        // Its body is not read: whatever it is, the status has come.
        Ok(answer) => {
            let status = answer.status().as_u16();
            (Some(status == http.status), format!("Answered {status}"))
        }
        Err(ureq::Error::Io(error)) => failed(&error),
        Err(ureq::Error::Timeout(_)) => no_answer(),
        Err(ureq::Error::ConnectionFailed) => (Some(false), "Takes no connections".to_owned()),
        Err(_) => (Some(false), "What it answered is not HTTP".to_owned()),
    }
}

fn failed(error: &io::Error) -> Answer {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => (Some(false), "Takes no connections there".to_owned()),
        Kind::TimedOut | Kind::WouldBlock => no_answer(),
        Kind::HostUnreachable => (Some(false), "Nothing answers at this address".to_owned()),
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::UnexpectedEof
        | Kind::BrokenPipe => (
            Some(false),
            "Ended the connection without an answer".to_owned(),
        ),
        // That is this host's own fault: it proves nothing about the guest.
        Kind::NetworkUnreachable | Kind::AddrNotAvailable | Kind::PermissionDenied => {
            (None, "The host has no way to this address".to_owned())
        }
        _ => (None, format!("The host could not ask: {error}")),
    }
}

fn no_answer() -> Answer {
    (Some(false), format!("No answer within {ASK_S} seconds"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Asks a server that gives this answer to whatever it is sent, and gives back what that was, too.
    fn asked(answer: &'static [u8]) -> (Answer, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut head = [0; 4096];
            let read = client.read(&mut head).unwrap();
            client.write_all(answer).unwrap();
            String::from_utf8_lossy(&head[..read]).into_owned()
        });
        let at = "192.0.2.7:80".parse().unwrap();
        let http = Http {
            path: "/health?x=1".to_owned(),
            status: 204,
        };
        (get(at, to, &http), server.join().unwrap())
    }

    #[test]
    fn a_status_is_what_counts() {
        let (answer, head) = asked(b"HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(answer, (Some(true), "Answered 204".to_owned()));
        let head = head.to_lowercase();
        assert!(head.starts_with("get /health?x=1 http/1.1\r\n"), "{head}");
        assert!(head.contains("\r\nhost: 192.0.2.7:80\r\n"), "{head}");
        // No other place is asked, whatever it says.
        let (answer, _) = asked(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n");
        assert_eq!(answer, (Some(false), "Answered 302".to_owned()));
        let (answer, _) = asked(b"HTTP/1.0 500 Oh\r\nContent-Length: 99999999999\r\n\r\n");
        assert_eq!(answer, (Some(false), "Answered 500".to_owned()));
    }

    #[test]
    fn what_is_no_answer_is_said_so() {
        for answer in [&b"220 mail.example.com ESMTP\r\n"[..], b"", b"\0\xff\0"] {
            let ((ok, said), _) = asked(answer);
            assert_eq!(ok, Some(false), "{said}");
        }
        let endless: &'static [u8] = Box::leak(vec![b'a'; 1 << 20].into_boxed_slice());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            client.write_all(b"HTTP/1.1 200 OK\r\nX: ").unwrap();
            while client.write_all(endless).is_ok() {}
        });
        let http = Http {
            path: "/".to_owned(),
            status: 200,
        };
        let (ok, said) = get(to, to, &http);
        assert_ne!(ok, Some(true), "{said}");
    }
}
