//! Runs checks at once but bounded, prints a line for each, and counts.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::abuse::Attack;
use crate::lab::{Context, SetupError, Subject};
use crate::outcome::{Fault, Outcome};

/// How long one check may take.
const CHECK_MAX: Duration = Duration::from_secs(90);

/// A check's or an attack's work.
pub(crate) type Work<T = ()> = Pin<Box<dyn Future<Output = Outcome<T>> + Send>>;

/// One sentence of PROTOCOL.
pub(crate) struct Check {
    /// The section of PROTOCOL.
    pub(crate) section: u8,
    /// Names the sentence.
    pub(crate) name: &'static str,
    pub(crate) run: fn(Context) -> Work,
}

/// Puts functions of a module into its table.
macro_rules! table {
    ($section:literal: $($name:ident)+) => {
        /// This module's checks.
        pub(crate) fn table() -> Vec<$crate::runner::Check> {
            vec![$($crate::runner::Check {
                section: $section,
                name: stringify!($name),
                run: |context| Box::pin($name(context)),
            }),+]
        }
    };
}
pub(crate) use table;

/// Which checks to run against what.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is under test.
    pub subject: Subject,
    /// One section of PROTOCOL, or all.
    pub section: Option<u8>,
    /// Only checks whose name contains this.
    pub only: Option<String>,
    /// How many checks run at the same time.
    pub at_once: usize,
}

/// Which attacks to run against what.
#[derive(Clone, Debug)]
pub struct AbusePlan {
    /// What is under test.
    pub subject: Subject,
    /// Only attacks whose name contains this.
    pub only: Option<String>,
    /// How long each attack lasts.
    pub duration: Duration,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Checks that passed.
    pub passed: usize,
    /// Names of the checks that failed, with the reason.
    pub failed: Vec<String>,
    /// Names of the checks that could not run, with the reason.
    pub skipped: Vec<String>,
}

impl Report {
    /// Whether nothing failed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failed.is_empty()
    }

    fn enter(&mut self, name: &str, outcome: Outcome<String>) {
        match outcome {
            Ok(note) => {
                self.passed += 1;
                println!("ok   {name}{note}");
            }
            Err(Fault::Skipped(reason)) => {
                println!("skip {name}: {reason}");
                self.skipped.push(format!("{name}: {reason}"));
            }
            Err(Fault::Failed(reason)) => {
                println!("FAIL {name}: {reason}");
                self.failed.push(format!("{name}: {reason}"));
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed.len())?;
        if !self.skipped.is_empty() {
            write!(f, ", {} skipped", self.skipped.len())?;
        }
        Ok(())
    }
}

/// The section and name of every check, in the order of PROTOCOL.
#[must_use]
pub fn checks() -> Vec<(u8, &'static str)> {
    crate::checks::all().iter().map(|check| (check.section, check.name)).collect()
}

/// The name of every attack.
#[must_use]
pub fn attacks() -> Vec<&'static str> {
    crate::abuse::all().iter().map(|attack| attack.name).collect()
}

/// Runs the checks, printing a line for each, and stops what it started.
///
/// # Errors
/// [`SetupError`] where no server could be started, or no check has the name.
pub async fn conform(plan: &Plan) -> Result<Report, SetupError> {
    let wanted = |check: &Check| {
        plan.section.is_none_or(|section| check.section == section)
            && plan.only.as_ref().is_none_or(|only| check.name.contains(&**only))
    };
    let chosen: Vec<Check> = crate::checks::all().into_iter().filter(wanted).collect();
    if chosen.is_empty() {
        return Err(SetupError::Nothing(plan.only.clone().unwrap_or_default()));
    }
    let context = Context::new(&plan.subject).await?;
    let slots = Arc::new(Semaphore::new(plan.at_once.max(1)));
    let mut running = JoinSet::new();
    for check in chosen {
        let (context, slots) = (context.clone(), Arc::clone(&slots));
        running.spawn(async move {
            let _slot = slots.acquire_owned().await;
            let name = format!("§{} {}", check.section, check.name);
            (name, guarded((check.run)(context), CHECK_MAX).await)
        });
    }
    let mut report = Report::default();
    while let Some(ended) = running.join_next().await {
        match ended {
            Ok((name, outcome)) => report.enter(&name, outcome.map(|()| String::new())),
            Err(error) => report.enter("a check", Err(Fault::Failed(error.to_string()))),
        }
    }
    stop(&context, &mut report).await;
    println!("{report}");
    Ok(report)
}

/// Runs the attacks one after the other, printing a line for each, and stops what it started.
///
/// # Errors
/// [`SetupError`] where no server could be started, or no attack has the name.
pub async fn abuse(plan: &AbusePlan) -> Result<Report, SetupError> {
    let wanted = |attack: &Attack| plan.only.as_ref().is_none_or(|only| attack.name.contains(&**only));
    let chosen: Vec<Attack> = crate::abuse::all().into_iter().filter(wanted).collect();
    if chosen.is_empty() {
        return Err(SetupError::Nothing(plan.only.clone().unwrap_or_default()));
    }
    let context = Context::new(&plan.subject).await?;
    let mut report = Report::default();
    for attack in chosen {
        let name = format!("abuse {}", attack.name);
        let work: Work<String> = Box::pin(crate::abuse::withstand(context.clone(), attack, plan.duration));
        let outcome = guarded(work, plan.duration + CHECK_MAX).await;
        report.enter(&name, outcome.map(|note| format!(" ({note})")));
    }
    stop(&context, &mut report).await;
    println!("{report}");
    Ok(report)
}

/// Runs one piece of work in a task of its own, so that a panic or a hang costs only itself.
async fn guarded<T: Send + 'static>(work: Work<T>, max: Duration) -> Outcome<T> {
    let mut task = tokio::spawn(work);
    match tokio::time::timeout(max, &mut task).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Err(Fault::Failed(error.to_string())),
        Err(_) => {
            task.abort();
            Err(Fault::Failed(format!("not done after {} s", max.as_secs())))
        }
    }
}

async fn stop(context: &Context, report: &mut Report) {
    if let Some(lab) = &context.lab {
        report.enter("servers exit with 0 on SIGTERM", lab.stop().await.map(|()| String::new()));
    }
}
