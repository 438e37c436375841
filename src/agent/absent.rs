//! What is not there, where that is an answer and no error.

use std::io;

/// What came of looking for a file or folder; `None`: there is none.
pub(in crate::agent) fn if_there<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
