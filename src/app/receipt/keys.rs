//! The keys that receipts are signed with. Portals on one database share them.

use data_encoding::HEXLOWER;

use crate::app::App;
use crate::app::context::{PORTAL, Tx, Who};
use crate::app::error::{AppError, Result};
use crate::domain::audit::{Action, Object};
use crate::domain::receipt::keys::{ALGORITHM, KeyList, PublicKey, SigningKey};
use crate::store;
use crate::store::receipt::{Key, Listed};

impl App {
    /// There is a key that signs, before the first receipt asks for one.
    pub fn ready_receipt_key(&self) -> Result<()> {
        if self.db.read(store::receipt::current_key)?.is_some() {
            return Ok(());
        }
        self.transact(PORTAL, signing_key).map(drop)
    }

    /// What anybody may have of them.
    pub fn receipt_keys(&self) -> Result<KeyList> {
        let keys = self.db.read(store::receipt::keys)?;
        Ok(KeyList::of(keys.into_iter().map(public).collect()))
    }

    /// The key that signed is retired, and a new one signs from now on; gives its name.
    pub fn rotate_receipt_key(&self, who: Who<'_>) -> Result<String> {
        self.transact(who, |tx| {
            let meanwhile = || {
                AppError::conflict("Another key was made at the same moment: see what is there.")
            };
            let old = store::receipt::current_key(tx.conn)?.map(|key| key.id);
            if let Some(old) = &old
                && !store::receipt::retire_key(tx.conn, old, tx.now)?
            {
                return Err(meanwhile());
            }
            let (new, _) = new_key(tx)?;
            if !store::receipt::insert_key(tx.conn, &new)? {
                return Err(meanwhile());
            }
            let names = (old.unwrap_or_default(), &new.id);
            tx.audit(Action::ReceiptKey, Object::Portal, names)?;
            Ok(new.id)
        })
    }
}

fn public(key: Listed) -> PublicKey {
    PublicKey {
        id: key.id,
        algorithm: ALGORITHM.to_owned(),
        public: key.public,
        made: key.made_at,
        retired: key.retired_at,
    }
}

/// The key that signs, made if there is none. Of two portals that make it at once one does.
pub(super) fn signing_key(tx: &mut Tx<'_>) -> Result<SigningKey> {
    if let Some(there) = store::receipt::current_key(tx.conn)? {
        return of_row(&there);
    }
    let (new, key) = new_key(tx)?;
    if store::receipt::insert_key(tx.conn, &new)? {
        tracing::info!(key = %key.id, "a key for receipts was made");
        return Ok(key);
    }
    let other = store::receipt::current_key(tx.conn)?;
    of_row(&other.ok_or_else(|| AppError::Fault("no key for receipts".to_owned()))?)
}

fn of_row(row: &Key) -> Result<SigningKey> {
    let seed = HEXLOWER.decode(row.secret.as_bytes()).unwrap_or_default();
    SigningKey::of_seed(&seed)
        .filter(|key| key.public == row.public && key.id == row.id)
        .ok_or_else(|| AppError::Fault(format!("the key {} for receipts is damaged", row.id)))
}

fn new_key(tx: &Tx<'_>) -> Result<(Key, SigningKey)> {
    let no = |why: String| AppError::Fault(format!("no key for receipts can be made: {why}"));
    let mut seed = [0_u8; 32];
    getrandom::fill(&mut seed).map_err(|error| no(error.to_string()))?;
    let key = SigningKey::of_seed(&seed).ok_or_else(|| no(ALGORITHM.to_owned()))?;
    let row = Key {
        id: key.id.clone(),
        public: key.public.clone(),
        secret: HEXLOWER.encode(&seed),
        made_at: tx.now,
    };
    Ok((row, key))
}
