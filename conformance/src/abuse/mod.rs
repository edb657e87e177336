//! Attacks, each against a server of its own, while 100 good clients must miss nothing.
//!
//! Every attack is bounded in time and in sockets, speaks to loopback only, and leaves nothing behind.
//! What an attacker is told is not looked at here (that is what the checks of §6 and §7 are for): what
//! counts is that the good clients receive everything in the order of their lanes, that memory stays
//! within its bound, and that the server takes new clients afterwards.

mod fleet;
mod floods;
mod forgery;
mod requests;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::lab::{Context, Server};
use crate::outcome::{Outcome, Within as _, ensure, fail, until};
use crate::runner::Work;
use fleet::Fleet;

/// What the server's resident memory may grow by during an attack, in KiB: the history of what is
/// published, 256 KiB unsent for each connection, and room for the allocator.
const GROWTH_MAX_KIB: u64 = 160 << 10;

/// One way to be a bad client.
pub(crate) struct Attack {
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    /// The server's settings, beside the common ones.
    settings: &'static str,
    run: fn(Arena) -> Work,
    /// What must hold when the attack is over.
    after: fn(&Server) -> Outcome,
}

impl Attack {
    const fn new(name: &'static str, run: fn(Arena) -> Work) -> Self {
        Self { name, settings: "", run, after: |_| Ok(()) }
    }
}

/// All attacks.
pub(crate) fn all() -> Vec<Attack> {
    let mut all = requests::table();
    all.append(&mut floods::table());
    all.append(&mut forgery::table());
    all
}

/// What an attacker is given.
#[derive(Clone)]
pub(crate) struct Arena {
    pub(crate) server: Server,
    end: Instant,
    attempts: Arc<AtomicU64>,
}

impl Arena {
    /// Whether the attack's time has not yet passed.
    pub(crate) fn goes_on(&self) -> bool {
        Instant::now() < self.end
    }

    /// Counts one attempt.
    pub(crate) fn attempt(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits a moment, at most to the end.
    pub(crate) async fn pause(&self, milliseconds: u64) {
        let rest = self.end.saturating_duration_since(Instant::now());
        tokio::time::sleep(rest.min(Duration::from_millis(milliseconds))).await;
    }

    /// Runs `attacker` again and again in so many tasks at once. That an attempt fails is what the
    /// server should make of it.
    pub(crate) async fn swarm<F>(
        self,
        size: usize,
        attacker: impl Fn(Self, usize) -> F + Clone + Send + 'static,
    ) -> Outcome
    where
        F: Future<Output = Outcome> + Send,
    {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..size {
            let (arena, attacker) = (self.clone(), attacker.clone());
            tasks.spawn(async move {
                while arena.goes_on() {
                    let end = tokio::time::Instant::from_std(arena.end);
                    let _refused = tokio::time::timeout_at(end, attacker(arena.clone(), number)).await;
                    arena.attempt();
                    tokio::task::yield_now().await;
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
        Ok(())
    }
}

/// Runs one attack, and says in a few words how it went.
pub(crate) async fn withstand(context: Context, attack: Attack, duration: Duration) -> Outcome<String> {
    let own = if context.lab.is_some() { Some(context.alone(attack.settings).await?) } else { None };
    let server = own.clone().unwrap_or_else(|| context.server.clone());
    let fleet = Fleet::start(&server).await.at("the good clients")?;
    let memory = Memory::watch(server.process_id());
    let arena = Arena { server: server.clone(), end: Instant::now() + duration, attempts: Arc::default() };
    let attempts = Arc::clone(&arena.attempts);
    (attack.run)(arena).await?;
    let peak = memory.map(Memory::stop);
    let received = fleet.finish().await.at("the good clients")?;
    until("a new client to be served", || async {
        Ok(match Client::full(&server).await {
            Ok(mut client) => client.alive().await.is_ok().then_some(()),
            Err(_) => None,
        })
    })
    .await?;
    (attack.after)(&server)?;
    let memory = match peak {
        Some((before, peak)) => {
            let growth = peak.saturating_sub(before);
            ensure!(growth <= GROWTH_MAX_KIB, "memory grew by {growth} KiB of at most {GROWTH_MAX_KIB} KiB");
            format!("memory grew by {growth} of {GROWTH_MAX_KIB} KiB")
        }
        None => "memory unknown".to_owned(),
    };
    if let Some(own) = own {
        own.stop().await?;
    }
    let attempts = attempts.load(Ordering::Relaxed);
    Ok(format!("{attempts} attempts, {} clients received {received} events each, {memory}", fleet::SIZE))
}

/// Watches a process's resident memory.
struct Memory {
    before: u64,
    peak: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Memory {
    fn watch(process: Option<u32>) -> Option<Self> {
        let path = format!("/proc/{}/status", process?);
        let before = resident_kib(&std::fs::read_to_string(&path).ok()?)?;
        let peak = Arc::new(AtomicU64::new(before));
        let seen = Arc::clone(&peak);
        let task = tokio::spawn(async move {
            while let Some(now) = std::fs::read_to_string(&path).ok().as_deref().and_then(resident_kib) {
                seen.fetch_max(now, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Some(Self { before, peak, task })
    }

    /// Before the attack, and at its worst; in KiB.
    fn stop(self) -> (u64, u64) {
        self.task.abort();
        (self.before, self.peak.load(Ordering::Relaxed))
    }
}

fn resident_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// What the log must not hold after somebody has tried to write into it: a line of the attacker's own,
/// or a sequence that a terminal obeys.
pub(crate) fn log_is_clean(server: &Server, forged: &str) -> Outcome {
    for line in server.log().into_iter().flatten() {
        if line.starts_with(forged) {
            fail!("the log holds a line of the attacker's: {line:?}");
        }
        // The server's own colours are only for terminals, and this is none.
        if let Some(control) = line.chars().find(|c| c.is_control() && *c != '\t') {
            fail!("the log holds {control:?} in {line:?}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_kib() {
        assert_eq!(resident_kib("Name:\ttidings\nVmRSS:\t   12345 kB\nThreads:\t1\n"), Some(12_345));
        assert_eq!(resident_kib("Name:\ttidings\n"), None);
    }

    #[test]
    fn every_attack_has_a_name_of_its_own() {
        let mut names: Vec<_> = all().iter().map(|attack| attack.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
