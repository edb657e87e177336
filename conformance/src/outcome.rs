//! What a check ends with, and how it waits: for a condition, with a deadline, never for time alone.

use std::future::Future;
use std::time::Duration;

/// How long any one condition may take. Generous, since a debug build may share two cores with the suite.
pub(crate) const WAIT: Duration = Duration::from_secs(15);

/// Why a check did not pass.
///
/// It is no `std::error::Error` itself, so that `?` turns every error of a library into a failure.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The server did something else than PROTOCOL says.
    Failed(String),
    /// The check cannot run here, and why.
    Skipped(String),
}

impl<E: std::error::Error> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What a check and its steps return.
pub(crate) type Outcome<T = ()> = Result<T, Fault>;

/// Says where a failure happened.
pub(crate) trait Within<T> {
    /// Puts `place` before a failure's text.
    fn at(self, place: impl std::fmt::Display) -> Outcome<T>;
}

impl<T> Within<T> for Outcome<T> {
    fn at(self, place: impl std::fmt::Display) -> Self {
        self.map_err(|fault| match fault {
            Fault::Failed(text) => Fault::Failed(format!("{place}: {text}")),
            skipped @ Fault::Skipped(_) => skipped,
        })
    }
}

/// Waits for `future`, at most [`WAIT`].
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    match tokio::time::timeout(WAIT, future).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Fault::Failed(format!("waited {} s for {what}", WAIT.as_secs()))),
    }
}

/// Asks `probe` again until it has an answer, at most [`WAIT`].
pub(crate) async fn until<T, F>(what: &str, mut probe: impl FnMut() -> F) -> Outcome<T>
where
    F: Future<Output = Outcome<Option<T>>>,
{
    within(what, async {
        loop {
            if let Some(answer) = probe().await? {
                return Ok(answer);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

/// Fails the check.
macro_rules! fail {
    ($($text:tt)+) => { return Err($crate::outcome::Fault::Failed(format!($($text)+))) };
}

/// Fails the check unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => { if !$condition { $crate::outcome::fail!($($text)+) } };
}

/// Fails the check unless both are equal; the text says what they are.
macro_rules! same {
    ($found:expr, $expected:expr, $($text:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) => if found != expected {
                $crate::outcome::fail!("{}: expected {expected:?}, found {found:?}", format_args!($($text)+));
            },
        }
    };
}

pub(crate) use {ensure, fail, same};

#[cfg(test)]
mod tests {
    use super::*;

    fn three_is(number: u32) -> Outcome {
        same!(number, 3, "three of {}", "numbers");
        Ok(())
    }

    #[test]
    fn a_failure_says_what_was_expected_and_where() {
        let Err(Fault::Failed(text)) = three_is(4).at("here") else { panic!("4 is not 3") };
        assert_eq!(text, "here: three of numbers: expected 3, found 4");
        assert!(three_is(3).is_ok());
    }
}
