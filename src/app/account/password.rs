//! Password hashing, bounded: argon2id is made to be slow and large. Two threads of their own hash, each in memory that it
//! uses again and again; before them is a queue, and who finds that full is told when to come again.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use argon2::password_hash::{Output, ParamsString, PasswordHash, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::app::error::{AppError, Result};
use crate::app::secrets::random;
use crate::domain::password::{MOST_CHARS, normal};
use crate::domain::values::Invalid;

/// Memory in KiB, passes and lanes: OWASP's first recommendation for argon2id (19 MiB, 2, 1).
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes at once, and how many more may wait.
const AT_ONCE: usize = 2;
const MOST_WAITING: usize = 128;
/// The memory of a thread that had nothing to do for so long goes back.
const IDLE: Duration = Duration::from_secs(20);
/// What is hashed by then is hashed.
const PATIENCE: Duration = Duration::from_secs(30);

type Job = Box<dyn FnOnce(&mut Vec<Block>) + Send>;

/// What came of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Wrong,
    Right,
    /// Right, and its hash is not as the portal makes them: of other costs, or of the password as it was typed once and not
    /// as it is compared.
    RightAndOld,
}

pub struct Hasher {
    room: Arc<Room>,
    /// The hash of no password, to spend the same time on an account that does not exist.
    nobody: String,
}

impl Hasher {
    pub fn new() -> Result<Self> {
        let room = Arc::new(Room::default());
        for n in 0..AT_ONCE {
            let room = Arc::clone(&room);
            std::thread::Builder::new()
                .name(format!("argon2-{n}"))
                .spawn(move || room.work())
                .map_err(|error| AppError::Fault(format!("a thread to hash: {error}")))?;
        }
        let mut hasher = Self {
            room,
            nobody: String::new(),
        };
        hasher.nobody = hasher.hash(&crate::app::secrets::new_token()?)?;
        Ok(hasher)
    }

    /// The PHC string of a password.
    pub fn hash(&self, password: &str) -> Result<String> {
        let password = normal(password).into_owned();
        self.run(move |memory| own_hash(&password, memory))
    }

    /// Is it the password of `hash`? With no hash at all it takes as long, and is not.
    pub fn verify(&self, typed: &str, hash: Option<&str>) -> Result<bool> {
        Ok(self.look(typed, hash)? != Verdict::Wrong)
    }

    /// As [`Hasher::verify`], and whether the hash should be made anew.
    pub fn look(&self, typed: &str, hash: Option<&str>) -> Result<Verdict> {
        // Longer ones are never set; hashing them would only cost time.
        let too_long = typed.chars().count() > 4 * MOST_CHARS;
        let known = hash.is_some() && !too_long;
        let typed = if too_long { "" } else { typed }.to_owned();
        let hash = hash.unwrap_or(&self.nobody).to_owned();
        let verdict = self.run(move |memory| compare(&typed, &hash, memory))?;
        Ok(if known { verdict } else { Verdict::Wrong })
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (done, answer) = sync_channel(1);
        self.room.enter(Box::new(move |memory| {
            // Nobody listens any more where the request has ended.
            let _heard = done.send(work(memory));
        }))?;
        answer.recv_timeout(PATIENCE).map_err(|why| match why {
            // A machine with too much else to do: whoever comes later is served.
            RecvTimeoutError::Timeout => AppError::Busy { retry_after_s: 4 },
            RecvTimeoutError::Disconnected => {
                AppError::Fault("a password was not hashed".to_owned())
            }
        })?
    }
}

impl Drop for Hasher {
    fn drop(&mut self) {
        self.room.waiting().1 = true;
        self.room.come.notify_all();
    }
}

/// Where jobs wait for a thread.
#[derive(Default)]
struct Room {
    /// And whether it is closed.
    waiting: Mutex<(VecDeque<Job>, bool)>,
    come: Condvar,
}

impl Room {
    fn waiting(&self) -> MutexGuard<'_, (VecDeque<Job>, bool)> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, job: Job) -> Result<()> {
        let mut waiting = self.waiting();
        if waiting.0.len() >= MOST_WAITING {
            // Two threads do some forty a second.
            return Err(AppError::Busy { retry_after_s: 4 });
        }
        waiting.0.push_back(job);
        self.come.notify_one();
        Ok(())
    }

    fn work(&self) {
        let mut memory = Vec::new();
        while let Some(job) = self.next(&mut memory) {
            if catch_unwind(AssertUnwindSafe(|| job(&mut memory))).is_err() {
                tracing::error!("hashing a password panicked");
            }
        }
    }

    fn next(&self, memory: &mut Vec<Block>) -> Option<Job> {
        let mut waiting = self.waiting();
        loop {
            if let Some(job) = waiting.0.pop_front() {
                return Some(job);
            }
            if waiting.1 {
                return None;
            }
            let (again, time) = self
                .come
                .wait_timeout(waiting, IDLE)
                .unwrap_or_else(PoisonError::into_inner);
            waiting = again;
            if time.timed_out() {
                *memory = Vec::new();
            }
        }
    }
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> AppError {
    AppError::Fault(format!("{what}: {error}"))
}

fn own_params() -> Result<Params> {
    Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| failed("argon2", &error))
}

