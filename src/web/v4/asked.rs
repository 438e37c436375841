//! What a call asks for: its page, its filter, its body. All of it is bounded; what is not known in a query or body is left
//! aside, in a filter it is an error.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use serde_json::{Map, Value, json};

use super::answer::{Answer, Refusal, one};
use crate::domain::ids::AccountId;
use crate::web::bounds::{Bounds, Whose};
use crate::web::extract::body;

const BODY: usize = 16 * 1024;
const FILTER: usize = 2000;
const TERMS: usize = 20;
const DEEPEST: usize = 4;
const LAST_PAGE: i64 = 1_000_000;

/// Its object; an empty body is an empty one.
pub async fn body(
    request: &HttpRequest,
    payload: web::Payload,
    account: AccountId,
) -> Result<Map<String, Value>, Refusal> {
    let mut share = Bounds::of(request).forms.share(Whose::Account(account));
    let body = body::read(payload.into_inner(), BODY, &mut share).await?;
    if body.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(&body) {
        Ok(Value::Object(said)) => Ok(said),
        _ => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "The body is no JSON object",
        )),
    }
}

/// A list's page.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    page: i64,
    size: i64,
}

impl Page {
    pub fn of(request: &HttpRequest) -> Result<Self, Refusal> {
        let number = |name: &'static str, usual: i64, (least, most): (i64, i64)| {
            let mut given = request.query_string().split('&').filter_map(|pair| {
                let (key, value) = pair.split_once('=')?;
                (key == name).then_some(value)
            });
            let (first, second) = (given.next(), given.next());
            if second.is_some() {
                return Err(Refusal::field(name, "Given twice"));
            }
            let Some(text) = first else { return Ok(usual) };
            text.parse()
                .ok()
                .filter(|number| (least..=most).contains(number))
                .ok_or_else(|| Refusal::field(name, format!("Must be {least}-{most}")))
        };
        Ok(Self {
            page: number("page", 1, (1, LAST_PAGE))?,
            size: number("page_size", 100, (25, 500))?,
        })
    }

    pub fn skip(self) -> i64 {
        (self.page - 1) * self.size
    }

    pub fn most(self) -> i64 {
        self.size
    }

    pub fn answer(self, data: Vec<Value>, results: i64) -> Answer {
        let pages = ((results + self.size - 1) / self.size).max(1);
        one(json!({ "data": data, "page": self.page, "pages": pages, "results": results }))
    }

    /// Of a short list that is there whole.
    pub fn cut(self, all: Vec<Value>) -> Answer {
        let results = i64::try_from(all.len()).unwrap_or(i64::MAX);
        let skip = usize::try_from(self.skip()).unwrap_or(usize::MAX);
        let most = usize::try_from(self.size).unwrap_or(0);
        self.answer(all.into_iter().skip(skip).take(most).collect(), results)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Is,
    Not,
    Contains,
    Under,
    Over,
}

#[derive(Debug, Clone)]
pub struct Term {
    pub key: String,
    pub op: Op,
    pub value: Value,
}

/// `X-Filter`: terms that all hold, and an order.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub terms: Vec<Term>,
    pub order_by: Option<String>,
    pub descending: bool,
}

impl Filter {
    /// `keys`: those that this list can be filtered by.
    pub fn of(request: &HttpRequest, keys: &[&str]) -> Result<Self, Refusal> {
        let mut filter = Self::default();
        let Some(header) = request.headers().get("x-filter") else {
            return Ok(filter);
        };
        let text = header.as_bytes();
        if text.len() > FILTER {
            return Err(Refusal::field("X-Filter", "Longer than 2000 bytes"));
        }
        match serde_json::from_slice(text) {
            Ok(Value::Object(object)) => filter.take(&object, keys, DEEPEST)?,
            _ => return Err(Refusal::field("X-Filter", "No JSON object")),
        }
        Ok(filter)
    }

    fn take(
        &mut self,
        object: &Map<String, Value>,
        keys: &[&str],
        deep: usize,
    ) -> Result<(), Refusal> {
        for (key, value) in object {
            match (key.as_str(), value) {
                ("+and", Value::Array(all)) if deep > 0 => {
                    for one in all {
                        let one = one
                            .as_object()
                            .ok_or_else(|| Refusal::field("+and", "Objects are wanted in it"))?;
                        self.take(one, keys, deep - 1)?;
                    }
                }
                ("+order_by", Value::String(by)) if keys.contains(&by.as_str()) => {
                    self.order_by = Some(by.clone());
                }
                ("+order", Value::String(order)) if order == "asc" || order == "desc" => {
                    self.descending = order == "desc";
                }
                (key, value) if keys.contains(&key) => self.term(key, value)?,
                (key, _) => {
                    let can = keys.join(", ");
                    let reason = format!("Cannot filter or order by it so; keys here: {can}");
                    return Err(Refusal::field(key, reason));
                }
            }
        }
        Ok(())
    }

    fn term(&mut self, key: &str, value: &Value) -> Result<(), Refusal> {
        let (op, value) = match value {
            Value::Object(object) => match object.iter().next() {
                Some((op, value)) if object.len() == 1 => (op_of(op), value),
                _ => (None, value),
            },
            Value::Array(_) | Value::Null => (None, value),
            plain => (Some(Op::Is), plain),
        };
        let Some(op) = op else {
            return Err(Refusal::field(key, "This condition is not known here"));
        };
        if self.terms.len() == TERMS {
            return Err(Refusal::field(key, "At most 20 conditions"));
        }
        self.terms.push(Term {
            key: key.to_owned(),
            op,
            value: value.clone(),
        });
        Ok(())
    }

    /// Of a short list that is there whole.
    pub fn of_few(&self, mut all: Vec<Value>) -> Vec<Value> {
        all.retain(|item| self.terms.iter().all(|term| term.holds(item)));
        if let Some(by) = &self.order_by {
            all.sort_by_key(|item| item.get(by).map(Value::to_string));
        }
        if self.descending {
            all.reverse();
        }
        all
    }
}

fn op_of(word: &str) -> Option<Op> {
    Some(match word {
        "+neq" => Op::Not,
        "+contains" => Op::Contains,
        "+lt" => Op::Under,
        "+gt" => Op::Over,
        _ => return None,
    })
}

impl Term {
    fn holds(&self, item: &Value) -> bool {
        let there = item.get(&self.key).unwrap_or(&Value::Null);
        let numbers = there.as_i64().zip(self.value.as_i64());
        match self.op {
            Op::Is => *there == self.value,
            Op::Not => *there != self.value,
            Op::Contains => there
                .as_str()
                .zip(self.value.as_str())
                .is_some_and(|(there, wanted)| there.contains(wanted)),
            Op::Under => numbers.is_some_and(|(there, wanted)| there < wanted),
            Op::Over => numbers.is_some_and(|(there, wanted)| there > wanted),
        }
    }
}
