//! Peers that do not keep to the protocol: a source that lies, a destination that asks for what it should not.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::channel::Channel;
use super::chunk::{CHUNK, CHUNKS_PER_SEGMENT, Digest, digest};
use super::client::{call, read_head};
use super::message::{Answer, Ask};
use super::{Cap, Fault, Fetch, Granted, Identity, Server, Source, TransferError, Watch, tls};
use crate::agent::disk::{DiskStore, FileStore};
use crate::domain::ids::{DiskId, LinodeId, MigrationId};
use crate::wire::{DiskDigest, DiskSpec, Peer, Progress};

const SIZE: u64 = 20 * 1024 * 1024;

fn disks() -> Vec<DiskSpec> {
    vec![DiskSpec {
        id: DiskId(1),
        label: "d".into(),
        size_bytes: SIZE,
    }]
}

struct Nobody;
impl Watch for Nobody {
    fn progress(&self, _: Progress) {}
    fn cancelled(&self) -> bool {
        false
    }
}

/// A source that answers as `lie` says, and roots as `root` says.
struct Liar {
    lie: fn(&Ask) -> Vec<u8>,
}

fn frame(kind: u8, len: u32, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &len.to_le_bytes(), body].concat()
}

fn data(first: u32, digests: Vec<Digest>, raw: u32, bytes: &[u8]) -> Vec<u8> {
    let wire = u32::try_from(bytes.len()).unwrap();
    [
        Answer::Data {
            first,
            digests,
            raw,
            wire,
        }
        .encode(),
        bytes.to_vec(),
    ]
    .concat()
}

fn segment_len(segment: u32) -> u32 {
    if segment == 0 {
        CHUNKS_PER_SEGMENT as u32
    } else {
        (SIZE as usize / CHUNK - CHUNKS_PER_SEGMENT) as u32
    }
}

fn end() -> Vec<u8> {
    Answer::SegmentEnd.encode()
}

