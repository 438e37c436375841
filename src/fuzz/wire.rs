//! What portal and agents say to each other.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::wire::{
    Enrol, Enrolled, Finish, Finished, Inventory, LedgerMark, Order, Poll, PollAnswer, PortalMark,
    Renew, Renewed, Reported, Rotated, Samples, SealedDigests,
};

/// Any of the bodies. What is read is written so that it is read as the same, and is no longer than what it was read of by more than
/// the fields that were left out.
pub(super) fn bodies(bytes: &[u8]) {
    one::<Enrol>(bytes);
    one::<Enrolled>(bytes);
    one::<Rotated>(bytes);
    one::<Poll>(bytes);
    one::<PollAnswer>(bytes);
    one::<Reported>(bytes);
    one::<Inventory>(bytes);
    one::<Order>(bytes);
    one::<Renew>(bytes);
    one::<Renewed>(bytes);
    one::<Finish>(bytes);
    one::<Finished>(bytes);
    one::<Samples>(bytes);
    one::<SealedDigests>(bytes);
    one::<LedgerMark>(bytes);
    one::<PortalMark>(bytes);
}

fn one<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(bytes) else {
        return;
    };
    let written = serde_json::to_vec(&read);
    let Ok(written) = written else {
        unreachable!("what was read is written");
    };
    let again = serde_json::from_slice::<T>(&written);
    let Ok(again) = again else {
        unreachable!("{:?} of {}", again.err(), String::from_utf8_lossy(&written));
    };
    let (one, other) = (serde_json::to_value(&read), serde_json::to_value(&again));
    let (Ok(one), Ok(other)) = (one, other) else {
        unreachable!("what was read is a value");
    };
    assert!(same(&one, &other), "{one} is read as {other}");
}

/// Fractions may come back with their last digit another: they are seconds, for people.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) if one.is_f64() && other.is_f64() => {
            let (one, other) = (one.as_f64().unwrap_or(0.0), other.as_f64().unwrap_or(0.0));
            (one - other).abs() <= one.abs() * 1e-12
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && (one.iter()).all(|(key, one)| other.get(key).is_some_and(|it| same(one, it)))
        }
        (one, other) => one == other,
    }
}