/// Hashes into `out`, in memory that is there already; what a larger hash of before needed beyond that goes back.
fn fill(
    argon: &Argon2<'_>,
    (password, salt): (&str, &[u8]),
    out: &mut [u8],
    memory: &mut Vec<Block>,
) -> Result<()> {
    let own = usize::try_from(MEMORY_KIB).unwrap_or(usize::MAX);
    let blocks = argon.params().block_count().max(own);
    if memory.len() < blocks {
        memory.resize(blocks, Block::new());
    }
    let done = argon.hash_password_into_with_memory(password.as_bytes(), salt, out, &mut *memory);
    if memory.len() > own {
        memory.truncate(own);
        memory.shrink_to_fit();
    }
    done.map_err(|error| failed("argon2", &error))
}

fn own_hash(password: &str, memory: &mut Vec<Block>) -> Result<String> {
    let bytes = random::<16>()?;
    let salt = SaltString::encode_b64(&bytes).map_err(|error| failed("salt", &error))?;
    let params = own_params()?;
    let written = ParamsString::try_from(&params).map_err(|error| failed("argon2", &error))?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut out = [0_u8; Params::DEFAULT_OUTPUT_LEN];
    fill(&argon, (password, &bytes), &mut out, memory)?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: written,
        salt: Some(salt.as_salt()),
        hash: Some(Output::new(&out).map_err(|error| failed("argon2", &error))?),
    };
    Ok(hash.to_string())
}

/// The same work for every password that is typed alike, whatever the hash is, if it is not of larger costs.
fn compare(typed: &str, hash: &str, memory: &mut Vec<Block>) -> Result<Verdict> {
    let stored = |error: &dyn std::fmt::Display| failed("a stored password hash", error);
    let parsed = PasswordHash::new(hash).map_err(|error| stored(&error))?;
    let params = Params::try_from(&parsed).map_err(|error| stored(&error))?;
    let own = own_params()?;
    let is_own = costs(&params) == costs(&own);
    let rest = spent(&own).saturating_sub(spent(&params));
    let kind = Algorithm::try_from(parsed.algorithm).map_err(|error| stored(&error))?;
    let version = parsed.version.unwrap_or(Version::V0x13.into());
    let version = Version::try_from(version).map_err(|error| stored(&error))?;
    let argon = Argon2::new(kind, version, params);
    let (Some(salt), Some(expected)) = (parsed.salt, parsed.hash) else {
        return Err(stored(&"it is not whole"));
    };
    let mut buffer = [0_u8; 64];
    let salt = salt
        .decode_b64(&mut buffer)
        .map_err(|error| stored(&error))?;
    let mut is_it = |password: &str| {
        let mut out = vec![0_u8; expected.len()];
        fill(&argon, (password, salt), &mut out, memory)?;
        let out = Output::new(&out).map_err(|error| stored(&error))?;
        Ok::<_, AppError>(out == expected)
    };
    let as_compared = normal(typed);
    let right = is_it(&as_compared)?;
    // Set before passwords were normalised, by a keyboard that writes them so.
    let as_typed = as_compared != typed && is_it(typed)?;
    spend(rest, memory)?;
    Ok(match (right, as_typed) {
        (true, _) if is_own => Verdict::Right,
        (false, false) => Verdict::Wrong,
        _ => Verdict::RightAndOld,
    })
}

fn costs(params: &Params) -> [u32; 3] {
    [params.m_cost(), params.t_cost(), params.p_cost()]
}

/// What a hash takes, in KiB that are written.
fn spent(params: &Params) -> u32 {
    params.m_cost().saturating_mul(params.t_cost())
}

/// As much work as a cheaper hash left undone: by the time of an answer nobody learns that an account was imported.
fn spend(kib: u32, memory: &mut Vec<Block>) -> Result<()> {
    if kib < 64 {
        return Ok(());
    }
    let params = Params::new(kib / PASSES, PASSES, LANES, None);
    let params = params.map_err(|error| failed("argon2", &error))?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut out = [0_u8; Params::DEFAULT_OUTPUT_LEN];
    fill(&argon, ("", &[0; 16]), &mut out, memory)
}

/// A hash made elsewhere, if sign-in can use it: argon2id, and no dearer than the portal's own, so that neither the memory
/// nor the time of a sign-in tells it from them.
pub fn check_stored(text: &str) -> Result<String, Invalid> {
    let unusable = |why: &str| {
        Invalid(format!(
            "this is not an argon2id hash ($argon2id$v=19$…) that sign-in can use: {why}"
        ))
    };
    if text.len() > 300 {
        return Err(unusable("it is too long"));
    }
    let parsed = PasswordHash::new(text).map_err(|error| unusable(&error.to_string()))?;
    if parsed.algorithm != Algorithm::Argon2id.ident() || parsed.hash.is_none() {
        return Err(unusable("it is of another kind"));
    }
    let params = Params::try_from(&parsed).map_err(|error| unusable(&error.to_string()))?;
    let most = MEMORY_KIB * PASSES;
    if params.m_cost() > MEMORY_KIB || spent(&params) > most || params.p_cost() > 4 {
        return Err(unusable(&format!(
            "it takes too much memory or time (at most m={MEMORY_KIB}, m × t = {most}, p=4). Leave it out, and its user sets a password by \"forgotten password\""
        )));
    }
    Ok(text.to_owned())
}
