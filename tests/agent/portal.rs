//! A tiny portal that speaks the wire: it hands out the orders a test gives it and keeps what the agents say.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xenbeta::domain::ids::{JobId, LinodeId};
use xenbeta::wire::{
    Enrol, Finish, Inventory, LedgerMark, Order, Outcome, Poll, PortalMark, Renew, SealedDigests,
    Share, Task,
};

/// How the portal misbehaves.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Mood {
    /// Answers 401 to everything.
    pub revoked: bool,
    /// Answers 503 to this many finishes, although it heard them.
    pub lose_finishes: u32,
    /// Answers 400 to this many finishes.
    pub refuse_finishes: u32,
    /// Answers 409 to renewals.
    pub stale: bool,
    /// Says "cancel" in renewals.
    pub cancel: bool,
}

#[derive(Default)]
pub struct State {
    pub mood: Mood,
    /// Orders to give, by credential.
    orders: BTreeMap<String, VecDeque<Order>>,
    /// Given and not yet finished.
    leased: BTreeMap<String, Vec<Order>>,
    /// What polls are answered with.
    pub mark: Option<PortalMark>,
    pub shares: Vec<(LinodeId, Share)>,
    /// Of the last poll: who polled, and what it showed.
    pub shown: BTreeMap<String, (u32, Option<LedgerMark>, Option<PortalMark>)>,
    pub finishes: Vec<(JobId, Finish)>,
    pub renewals: Vec<(JobId, Renew)>,
    pub digests: Vec<SealedDigests>,
    pub enrolled: BTreeMap<String, Enrol>,
    /// Credentials that no longer count.
    pub replaced: BTreeSet<String>,
    pub inventories: BTreeMap<String, Inventory>,
    /// What came between polls.
    pub reports: Vec<Inventory>,
    /// The most orders that one poll could have had, and the polls open at once.
    pub polls: u64,
    pub open_polls: BTreeMap<String, u32>,
    /// A newer poll of the same agent ends an older one: its agent is gone.
    newest_poll: BTreeMap<String, u64>,
    pub most_open_polls: u32,
    next_job: i64,
}