impl Liar {
    fn serve(&self, identity: &Identity) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (config, lie) = (
            tls::server(identity, Arc::new(|_: &str| true)).unwrap(),
            self.lie,
        );
        // Ends with the test's process.
        std::thread::spawn(move || {
            for tcp in listener.incoming() {
                let (Ok(tcp), config) = (tcp, Arc::clone(&config)) else {
                    return;
                };
                std::thread::spawn(move || {
                    let Ok(mut channel) = Channel::accept(tcp, config) else {
                        return;
                    };
                    channel.welcome().unwrap();
                    while let Ok((kind, len)) = read_head(&mut channel) {
                        let mut body = vec![0; len];
                        if channel.read_exact(&mut body).is_err() {
                            return;
                        }
                        let answer = match Ask::decode(kind, &body).unwrap() {
                            Ask::Hello { .. } => Answer::Welcome {
                                epoch: 1,
                                disks: vec![(1, SIZE)],
                            }
                            .encode(),
                            Ask::Begin { .. } => Answer::Begun {
                                pass: 1,
                                told: false,
                                moving: false,
                            }
                            .encode(),
                            ask => lie(&ask),
                        };
                        if channel
                            .write(&answer)
                            .and_then(|()| channel.flush())
                            .is_err()
                        {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    fn outcome(&self) -> TransferError {
        let dir = tempfile::tempdir().unwrap();
        let (sa, sb) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let liar = Identity::load_or_create(sa.path()).unwrap();
        let identity = Identity::load_or_create(sb.path()).unwrap();
        let store = FileStore::open(dir.path()).unwrap();
        let (linode, migration, disks) = (LinodeId(1), MigrationId(1), disks());
        store.reserve(linode, migration, &disks, None).unwrap();
        let source = Peer {
            address: self.serve(&liar),
            fingerprint: liar.fingerprint().into(),
            token: "t".into(),
        };
        let cap = Cap::new(None);
        let fetch = Fetch {
            identity: &identity,
            source: &source,
            linode,
            migration,
            disks: &disks,
            store: &store,
            cap: &cap,
            watch: &Nobody,
        };
        let error = fetch.finish(1).unwrap_err();
        assert!(
            store.published(linode, migration).unwrap().is_none(),
            "{error}"
        );
        assert!(!store.path(linode, 2, DiskId(1)).exists());
        error
    }
}

fn zeros(ask: &Ask) -> Vec<u8> {
    match ask {
        Ask::Fetch { segment, .. } => [
            Answer::Zero {
                first: 0,
                count: segment_len(*segment),
            }
            .encode(),
            end(),
        ]
        .concat(),
        _ => Answer::Roots(vec![(1, [7; 32])]).encode(),
    }
}

#[test]
fn roots_that_are_not_the_copys_are_never_accepted() {
    assert_eq!(Liar { lie: zeros }.outcome().fault, Fault::Corrupt);
    let none = Liar {
        lie: |ask| {
            if let Ask::Finish { .. } = ask {
                Answer::Roots(vec![]).encode()
            } else {
                zeros(ask)
            }
        },
    };
    assert_eq!(none.outcome().fault, Fault::Corrupt);
}

#[test]
fn bytes_that_are_not_their_digests_are_never_accepted() {
    let liar = Liar {
        lie: |ask| {
            let Ask::Fetch { segment, .. } = ask else {
                return zeros(ask);
            };
            let rest = Answer::Zero {
                first: 1,
                count: segment_len(*segment) - 1,
            }
            .encode();
            [
                data(0, vec![digest(b"other")], CHUNK as u32, &[5; CHUNK]),
                rest,
                end(),
            ]
            .concat()
        },
    };
    assert_eq!(liar.outcome().fault, Fault::Corrupt);
}

#[test]
fn answers_out_of_order_too_long_or_too_many_end_the_copy() {
    let lies: [fn(&Ask) -> Vec<u8>; 12] = [
        // A frame longer than any may be, an unknown kind, an empty body.
        |_| frame(69, u32::MAX, &[]),
        |_| frame(200, 0, &[]),
        |_| frame(67, 0, &[]),
        // The end before all chunks; chunks that are not next; more chunks than there are; none.
        |_| end(),
        |_| Answer::Zero { first: 5, count: 1 }.encode(),
        |_| {
            Answer::Zero {
                first: 0,
                count: 100_000,
            }
            .encode()
        },
        |_| Answer::Zero { first: 0, count: 0 }.encode(),
        // Data for other lengths than its chunks'.
        |_| data(0, vec![[1; 32]], 5, &[5; 5]),
        |_| data(0, vec![[1; 32]; 2], CHUNK as u32, &[5; CHUNK]),
        |_| data(0, vec![[1; 32]; 65], CHUNK as u32, &[5; CHUNK]),
        // What does not unpack, and what unpacks to more than it says.
        |_| data(0, vec![[1; 32]], CHUNK as u32, &[5; 100]),
        |_| {
            data(
                0,
                vec![[1; 32]],
                CHUNK as u32,
                &zstd::bulk::compress(&[0; 4 * CHUNK], 1).unwrap(),
            )
        },
    ];
    for (i, lie) in lies.into_iter().enumerate() {
        let error = Liar { lie }.outcome();
        assert_eq!(error.fault, Fault::Protocol, "lie {i}: {error}");
        assert!(!error.retry());
    }
}

struct Open {
    /// The fingerprint of the one that is waited for.
    peer: String,
}
impl Source for Open {
    fn authorise(&self, migration: MigrationId, _: &str, _: &str) -> Option<Granted> {
        Some(Granted {
            migration,
            linode: LinodeId(1),
            epoch: 1,
            disks: disks(),
        })
    }
    fn expects(&self, peer: &str) -> bool {
        self.peer == peer
    }
    fn sealed(&self, _: LinodeId) -> i64 {
        0
    }
    fn report_digests(&self, _: MigrationId, _: i64, _: &[DiskDigest]) -> Result<(), String> {
        Ok(())
    }
}

#[test]
fn a_source_answers_odd_questions_with_a_refusal_and_goes_on_serving() {
    let dir = tempfile::tempdir().unwrap();
    let state = tempfile::tempdir().unwrap();
    let identity = Identity::load_or_create(state.path()).unwrap();
    let store = FileStore::open(dir.path()).unwrap();
    std::fs::create_dir_all(dir.path().join("linodes/1/e1")).unwrap();
    let disk = std::fs::File::create(dir.path().join("linodes/1/e1/1.img")).unwrap();
    disk.set_len(SIZE).unwrap();
    let address = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(
        address,
        &identity,
        Arc::new(Open {
            peer: identity.fingerprint().to_owned(),
        }),
        Arc::new(store),
        Arc::new(Cap::new(None)),
    )
    .unwrap();
    let connect = || {
        let tcp = std::net::TcpStream::connect(server.local_addr()).unwrap();
        Channel::connect(tcp, tls::client(&identity, identity.fingerprint()).unwrap()).unwrap()
    };
    let hello = Ask::Hello {
        migration: 1,
        token: String::new(),
    };
    let table = |n| vec![[1; 32]; n];
    let first = CHUNKS_PER_SEGMENT;
    let odd = [
        (Ask::Finish { pass: 1 }, Fault::Protocol),
        (Ask::Finish { pass: 9 }, Fault::Unreachable),
        (Ask::Begin { sealed: Some(1) }, Fault::NotSealed),
        (
            Ask::Fetch {
                pass: 9,
                disk: 0,
                segment: 0,
                table: table(first),
            },
            Fault::Unreachable,
        ),
        (
            Ask::Fetch {
                pass: 1,
                disk: 1,
                segment: 0,
                table: table(first),
            },
            Fault::Protocol,
        ),
        (
            Ask::Fetch {
                pass: 1,
                disk: 0,
                segment: 0,
                table: table(3),
            },
            Fault::Protocol,
        ),
        (
            Ask::Fetch {
                pass: 1,
                disk: 0,
                segment: u32::MAX,
                table: table(0),
            },
            Fault::Protocol,
        ),
        (
            Ask::Hello {
                migration: 1,
                token: String::new(),
            },
            Fault::Protocol,
        ),
    ];
    for (ask, expected) in odd {
        let mut channel = connect();
        assert!(matches!(
            call(&mut channel, &hello).unwrap(),
            Answer::Welcome { .. }
        ));
        // Passes are numbered per migration: this begins, or begins anew, a live one.
        let Answer::Begun { pass, .. } = call(&mut channel, &Ask::Begin { sealed: None }).unwrap()
        else {
            panic!("not begun")
        };
        let ask = match ask {
            Ask::Finish { pass: 1 } => Ask::Finish { pass },
            Ask::Fetch {
                pass: 1,
                disk,
                segment,
                table,
            } => Ask::Fetch {
                pass,
                disk,
                segment,
                table,
            },
            Ask::Fetch {
                disk,
                segment,
                table,
                ..
            } => Ask::Fetch {
                pass: pass + 9,
                disk,
                segment,
                table,
            },
            Ask::Finish { .. } => Ask::Finish { pass: pass + 9 },
            other => other,
        };
        assert_eq!(
            call(&mut channel, &ask).unwrap_err().fault,
            expected,
            "{ask:?}"
        );
    }
    // Not a word of the protocol, and no hello.
    let mut channel = connect();
    channel
        .write(&frame(4, u32::MAX, &[]))
        .and_then(|()| channel.flush())
        .unwrap();
    assert_eq!(
        read_head(&mut channel).unwrap().0,
        127,
        "a failure, and no gigabytes allocated"
    );
    assert_eq!(
        call(&mut connect(), &Ask::Begin { sealed: None })
            .unwrap_err()
            .fault,
        Fault::Protocol
    );
    assert!(matches!(
        call(&mut connect(), &hello).unwrap(),
        Answer::Welcome { .. }
    ));
}

#[test]
fn a_hello_comes_soon_and_strangers_are_refused_at_the_handshake() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let identity = Identity::load_or_create(state.path()).unwrap();
    let server = Server::start(
        "127.0.0.1:0".parse().unwrap(),
        &identity,
        Arc::new(Open {
            peer: identity.fingerprint().to_owned(),
        }),
        Arc::new(FileStore::open(dir.path()).unwrap()),
        Arc::new(Cap::new(None)),
    )
    .unwrap();
    let connect = |by: &Identity| {
        let tcp = TcpStream::connect(server.local_addr()).unwrap();
        Channel::connect(tcp, tls::client(by, identity.fingerprint()).unwrap()).unwrap()
    };
    let elsewhere = tempfile::tempdir().unwrap();
    let stranger = Identity::load_or_create(elsewhere.path()).unwrap();
    for _ in 0..20 {
        let begun = Instant::now();
        let refused = call(&mut connect(&stranger), &Ask::Begin { sealed: None }).unwrap_err();
        assert_eq!(refused.fault, Fault::Refused, "{refused}");
        assert!(begun.elapsed() < Duration::from_secs(2));
    }
    // The right key, and then a byte now and then.
    let mut slow = connect(&identity);
    let begun = Instant::now();
    let trickled = (0..20).take_while(|_| {
        std::thread::sleep(Duration::from_secs(1));
        slow.write(&[1]).and_then(|()| slow.flush()).is_ok()
    });
    assert!(trickled.count() < 15, "{:?}", begun.elapsed());
}
