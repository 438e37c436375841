//! Messages between agents and portal: lost, late, repeated, in any order.

use xenbeta::app::App;
use xenbeta::app::context::Agent;
use xenbeta::app::error::AppError;
use xenbeta::domain::ids::{JobId, MigrationId};
use xenbeta::wire::{Finish, Poll, PollAnswer, Renew, Renewed, SealedDigests};

use crate::portal::credential;
use crate::sim::Sim;

#[derive(Clone)]
pub enum Ask {
    Poll(Box<Poll>),
    Finish(JobId, Box<Finish>),
    Renew(JobId, Renew),
    Digests(MigrationId, SealedDigests),
}

#[derive(Clone)]
pub enum Reply {
    Poll(Box<PollAnswer>),
    Done,
    Renewed(Renewed),
    /// The HTTP status of a refusal.
    Status(u16),
}

#[derive(Clone)]
pub enum What {
    Ask(Ask),
    /// A poll that is held open: since which change of the portal nothing was found for it.
    Waits {
        agent: Agent,
        found_at: u64,
        looked: i64,
        until: i64,
    },
    Reply(Reply),
}

#[derive(Clone)]
pub struct Letter {
    pub request: u64,
    pub host: i64,
    pub life: u64,
    pub what: What,
}

/// What the web layer answers an agent with.
fn status(error: &AppError) -> u16 {
    match error {
        AppError::NotFound => 404,
        AppError::Invalid { .. } => 400,
        AppError::Conflict(_) => 409,
        AppError::SignIn => 401,
        AppError::Forbidden => 403,
        AppError::TooMany { .. } => 429,
        AppError::Fault(_) => 500,
        #[allow(unreachable_patterns, reason = "more kinds may come")]
        _ => 503,
    }
}

impl Sim {
    pub fn send(&self, letter: Letter) {
        let times = if self.fault(self.plan.loss) {
            0
        } else {
            1 + usize::from(self.fault(self.plan.repeats))
        };
        if times != 1 {
            self.note(format!(
                "net: {} of {} × {times}",
                letter.request, letter.host
            ));
        }
        for _ in 0..times {
            self.net.borrow_mut().push(letter.clone());
        }
    }

    /// Letters that can arrive now.
    pub fn deliverable(&self) -> Vec<usize> {
        let (now, changes) = (self.now_ms(), self.changes.get());
        let ready = |letter: &Letter| match &letter.what {
            What::Waits {
                found_at,
                looked,
                until,
                ..
            } => *found_at != changes || now >= *until || now - looked >= 5_000,
            What::Ask(_) | What::Reply(_) => true,
        };
        let net = self.net.borrow();
        let ready = net.iter().enumerate().filter(|(_, letter)| ready(letter));
        ready.map(|(at, _)| at).collect()
    }

    pub fn deliver(&self, at: usize) {
        let letter = self.net.borrow_mut().remove(at);
        match letter.what.clone() {
            What::Reply(reply) => self.answered(&letter, reply),
            What::Ask(ask) => {
                let app = self.portal.borrow().clone();
                match app {
                    Some(app) => self.asked(&app, &letter, ask),
                    None => self.unanswered(&letter),
                }
            }
            What::Waits { agent, until, .. } => {
                let app = self.portal.borrow().clone();
                match app {
                    Some(app) => self.look_for_work(&app, &agent, &letter, until),
                    None => self.unanswered(&letter),
                }
            }
        }
    }

    fn asked(&self, app: &App, letter: &Letter, ask: Ask) {
        let wakes = !matches!(ask, Ask::Poll(_) | Ask::Renew(..));
        let result = self.handle(app, letter, ask);
        if wakes {
            self.changes.set(self.changes.get() + 1);
        }
        let reply = match result {
            Ok(None) => return,
            Ok(Some(reply)) => reply,
            Err(error) => {
                self.note(format!("portal refuses {}: {error}", letter.request));
                self.is_no_fault(&error);
                Reply::Status(status(&error))
            }
        };
        self.reply(letter, reply);
    }

    fn reply(&self, letter: &Letter, reply: Reply) {
        self.send(Letter {
            what: What::Reply(reply),
            ..letter.clone()
        });
    }

    fn handle(&self, app: &App, letter: &Letter, ask: Ask) -> Result<Option<Reply>, AppError> {
        let agent = app
            .agent(&credential(letter.host))?
            .ok_or(AppError::SignIn)?;
        match ask {
            Ask::Poll(poll) => {
                app.note_poll(&agent, &poll)?;
                let until = self.now_ms() + i64::from(poll.wait_s) * 1000;
                if poll.free_slots == 0 {
                    return Ok(Some(Reply::Poll(Box::default())));
                }
                self.look_for_work(app, &agent, letter, until);
                Ok(None)
            }
            Ask::Finish(job, finish) => {
                app.finish(&agent, job, &finish)?;
                Ok(Some(Reply::Done))
            }
            Ask::Renew(job, renew) => Ok(Some(Reply::Renewed(app.renew(&agent, job, &renew)?))),
            Ask::Digests(migration, sealed) => {
                app.note_digests(&agent, migration, &sealed)?;
                Ok(None)
            }
        }
    }

    /// What a poll that is held open does at every wake.
    fn look_for_work(&self, app: &App, agent: &Agent, letter: &Letter, until: i64) {
        match app.claim(agent) {
            Ok(None) if self.now_ms() < until => self.net.borrow_mut().push(Letter {
                what: What::Waits {
                    agent: agent.clone(),
                    found_at: self.changes.get(),
                    looked: self.now_ms(),
                    until,
                },
                ..letter.clone()
            }),
            Ok(order) => {
                if let Some(order) = &order {
                    self.note(format!(
                        "portal gives {} job {} attempt {}: {}",
                        letter.host,
                        order.job,
                        order.attempt,
                        crate::agent::told(order)
                    ));
                }
                let answer = PollAnswer {
                    portal: app.mark().ok(),
                    order,
                    ..PollAnswer::default()
                };
                self.reply(letter, Reply::Poll(Box::new(answer)));
            }
            Err(error) => {
                self.is_no_fault(&error);
                self.reply(letter, Reply::Status(status(&error)));
            }
        }
    }

    /// The source's digests on their way to the portal, which the mover waits for.
    pub fn tell_digests(
        &self,
        host: i64,
        migration: MigrationId,
        sealed: &SealedDigests,
    ) -> Result<(), String> {
        let lost = || Err("lost".to_owned());
        let Some(app) = self.portal.borrow().clone() else {
            return lost();
        };
        if self.fault(self.plan.loss) {
            return lost();
        }
        let letter = Letter {
            request: 0,
            host,
            life: 0,
            what: What::Ask(Ask::Digests(migration, sealed.clone())),
        };
        if self.fault(self.plan.repeats) {
            self.net.borrow_mut().push(letter.clone());
        }
        let told = self.handle(&app, &letter, Ask::Digests(migration, sealed.clone()));
        if let Err(error) = &told {
            self.is_no_fault(error);
        }
        self.note(format!("digests of {migration}: {}", told.is_ok()));
        told.map_err(|error| error.to_string())?;
        if self.fault(self.plan.loss) {
            return lost();
        }
        Ok(())
    }
}