pub struct Portal {
    pub state: Arc<(Mutex<State>, Condvar)>,
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Portal {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopping) = (Arc::clone(&state), Arc::clone(&stop));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Self {
            state,
            address,
            stop,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts an order in the queue of the agent with this credential.
    pub fn give(&self, credential: &str, linode: LinodeId, task: Task) -> JobId {
        let mut state = self.state.0.lock().unwrap();
        state.next_job += 1;
        let job = JobId(state.next_job);
        let order = Order {
            job,
            attempt: 1,
            lease_token: format!("lease-{job}"),
            linode,
            task,
        };
        state
            .orders
            .entry(credential.into())
            .or_default()
            .push_back(order);
        self.state.1.notify_all();
        job
    }

    /// Gives it no more, though nobody has answered for it.
    pub fn forget(&self, job: JobId) {
        let mut state = self.state.0.lock().unwrap();
        for leased in state.leased.values_mut() {
            leased.retain(|order| order.job != job);
        }
        for waiting in state.orders.values_mut() {
            waiting.retain(|order| order.job != job);
        }
    }

    pub fn mood(&self, change: impl FnOnce(&mut Mood)) {
        change(&mut self.state.0.lock().unwrap().mood);
    }

    /// Waits for the outcome of a job.
    #[track_caller]
    pub fn outcome(&self, job: JobId) -> Outcome {
        let found = |state: &State| {
            let finish = state.finishes.iter().find(|(of, _)| *of == job);
            finish.map(|(_, finish)| finish.outcome.clone())
        };
        self.wait_for(Duration::from_mins(1), found)
            .unwrap_or_else(|| panic!("no outcome of job {job}"))
    }

    pub fn wait_for<T>(&self, limit: Duration, found: impl Fn(&State) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + limit;
        let mut state = self.state.0.lock().unwrap();
        loop {
            if let Some(value) = found(&state) {
                return Some(value);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            state = self.state.1.wait_timeout(state, left).unwrap().0;
        }
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

struct Request {
    path: String,
    credential: String,
    body: Vec<u8>,
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut length, mut credential): (usize, String) = (0, String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "authorization" => value
                .trim()
                .strip_prefix("Bearer ")?
                .clone_into(&mut credential),
            "transfer-encoding" => panic!("the portal of the tests reads plain bodies"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        path,
        credential,
        body,
    })
}

fn serve(stream: TcpStream, shared: &(Mutex<State>, Condvar)) {
    let mut out = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let (status, body) = answer(&request, shared);
        let body = body.to_string();
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        if out.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(request: &Request, shared: &(Mutex<State>, Condvar)) -> (u16, Value) {
    let (lock, changed) = shared;
    let path = request.path.strip_prefix("/agent/v1/").unwrap();
    let parts: Vec<&str> = path.split('/').collect();
    if path == "enrol" {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let token = body["token"].as_str().unwrap_or_default();
        return match token.strip_prefix("good-") {
            Some(name) => {
                let credential = format!("credential-{name}");
                let mut state = lock.lock().unwrap();
                state
                    .enrolled
                    .insert(name.into(), serde_json::from_value(body.clone()).unwrap());
                (
                    200,
                    json!({"host": 7, "name": name, "credential": credential}),
                )
            }
            None => (403, json!({"error": "this token is not valid any more"})),
        };
    }
    let refused = {
        let state = lock.lock().unwrap();
        state.mood.revoked || state.replaced.contains(&request.credential)
    };
    if refused || request.credential.is_empty() {
        changed.notify_all();
        return (401, json!({"error": "revoked"}));
    }
    let answer = match parts.as_slice() {
        ["credential", "rotate"] => (
            200,
            json!({"credential": format!("{}-new", request.credential)}),
        ),
        ["poll"] => poll(request, shared),
        ["report"] => {
            let inventory = serde_json::from_slice(&request.body).unwrap();
            lock.lock().unwrap().reports.push(inventory);
            (200, json!({"shares": []}))
        }
        ["jobs", job, "renew"] => renew(JobId(job.parse().unwrap()), request, shared),
        ["jobs", job, "finish"] => finish(JobId(job.parse().unwrap()), request, shared),
        ["transfers", _, "digests"] => {
            let digests = serde_json::from_slice(&request.body).unwrap();
            lock.lock().unwrap().digests.push(digests);
            (200, json!({}))
        }
        other => panic!("{other:?} is not in the wire"),
    };
    changed.notify_all();
    answer
}

fn poll(request: &Request, (lock, changed): &(Mutex<State>, Condvar)) -> (u16, Value) {
    let poll: Poll = serde_json::from_slice(&request.body).unwrap();
    let who = request.credential.clone();
    let deadline = Instant::now() + Duration::from_secs(u64::from(poll.wait_s));
    let mut state = lock.lock().unwrap();
    state.polls += 1;
    let open = state.open_polls.entry(who.clone()).or_default();
    *open += 1;
    let open = *open;
    state.most_open_polls = state.most_open_polls.max(open);
    state.inventories.insert(who.clone(), poll.inventory);
    let shown = (poll.protocol, poll.ledger, poll.seen);
    state.shown.insert(who.clone(), shown);
    let number = state.polls;
    state.newest_poll.insert(who.clone(), number);
    changed.notify_all();
    // What was leased and is not held was lost on the way.
    let lost: Vec<Order> = state.leased.get(&who).cloned().unwrap_or_default();
    let again = lost
        .into_iter()
        .find(|order| !poll.held.contains(&order.job));
    let order = loop {
        if poll.free_slots == 0 || state.newest_poll[&who] != number {
            break None;
        }
        if let Some(order) = &again {
            break Some(order.clone());
        }
        if let Some(order) = state.orders.get_mut(&who).and_then(VecDeque::pop_front) {
            state
                .leased
                .entry(who.clone())
                .or_default()
                .push(order.clone());
            break Some(order);
        }
        let Some(left) = deadline.checked_duration_since(Instant::now()) else {
            break None;
        };
        state = changed.wait_timeout(state, left).unwrap().0;
    };
    *state.open_polls.get_mut(&who).unwrap() -= 1;
    (
        200,
        json!({"portal": state.mark, "order": order, "cap_mb_s": null, "shares": state.shares}),
    )
}

fn renew(job: JobId, request: &Request, (lock, _): &(Mutex<State>, Condvar)) -> (u16, Value) {
    let mut state = lock.lock().unwrap();
    if job == JobId(0) {
        return (404, json!({"error": "no such job"}));
    }
    let renew: Renew = serde_json::from_slice(&request.body).unwrap();
    state.renewals.push((job, renew));
    if state.mood.stale {
        return (409, json!({"error": "another attempt is current"}));
    }
    (200, json!({"cancel": state.mood.cancel, "cap_mb_s": null}))
}

fn finish(job: JobId, request: &Request, (lock, _): &(Mutex<State>, Condvar)) -> (u16, Value) {
    let finish: Finish = serde_json::from_slice(&request.body).unwrap();
    let mut state = lock.lock().unwrap();
    state.finishes.push((job, finish));
    if state.mood.lose_finishes > 0 {
        state.mood.lose_finishes -= 1;
        return (503, json!({"error": "down for a moment"}));
    }
    if state.mood.refuse_finishes > 0 {
        state.mood.refuse_finishes -= 1;
        return (400, json!({"error": "what is that?"}));
    }
    for leased in state.leased.values_mut() {
        leased.retain(|order| order.job != job);
    }
    (200, json!({}))
}
